"""What a box says of itself: hello, and its state. Never a key, a person's name or an address."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Literal

from appliance import messages
from appliance.config import Config
from appliance.disk import DISK_FULL, Reserve
from appliance.messages import MAX_BYTES, MAX_EPOCHS, MAX_STREAMS, Hello, State
from appliance.service import SERVICES
from appliance.store import Store, WallClock
from appliance.sync import machine
from appliance.times import Now

Clock = Literal["believed", "unknown", "leapt"]
MAX_WORDS = 200
OWN = ("sync", "notify")
"""Whose words stay here: the centre sees for itself how it is reached; the other names people who are to be told."""
_CLOCKS: dict[WallClock, Clock] = {
    WallClock.BELIEVED: "believed",
    WallClock.UNKNOWN: "unknown",
    WallClock.LEAPT: "leapt",
}
_HIDDEN = re.compile(
    r"\b[a-z][a-z0-9+.-]*://\S+"  # an address with all that stands in it
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])"
    r"|\S+@\S+"
    r"|(?<![\w`])/[\w.~-]+(?:/[\w.~-]+)+/?"  # a path: somebody's home, perhaps
    r"|\b[A-Z0-9]{16,}\b|\b[0-9a-f]{16,}\b"  # as long as a stream key, or an id
)


def hellos(store: Store, config: Config, epoch: str, now: Now) -> list[Hello]:
    """Hello, in as many parts as it needs. epoch: the newest. Raises sqlite3.Error."""
    names, thought = stream_names(store, config), clock(store, now)
    tops = iter(store.summaries.tops().items())
    parts = list(iter(lambda: dict(islice(tops, MAX_EPOCHS)), {})) or [{}]
    found = [
        Hello(
            epoch=epoch,
            tops=part,
            streams=names if number == 1 else {},
            part=number,
            parts=len(parts),
            machine=machine.digest(),
            version=importlib.metadata.version("mb9k")[:80],
            hardware=machine.hardware(),
            clock=thought,
            sent_utc=max(0, int(now.utc)),
            takes_commands=config.fleet.commands,
        )
        for number, part in enumerate(parts, start=1)
    ]
    return [_of_bounded_size(hello) for hello in found]


def _of_bounded_size(hello: Hello) -> Hello:
    """The hello without names, if they would make it larger than a broker takes."""
    if len(messages.encode(hello)) <= MAX_BYTES:
        return hello
    return Hello(**{**{name: getattr(hello, name) for name in hello.__struct_fields__}, "streams": {}})


def stream_names(store: Store, config: Config) -> dict[str, str]:
    """What streams are called, by number; nothing if the box keeps their names to itself. Raises sqlite3.Error."""
    if not config.fleet.stream_names:
        return {}
    return {str(number): name[:80] for number, name in islice(store.summaries.streams().items(), MAX_STREAMS)}


def clock(store: Store, now: Now) -> Clock:
    """What the box thinks of its clock. Raises sqlite3.Error."""
    noted = store.ages.clock()
    return _CLOCKS[noted.at(now).wall_clock] if noted else "unknown"


def live(store: Store, now: Now) -> list[int]:
    """The numbers of the streams that are LIVE. Raises sqlite3.Error."""
    playing = {stream.id for stream in store.streams.all(now) if stream.live}
    return [number for number, stream_id in store.summaries.stream_ids().items() if stream_id in playing][:MAX_STREAMS]


def state(
    store: Store, config: Config, epoch: str, now: Now, status: Literal["running", "stopped"], update: str = ""
) -> State:
    """How the box is. update: how far one is that the centre asked for. Raises sqlite3.Error."""
    return State(
        epoch=epoch,
        status=status,
        sent_utc=max(0, int(now.utc)),
        live=live(store, now),
        backlog=store.summaries.backlog(now.utc // 60 * 60).rows,  # somebody may be counted at any moment of this one
        disk_free_mb=machine.disk_free_mb(config.state),
        temperature_c=machine.temperature_c(),
        problem=problem(store, config, now),
        update=update,
    )


def problem(store: Store, config: Config, now: Now) -> str:
    """What is wrong with the services of the box, as far as it may be told elsewhere. Raises sqlite3.Error."""
    return shortened(" ".join(_problems(store, config, now)))


def _problems(store: Store, config: Config, now: Now) -> Iterator[str]:
    is_full = _is_full(config)
    if is_full:  # then a service that is not heard of could not write that it lives
        yield DISK_FULL
    alive = {service.name: service for service in store.services.all(now) if service.alive}
    for service in SERVICES:
        said = alive.get(service.name)
        if said is None and service.without_it and not is_full:
            yield service.without_it
        elif said is not None and said.problem and service.name not in OWN:
            yield said.problem


def _is_full(config: Config) -> bool:
    with suppress(OSError):
        return Reserve(config.state).is_needed()
    return False


def shortened(words: str) -> str:
    """Words without what must not leave the box (addresses, paths, what may be a key), as long as a message allows."""
    return cut(_HIDDEN.sub("…", words), MAX_WORDS)


def cut(text: str, most: int) -> str:
    """A text with so many characters at most; one that goes on ends in …, so that it is known again (retold.py)."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
