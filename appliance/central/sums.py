"""What streams counted, minute by minute: taking rows in, and reading them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.central.database import Database
from appliance.messages import Row

DAY_S, HOUR_S = 86_400, 3600
MAX_CACHED = 100_000
COPY_ROWS = 300
"""From so many rows on PostgreSQL takes them in faster by COPY."""

Told = Mapping[tuple[str, str], Sequence[Row]]
"""Rows by box and epoch; some of each."""
Key = tuple[str, str, int]
"""A box, an epoch, and the number of a stream."""

_COLUMNS = "source_id, minute, seq, start_utc, watched_s, mask, no_mask, incorrect, unknown, verified"
_NEWER = (
    "do update set start_utc = excluded.start_utc, watched_s = excluded.watched_s, mask = excluded.mask,"
    " no_mask = excluded.no_mask, incorrect = excluded.incorrect, unknown = excluded.unknown,"
    " verified = excluded.verified, seq = excluded.seq where excluded.seq > sums.seq"
)
_NEWER_IN_SQLITE = f"on conflict (source_id, minute) {_NEWER}"
_KEPT = f"{_COLUMNS}, kept_utc"
_NEWER_IN_POSTGRESQL = f"on conflict (source_id, minute, kept_utc) {_NEWER}"
_INCOMING = "create temp table if not exists incoming (like sums) on commit delete rows"
_UPSERT_INCOMING = (
    f"insert into sums ({_KEPT}) select {_KEPT} from incoming order by source_id, minute {_NEWER_IN_POSTGRESQL}"
)
UPSERT_ONE = f"insert into sums ({_COLUMNS}) values ({', '.join('?' * 10)}) {_NEWER_IN_SQLITE}"
"""What `upsert` does on SQLite, row by row."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream in one epoch; see the table `sources`."""

    id: int
    base_utc: int
    low_shift: int
    high_shift: int
    since_utc: int
    until_utc: int

    def holds(self, base_utc: int, first_utc: int, last_utc: int) -> bool:
        """Whether rows that begin in first..last, by so much later than their minutes, are as those it has."""
        return (
            base_utc - self.base_utc == self.low_shift == self.high_shift
            and self.since_utc <= first_utc
            and last_utc < self.until_utc
        )

    def widened(self, rows: Iterable[Row]) -> Source:
        """The same, wide enough for these rows."""
        starts = [row.start_utc for row in rows]
        shifts = {row.start_utc - 60 * row.minute - self.base_utc for row in rows}
        wide = replace(
            self,
            low_shift=min(self.low_shift, *shifts),
            high_shift=max(self.high_shift, *shifts),
            since_utc=min(self.since_utc, day_of(min(starts))),
            until_utc=max(self.until_utc, day_of(max(starts)) + DAY_S),
        )
        return self if wide == self else wide


def day_of(utc: int) -> int:
    """When the UTC day of a moment began."""
    return utc // DAY_S * DAY_S


def hour_of(utc: int) -> int:
    """When the hour of a moment began."""
    return utc // HOUR_S * HOUR_S


class Sums:
    """Takes rows in. Remembers the ids of sources, so `forget` whenever a transaction fails."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, int], int] = {}
        self._sources: dict[tuple[str, str], dict[int, Source]] = {}  # by box and epoch, then number of the stream
        self._cached = 0

    def forget(self) -> None:
        """Believe nothing that was read before."""
        self._streams.clear()
        self._sources.clear()
        self._cached = 0

    def take(self, database: Database, told: Told, now_utc: int) -> set[tuple[str, int]]:
        """Take rows in, in a transaction of the caller's; the (box, hour)s that they change. Raises sqlite3.Error.

        Of each row the one with the highest seq stays, in whatever order they come.
        """
        if self._cached > MAX_CACHED:
            self.forget()
        hours, new = set(), {}
        for key, rows in told.items():
            starts = [row.start_utc for row in rows]
            hours |= {(key[0], number * HOUR_S) for number in {start_utc // HOUR_S for start_utc in starts}}
            if not _held(self._sources.get(key, {}), rows, min(starts), max(starts)):
                new[key] = rows
        if new:
            hours |= self._make_room(database, _by_stream(new), now_utc)
        stored = self._stored(told)
        if database.dialect == "postgresql":
            bases = {source.id: source.base_utc for key in told for source in self._sources[key].values()}
            stored = ((*row, bases[row[0]] + 60 * row[1]) for row in stored)
        upsert(database, stored)
        return hours

    def _stored(self, told: Told) -> Iterator[tuple[int, ...]]:
        """Rows as _COLUMNS; a few at a time, since the collector would look at many thousands again and again."""
        for key, rows in told.items():
            ids = {number: source.id for number, source in self._sources[key].items()}
            yield from [
                (
                    ids[row.stream], row.minute, row.seq, row.start_utc, row.watched_s, row.mask, row.no_mask,
                    row.incorrect, row.unknown, row.verified,
                )
                for row in rows
            ]  # fmt: skip

    def _make_room(self, database: Database, groups: Mapping[Key, Sequence[Row]], now_utc: int) -> set[tuple[str, int]]:
        """Have a source for all of these, wide enough; the (box, hour)s in which rows stood that move."""
        keys = sorted(groups)
        before = self._find(database, keys, groups, now_utc)
        after = {key: before[key].widened(groups[key]) for key in keys}
        wider = [key for key in keys if after[key] is not before[key]]
        moved = [key for key in keys if after[key].low_shift != after[key].high_shift]
        _lock(database, sorted({before[key].id for key in (*wider, *moved)}))
        for key in wider:
            self._widen(database, key, after[key])
            self._sources[key[:2]][key[2]] = after[key]
        return {(key[0], hour) for key in moved for hour in _hours_before(database, before[key], groups[key])}

    def _widen(self, database: Database, key: Key, wide: Source) -> None:
        changed = database.execute(
            "update sources set low_shift = least(low_shift, ?), high_shift = greatest(high_shift, ?),"
            " since_utc = least(since_utc, ?), until_utc = greatest(until_utc, ?) where id = ?",
            [wide.low_shift, wide.high_shift, wide.since_utc, wide.until_utc, wide.id],
        )
        if changed.rowcount == 0:
            raise StaleCache(f"the source of {key} is gone")

    def _find(
        self, database: Database, keys: Sequence[Key], groups: Mapping[Key, Sequence[Row]], now_utc: int
    ) -> dict[Key, Source]:
        """The source of every key, a new one where there was none."""
        missing = [key for key in keys if key[2] not in self._sources.get(key[:2], {})]
        self.find_streams(database, {(box, number) for box, _, number in missing})
        new, by_stream = [], {}
        for box, epoch, number in missing:
            first = groups[box, epoch, number][0]
            since = day_of(first.start_utc)
            base = first.start_utc - 60 * first.minute
            stream_id = self._streams[box, number]
            new.append((stream_id, epoch, base, since, since + DAY_S, now_utc))
            by_stream[stream_id, epoch] = box, epoch, number
        database.put(
            "sources (stream_id, epoch, base_utc, since_utc, until_utc, made_utc)",
            sorted(new),
            "on conflict (stream_id, epoch) do nothing",
        )
        for stream_id, epoch, *rest in database.among(
            "select stream_id, epoch, id, base_utc, low_shift, high_shift, since_utc, until_utc from sources"
            " where (stream_id, epoch) in {keys}",
            sorted(by_stream),
        ):
            box, _, number = by_stream[stream_id, epoch]
            self._sources.setdefault((box, epoch), {})[number] = Source(*rest)
            self._cached += 1
        return {key: self._sources[key[:2]][key[2]] for key in keys}

    def find_streams(self, database: Database, wanted: set[tuple[str, int]]) -> None:
        """Have the id of every stream of a box that is named by its number, a new one where there was none."""
        missing = sorted(wanted - self._streams.keys())
        database.put("streams (box_id, number)", missing, "on conflict (box_id, number) do nothing")
        rows = database.among("select box_id, number, id from streams where (box_id, number) in {keys}", missing)
        self._streams.update({(box, number): stream_id for box, number, stream_id in rows})


def _held(sources: Mapping[int, Source], rows: Sequence[Row], first_utc: int, last_utc: int) -> bool:
    """Whether there is a source for all of these rows, of one epoch, and wide enough."""
    for stream, base_utc in {(row.stream, row.start_utc - 60 * row.minute) for row in rows}:
        source = sources.get(stream)
        if source is None or not source.holds(base_utc, first_utc, last_utc):
            return False
    return True


def _by_stream(told: Told) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for (box, epoch), rows in told.items():
        parts: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            parts[row.stream].append(row)
        groups |= {(box, epoch, number): part for number, part in parts.items()}
    return groups


class StaleCache(RuntimeError):
    """What was remembered is no longer in the database; to be tried once more from the beginning."""


def upsert(database: Database, stored: Iterable[tuple[int, ...]]) -> None:
    """Put rows, as _COLUMNS or on PostgreSQL as _KEPT, where theirs is older. Raises sqlite3.Error."""
    if database.dialect == "sqlite":
        database.put(f"sums ({_COLUMNS})", stored, _NEWER_IN_SQLITE)
        return
    rows = sorted(stored)  # two processes must not wait for each other in a circle
    # PostgreSQL refuses to change one row twice in a statement: of one place, the newest.
    rows = [row for row, after in itertools.pairwise(rows) if row[:2] != after[:2]] + rows[-1:]
    if len(rows) < COPY_ROWS:
        database.put(f"sums ({_KEPT})", rows, _NEWER_IN_POSTGRESQL)
    else:
        database.execute(_INCOMING)
        database.copy(f"incoming ({_KEPT})", rows)
        database.execute(_UPSERT_INCOMING)


def _lock(database: Database, sources: Sequence[int]) -> None:
    """Keep other processes from changing these, all in the same order. SQLite has one writer anyway."""
    if database.dialect == "postgresql":
        database.among("select id from sources where id in {keys} order by id for update", [(id,) for id in sources])


def _hours_before(database: Database, source: Source, rows: Sequence[Row]) -> set[int]:
    """The hours that rows may have stood in before their box corrected its clock."""
    minutes = [row.minute for row in rows]
    stood = database.execute(
        "select start_utc from sums where source_id = ? and minute >= ? and minute <= ?",
        [source.id, min(minutes), max(minutes)],
    )
    hours = {hour_of(start_utc) for (start_utc,) in stood}
    for shift in (source.low_shift, source.high_shift):  # what another process has not committed yet
        hours |= {hour_of(source.base_utc + shift + 60 * minute) for minute in minutes}
    return hours


BETWEEN = (
    "from sources join sums on sums.source_id = sources.id"
    " and sums.minute >= (:since - sources.base_utc - sources.high_shift) / 60 - 1"
    " and sums.minute <= (:until - sources.base_utc - sources.low_shift) / 60 + 1"
    " and sums.start_utc >= :since and sums.start_utc < :until"
    " where sources.since_utc < :until and sources.until_utc > :since"
)
"""Every row of sums in a range of time, to go on with `and sources.stream_id ...`."""


def minutes(database: Database, stream_id: int, since_utc: int, until_utc: int) -> Iterator[dict[str, Any]]:
    """What a stream counted in each minute that begins in since..until, over all epochs, oldest first.

    start_utc, watched_s, mask, no_mask, incorrect, unknown, unverified (how many epochs say so). A minute of which
    nothing is known is not there. Raises sqlite3.Error.
    """
    return database.query(
        "select sums.start_utc / 60 * 60 as start_utc, sum(sums.watched_s) as watched_s, sum(sums.mask) as mask,"
        " sum(sums.no_mask) as no_mask, sum(sums.incorrect) as incorrect, sum(sums.unknown) as unknown,"
        f" sum(1 - sums.verified) as unverified {BETWEEN} and sources.stream_id = :stream"
        " group by sums.start_utc / 60 order by 1",
        {"since": since_utc, "until": until_utc, "stream": stream_id},
    )
