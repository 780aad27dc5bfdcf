"""Public keys of ssh, as people paste them: which are taken, and by what they are known.

The form of a line: sshd(8), AUTHORIZED_KEYS FILE FORMAT; of what it holds in base64: RFC 4253 section 6.6, RFC 5656
section 3.1, RFC 8709 section 4, and PROTOCOL.u2f of OpenSSH.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from dataclasses import dataclass

from appliance.errors import InputError, about
from appliance.language import _

MAX_CHARACTERS = 3000  # RSA of 16384 bits
MAX_COMMENT = 100
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 16384
ED25519_BYTES = 32
_CURVES = {"nistp256": 32, "nistp384": 48, "nistp521": 66}
TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    *(f"ecdsa-sha2-{curve}" for curve in _CURVES),
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key. kind: its type, as ssh calls it. encoded: in base64. comment: whose it is, in their own words."""

    kind: str
    encoded: str
    comment: str

    @property
    def line(self) -> str:
        """As it stands in authorized_keys: without options."""
        return f"{self.kind} {self.encoded} {self.comment}".strip()

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` says it: SHA256:..."""
        digest = hashlib.sha256(base64.b64decode(self.encoded)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


@about("key")
def key(text: str) -> Key:
    """The key of a line. Raises InputError: it is none, or one that is too weak to let anybody in by."""
    line = text.strip()
    if "PRIVATE KEY" in line:
        raise InputError(
            _("This is a private key; never give it away. The public one is in the file that ends in .pub.")
        )
    if len(line) > MAX_CHARACTERS or not line.isprintable():
        raise InputError(_("A public key is one line, such as `ssh-ed25519 AAAA... name`."))
    kind, _space, rest = line.partition(" ")
    encoded, _space, comment = rest.strip().partition(" ")
    if kind == "ssh-dss":
        raise InputError(_("Keys of the type DSA are too weak; make one with `ssh-keygen -t ed25519`."))
    if kind not in TYPES:
        raise InputError(
            _(
                "A public key begins with its type, such as `ssh-ed25519`, and has no options before"
                " it; it is in the file that ends in .pub."
            )
        )
    try:
        fields = _fields(base64.b64decode(encoded.encode("ascii"), validate=True))
    except (ValueError, binascii.Error) as error:
        raise InputError(_("This public key is not whole; copy its line once more.")) from error
    if fields[0] != kind.encode():
        raise InputError(_("This public key is not of the type that it says; copy its line once more."))
    _refuse_weak(kind, fields[1:])
    return Key(kind, encoded, _clean(comment))


def _fields(blob: bytes) -> list[bytes]:
    """The strings of which a key is made, each after its length. Raises ValueError."""
    found, at = [], 0
    while at < len(blob):
        if at + 4 > len(blob):
            raise ValueError("a length is cut off")
        (length,) = struct.unpack_from(">I", blob, at)
        at += 4
        if length > len(blob) - at:
            raise ValueError("a string is cut off")
        found.append(blob[at : at + length])
        at += length
    if not found:
        raise ValueError("it is empty")
    return found


def _refuse_weak(kind: str, parts: list[bytes]) -> None:
    """Raise InputError for a key whose parts are not those of its type, or that is too small."""
    if kind.startswith("sk-"):
        parts = parts[:-1] if len(parts) > 1 and parts[-1] else []  # the last names the program that it is for
    if kind == "ssh-rsa":
        bits = _bits(parts[1]) if len(parts) == 2 and _bits(parts[0]) > 1 else 0
        if not bits or bits > MOST_RSA_BITS:
            raise InputError(_("This public key is not whole; copy its line once more."))
        if bits < LEAST_RSA_BITS:
            raise InputError(
                _(
                    "This key of {bits} bits is too weak; RSA needs {least_rsa_bits}. `ssh-keygen -t"
                    " ed25519` makes one.",
                    bits=bits,
                    least_rsa_bits=LEAST_RSA_BITS,
                )
            )
        return
    curve = re.search(r"ecdsa-sha2-(nistp\d+)", kind)
    if curve is None:
        is_whole = len(parts) == 1 and len(parts[0]) == ED25519_BYTES
    else:
        side = _CURVES[curve[1]]
        is_whole = (
            len(parts) == 2
            and parts[0] == curve[1].encode()
            and len(parts[1]) == 2 * side + 1
            and parts[1][:1] == b"\x04"  # a point that is not compressed
        )
    if not is_whole:
        raise InputError(_("This public key is not whole; copy its line once more."))


def _bits(number: bytes) -> int:
    """The size of a number as ssh writes it, big end first; 0 for a negative one."""
    return 0 if number[:1] >= b"\x80" else int.from_bytes(number, "big").bit_length()


def _clean(comment: str) -> str:
    """Words in a comment that cannot be taken for anything else."""
    return " ".join(re.sub(r"[^\w@.+:/ -]", "", comment).split())[:MAX_COMMENT].strip()
