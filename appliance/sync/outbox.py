"""What to tell the centre next: pure decisions about the summaries of the store. It knows no network and no clock.

The rows are the outbox, and only a watermark of the centre frees them. A message covers a range of sequence numbers,
so one that is lost, doubled or late does no harm; after silence, a rewind or a reconnect it is told again from the
watermark on. The newest minute does not wait for a backlog: it goes ahead, without a range, and once more in its turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from appliance.messages import MAX_ROWS, Row, Sums
from appliance.store import EpochState
from appliance.store.summaries import Summaries
from appliance.times import Now

WINDOW = 4
"""So many messages may be without an answer."""
PACE_S = 0.5
"""Between two messages, so that a thousand boxes that come back do not drown their centre."""
NEWS_S = 8.0
"""Between two messages while there is no backlog: a minute is known at the centre within some 10 s of each change."""
AHEAD_S = 300
"""Of a backlog, minutes as young as this go ahead of it."""
SILENCE_S = (30.0, 60.0)
"""After so long without an answer, drawn again each time, everything without one is told again."""
ANSWER_S = 10.0
"""For so long the answer to a hello is waited for: the centre may know more, or less, than our watermarks say."""
MAX_MARKS = 2000


@dataclass(frozen=True, slots=True)
class _Told:
    """A range that waits for its answer."""

    epoch: str
    upto: int


class Outbox:
    """For one thread. Ask `next`, publish that, and say so with `told`; hand in every answer with `hear`, and `note`
    what was heard, which writes to the store. All times are seconds of the uptime clock.
    """

    def __init__(self, summaries: Summaries, random: Random) -> None:
        self.silences = 0
        """How often in a row nothing was answered."""
        self.has_more = False
        """Whether `next` left something for the next moment, rather than for the next change."""
        self._summaries = summaries
        self._random = random
        self._is_open = False
        self._window = WINDOW
        self._waiting: list[_Told] = []
        self._marks: dict[str, int] = {}  # what the centre said, on this connection; its word goes before the store's
        self._unnoted: dict[str, int] = {}
        self._again: dict[str, int] | None = None  # how far each epoch was told since everything is told again
        self._ahead_seq = 0
        self._due_s = self._news_due_s = self._silent_due_s = 0.0

    def open(self, now_s: float) -> None:
        """A connection is there, and hello was said on it: begin at the watermarks."""
        self._is_open, self._window = True, WINDOW
        self._waiting.clear()
        self._marks.clear()
        self._ahead_seq = 0
        self._due_s, self._news_due_s = now_s + ANSWER_S, 0.0

    def close(self) -> None:
        """The connection is gone."""
        self._is_open = False
        self._waiting.clear()

    def next(self, now: Now) -> Sums | None:
        """What to publish now; None: nothing. Raises sqlite3.Error."""
        self.has_more = False
        if not self._is_open:
            return None
        if self._waiting and now.uptime_s >= self._silent_due_s:
            self._give_up_waiting()
        newest = self._summaries.newest_epoch()
        for state in self._summaries.behind(WINDOW + 1):
            after = self._told_upto(state)
            if after >= state.seq:
                continue  # all of it waits for an answer
            if now.uptime_s < self._due_s:
                self.has_more = True
                return None
            sums = self._of(state, after, state.id == newest, now)
            if sums:
                return sums
        return None

    def _of(self, state: EpochState, after: int, is_newest: bool, now: Now) -> Sums | None:
        rows, upto = self._summaries.range_after(state.id, after, MAX_ROWS)
        is_all, is_soon = upto >= state.seq, now.uptime_s < self._news_due_s
        if is_newest and is_all and is_soon:
            return None
        if is_newest and not is_all and not is_soon and self.silences == 0:
            ahead = self._ahead(state.id, now)
            if ahead:
                return Sums(epoch=state.id, rows=ahead)
        if len(self._waiting) >= self._window:
            return None
        return Sums(epoch=state.id, rows=rows, after=after, upto=upto)

    def _ahead(self, epoch: str, now: Now) -> list[Row]:
        """The youngest minutes of an epoch, as far as they have changed since they last went ahead."""
        rows = self._summaries.newest_rows(now.utc - AHEAD_S, MAX_ROWS).get(epoch, ())
        return [row for row in rows if row.seq > self._ahead_seq]

    def told(self, sums: Sums, now: Now) -> None:
        """This was published."""
        self._due_s = now.uptime_s + PACE_S
        if sums.upto is None:
            self._ahead_seq = max(self._ahead_seq, *(row.seq for row in sums.rows))
            self._news_due_s = now.uptime_s + NEWS_S
            return
        if sums.epoch == self._summaries.newest_epoch():
            self._news_due_s = now.uptime_s + NEWS_S
        if not self._waiting:
            self._be_patient(now.uptime_s)
        self._waiting.append(_Told(sums.epoch, sums.upto))
        if self._again is not None:
            self._again[sums.epoch] = max(self._again.get(sums.epoch, 0), sums.upto)

    def hear(self, upto: Mapping[str, int], now_s: float) -> bool:
        """The centre says up to where it has each of these epochs. Whether it has less than it said: then say hello."""
        heard = {epoch: self._believable(epoch, seq) for epoch, seq in upto.items()}
        has_less = any(seq < self._marks.get(epoch, 0) for epoch, seq in heard.items())
        if len(self._marks) + len(heard) > MAX_MARKS:
            self._marks.clear()
            self._unnoted.clear()
        self._marks |= heard
        self._unnoted |= heard
        answered = [told for told in self._waiting if told.upto <= self._marks.get(told.epoch, 0)]
        if has_less:
            self._waiting.clear()
        elif answered:
            self._waiting = [told for told in self._waiting if told not in answered]
            self._window = 1 if self.silences else WINDOW  # the first answer after a silence makes nobody bold
            self.silences = 0
            self._be_patient(now_s)
        self._due_s = min(self._due_s, now_s + PACE_S)
        return has_less

    def note(self) -> bool:
        """Keep what was heard, inside the caller's transaction. Whether the centre has less than before: say hello.

        Raises sqlite3.Error; then, or if the transaction fails, call it again. `noted` says that it was committed.
        """
        if not self._unnoted or not self._summaries.note_watermarks(self._unnoted):
            return False
        self._waiting.clear()
        return True

    def noted(self) -> None:
        """What `note` wrote is committed."""
        self._unnoted.clear()
        if self._again is not None and not self._summaries.behind(1):
            self._again = None

    @property
    def has_heard(self) -> bool:
        """Whether there is something to note."""
        return bool(self._unnoted)

    def begin_again(self) -> None:
        """Everything is told again: the watermarks in the store were forgotten.

        Until that is done the centre's word counts only for what was told since: by its watermarks it has everything.
        """
        self._again = {}
        self._waiting.clear()
        self._marks.clear()
        self._unnoted.clear()

    def _believable(self, epoch: str, seq: int) -> int:
        return seq if self._again is None else min(seq, self._again.get(epoch, 0))

    def _told_upto(self, state: EpochState) -> int:
        """Up to where an epoch was told and may be on its way, or has arrived."""
        arrived = self._marks.get(state.id, state.acked)
        return max([arrived, *(told.upto for told in self._waiting if told.epoch == state.id)])

    def _give_up_waiting(self) -> None:
        """Nothing was answered for long: one message at a time from now on, so that a tired centre gets no more."""
        self.silences += 1
        self._window = 1
        self._waiting.clear()

    def _be_patient(self, now_s: float) -> None:
        self._silent_due_s = now_s + self._random.uniform(*SILENCE_S)
