"""What streams counted, minute by minute: taking rows in, and reading them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.central.database import Database
from appliance.messages import Row

DAY_S, HOUR_S = 86_400, 3600
MAX_CACHED = 100_000
COPY_ROWS = 300
"""From so many rows on PostgreSQL takes them in faster by COPY."""
KEYS = 400

Key = tuple[str, str, int]
"""A box, an epoch, and the number of a stream."""

_COLUMNS = "source_id, minute, seq, start_utc, watched_s, mask, no_mask, incorrect, unknown, verified"
_NEWER = (
    "do update set start_utc = excluded.start_utc, watched_s = excluded.watched_s, mask = excluded.mask,"
    " no_mask = excluded.no_mask, incorrect = excluded.incorrect, unknown = excluded.unknown,"
    " verified = excluded.verified, seq = excluded.seq where excluded.seq > sums.seq"
)
UPSERT_SQLITE = (
    f"insert into sums ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (source_id, minute) {_NEWER}"
)
_KEPT = f"{_COLUMNS}, kept_utc"
UPSERT_POSTGRESQL = (
    f"insert into sums ({_KEPT}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    f" on conflict (source_id, minute, kept_utc) {_NEWER}"
)
_INCOMING = "create temp table if not exists incoming (like sums) on commit delete rows"
_UPSERT_INCOMING = (
    f"insert into sums ({_KEPT}) select {_KEPT} from incoming order by source_id, minute"
    f" on conflict (source_id, minute, kept_utc) {_NEWER}"
)


@dataclass(frozen=True, slots=True)
class Source:
    """One stream in one epoch; see the table `sources`."""

    id: int
    base_utc: int
    low_shift: int
    high_shift: int
    since_utc: int
    until_utc: int

    def widened(self, rows: Iterable[Row]) -> Source:
        """The same, wide enough for these rows."""
        starts = [row.start_utc for row in rows]
        shifts = {row.start_utc - 60 * row.minute for row in rows}
        low, high = min(shifts) - self.base_utc, max(shifts) - self.base_utc
        if low == high == self.low_shift == self.high_shift and self.since_utc <= min(starts) <= max(starts) < (
            self.until_utc
        ):
            return self
        return replace(
            self,
            low_shift=min(self.low_shift, low),
            high_shift=max(self.high_shift, high),
            since_utc=min(self.since_utc, day_of(min(starts))),
            until_utc=max(self.until_utc, day_of(max(starts)) + DAY_S),
        )


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
        self._sources: dict[Key, Source] = {}

    def forget(self) -> None:
        """Believe nothing that was read before."""
        self._streams.clear()
        self._sources.clear()

    def take(self, database: Database, groups: Mapping[Key, Sequence[Row]], now_utc: int) -> set[tuple[str, int]]:
        """Take rows in, in a transaction of the caller's; the (box, hour)s that they change. Raises sqlite3.Error.

        Of each row the one with the highest seq stays, in whatever order they come.
        """
        keys = sorted(groups)
        self._find(database, keys, groups, now_utc)
        hours = {
            (key[0], number * HOUR_S) for key in keys for number in {row.start_utc // HOUR_S for row in groups[key]}
        }
        before = {key: self._sources[key] for key in keys}
        self._sources.update({key: before[key].widened(groups[key]) for key in keys})
        wider = [key for key in keys if self._sources[key] is not before[key]]
        moved = [key for key in keys if self._sources[key].low_shift != self._sources[key].high_shift]
        _lock(database, sorted({before[key].id for key in (*wider, *moved)}))
        for key in wider:
            self._widen(database, key, self._sources[key])
        for key in moved:
            hours |= {(key[0], hour) for hour in _hours_before(database, before[key], groups[key])}
        self._store(database, [(self._sources[key], groups[key]) for key in keys])
        return hours

    def _widen(self, database: Database, key: Key, wide: Source) -> None:
        changed = database.execute(
            "update sources set low_shift = least(low_shift, ?), high_shift = greatest(high_shift, ?),"
            " since_utc = least(since_utc, ?), until_utc = greatest(until_utc, ?) where id = ?",
            [wide.low_shift, wide.high_shift, wide.since_utc, wide.until_utc, wide.id],
        )
        if changed.rowcount == 0:
            raise StaleCache(f"the source of {key} is gone")

    def _find(self, database: Database, keys: Sequence[Key], groups: Mapping[Key, Sequence[Row]], now_utc: int) -> None:
        """Have the source of every key, a new one where there was none."""
        if len(self._sources) + len(keys) > MAX_CACHED:
            self.forget()
        missing = [key for key in keys if key not in self._sources]
        if not missing:
            return
        self.find_streams(database, {(box, number) for box, _, number in missing})
        new = []
        for box, epoch, number in missing:
            first = groups[box, epoch, number][0]
            since = day_of(first.start_utc)
            base = first.start_utc - 60 * first.minute
            new.append((self._streams[box, number], epoch, base, since, since + DAY_S, now_utc))
        database.executemany(
            "insert into sources (stream_id, epoch, base_utc, since_utc, until_utc, made_utc)"
            " values (?, ?, ?, ?, ?, ?) on conflict (stream_id, epoch) do nothing",
            sorted(new),
        )
        by_stream = {(self._streams[box, number], epoch): (box, epoch, number) for box, epoch, number in missing}
        wanted = sorted(by_stream)
        for begin in range(0, len(wanted), KEYS):
            some = wanted[begin : begin + KEYS]
            rows = database.execute(
                "select stream_id, epoch, id, base_utc, low_shift, high_shift, since_utc, until_utc from sources"
                f" where (stream_id, epoch) in (values {', '.join(['(?, ?)'] * len(some))})",
                [part for one in some for part in one],
            )
            for stream_id, epoch, *rest in rows:
                self._sources[by_stream[stream_id, epoch]] = Source(*rest)

    def find_streams(self, database: Database, wanted: set[tuple[str, int]]) -> None:
        """Have the id of every stream of a box that is named by its number, a new one where there was none."""
        missing = sorted(wanted - self._streams.keys())
        if not missing:
            return
        database.executemany(
            "insert into streams (box_id, number) values (?, ?) on conflict (box_id, number) do nothing", missing
        )
        for begin in range(0, len(missing), KEYS):
            some = missing[begin : begin + KEYS]
            rows = database.execute(
                "select box_id, number, id from streams"
                f" where (box_id, number) in (values {', '.join(['(?, ?)'] * len(some))})",
                [part for one in some for part in one],
            )
            self._streams.update({(box, number): stream_id for box, number, stream_id in rows})

    def _store(self, database: Database, groups: Iterable[tuple[Source, Sequence[Row]]]) -> None:
        kept = database.dialect == "postgresql"
        stored = [
            values(source, row) + ((source.base_utc + 60 * row.minute,) if kept else ())
            for source, rows in groups
            for row in rows
        ]
        stored.sort()  # two processes must not wait for each other in a circle
        upsert(database, stored)


def values(source: Source, row: Row) -> tuple[int, ...]:
    """A row as it is stored: it sorts by its place, and of one place the newest comes last."""
    return (
        source.id, row.minute, row.seq, row.start_utc, row.watched_s, row.mask, row.no_mask, row.incorrect,
        row.unknown, row.verified,
    )  # fmt: skip


class StaleCache(RuntimeError):
    """What was remembered is no longer in the database; to be tried once more from the beginning."""


def upsert(database: Database, rows: list[tuple[int, ...]]) -> None:
    """Put sorted rows (`values`, on PostgreSQL with kept_utc) where theirs is older. Raises sqlite3.Error."""
    if database.dialect == "sqlite":
        database.executemany(UPSERT_SQLITE, rows)
        return
    # PostgreSQL refuses to change one row twice in a statement: of one place, the newest.
    rows = [row for row, after in itertools.pairwise(rows) if row[:2] != after[:2]] + rows[-1:]
    if len(rows) < COPY_ROWS:
        database.executemany(UPSERT_POSTGRESQL, rows)
    else:
        database.execute(_INCOMING)
        database.copy(f"incoming ({_KEPT})", rows)
        database.execute(_UPSERT_INCOMING)


def _lock(database: Database, sources: Sequence[int]) -> None:
    """Keep other processes from changing these, all in the same order. SQLite has one writer anyway."""
    if database.dialect == "postgresql":
        for begin in range(0, len(sources), KEYS):
            some = sources[begin : begin + KEYS]
            places = ", ".join("?" * len(some))
            database.execute(f"select id from sources where id in ({places}) order by id for update", some).fetchall()


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
