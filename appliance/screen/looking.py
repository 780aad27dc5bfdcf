"""Looks at the box: its record, its services, its disk, its network."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from appliance import certificates
from appliance.certificates import CertificateError
from appliance.config import Config
from appliance.disk import Reserve
from appliance.errors import UserError
from appliance.interfaces import addresses
from appliance.language import N_, _
from appliance.notes import Notes
from appliance.retold import retold
from appliance.rules.boxes import screen_shows_counts
from appliance.screen.seen import Seen
from appliance.secrets import claim_code
from appliance.service import SERVICES
from appliance.store import DetectionFilter, Store
from appliance.times import Now

PATIENCE_S = 60.0
"""So long after the start nobody is told that a service is not running: it may be starting."""
SITE = "serve"
DISK_FULL = N_("The disk is full: no images are kept. Sign in and delete old detections.")


class Looker:
    """What there is to see, asked again and again. For one thread. It only reads, but makes the claim code.

    What is wrong it tells in the language spoken; services and the first boot have it on record in English.
    """

    def __init__(self, config: Config, notes: Notes) -> None:
        self._config, self._notes = config, notes
        self._store: Store | None = None
        self._certificate: tuple[tuple[int, int] | None, str] = (None, "")
        self._begun_s: float | None = None

    def look(self, now: Now) -> Seen:
        """The box as it is now. Trouble with the record is part of what is seen. Raises OSError."""
        self._begun_s = now.uptime_s if self._begun_s is None else self._begun_s
        hotspot = self._notes.hotspot()
        network = [each for each in addresses() if not hotspot or each != hotspot.address]
        ipv4 = [each for each in network if "." in each]
        web = self._config.web
        seen = Seen(
            host=socket.gethostname().partition(".")[0],
            addresses=tuple(ipv4 or network),  # IPv6 in a line is long, and hardly ever all there is
            https=web.https,
            port=web.port,
            fingerprint=self._fingerprint() if web.https else "",
            wifi=retold(self._notes.wifi()),
            hotspot=hotspot,
            problems=(_(DISK_FULL),) if self._disk_is_full() else (),
        )
        try:
            return self._with_record(seen, now)
        except (sqlite3.Error, UserError) as error:
            self.close()
            return self._without_record(seen, retold(str(error)), now)

    def close(self) -> None:
        """Close the record."""
        if self._store:
            self._store.close()
            self._store = None

    def _with_record(self, seen: Seen, now: Now) -> Seen:
        """With what the record says. Raises sqlite3.Error, UserError, OSError."""
        self._store = self._store or Store.open_readonly(self._config.store_path)
        store = self._store
        alive = {service.name: service for service in store.services.all(now) if service.alive}
        problems = [*seen.problems, *self._service_problems(set(alive), seen, now)]
        problems += [retold(service.problem) for service in alive.values() if service.problem]
        code = "" if store.people.count() else claim_code(self._config.claim_code_path)
        seen = replace(seen, claim_code=code, is_ready=SITE in alive, problems=tuple(problems))
        if code or not screen_shows_counts(self._config):
            return seen
        return replace(
            seen,
            counts=store.trends.counts(DetectionFilter(since_utc=store.trends.midnight_utc(now.utc))),
            live=tuple(stream.title for stream in store.streams.all(now) if stream.live),
        )

    def _service_problems(self, alive: set[str], seen: Seen, now: Now) -> list[str]:
        """What people must know of services that are not running; on a full disk none of them can say that it is."""
        if seen.problems or self._is_early(now):
            return []
        site = [] if SITE in alive else [_("The page does not answer. If this stays, restart the box.")]
        return site + [_(each.without_it) for each in SERVICES if each.without_it and each.name not in alive]

    def _without_record(self, seen: Seen, trouble: str, now: Now) -> Seen:
        """There is no record yet, or it cannot be read."""
        if self._is_early(now) and not self._config.store_path.exists():
            return replace(seen, is_ready=False, starts=True)
        return replace(
            seen, is_ready=False, problems=(*seen.problems, _("The record cannot be read: {trouble}", trouble=trouble))
        )

    def _is_early(self, now: Now) -> bool:
        return self._begun_s is not None and now.uptime_s - self._begun_s < PATIENCE_S

    def _disk_is_full(self) -> bool:
        with suppress(OSError):
            return Reserve(self._config.state).is_needed()
        return False

    def _fingerprint(self) -> str:
        """The sha-256 of the certificate in force, read when its file is another one; empty: there is none yet."""
        path: Path = self._config.served_certificate_path
        try:
            there = path.stat()
            mark = there.st_mtime_ns, there.st_ino
            if mark != self._certificate[0]:
                text = path.read_text()
                self._certificate = mark, certificates.whole_fingerprint(text[text.find("-----BEGIN CERTIFICATE") :])
        except FileNotFoundError:
            return ""
        except CertificateError:  # a damaged file, which the site replaces
            return ""
        return self._certificate[1]
