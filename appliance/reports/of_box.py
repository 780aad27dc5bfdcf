"""The sums of a box for its reports. A centre has its own; nothing else of this room knows a store."""

from __future__ import annotations

from collections.abc import Collection

from appliance.language import _
from appliance.reports.figures import Errors, Part, Sum
from appliance.store import Store
from appliance.store.measuring import measured
from appliance.store.trends import Bucket, Step
from appliance.time_zone import TimeZone
from appliance.times import Now, clock_is_synchronised


class OfBox:
    """The sums of some streams of a box, by the subjects of a plan; None: of all it has, then and later."""

    noun = "stream"

    def __init__(self, store: Store, subjects: Collection[str] | None = None) -> None:
        self._store = store
        self._titles = store.streams.titles()
        self._ids = None if subjects is None else [each for each in self._titles if str(each) in subjects]

    @property
    def whose(self) -> str:
        """The streams, or that it is all of them."""
        return _("all streams") if self._ids is None else ", ".join(self._titles[each] for each in self._ids)

    def zone(self) -> TimeZone:
        """The box's."""
        return self._store.trends.zone()

    def hours(self, since_utc: float, until_utc: float) -> list[Sum]:
        """Every hour of the clocks that touches it."""
        return [_sum(each) for each in self._store.trends.buckets(self._ids, since_utc, until_utc, Step.HOUR)]

    def days(self, since_utc: float, until_utc: float) -> list[Sum]:
        """Every day."""
        return [_sum(each) for each in self._store.trends.buckets(self._ids, since_utc, until_utc, Step.DAY)]

    def by_weekday_hour(self, since_utc: float, until_utc: float) -> list[list[Sum]]:
        """7 x 24."""
        rows = self._store.trends.by_weekday_hour(self._ids, since_utc, until_utc)
        return [[_sum(each) for each in row] for row in rows]

    def parts(self, since_utc: float, until_utc: float) -> list[Part]:
        """Each stream."""
        found = self._store.trends.of_streams(self._ids, since_utc, until_utc)
        return [
            Part(self._titles.get(each, str(each)), bucket.counts, bucket.watched_s, f"/streams/{each}", str(each))
            for each, bucket in found
        ]

    def first_utc(self) -> int | None:
        """Since when anything is known."""
        return self._store.trends.first_utc(self._ids)

    def errors(self, since_utc: float, until_utc: float) -> Errors:
        """By people's corrections, and the calibrations of the cameras."""
        ids = list(self._titles) if self._ids is None else self._ids
        found = measured(self._store, ids, since_utc, until_utc)
        if self._store.privacy.statistics_only():
            return Errors(None, None, found.corrected)
        between = self._store.corrections.between(ids, since_utc, until_utc)
        return Errors(sum(sum(each.values()) for each in between.values()), found.wrong, found.corrected)


def _sum(bucket: Bucket) -> Sum:
    return Sum(bucket.start_utc, bucket.end_utc, bucket.counts, bucket.watched_s)


def knows_time(store: Store, now: Now) -> bool:
    """Whether a box's wall clock is believed: as it was noted, or as the kernel knows it."""
    return store.ages.believes(now) or clock_is_synchronised()
