"""Which image days are forgotten: those too old, and the first ones while the disk is nearly full. Rows stay.

Wall clocks lie: a small board starts in 1970 or where it was switched off, a wrong time server says 2036. What is
deleted because of it is gone, so an image's age is not the difference of two readings of the wall clock. It is the
longer of two spans, of which neither is ever longer than the truth:

* **how long the box has run since it was written**, by a clock that never jumps (`BoxClock.running_s`). This alone lets
  images go on a box that never learns the time: in a plant without internet, `keep_days` are days of running.
* **what the wall clock says has passed**, if it was believed both then and now. It is believed while the machine's
  clock is synchronised (`clock_is_synchronised`), or was in this start of the machine and has run steadily since; and
  only if it has not leapt from where the record left off: by LEAP_RUNNING_S while the box ran, by LEAP_OFF_S (a long
  weekend) if it was off. After a longer leap nothing goes by the wall clock until a person confirms it
  (`mb9k clock confirm`), or it has been synchronised for PROVEN_S and no image would go by it.

Free space always wins: while the disk is nearly full the days go in the order in which they were written, whatever they
are called, but never the one that is being written to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from appliance.accounts.audit import Action
from appliance.accounts.audit_details import DISK_FULL, TOO_OLD
from appliance.accounts.audit_subjects import IMAGES_OF
from appliance.disk import Reserve, free_bytes
from appliance.images import ImageFiles, day_of
from appliance.language import N_, n_
from appliance.sections import Images
from appliance.store import BoxClock, ImageDay, Store, WallClock
from appliance.store.ages import STEADY_S
from appliance.times import Now, clock_is_synchronised, utc_text

log = logging.getLogger(__name__)

DAY_S = 86400.0
LEAP_RUNNING_S = 3600.0
LEAP_OFF_S = 4 * DAY_S
PROVEN_S = 3600.0
SETTLED_S = 900.0  # after a start, time servers may take so long to answer
NOT_SYNCHRONISED = N_(
    "The clock of the box is not synchronised, so images are kept for {days} days of running, whatever the date."
    " Let it reach a time server; or if its clock is right, run `mb9k clock confirm` on the box."
)
FIRST_DAY = "20260101"  # there was no mb9k before; a day file of an earlier name was written without the time


class Retention:
    """Does it, once a minute, within the watcher. What people must know of it stands in the box's clock."""

    def __init__(
        self,
        images: ImageFiles,
        config: Images,
        reserve: Reserve,
        is_synchronised: Callable[[], bool] = clock_is_synchronised,
    ) -> None:
        self.images = images
        self.config = config
        self.reserve = reserve
        self.is_synchronised = is_synchronised
        self._synchronised_since_s: float | None = None  # by running time

    def step(self, store: Store, moment: Now) -> None:
        """Note what was written, forget what may go. Raises sqlite3.Error, OSError."""
        noted, known = store.ages.clock(), store.ages.image_days()
        if noted is None:
            names = self.images.days()
            days = {name: ImageDay(name, self.images.size_bytes(name), 0.0, _end_of(name)) for name in names}
            noted = _first_clock(days.values(), moment)
        else:
            days = known
        clock = self._judged(noted.at(moment), days.values(), moment)
        days = days | self._written(days, clock)
        in_order = sorted(days.values(), key=lambda day: (day.running_s, day.day))
        self._make_room(store, in_order, day_of(moment.utc))  # first: without room nothing can be noted
        there = set(self.images.days())
        with store.writing():
            store.ages.note_clock(clock)
            for day in in_order:
                if day.day in there and day != known.get(day.day):
                    store.ages.note_image_day(day)
        now_utc = clock.utc if clock.wall_clock is WallClock.BELIEVED else None
        for day in in_order:
            if day.day not in there or self._is_old(day, now_utc, clock):
                self._forget(store, day.day, TOO_OLD)

    def _written(self, known: Mapping[str, ImageDay], clock: BoxClock) -> dict[str, ImageDay]:
        """The day files that were written to since the last look."""
        utc = clock.utc if clock.wall_clock is WallClock.BELIEVED else None
        sizes = {name: self.images.size_bytes(name) for name in self.images.days()}
        return {
            name: ImageDay(name, size, clock.running_s, utc)
            for name, size in sizes.items()
            if name not in known or known[name].size_bytes != size
        }

    def _judged(self, clock: BoxClock, days: Collection[ImageDay], moment: Now) -> BoxClock:
        """The clock with what is to be thought of the wall clock now, and what people must know of it."""
        synchronised = self.is_synchronised()
        if not synchronised:
            self._synchronised_since_s = None
        elif self._synchronised_since_s is None:
            self._synchronised_since_s = clock.running_s
        by_wall = [day for day in days if self._is_old(day, moment.utc, clock) and not self._is_old(day, None, clock)]
        if self._is_believed(clock, moment, synchronised) or (self._is_proven(clock) and not by_wall):
            return replace(clock, utc=moment.utc, wall_clock=WallClock.BELIEVED, notice=None)
        notice = None
        if synchronised and by_wall and clock.utc is not None:
            notice = leapt(clock.utc, moment.utc, len(by_wall))
        elif not synchronised and days and moment.uptime_s > SETTLED_S:
            notice = NOT_SYNCHRONISED.format(days=self.config.keep_days)
        if notice and notice != clock.notice:
            log.warning("%s", notice)
        wall_clock = WallClock.UNKNOWN if clock.wall_clock is WallClock.UNKNOWN else WallClock.LEAPT
        return replace(clock, wall_clock=wall_clock, notice=notice)

    def _is_believed(self, clock: BoxClock, moment: Now, synchronised: bool) -> bool:
        """Whether the wall clock is where it should be, as far as can be told."""
        leap_s = 0.0 if clock.utc is None else moment.utc - clock.utc
        known_in_this_start = clock.wall_clock is not WallClock.UNKNOWN
        if known_in_this_start and abs(leap_s) < STEADY_S:
            return True
        return synchronised and leap_s <= (LEAP_RUNNING_S if known_in_this_start else LEAP_OFF_S)

    def _is_proven(self, clock: BoxClock) -> bool:
        since_s = self._synchronised_since_s
        return since_s is not None and clock.running_s - since_s >= PROVEN_S

    def _is_old(self, day: ImageDay, now_utc: float | None, clock: BoxClock) -> bool:
        """Whether the last image of a day is older than keep_days. now_utc: None: by running time alone."""
        age_s = clock.running_s - day.running_s
        if now_utc is not None and day.utc is not None:
            age_s = max(age_s, now_utc - day.utc)
        return age_s > self.config.keep_days * DAY_S

    def _make_room(self, store: Store, in_order: Iterable[ImageDay], today: str) -> None:
        for day in in_order:
            if free_bytes(self.images.folder) >= self.config.min_free_mb * 1_000_000:
                return
            if day.day != today and self.images.size_bytes(day.day):
                self.reserve.give_up_if_full()
                self.images.forget(day.day)  # before its rows: there may be no room to write anything
                self._forget(store, day.day, DISK_FULL)

    def _forget(self, store: Store, day: str, why: str) -> None:
        """Forget a day. What is cut off is done at the next step: until its end the day stays known.

        Rows and erasures go first, so that nothing ever refers to another file that gets its name.
        Raises sqlite3.Error, OSError.
        """
        with store.writing():
            images = store.detections.forget_images(day)
            store.erasures.forget_day(day)
            if images:
                store.audit.add(Action.IMAGES_FORGOTTEN, IMAGES_OF.format(day=day), images=images, why=why)
        self.images.forget(day)
        with store.writing():
            store.ages.forget_image_day(day)
        if images:
            log.warning("forgot the images of %s (%d): %s", day, images, why)


def leapt(from_utc: float, to_utc: float, days: int) -> str:
    """What people must know of a clock that went forward too far."""
    return n_(
        "The clock of the box went from {begin} to {end} at once, by which the images of {n} day would be too old."
        " They are kept. If the clock is right, run `mb9k clock confirm` on the box; else correct it.",
        "The clock of the box went from {begin} to {end} at once, by which the images of {n} days would be too old."
        " They are kept. If the clock is right, run `mb9k clock confirm` on the box; else correct it.",
        days,
        begin=utc_text(from_utc)[:10],
        end=utc_text(to_utc)[:10],
    )


def _end_of(day: str) -> float | None:
    """When a day was over, by its name; None if it was named without knowing the time."""
    try:
        begin = datetime.strptime(day, "%Y%m%d").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return begin.timestamp() + DAY_S if day >= FIRST_DAY else None


def _first_clock(days: Iterable[ImageDay], moment: Now) -> BoxClock:
    """What an older version of mb9k left: the record's newest day is the last time there is."""
    ends = [day.utc for day in days if day.utc is not None and day.utc - DAY_S <= moment.utc]
    newest_utc = min(max(ends), moment.utc) if ends else None
    return BoxClock(0.0, moment.boot_id, moment.uptime_s, newest_utc, WallClock.UNKNOWN)
