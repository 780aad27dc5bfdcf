"""How the box is, all of it at one moment: what the pages Home and Health say, and what /metrics tells programs."""

from __future__ import annotations

from dataclasses import dataclass

from appliance import board
from appliance.board import Board
from appliance.config import Config
from appliance.disk import free_bytes, size_bytes
from appliance.errors import UserError
from appliance.faces import Judging
from appliance.local.pages import Site
from appliance.local.words import board_notices, service_problems
from appliance.retold import retold
from appliance.service import SERVICES
from appliance.store import BoxClock, ServiceStatus, Store, Stream, WallClock
from appliance.times import Now, clock_is_synchronised
from appliance.vision import manifest

WATCHER = "watch"


def model_id(config: Config) -> str:
    """The model that judges; empty if there is none as configured."""
    try:
        return manifest.find(config.vision.model).id
    except UserError:
        return ""


@dataclass(frozen=True, slots=True)
class Room:
    """Room on the disk of the record. is_full: no image is kept any more. record_bytes: of the record itself."""

    free_bytes: int
    size_bytes: int
    is_full: bool
    record_bytes: int


@dataclass(frozen=True, slots=True)
class BoxHealth:
    """services: those that were ever heard of. problems: sentences; while there is one, something does not work.

    notices: what people must know besides. streams: of whoever asks. clock: as it was noted; None: never.
    open_alerts: how many. waiting_messages: how many about alerts are to be sent.
    """

    now: Now
    services: tuple[ServiceStatus, ...]
    problems: tuple[str, ...]
    notices: tuple[str, ...]
    streams: list[Stream]
    disk: Room
    board: Board
    clock: BoxClock | None
    is_synchronised: bool
    open_alerts: int = 0
    waiting_messages: int = 0

    @property
    def judging(self) -> Judging | None:
        """What judges the streams, which has passed its self-test; None: nothing does."""
        return next((each.judging for each in self.services if each.name == WATCHER and each.alive), None)

    @property
    def is_clock_believed(self) -> bool:
        """Whether times are right, as far as the box knows."""
        return self.clock is not None and self.clock.at(self.now).wall_clock is WallClock.BELIEVED

    def service(self, name: str) -> ServiceStatus | None:
        """A service as last heard of; None: never."""
        return next((each for each in self.services if each.name == name), None)


def look(site: Site, store: Store, now: Now, owner_id: int | None = None) -> BoxHealth:
    """How the box is now. owner_id: whose streams; None: all. Raises OSError, sqlite3.Error."""
    known = {service.name for service in SERVICES}
    services = [each for each in store.services.all(now) if each.name in known]
    disk, clock, how = _room(site), store.ages.clock(), board.look()
    notices = [retold(clock.notice)] if clock and clock.notice else []
    return BoxHealth(
        now=now,
        services=tuple(services),
        problems=tuple(service_problems(services, disk.is_full)),
        notices=(*notices, *board_notices(how)),
        streams=store.streams.all(now, owner_id),
        disk=disk,
        board=how,
        clock=clock,
        is_synchronised=clock_is_synchronised(),
        open_alerts=len(store.alerts.log.open()),
        waiting_messages=store.alerts.log.count_waiting(),
    )


def _room(site: Site) -> Room:
    path = site.config.store_path
    files = (path, path.with_name(f"{path.name}-wal"))
    record_bytes = sum(file.stat().st_size for file in files if file.exists())
    return Room(free_bytes(path.parent), size_bytes(path.parent), site.reserve.is_needed(), record_bytes)
