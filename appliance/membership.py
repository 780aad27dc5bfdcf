"""Which centre this box belongs to: four files in its state_dir, never in the store, whose copies must carry no key.

fleet/key.pem (only its owner can read it), certificate.pem (this box's), authority.pem (by which it knows the centre)
and centre.json. The folder appears and goes as a whole: there is no half a membership.
"""

from __future__ import annotations

import secrets
import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance import certificates, files
from appliance.certificates import CertificateError, Facts
from appliance.errors import UserError
from appliance.language import N_, _
from appliance.outside import system_words
from appliance.retold import retold

FOLDER = "fleet"


class MembershipError(UserError):
    """The files of a membership are damaged; the message says what to do."""


class _Centre(msgspec.Struct, frozen=True):
    """centre.json."""

    centre: str
    box: str
    host: str
    port: int
    joined_utc: float


@dataclass(frozen=True, slots=True)
class Membership:
    """This box in a fleet. box: its id there, the name in its certificate. host, port: of the centre's broker.

    centre: its name, for people. folder: where the files are.
    """

    box: str
    host: str
    port: int
    joined_utc: float
    folder: Path
    centre: str = ""

    @property
    def key_path(self) -> Path:
        """The private key, made here; it leaves this machine never."""
        return self.folder / "key.pem"

    @property
    def certificate_path(self) -> Path:
        """By which the centre knows this box."""
        return self.folder / "certificate.pem"

    @property
    def authority_path(self) -> Path:
        """By which this box knows the centre."""
        return self.folder / "authority.pem"

    def tls(self) -> ssl.SSLContext:
        """How to speak to the centre. Raises MembershipError."""
        try:
            authority = self.authority_path.read_text()
            return certificates.client_context(authority, str(self.certificate_path), str(self.key_path))
        except (OSError, ValueError) as error:
            raise damaged(self.folder, error) from error

    def certificate(self) -> Facts:
        """What this box's certificate says, such as until when it is valid. Raises MembershipError."""
        try:
            return certificates.facts(self.certificate_path.read_text())
        except (OSError, ValueError) as error:
            raise damaged(self.folder, error) from error

    def request(self) -> str:
        """A signing request, PEM, for the certificate that follows. Raises MembershipError."""
        try:
            return certificates.signing_request(self.key_path.read_bytes(), self.box)
        except (OSError, ValueError) as error:
            raise damaged(self.folder, error) from error

    def renew(self, certificate: str, authority: str) -> None:
        """Put another certificate (and authority) in the place of ours.

        Raises CertificateError: it is not for this box and its key, or ends before the one there is. Raises OSError.
        """
        if certificates.facts(certificate).name != self.box:
            raise CertificateError(N_("the certificate is another box's"))
        if not certificates.belongs(certificate, self.key_path.read_bytes()):
            raise CertificateError(N_("the certificate is not for this box's key"))
        if certificates.facts(certificate).expires_utc < self.certificate().expires_utc:
            raise CertificateError(N_("the certificate ends before the one there is"))
        _refuse_foreign(authority)
        if authority != self.authority_path.read_text():
            files.replace_file(self.authority_path, authority)
        files.replace_file(self.certificate_path, certificate)


def load(state: Path) -> Membership | None:
    """The membership of the box with this state folder; None: it belongs to no centre. Raises MembershipError."""
    folder = state / FOLDER
    try:
        centre = msgspec.json.decode((folder / "centre.json").read_bytes(), type=_Centre)
    except FileNotFoundError as error:
        if folder.exists():
            raise damaged(folder, error) from error
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(folder, error) from error
    return Membership(centre.box, centre.host, centre.port, centre.joined_utc, folder, centre.centre)


def save(membership: Membership, key: bytes, certificate: str, authority: str) -> None:
    """Become a member: all files, or none. Raises OSError (FileExistsError: it is one already), CertificateError."""
    if not certificates.belongs(certificate, key):
        raise CertificateError(N_("the certificate is not for this box's key"))
    _refuse_foreign(authority)
    folder = membership.folder
    draft = folder.parent / f".{folder.name}-{secrets.token_hex(4)}"
    draft.mkdir(mode=0o700, parents=True)
    try:
        record = _Centre(membership.centre, membership.box, membership.host, membership.port, membership.joined_utc)
        files.write_private(draft / "key.pem", key.decode())
        files.write_private(draft / "certificate.pem", certificate)
        files.write_private(draft / "authority.pem", authority)
        files.write_private(draft / "centre.json", msgspec.json.encode(record).decode() + "\n")
        files.sync(draft)
        if folder.exists():
            raise FileExistsError(folder)
        draft.rename(folder)  # fails if there is a folder with files in it
        files.sync(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def leave(state: Path) -> bool:
    """Belong to no centre; the key is gone then. Whether there was a membership. Raises OSError."""
    folder = state / FOLDER
    gone = state / f".{FOLDER}-{secrets.token_hex(4)}"
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return False
    files.sync(state)
    shutil.rmtree(gone)
    return True


def damaged(folder: Path, error: Exception) -> MembershipError:
    """What to say of files that cannot be used."""
    return MembershipError(
        _(
            "{folder}: the membership of this box cannot be read ({error}); run `mb9k leave`, and join again",
            folder=folder,
            error=_why(error),
        )
    )


def _why(error: Exception) -> str:
    return system_words(error) if isinstance(error, OSError) else retold(str(error))


def _refuse_foreign(authority: str) -> None:
    """Raise CertificateError if this is not what TLS can verify a centre by."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(N_("the centre's authority is no certificate")) from error
