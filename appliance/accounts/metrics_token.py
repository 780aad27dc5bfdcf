"""The token by which a Prometheus server reads a site's metrics, and nothing else. One at a time, without an end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.accounts.audit_subjects import METRICS as METRICS
from appliance.files import replace_file
from appliance.secrets import digest, equal_in_constant_time, new_token


@dataclass(frozen=True, slots=True)
class MetricsToken:
    """path: the file with the digest of the token, which itself is kept nowhere."""

    path: Path

    def make(self) -> str:
        """Another token; the one before ends. Raises OSError."""
        token = new_token()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self.path, digest(token) + "\n")
        return token

    def forget(self) -> None:
        """From now on there is none. Raises OSError."""
        self.path.unlink(missing_ok=True)

    def made_utc(self) -> float | None:
        """When it was made; None: there is none. Raises OSError."""
        with suppress(FileNotFoundError):
            return self.path.stat().st_mtime
        return None

    def is_right(self, token: str) -> bool:
        """Whether this is it. Raises OSError."""
        with suppress(FileNotFoundError):
            return equal_in_constant_time(digest(token), self.path.read_text().strip())
        return False
