"""A stream as the record has it: the columns that are read, and what they become."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any, Literal

import msgspec

from appliance.faces import Health, PictureFault, Work
from appliance.keeping import ImageMode, Keeping
from appliance.store.services import FRESH_S


class Stream(msgspec.Struct, frozen=True):  # made in a third of a dataclass's time: most pages read all of them
    """A named video source of one owner, with what is known of it just now.

    has_key: it is published to with a stream key; otherwise the box pulls source_url. watch_url: a smaller picture of
    the same camera, in which the box watches for movement.
    live: somebody publishes, and the watcher's word for it is fresh; live_since_utc: since when.
    problem: why nobody in it is being judged, for a person to read. watch_problem: why the smaller picture is not
    watched; the large one is, instead.
    keeping: what was chosen for it of what is kept.
    picture_fault: what is wrong with the picture that comes, picture_fault_since_utc: since when; while it is live.
    transport: over which the pictures of a camera came last, tcp or udp. key_interval_s: from key frame to key frame.
    health: how well it can be judged, work: what was done with it; while it is live.
    ended_utc: until when it was LIVE, where it is not and that is known.
    """

    id: int
    owner_id: int
    owner: str
    name: str
    has_key: bool
    source_url: str | None
    watch_url: str | None
    active: bool
    created_utc: str
    live: bool
    live_since_utc: str | None
    remote: str | None
    codec: str | None
    width: int | None
    height: int | None
    problem: str | None
    watch_problem: str | None
    transport: Literal["tcp", "udp"] | None
    key_interval_s: int | None
    decoded_by: str | None
    keeping: Keeping
    health: Health
    work: Work = Work()
    picture_fault: PictureFault | None = None
    picture_fault_since_utc: str | None = None
    ended_utc: str | None = None

    @property
    def title(self) -> str:
        """How it is shown."""
        return f"{self.owner}:{self.name}"

    @property
    def images(self) -> ImageMode | None:
        """What of persons' pictures is written; None: as the box's settings say."""
        return self.keeping.images

    @property
    def images_days(self) -> int | None:
        """For how many days images are kept; None: as long as the box keeps any."""
        return self.keeping.images_days

    @property
    def detections_days(self) -> int | None:
        """For how many days detections are kept; None: until somebody deletes them."""
        return self.keeping.detections_days


_LIVE = "(watch.name is not null and active and coalesce(live, 0))"
# The columns of stream_status have the names of the fields.
KEEPING = tuple(each.name for each in fields(Keeping))  # so do those of streams
HEALTH = tuple(each.name for each in fields(Health))
WORK = tuple(each.name for each in fields(Work))
_FAULT = ("picture_fault", "picture_fault_since_utc")
SELECT = f"""
    select streams.id, owner_id, people.name as owner, streams.name, key_sha256 is not null as has_key, source_url,
      watch_url, active, streams.created_utc, {_LIVE} as live,
      iif({_LIVE}, since_utc, null) as live_since_utc, iif({_LIVE}, remote, null) as remote, codec, width, height,
      stream_status.problem, watch_problem, transport, key_interval_s, iif({_LIVE}, decoded_by, null) as decoded_by,
      {", ".join(KEEPING)},
      {", ".join(f"iif({_LIVE}, {name}, null) as {name}" for name in HEALTH)},
      {", ".join(f"iif({_LIVE}, {name}, 0) as {name}" for name in WORK)},
      {", ".join(f"iif({_LIVE}, {name}, null) as {name}" for name in _FAULT)}, ended_utc
    from streams
    join people on people.id = owner_id
    left join stream_status on stream_id = streams.id
    left join services as watch on watch.name = 'watch' and watch.boot_id = :boot_id
      and :uptime_s - watch.heartbeat_s < {FRESH_S}
"""


def stream_of(row: tuple[Any, ...]) -> Stream:
    """A row of SELECT: the columns in the order of the fields, and of those that these are made of."""
    keeping, health, work, (fault, fault_since_utc, ended_utc) = (row[part] for part in _PARTS)
    values = [
        *row[:_HAS_KEY],
        bool(row[_HAS_KEY]),
        *row[_HAS_KEY + 1 : _ACTIVE],
        bool(row[_ACTIVE]),
        row[_ACTIVE + 1],
        bool(row[_LIVE_NOW]),
        *row[_LIVE_NOW + 1 : _PLAIN],
        _AS_THE_BOX if keeping == _NOT_CHOSEN else keeping_of(keeping),
        _NOT_KNOWN if health == _NOTHING_KNOWN else Health(*health),
        _NOT_BEGUN if work == _NOTHING_DONE else Work(*work),
        fault and PictureFault(fault),
        fault_since_utc,
        ended_utc,
    ]
    return Stream(*values)


def keeping_of(row: Sequence[Any]) -> Keeping:
    """What was chosen for a stream: the columns KEEPING."""
    images, *days = row
    return Keeping(images and ImageMode(images), *days)


_HAS_KEY, _ACTIVE, _LIVE_NOW, _PLAIN = 4, 7, 9, 20  # columns of SELECT; before _PLAIN, each is a field
_ENDS = tuple(itertools.accumulate((_PLAIN, len(KEEPING), len(HEALTH), len(WORK), 3)))
_PARTS = tuple(slice(start, end) for start, end in itertools.pairwise(_ENDS))
_AS_THE_BOX, _NOT_KNOWN, _NOT_BEGUN = Keeping(), Health(), Work()  # most streams share them
_NOT_CHOSEN, _NOTHING_KNOWN, _NOTHING_DONE = (astuple(each) for each in (_AS_THE_BOX, _NOT_KNOWN, _NOT_BEGUN))
