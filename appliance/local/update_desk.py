"""Where bundles come in: sent by a browser or a program, or fetched by the site from an address. One at a time."""

from __future__ import annotations

import hmac
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path

from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.language import ENGLISH, N_, _, speaking
from appliance.outside import system_words
from appliance.secrets import equal_in_constant_time, secret_from_file
from appliance.times import now
from appliance.update.fetching import ENDED, Fetch, checked_address, name_in
from appliance.update.uploads import Upload, Uploads
from appliance.update.versions import UpdateError, sentence
from appliance.web.uploads import NO_FILE, Arrival

log = logging.getLogger(__name__)
TICKET_S = 12 * 3600
BUSY = N_("Another bundle is on its way to this box; wait for it, or stop that.")
_TICKET = re.compile(r"/updates/upload/([0-9]{1,12})-([0-9a-f]{32})$")


class Desk:
    """For all threads of the site. wall_s: the time, seconds since 1970."""

    def __init__(self, config: Config, wall_s: Callable[[], float] = lambda: now().utc) -> None:
        self.config, self.uploads = config, Uploads(config, "page")
        self._wall_s, self._lock, self._ending = wall_s, threading.Lock(), threading.Event()
        self._fetch: Fetch | None = None
        self._part: Path | None = None
        self.problem = ""
        self.uploads.sweep()

    def ticket(self, utc: float) -> str:
        """What an address must end with so that the server takes a file there; for admins only.

        The server asks when it has read a request's head: it then knows neither a form's fields nor who signed in.
        Who sends is looked at as ever when the file has come.
        """
        expires_utc = int(utc) + TICKET_S
        return f"{expires_utc}-{self._mark(expires_utc)}"

    def admit(self, path: str, size_bytes: int) -> Arrival | None:
        """Whether a request brings a bundle, and where it goes; see web/uploads.py."""
        found = _TICKET.search(path)
        if not found or not equal_in_constant_time(found[2], self._mark(int(found[1]))):
            return None
        if not self._wall_s() < int(found[1]):
            return None
        with self._lock:
            if self._fetch is not None or (self._part is not None and self._part.exists()):
                return Arrival(None, _(BUSY))
            try:
                self._part = self.uploads.new_part(size_bytes)
                self._part.touch(mode=0o600, exist_ok=False)
            except UpdateError as error:
                return Arrival(None, sentence(error))
            except OSError as error:
                return Arrival(None, _("The box cannot take it ({reason}).", reason=system_words(error)))
            return Arrival(self._part)

    def keep(self, arrival: Arrival | None, name: str, by: str, utc: float) -> Upload:
        """Look at what a request brought, and keep it. Raises InputError, UserError, OSError."""
        if arrival is None:
            raise InputError(_("This page is too old to send a bundle from; reload it, and send it again."))
        if arrival.problem:
            raise InputError(arrival.problem)
        if not arrival.size_bytes:
            arrival.fail(NO_FILE)
            raise InputError(_(NO_FILE))
        part = arrival.taken()
        log.warning("%s sent a bundle of %d MB", by, arrival.size_bytes // 1_000_000)
        return self._keep(part, name or "bundle", by, utc)

    def begin_fetch(self, address: str, by: str, sha256: str = "") -> None:
        """Fetch a bundle, in a thread. Raises InputError."""
        try:
            checked_address(address)
        except UpdateError as error:
            raise InputError(sentence(error), "address") from error
        with self._lock:
            if self._fetch is not None:
                raise InputError(_(BUSY))
            self._ending.clear()
            self.problem = ""
            self._fetch = Fetch(self.uploads, address, self._ending.wait)
        log.warning("%s has a bundle fetched", by)
        threading.Thread(target=self._run, args=(self._fetch, by, sha256), daemon=True).start()

    @property
    def fetch(self) -> Fetch | None:
        """What is being fetched."""
        return self._fetch

    def end_fetch(self) -> None:
        """Have it end, soon."""
        self._ending.set()

    def forget(self) -> None:
        """Remove the bundle there is. Raises OSError."""
        self.problem = ""
        self.uploads.forget()

    def _run(self, fetch: Fetch, by: str, sha256: str) -> None:
        with speaking(ENGLISH):  # whoever asked may not be who looks
            self._run_in_english(fetch, by, sha256)

    def _run_in_english(self, fetch: Fetch, by: str, sha256: str) -> None:
        try:
            self._keep(fetch.run(sha256), name_in(fetch.address), by, self._wall_s())
        except UserError as error:
            self.problem = "" if str(error) == _(ENDED) else sentence(error)
        except OSError as error:
            self.problem = _(
                "The bundle could not be kept ({reason}); see whether the disk is full.", reason=system_words(error)
            )
        finally:
            self._fetch = None
        if self.problem:
            log.warning("what was fetched is not taken: %s", self.problem)

    def _keep(self, part: Path, name: str, by: str, utc: float) -> Upload:
        try:
            upload = self.uploads.keep(part, name, by, utc)
        except UpdateError as error:
            raise InputError(sentence(error).replace(f"{part}", _("The bundle"))) from error
        self.problem = ""
        return upload

    def _mark(self, expires_utc: int) -> str:
        secret = secret_from_file(self.config.local_secret_path)
        return hmac.new(secret.encode(), f"upload until {expires_utc}".encode(), "sha256").hexdigest()[:32]
