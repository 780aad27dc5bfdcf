"""Messages of boxes into the database: many in one transaction; what comes back is what to answer after its commit.

`read` looks at messages without any database; `store` can be repeated until it succeeds: of everything, the newest
stays.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.central import letters, status, watermarks
from appliance.central.database import Database
from appliance.central.letters import Letter
from appliance.central.sums import DAY_S, StaleCache, Sums
from appliance.language import N_
from appliance.messages import (
    FROM_BOX,
    SHAPES,
    Hello,
    Malformed,
    Message,
    Outcome,
    Renewal,
    Row,
    State,
    decode,
    parse_topic,
)
from appliance.messages import Sums as SumsMessage

AHEAD_S = DAY_S
"""Rows that begin later than so long from now are not believed."""
LEAST_COST = 10
"""A message counts as at least so many rows, so that empty ones are bounded, too."""
ASK_AGAIN_S = 60
SUMS_NOTED_S = 10
MAX_BUCKETS = 200_000

STRANGER = N_("no box of this name has joined this centre")
REVOKED = N_("this box was revoked")
TOO_MANY = N_("the box sends more rows in a minute than it may (ingest.rows_per_minute); they come again")
CLOCK_AHEAD = N_("the clock of the box is ahead: rows lie in the future")
CAME_BACK = N_("The box was not in the database any more, and came back by its certificate.")
TOO_OLD = N_("rows are older than what this centre keeps by the minute, so they are not counted")
NO_RANGE = N_("its range has no end, no beginning, or ends before it begins")
NOT_FOR_BOXES = N_("{kind} is not for a box to say")
REFUSED = N_("the database refuses it")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came. delivery: by which it is acknowledged; not looked at here."""

    topic: str
    payload: bytes
    delivery: Any = None


@dataclass(frozen=True, slots=True)
class Note:
    """A message that can be read."""

    box: str
    message: Message
    incoming: Incoming


@dataclass(slots=True)
class Batch:
    """What is stored in one transaction."""

    notes: list[Note] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    def one_by_one(self) -> Iterable[Batch]:
        """The same in batches of one message each."""
        yield Batch([], self.letters)
        yield from (Batch([note], []) for note in self.notes)


@dataclass(slots=True)
class Answers:
    """What to tell boxes once it is committed. upto: watermarks by box and epoch. hello_again: who is to say hello.

    renewals: (box, signing request). rows: how many were taken.
    """

    upto: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    hello_again: set[str] = field(default_factory=set)
    renewals: list[tuple[str, Renewal]] = field(default_factory=list)
    rows: int = 0

    def add(self, other: Answers) -> None:
        """Take over what another transaction gave."""
        for box, upto in other.upto.items():
            self.upto[box].update(upto)
        self.hello_again |= other.hello_again
        self.renewals += other.renewals
        self.rows += other.rows


class Allowance:
    """How many rows each box may send: so many a minute, and one minute's at once."""

    def __init__(self, rows_per_minute: int) -> None:
        self._most = float(rows_per_minute)
        self._left: dict[str, tuple[float, float]] = {}  # of a box: rows, and when

    def spend(self, box: str, rows: int, now_s: float) -> bool:
        """Whether a box may send so many rows now. now_s: seconds that never go back."""
        if len(self._left) >= MAX_BUCKETS:
            self._left.clear()
        left, at_s = self._left.get(box, (self._most, now_s))
        left = min(self._most, left + (now_s - at_s) * self._most / 60)
        may = left >= rows
        self._left[box] = (left - rows if may else left), now_s
        return may


class Intake:
    """One process's way from messages to rows.

    may_return: whether a box that the database does not know is let in again, because its certificate is ours and the
    database was lost or put back from an older copy. keep_days: for how long minutes are kept.
    """

    def __init__(
        self, rows_per_minute: int, keep_days: int, may_return: Callable[[str], bool] = lambda _box: False
    ) -> None:
        self._allowance = Allowance(rows_per_minute)
        self._keep_s = (keep_days - 1) * DAY_S
        self._may_return = may_return
        self._sums = Sums()
        self._known_since_utc = 0
        self._asked: dict[str, int] = {}

    def begin(self, now_utc: int) -> None:
        """The database may be another one from now on: what was remembered of it is forgotten, every box asked."""
        self._sums.forget()
        self._asked.clear()
        self._known_since_utc = now_utc

    def read(self, messages: Sequence[Incoming], now_s: float) -> Batch:
        """What messages say. Never raises for what is in them. now_s: seconds that never go back."""
        batch = Batch()
        for incoming in messages:
            box = ""
            try:
                box, kind = parse_topic(incoming.topic)
                if kind not in FROM_BOX:
                    raise Malformed(NOT_FOR_BOXES.format(kind=kind.value))
                message = decode(incoming.payload, SHAPES[kind])
                if isinstance(message, SumsMessage):
                    _refuse_senseless(message)
            except Malformed as error:
                batch.letters.append(Letter(box, incoming.topic, str(error), incoming.payload))
                continue
            rows = len(message.rows) if isinstance(message, SumsMessage) else 0
            if self._allowance.spend(box, max(rows, LEAST_COST), now_s):
                batch.notes.append(Note(box, message, incoming))
            else:
                batch.letters.append(Letter(box, incoming.topic, TOO_MANY, incoming.payload))
        return batch

    def store(self, database: Database, batch: Batch, now_utc: int) -> Answers:
        """Store all of a batch, or nothing. Raises sqlite3.Error, StaleCache: then nothing of it is here."""
        try:
            with database.writing():
                return _Storing(self, database, now_utc).run(batch)
        except BaseException:
            self._sums.forget()
            self._asked.clear()
            raise

    def store_what_can_be(self, database: Database, batch: Batch, now_utc: int) -> Answers:
        """Store a batch; if the database refuses what is in a message, all but that. Raises sqlite3.OperationalError.

        OperationalError is the one that may pass by itself: it is away, busy or full.
        """
        try:
            return self.store(database, batch, now_utc)
        except sqlite3.OperationalError:
            raise
        except (sqlite3.Error, StaleCache, OverflowError, UnicodeError):
            pass
        answers = Answers()
        for one in batch.one_by_one():
            try:
                answers.add(self.store(database, one, now_utc))
            except sqlite3.OperationalError:
                raise
            except (sqlite3.Error, StaleCache, OverflowError, UnicodeError) as error:
                answers.add(self._give_up(database, one, error, now_utc))
        return answers

    def _give_up(self, database: Database, batch: Batch, error: Exception, now_utc: int) -> Answers:
        """Keep a letter of a message that the database refuses."""
        kept = [
            Letter(note.box, note.incoming.topic, f"{REFUSED}: {error}", note.incoming.payload) for note in batch.notes
        ]
        try:
            return self.store(database, Batch([], kept), now_utc)
        except sqlite3.Error as worse:  # it refuses everything: that is not the message's fault
            raise sqlite3.OperationalError(str(worse)) from worse


def _refuse_senseless(message: SumsMessage) -> None:
    """Raise Malformed for a range that is none."""
    if (message.after is None) != (message.upto is None):
        raise Malformed(NO_RANGE)
    if message.after is not None and message.upto is not None and message.after > message.upto:
        raise Malformed(NO_RANGE)


class _Storing:
    """One transaction. Everything is locked in the same order by every process: streams, sources, sums, watermarks,
    boxes; and within each by its key.
    """

    def __init__(self, intake: Intake, database: Database, now_utc: int) -> None:
        self._intake, self._database, self._now_utc = intake, database, now_utc
        self._answers = Answers()
        self._letters: list[Letter] = []
        self._patches: dict[str, status.Patch] = defaultdict(dict)
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._heard: set[str] = set()
        self._closed_utc = 0

    def run(self, batch: Batch) -> Answers:
        """Store a batch."""
        self._letters += batch.letters
        self._closed_utc = database_closed_utc(self._database)
        notes = self._admitted(batch.notes)
        self._take_hellos([note for note in notes if isinstance(note.message, Hello)])
        self._take_sums([note for note in notes if isinstance(note.message, SumsMessage)])
        self._change_boxes(notes)
        for note in notes:
            if isinstance(note.message, Outcome):
                self._take_outcome(note.box, note.message)
            elif isinstance(note.message, Renewal):
                self._answers.renewals.append((note.box, note.message))
        letters.keep(self._database, self._letters, self._now_utc)
        return self._answers

    def _refuse(self, note: Note, reason: str) -> None:
        self._letters.append(Letter(note.box, note.incoming.topic, reason, note.incoming.payload))

    def _admitted(self, notes: Sequence[Note]) -> list[Note]:
        """What boxes sent that have joined and may still send."""
        boxes = {note.box for note in notes}
        self._rows = status.read(self._database, boxes | {letter.box for letter in self._letters})
        returned = {box for box in sorted(boxes - self._rows.keys()) if self._let_return(box)}
        self._rows |= status.read(self._database, returned)
        revoked = {box for box, row in self._rows.items() if row["revoked_utc"] is not None}
        admitted = []
        for note in notes:
            if note.box not in self._rows:
                self._refuse(note, STRANGER)
            elif note.box in revoked:
                self._refuse(note, REVOKED)
            else:
                admitted.append(note)
        return admitted

    def _let_return(self, box: str) -> bool:
        if not self._intake._may_return(box):
            return False
        new = self._database.execute(
            "insert into boxes (id, title, joined_utc) values (?, ?, ?) on conflict (id) do nothing",
            [box, box, self._now_utc],
        )
        if new.rowcount:
            self._database.execute(
                "insert into events (at_utc, box_id, what) values (?, ?, ?)",
                [self._now_utc, box, CAME_BACK],
            )
        return True

    def _take_hellos(self, notes: Sequence[Note]) -> None:
        if not notes:
            return
        known = watermarks.of_boxes(self._database, {note.box for note in notes})
        for note in sorted(notes, key=lambda note: note.box):
            hello = note.message
            assert isinstance(hello, Hello)
            status.name_streams(self._database, note.box, hello)
            have = known.get(note.box, {})
            self._answers.upto[note.box].update({epoch: have.get(epoch, 0) for epoch in hello.tops})

    def _take_sums(self, notes: Sequence[Note]) -> None:
        told: dict[tuple[str, str], list[Row]] = defaultdict(list)
        ranges: dict[watermarks.Key, list[watermarks.Range]] = defaultdict(list)
        for note in notes:
            sums = note.message
            assert isinstance(sums, SumsMessage)
            rows, all_of_it = self._believed(note, sums.rows)
            if rows:
                told[note.box, sums.epoch] += rows
            if all_of_it and sums.after is not None and sums.upto is not None:
                ranges[note.box, sums.epoch].append((sums.after, sums.upto))
            self._answers.rows += len(rows)
            self._heard.add(note.box)
        if told:
            changed = self._intake._sums.take(self._database, told, self._now_utc)
            self._database.put(
                "stale_hours (box_id, hour_utc)", sorted(one for one in changed if one[1] >= self._closed_utc)
            )
        if ranges:
            for (box, epoch), upto in watermarks.note(self._database, ranges, self._now_utc).items():
                self._answers.upto[box][epoch] = upto

    def _believed(self, note: Note, rows: Sequence[Row]) -> tuple[Sequence[Row], bool]:
        """Those rows whose time we believe, and whether none is from the future, so that their range is covered."""
        latest_utc = self._now_utc + AHEAD_S
        earliest_utc = max(self._closed_utc, self._now_utc - self._intake._keep_s)
        starts = [row.start_utc for row in rows]
        if not starts or (min(starts) >= earliest_utc and max(starts) <= latest_utc):
            return rows, True
        good = [row for row in rows if row.start_utc <= latest_utc]
        if len(good) < len(rows):
            self._refuse(note, CLOCK_AHEAD)
        # One whose time nothing confirms is kept whatever it says: it is corrected later.
        young = [row for row in good if row.start_utc >= earliest_utc or not row.verified]
        if len(young) < len(good):
            self._refuse(note, TOO_OLD)
        return young, len(good) == len(rows)

    def _change_boxes(self, notes: Sequence[Note]) -> None:
        """Note what boxes tell of themselves, and what we see wrong with it."""
        problems = {
            letter.box: status.NOT_TAKEN.format(reason=letters.plain(letter.reason))
            for letter in self._letters
            if letter.box
        }
        told_by = {note.box for note in notes}
        rows = {box: row for box, row in self._rows.items() if box in told_by or box in problems}
        if self._database.dialect == "postgresql":  # others may have changed them
            rows = status.read(self._database, rows, to_change=True)
        for note in notes:
            if isinstance(note.message, (Hello, State)) and note.box in rows:
                self._take_status(note.box, note.message, _Overlaid(rows[note.box], self._patches[note.box]))
        for box, row in rows.items():
            hello_utc = self._now_utc if "hello_utc" in self._patches[box] else row["hello_utc"] or -1
            if box in told_by and hello_utc < self._intake._known_since_utc:
                self._ask(box)
            if box in problems:
                self._patches[box] = status.told(problems[box], self._now_utc) | self._patches[box]
        status.change(self._database, {box: self._patches[box] for box in rows})
        before_utc = self._now_utc - SUMS_NOTED_S
        quiet = [box for box, row in rows.items() if box in self._heard and (row["sums_utc"] or 0) <= before_utc]
        status.note_heard(self._database, quiet, self._now_utc)

    def _take_status(self, box: str, message: Hello | State, seen: Mapping[str, Any]) -> None:
        if isinstance(message, Hello):
            self._patches[box] |= status.after_hello(seen, message, self._now_utc)
            return
        patch = status.after_state(seen, message, self._now_utc)
        self._patches[box] |= patch or {}
        if patch is not None and message.update:
            self._database.execute(
                "update commands set words = ? where box_id = ? and action = 'update' and done is null"
                " and sent_utc is not null",
                [letters.plain(message.update), box],
            )
        if patch is None and message.status == "running":
            self._ask(box)

    def _ask(self, box: str) -> None:
        """Have a box say hello, as we may know less of it than we once did; at most each ASK_AGAIN_S."""
        asked = self._intake._asked
        if asked.get(box, -ASK_AGAIN_S) <= self._now_utc - ASK_AGAIN_S:
            if len(asked) >= MAX_BUCKETS:
                asked.clear()
            asked[box] = self._now_utc
            self._answers.hello_again.add(box)

    def _take_outcome(self, box: str, outcome: Outcome) -> None:
        self._database.execute(
            "update commands set done = ?, words = ?, at_utc = ? where id = ? and box_id = ? and done is null",
            [int(outcome.done), letters.plain(outcome.words), self._now_utc, outcome.id, box],
        )


class _Overlaid(dict[str, Any]):
    """A row as it is with the changes that are not written yet."""

    def __init__(self, row: Mapping[str, Any], patch: Mapping[str, Any]) -> None:
        super().__init__(dict(row) | dict(patch))


def database_closed_utc(database: Database) -> int:
    """Since when hours can be computed again from minutes: those from before are deleted. Raises sqlite3.Error."""
    return int(database.one("select value from facts where name = 'closed_utc'") or 0)
