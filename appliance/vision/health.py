"""The health of a stream: how well it could be judged in the last ten minutes, and what was done in all."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from appliance.faces import Work

MINUTES = 10
MIN_PERSONS = 5  # a share of fewer says nothing
MIN_LOOKS = 50
RATE_S = 10.0


@dataclass(slots=True)
class _Minute:
    number: int
    persons: int = 0
    too_small: int = 0
    wanted: int = 0
    made: int = 0
    judged: int = 0
    delays_s: float = 0.0


class Tally:
    """Counts of the last ten minutes; any thread may ask. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._minutes: deque[_Minute] = deque(maxlen=MINUTES)
        self._work = Work()

    @property
    def work(self) -> Work:
        """The same since the beginning."""
        return self._work

    def person(self, too_small: bool, now_s: float) -> None:
        """Somebody left; too_small: without a state, because the face had too few pixels."""
        minute = self._minute(now_s)
        minute.persons += 1
        minute.too_small += too_small
        work = self._work
        self._work = replace(work, persons_left=work.persons_left + 1, faces_too_small=work.faces_too_small + too_small)

    def look(self, made: bool, now_s: float) -> None:
        """A look was wanted, and made or put off for want of computing time."""
        minute = self._minute(now_s)
        minute.wanted += 1
        minute.made += made
        if not made:
            self._work = replace(self._work, looks_put_off=self._work.looks_put_off + 1)

    def judged(self, delay_s: float, now_s: float) -> None:
        """A frame was judged, so long after the camera showed it."""
        minute, delay_s = self._minute(now_s), max(0.0, delay_s)
        minute.judged += 1
        minute.delays_s += delay_s
        work = self._work
        self._work = replace(work, frames_judged=work.frames_judged + 1, delays_s=work.delays_s + delay_s)

    def too_small_share(self) -> float | None:
        """Of the persons; None: too few for a share."""
        minutes = self._minutes.copy()
        persons = sum(minute.persons for minute in minutes)
        return sum(minute.too_small for minute in minutes) / persons if persons >= MIN_PERSONS else None

    def made_share(self) -> float | None:
        """Of the looks; None: too few for a share."""
        minutes = self._minutes.copy()
        wanted = sum(minute.wanted for minute in minutes)
        return sum(minute.made for minute in minutes) / wanted if wanted >= MIN_LOOKS else None

    def mean_delay_s(self) -> float | None:
        """Of the frames judged; None: none was."""
        minutes = self._minutes.copy()
        judged = sum(minute.judged for minute in minutes)
        return sum(minute.delays_s for minute in minutes) / judged if judged else None

    def _minute(self, now_s: float) -> _Minute:
        number = int(now_s // 60)
        while self._minutes and self._minutes[0].number <= number - MINUTES:
            self._minutes.popleft()
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number))
        return self._minutes[-1]


class Rate:
    """An amount a second, over the last seconds. Times are as for `Tally`; a few frames may be out of order."""

    def __init__(self) -> None:
        self._amounts: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def add(self, now_s: float, amount: float) -> None:
        """So much more since the last time."""
        self._amounts.append((now_s, amount))
        self._sum += amount
        while self._amounts[0][0] < now_s - RATE_S:
            self._sum -= self._amounts.popleft()[1]

    def per_s(self) -> float | None:
        """None: not known yet."""
        if len(self._amounts) < 2:
            return None
        begun_s, before = self._amounts[0]  # what came with the first was spent before it
        passed_s = self._amounts[-1][0] - begun_s
        return max(0.0, self._sum - before) / passed_s if passed_s >= RATE_S / 2 else None
