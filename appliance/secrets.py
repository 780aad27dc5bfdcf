"""Secrets: passwords people choose (argon2) and random ones we make (sha-256, constant time)."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import InputError, about
from appliance.language import _

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# Without 0/O, 1/I/L: keys are read aloud and typed on phones.
KEY_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
KEY_LENGTH = 20
CLAIM_LENGTH = 8
MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 1024
MIN_GUESSES = 1e6
"""By zxcvbn's own scale, enough where guessing is slowed down; accounts/guesses.py relies on it."""
_YEAR = re.compile(r"(19|20)[0-9]{2}")


def new_stream_key() -> str:
    """A random stream key: 20 characters, 99 bits."""
    return "".join(secrets.choice(KEY_ALPHABET) for _place in range(KEY_LENGTH))


def new_claim_code() -> str:
    """A random code that proves who stands before the box: 8 characters, shown as ABCD-EFGH."""
    code = "".join(secrets.choice(KEY_ALPHABET) for _place in range(CLAIM_LENGTH))
    return f"{code[:4]}-{code[4:]}"


def new_token() -> str:
    """A random token for sessions, programs and image addresses: 256 bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """sha-256 in hex: enough for random secrets, which no dictionary holds."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def equal_in_constant_time(first: str, second: str) -> bool:
    """Whether two secrets or digests are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(first.encode("utf-8", "surrogatepass"), second.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    """argon2id with 64 MiB. Imported late: only the site and the command line need it, every service imports us."""
    from argon2 import PasswordHasher

    return PasswordHasher()


@about("password")
def hash_password(password: str, *names: str) -> str:
    """The argon2id hash to store. Raises InputError if it is too short, too long, or easy to guess.

    names: of the person and the machine, which whoever guesses tries first.
    """
    if len(password) < MIN_PASSWORD_LENGTH:
        raise InputError(_("A password needs at least {least} characters.", least=MIN_PASSWORD_LENGTH))
    if len(password) > MAX_PASSWORD_LENGTH:
        raise InputError(_("A password has at most {most} characters.", most=MAX_PASSWORD_LENGTH))
    if _guesses(password, names) < MIN_GUESSES:
        raise InputError(
            _(
                "This password is too easy to guess: a common one, or made of a name, a date or a row of keys."
                " Use three or four words that do not belong together."
            )
        )
    return _hasher().hash(password)


def _guesses(password: str, names: Iterable[str]) -> float:
    """How many tries a good guesser needs. They know these names and ours, so what counts is what is left without them.

    And without a year: Spring2026 is among the first that people try, while zxcvbn gives it 20 million guesses.
    zxcvbn is imported late: its word lists take 15 MB, and most services and days set no password.
    """
    from zxcvbn import zxcvbn

    bare = password.casefold()
    for name in (*names, "mb9k"):
        if len(name) > 2:
            bare = bare.replace(name.casefold(), "")
    # Its time grows faster than the length (72 characters: up to 1 s, 40: 0.2 s); the start of a long one suffices.
    return min(float(zxcvbn(text[:40])["guesses"]) if text else 0.0 for text in (password, bare, _YEAR.sub("", bare)))


def hash_known_password(password: str) -> str:
    """Like hash_password without its rules: only for the demo's known logins (`dev`/`mb9k`)."""
    return _hasher().hash(password)


def password_matches(password: str, password_hash: str | None) -> bool:
    """Whether the password is the right one. None (no such person) costs the same time and is False."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > MAX_PASSWORD_LENGTH:
        return False
    try:
        return _hasher().verify(password_hash or _nobodys_hash(), password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


def _nobodys_hash() -> str:
    """A hash that no password has (all its bits are 0); checking against it takes as long as against a person's."""
    cost = _hasher()
    zeros = f"{'A' * 22}${'A' * 43}"  # base64 of 16 bytes of salt and 32 of hash
    return f"$argon2id$v=19$m={cost.memory_cost},t={cost.time_cost},p={cost.parallelism}${zeros}"


def claim_code(path: Path) -> str:
    """The code in this file, by which the first person becomes admin; made at the first call. Raises OSError."""
    return secret_from_file(path, new_claim_code)


def secret_from_file(path: Path, make: Callable[[], str] = new_token) -> str:
    """The secret in a file that only its owner can read; made at the first call.

    Several services may call at once, and a crash may come at any time: the file is written under another name
    and then linked, so that whoever sees it sees all of it. Raises OSError.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(make() + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another service was quicker: theirs counts
                os.link(draft, path)
        finally:
            Path(draft).unlink()
    return path.read_text().strip()
