"""The sums of a centre for its reports, and what sends them: `appliance/reports`, of sites and boxes."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from functools import cached_property

from appliance.central import days
from appliance.central.config import CentralConfig
from appliance.central.store import Box, CentralStore, Scope, Span, Watched
from appliance.faces import Counts
from appliance.language import _
from appliance.reports.figures import Errors, Part, Sum
from appliance.reports.figures import total as total_counts
from appliance.reports.sending import Site
from appliance.time_zone import HOUR_S, TimeZone

SITE, BOX = "site:", "box:"
"""What a subject of a report begins with; the id follows."""


def subjects(store: CentralStore, person: int | None) -> dict[str, str]:
    """What a report can be of, as a person sees it: each with its name."""
    sites = {f"{SITE}{site.id}": _("all boxes of {site}", site=site.name) for site in store.sites.all(person)}
    present = [box for box in store.boxes.all(person) if box.revoked_utc is None]
    return {**sites, **{f"{BOX}{box.id}": box.name for box in present}}


class OfCentre:
    """The sums of some sites and boxes that a person sees; person None: of all, chosen None: of all of them."""

    noun = "box"

    def __init__(self, store: CentralStore, person: int | None, chosen: Collection[str] | None) -> None:
        self._store, self._person, self._chosen = store, person, chosen

    @cached_property
    def _boxes(self) -> list[Box]:
        found = self._store.boxes.all(self._person)
        if self._chosen is None:
            return found
        return [box for box in found if f"{BOX}{box.id}" in self._chosen or f"{SITE}{box.site_id}" in self._chosen]

    @property
    def _scope(self) -> Scope:
        if self._chosen is None:
            return Scope(self._person)
        return Scope(self._person, box_ids=tuple(box.id for box in self._boxes))

    @property
    def whose(self) -> str:
        """The sites and boxes, or that it is all of them."""
        if self._chosen is None:
            return _("all boxes")
        return ", ".join(name for each, name in subjects(self._store, self._person).items() if each in self._chosen)

    def zone(self) -> TimeZone:
        """The centre's."""
        return self._store.zone()

    def hours(self, since_utc: float, until_utc: float) -> list[Sum]:
        """Every hour of UTC that touches it."""
        return self._sums(self._span(since_utc, until_utc, by_day=False))

    def days(self, since_utc: float, until_utc: float) -> list[Sum]:
        """Every day."""
        return self._sums(self._span(since_utc, until_utc, by_day=True))

    def by_weekday_hour(self, since_utc: float, until_utc: float) -> list[list[Sum]]:
        """7 x 24, by the centre's clocks."""
        zone, within = self.zone(), dict[tuple[int, int], list[Sum]]()
        for each in self.hours(since_utc, until_utc):
            local = zone.local(each.start_utc)
            within.setdefault((local.weekday(), local.hour), []).append(each)
        since, until = int(since_utc), int(until_utc)
        return [
            [_together(since, until, within.get((weekday, hour), [])) for hour in range(24)] for weekday in range(7)
        ]

    def parts(self, since_utc: float, until_utc: float) -> list[Part]:
        """Each box; for how long its streams were watched together says little, so it is left out."""
        found = self._store.sums.by_box(self._scope, self._span(since_utc, until_utc, by_day=True))
        return [
            Part(box.name, found.get(box.id, Watched()).counts, None, f"/boxes/{box.id}", f"{BOX}{box.id}")
            for box in self._boxes
            if box.revoked_utc is None or box.id in found
        ]

    def first_utc(self) -> int | None:
        """Since when anything is known."""
        known = self._store.sums.known("day")
        return None if known is None else known[0]

    def errors(self, since_utc: float, until_utc: float) -> Errors:  # noqa: ARG002
        """Boxes tell sums, and not who was corrected."""
        return Errors()

    def _span(self, since_utc: float, until_utc: float, by_day: bool) -> Span:
        zone = self.zone()
        if by_day:
            cuts = days.cuts(zone, int(since_utc), int(until_utc) // HOUR_S * HOUR_S)
            return Span(cuts[0], cuts[-1], "day", zone)
        return Span(int(since_utc) // HOUR_S * HOUR_S, int(until_utc) // HOUR_S * HOUR_S, "hour", zone)

    def _sums(self, span: Span) -> list[Sum]:
        found = self._store.sums.series(self._scope, span)
        steps = ((start, end, found.get(start, Watched())) for start, end in itertools.pairwise(span.cuts))
        return [Sum(start, end, sums.counts, sums.watched_s) for start, end, sums in steps]


def _together(since_utc: int, until_utc: int, sums: list[Sum]) -> Sum:
    counts = total_counts(each.counts for each in sums) if sums else Counts()
    return Sum(since_utc, until_utc, counts, sum(each.watched_s for each in sums))


def site_of_centre(config: CentralConfig) -> Site[CentralStore]:
    """The centre as a sender of reports: `Sender(site_of_centre(config)).step(now())`, every minute or so."""
    return Site(
        folder=config.state,
        open_store=lambda: CentralStore.open_existing(config.database_address, config.audit_head_path),
        title=lambda: config.name,
        source=lambda store, plan, _now: OfCentre(store, None, plan.subjects),
        zone=lambda store: store.zone(),
        knows_time=lambda _store, _now: True,  # boxes trust certificates by this clock: it is right, or nothing works
        address=config.web.base_url,
        language=config.language,
    )
