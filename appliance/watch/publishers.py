"""Who publishes just now, by what the ingest says, and who should not."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.language import N_
from appliance.media.mediamtx import Client, Connection, Engine, IngestPath, MediaError, NotRunning, key_sha256
from appliance.vision.reading.reach import Reach

log = logging.getLogger(__name__)

LIVE_S = 4.5  # asked once a second, LIVE ends five to six seconds after the last byte
PATIENCE_S = 3.0  # an ingest that is not running for longer has lost all who published to it
# MediaMTX asks the gate whether we may ask: while that is started again nobody gets an answer, but streams go on.
GATE_PATIENCE_S = 10.0

NOT_RUNNING = N_("The ingest does not answer, so no stream can come in; it is being started again.")
SILENT = N_(
    "The ingest, or the gate that it asks, does not answer, so no stream can come in; both start again by themselves."
)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Somebody who publishes to a stream. path holds the stream key: never log it. remote: address without port."""

    stream_id: int
    path: str
    remote: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the pictures of a stream come from, and how far that may lead; None: anywhere, no person typed it."""

    url: str
    reach: Reach | None = None
    watch_url: str | None = None


class Publishers:
    """Asks the ingest. Not for several threads; times are seconds of a clock that never goes back.

    waiting: the streams with whose key somebody is connected, and from whom nothing comes (yet, or any more).
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.problem: str | None = None
        self.engine: Engine = "embedded"  # which ingest answers; known once it has
        self.waiting: set[int] = set()
        self._known: dict[int, Publisher] = {}
        self._answered_s: float | None = None
        self._bytes: dict[str, tuple[int, float]] = {}  # path -> bytes so far, since when

    def poll(self, active_keys: Mapping[str, int], now_s: float) -> dict[int, Publisher]:
        """Who publishes, by stream. Kicks whoever does with a key that is not (or no longer) active.

        active_keys: sha-256 of a key -> stream id.
        """
        try:
            self.engine = self.client.engine()  # another one may have been started since the last poll
            connections, paths = self.client.connections(), self.client.paths()
            allowed = self._allowed(connections, active_keys)
            found = self._found(self._moving(paths, now_s), connections, allowed)
        except MediaError as error:
            return self._unanswered(error, now_s)
        if self.problem:
            log.info("the ingest answers again")
        self.problem, self._answered_s, self._known = None, now_s, found
        self.waiting = set(allowed.values()) - found.keys()
        return found

    def _allowed(self, connections: Iterable[Connection], active_keys: Mapping[str, int]) -> dict[str, int]:
        """The stream of each path whose key is active; who publishes with another key is kicked."""
        allowed: dict[str, int] = {}
        for connection in connections:
            stream_id = active_keys.get(key_sha256(connection.path) or "")
            if stream_id is not None:
                allowed[connection.path] = stream_id
            elif connection.state == "publish":
                self._kick(connection, "its key is not active any more")
        return allowed

    def _moving(self, paths: Sequence[IngestPath], now_s: float) -> list[IngestPath]:
        """The paths to which bytes still come."""
        moving = [path for path in paths if path.available and self._moves(path.name, path.inbound_bytes, now_s)]
        self._bytes = {path.name: self._bytes[path.name] for path in paths if path.name in self._bytes}
        return moving

    def _found(
        self, paths: Iterable[IngestPath], connections: Iterable[Connection], allowed: Mapping[str, int]
    ) -> dict[int, Publisher]:
        """Who publishes to these paths, one to each stream."""
        found: dict[int, Publisher] = {}
        by_id = {connection.id: connection for connection in connections}
        # Whoever was first stays: `live//KEY` is another path to the ingest, but the same stream.
        known = {publisher.path for publisher in self._known.values()}
        for path in sorted(paths, key=lambda path: path.name not in known):
            sender, stream_id = by_id.get(path.source_id or ""), allowed.get(path.name)
            if stream_id is None or sender is None:
                continue
            if stream_id in found:
                self._kick(sender, "somebody else publishes to the same stream")
                continue
            found[stream_id] = Publisher(stream_id, path.name, _address(sender.remote))
        return found

    def _moves(self, name: str, inbound_bytes: int, now_s: float) -> bool:
        """Whether bytes still come in; a frozen publisher holds its connection for a while."""
        before, since_s = self._bytes.get(name, (-1, now_s))
        if inbound_bytes != before:
            since_s = now_s
        self._bytes[name] = (inbound_bytes, since_s)
        return now_s - since_s < LIVE_S

    def _kick(self, connection: Connection, why: str) -> None:
        log.info("ending the connection from %s: %s", connection.remote, why)
        try:
            self.client.kick(connection)
        except MediaError as error:
            # It is tried again at the next poll; one that will not end must not hide how the others are.
            log.error("the connection from %s could not be ended: %s", connection.remote, error)

    def _unanswered(self, error: MediaError, now_s: float) -> dict[int, Publisher]:
        if self._answered_s is None:
            self._answered_s = now_s
        is_running = not isinstance(error, NotRunning)
        if now_s - self._answered_s < (GATE_PATIENCE_S if is_running else PATIENCE_S):
            return self._known
        if self.problem is None:
            log.error("%s", error)
        self.problem = SILENT if is_running else NOT_RUNNING
        self._known, self.waiting = {}, set()
        return {}


def _address(remote: str) -> str:
    """Without the port: 10.0.0.5:40418 or [::1]:40418."""
    return remote.rsplit(":", 1)[0].strip("[]")
