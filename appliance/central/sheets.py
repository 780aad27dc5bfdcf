"""The sums of boxes as files for other programs: what `appliance/exports` writes, of what a centre has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

from appliance.central import days
from appliance.central.store import CentralStore, Scope, Span, Stream, Watched
from appliance.central.store.sums import STEP_S, Step
from appliance.errors import InputError
from appliance.exports.batches import BATCH_ROWS, Batch, LocalTimes, counted
from appliance.exports.columns import SUMS_OF_BOXES
from appliance.exports.formats import Format
from appliance.exports.sheets import TABULAR, Sheet, named_file
from appliance.language import _
from appliance.times import utc_text

STEPS: tuple[Step, ...] = get_args(Step)
KEPT_TIMES = 20_000
"""A fortnight of minutes, in some 6 MB."""
When = tuple[str, str, str]
"""When a step begins and ends in UTC, and when it begins by the zone's clocks."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sums: of what a person sees, in steps that begin in since_utc..until_utc (None: no end there)."""

    scope: Scope
    step: Step = "hour"
    since_utc: float | None = None
    until_utc: float | None = None

    def parameters(self) -> dict[str, Any]:
        """What was chosen, for the record of who took it."""
        chosen = {"site": self.scope.site_id, "box": self.scope.box_id, "stream": self.scope.stream_id}
        ends = {"since": self.since_utc, "until": self.until_utc}
        times = {name: utc_text(utc) for name, utc in ends.items() if utc is not None}
        return {"step": self.step, **{name: value for name, value in chosen.items() if value is not None}, **times}


def step_named(text: str) -> Step:
    """The step of this name; an hour where nothing is said. Raises InputError."""
    for step in STEPS:
        if text == step:
            return step
    if text:
        raise InputError(_("{name} must be one of {among}.", name="step", among=", ".join(STEPS)))
    return "hour"


def format_named(text: str) -> Format:
    """The form of this name; CSV where nothing is said. Raises InputError."""
    for form in TABULAR:
        if text == form.value:
            return form
    if text:
        among = ", ".join(form.value for form in TABULAR)
        raise InputError(_("{name} must be one of {among}.", name="format", among=among))
    return Format.CSV


def sheet(
    store: CentralStore,
    wanted: Wanted,
    form: Format,
    centre: str,
    now_utc: float,
    said: Callable[[int], None] = lambda _count: None,
) -> Sheet:
    """The sums as a table on its way into a file. centre: its name. said: is told how many rows more are done."""
    about = {
        "centre": centre,
        "what": SUMS_OF_BOXES.about,
        "made_utc": utc_text(now_utc),
        "time_zone": store.zone().name,
        **{f"only_{name}" if name != "step" else name: str(value) for name, value in wanted.parameters().items()},
    }
    return Sheet(SUMS_OF_BOXES, form, lambda: rows(store, wanted), about, said)


def file_name(centre: str, form: Format, now_utc: float) -> str:
    """What the file is called. centre: its name, in which people may write anything."""
    return named_file(re.sub(r"[^A-Za-z0-9_-]+", "-", centre).strip("-") or "centre", "sums", form, now_utc)


def rows(store: CentralStore, wanted: Wanted) -> Iterator[Batch]:
    """The rows of columns.SUMS_OF_BOXES; each batch is a read of its own, and none has many more than BATCH_ROWS."""
    zone = store.zone()
    span = _span(store, wanted)
    if span is None:
        return
    when = _clock(span)
    of_site = {site.id: site.name for site in store.sites.all(wanted.scope.person)}
    cuts = span.cuts
    steps_at_once = min(len(cuts) - 1, BATCH_ROWS)
    streams_at_once = max(1, BATCH_ROWS // steps_at_once)
    streams = _streams(store, wanted.scope)
    for first in range(0, len(streams), streams_at_once):
        some = {stream.id: stream for stream in streams[first : first + streams_at_once]}
        for begin in range(0, len(cuts) - 1, steps_at_once):
            part = Span(cuts[begin], cuts[min(begin + steps_at_once, len(cuts) - 1)], wanted.step, zone)
            yield [
                _row(some[stream_id], of_site, when(start_utc), sums, zone.name)
                for stream_id, start_utc, sums in store.sums.by_stream_and_step(list(some), part)
            ]


def most_rows(store: CentralStore, wanted: Wanted) -> int:
    """How many rows it can have at most: one for each stream and step."""
    span = _span(store, wanted)
    return 0 if span is None else len(_streams(store, wanted.scope)) * (len(span.cuts) - 1)


def _streams(store: CentralStore, scope: Scope) -> list[Stream]:
    found = store.boxes.streams(scope.person, scope.box_id, scope.site_id)
    return sorted((stream for stream in found if scope.stream_id in (None, stream.id)), key=lambda stream: stream.id)


def _span(store: CentralStore, wanted: Wanted) -> Span | None:
    """The steps that are wanted and of which anything can be known; None: there are none."""
    known = store.sums.known(wanted.step)
    if known is None:
        return None
    since_utc = max(known[0], int(wanted.since_utc)) if wanted.since_utc is not None else known[0]
    until_utc = min(known[1], int(-(-wanted.until_utc // 1))) if wanted.until_utc is not None else known[1]
    if since_utc >= until_utc:
        return None
    zone, step_s = store.zone(), STEP_S[wanted.step]
    if wanted.step == "day":
        cuts = days.cuts(zone, since_utc, until_utc)
        return Span(cuts[0], cuts[-1], wanted.step, zone)
    return Span(since_utc // step_s * step_s, -(-until_utc // step_s) * step_s, wanted.step, zone)


def _row(stream: Stream, of_site: Mapping[int, str], when: When, sums: Watched, zone: str) -> list[Any]:
    site = None if stream.site_id is None else of_site.get(stream.site_id)
    return [
        *(stream.id, site, stream.box_id, stream.box_title or None, stream.number, stream.name or None),
        *(*when, zone, sums.watched_s),
        *counted(sums.counts),
        sums.unverified,
    ]


def _clock(span: Span) -> Callable[[int], When]:
    """The times of a step by when it begins; kept, since every stream has the same steps."""
    times = LocalTimes(span.zone)

    @lru_cache(maxsize=KEPT_TIMES)
    def when(start: int) -> When:
        end = days.end_of(span.zone, start) if span.step == "day" else start + span.step_s
        start_utc = utc_text(start)
        return start_utc, utc_text(end), times.local(start_utc)

    return when
