"""What is so on this box now, rule by rule: read from the store and the disk; no other service is asked anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from appliance.alerts import kinds
from appliance.alerts.kinds import ALL, MINUTE_S, Of, Subject
from appliance.alerts.rate import rate_finding
from appliance.alerts.rounds import Finding
from appliance.alerts.rules import Rule
from appliance.config import Config
from appliance.disk import Reserve, free_bytes, size_bytes
from appliance.faces import Counts, PictureFault
from appliance.language import N_, _, size_words
from appliance.reception import Reception, ReceptionState, receptions
from appliance.service import SERVICES
from appliance.store import FleetStatus, Store, Stream, WallClock
from appliance.time_zone import QUARTER_S
from appliance.times import Now
from appliance.web.words import percent

COARSE_S = 3600.0
"""A box that keeps statistics only knows sums of twenty minutes: rates are over an hour or more there."""
NEWS_S = 600.0
"""What the centre has not after so long it does not get."""
AGAIN = 1.2
"""A disk is almost full until so many times as much is free: it must not be raised and over all the time."""
_FAULTS = {
    PictureFault.DARK: N_("The picture of {stream} is dark: is the lamp off, or the lens covered?"),
    PictureFault.BLURRED: N_("The picture of {stream} is blurred: clean the lens, or set its focus."),
    PictureFault.COVERED: N_("The picture of {stream} is covered: see what is before the lens."),
    PictureFault.MOVED: N_("The picture of {stream} shows something else: was the camera moved?"),
}
PICTURE_WELL = N_("The picture of {stream} is as it should be again.")
NOBODY_JUDGED = N_("{stream} is LIVE, but nobody was judged. See what the camera shows.")
DISK_FULL = N_(
    "The disk is almost full: {free} of {size} is free ({share}). Delete old detections, or keep images for fewer days."
)
DISK_WELL = N_("The disk has room again: {free} of {size} is free ({share}).")
CLOCK_NOT_SET = N_("Nothing has set the clock of the box. See its network, or say on its page that the time is right.")
NOT_YET = N_("The centre is reached, but has not yet what this box counted in {minutes} minutes.")
IsRaised = Callable[[Subject], bool]


class Looking:
    """One look at the box, for one round; what several rules need is read once."""

    def __init__(self, config: Config, store: Store, rules: Iterable[Rule], moment: Now) -> None:
        self._config, self._store, self._moment = config, store, moment
        # A stream with a rule of its own, active or not, goes by that one.
        self._own = {(rule.kind.name, rule.subject) for rule in rules if rule.subject.of is Of.STREAM}

    def __call__(self, rule: Rule, is_raised: IsRaised) -> Iterable[Finding]:
        """How it is with everything that a rule is about. Raises OSError, sqlite3.Error."""
        parameters = rule.parameters
        if isinstance(parameters, kinds.Rate):
            return self._rate(rule, parameters)
        if isinstance(parameters, kinds.Nobody | kinds.Offline | kinds.Picture):
            return self._streams_of(rule)
        if isinstance(parameters, kinds.Disk):
            return [self._disk(parameters, is_raised(ALL))]
        if isinstance(parameters, kinds.Service):
            return self._services()
        if isinstance(parameters, kinds.Clock):
            return [self._clock()]
        return self._centre() if isinstance(parameters, kinds.Centre) else []

    # What several need

    @cached_property
    def _streams(self) -> list[Stream]:
        return [each for each in self._store.streams.all(self._moment) if each.active]

    @cached_property
    def _receptions(self) -> dict[int, Reception]:
        return receptions(self._store, self._streams, self._moment, self._is_full)

    @cached_property
    def _alive(self) -> frozenset[str]:
        return frozenset(each.name for each in self._store.services.all(self._moment) if each.alive)

    @cached_property
    def _is_full(self) -> bool:
        return Reserve(self._config.state).is_needed()

    @cached_property
    def _is_coarse(self) -> bool:
        return self._store.privacy.statistics_only() is not None

    def _counted(self, span_s: float) -> dict[int, Counts]:
        """Persons by stream in the last so many seconds; of whole quarters of an hour where nothing finer is kept."""
        since_utc = self._moment.utc - span_s
        if self._is_coarse:
            return self._store.trends.by_stream(None, since_utc, self._moment.utc + QUARTER_S)
        return self._store.summaries.counted_since(since_utc)

    def _about(self, rule: Rule) -> Iterator[tuple[Subject, Stream]]:
        """The streams that a rule is about."""
        for stream in self._streams:
            subject = kinds.stream(stream.id)
            if rule.subject == subject or (rule.subject == ALL and (rule.kind.name, subject) not in self._own):
                yield subject, stream

    # The kinds

    def _rate(self, rule: Rule, parameters: kinds.Rate) -> Iterator[Finding]:
        span_s = max(parameters.minutes * MINUTE_S, COARSE_S if self._is_coarse else 0.0)
        counted = self._counted(span_s)
        if rule.subject == ALL:
            known = [counted.get(each.id, Counts()) for each in self._store.streams.all(self._moment)]
            yield rate_finding(ALL, _("all streams"), _sum(known), parameters, span_s)
        for subject, stream in self._about(rule) if rule.subject != ALL else ():
            yield rate_finding(subject, stream.title, counted.get(stream.id, Counts()), parameters, span_s)

    def _streams_of(self, rule: Rule) -> Iterator[Finding]:
        counted = self._counted(COARSE_S if self._is_coarse else 2 * MINUTE_S)
        is_known = "watch" in self._alive
        for subject, stream in self._about(rule):
            if isinstance(rule.parameters, kinds.Offline):
                holds, words = not stream.live, _("{stream} is LIVE again.", stream=stream.title)
                if holds:
                    words = self._why_offline(stream)
            elif isinstance(rule.parameters, kinds.Picture):
                fault = stream.picture_fault if stream.live else None
                holds, words = fault is not None, _(PICTURE_WELL, stream=stream.title)
                if fault is not None:
                    words = _(_FAULTS[fault], stream=stream.title)
            else:
                # Looked at so often, the last minutes say since when: nobody since the rule's minutes.
                holds = stream.live and not counted.get(stream.id, Counts()).classified
                words = _("Somebody was judged in {stream} again.", stream=stream.title)
                if holds:
                    words = _(NOBODY_JUDGED, stream=stream.title)
                elif not stream.live:
                    words = _("{stream} is not LIVE any more.", stream=stream.title)
            yield Finding(subject, holds if is_known else None, stream.title, words)

    def _why_offline(self, stream: Stream) -> str:
        """As the pages say it, so that nobody goes to the camera when it is the box."""
        received = self._receptions[stream.id]
        if not received.is_known:
            words = _("{stream} is not LIVE, and the box is at fault.", stream=stream.title)
            return f"{words} {received.words}"
        why = received.words if received.state is ReceptionState.REFUSED else received.problem or ""
        return " ".join((_("{stream} is offline.", stream=stream.title), why)).strip()

    def _disk(self, parameters: kinds.Disk, is_raised: bool) -> Finding:
        free, size = free_bytes(self._config.state), size_bytes(self._config.state)
        least = size * parameters.percent / 100 * (AGAIN if is_raised else 1.0)
        holds = free < least or self._is_full
        words = _(
            DISK_FULL if holds else DISK_WELL,
            free=size_words(free),
            size=size_words(size),
            share=percent(free / max(1, size)),
        )
        return Finding(ALL, holds, "disk", words, {"free_bytes": free, "size_bytes": size})

    def _services(self) -> Iterator[Finding]:
        for service in SERVICES:
            lives = service.name in self._alive
            # On a full disk a service that lives cannot write that it does.
            holds = None if not lives and self._is_full else not lives
            words = _("The service {name} runs again.", name=service.name)
            if not lives:
                told = (_("The service {name} is not running.", name=service.name), _(service.without_it or ""))
                words = " ".join(filter(None, (*told, _("Restart the box."))))
            if service.name != "notify":  # it is what tells this
                yield Finding(Subject(Of.SERVICE, service.name), holds, service.name, words)

    def _clock(self) -> Finding:
        clock = self._store.ages.clock()
        believed = clock is not None and clock.at(self._moment).wall_clock is WallClock.BELIEVED
        words = _("The clock of the box is right again.")
        if not believed:
            words = _(CLOCK_NOT_SET)
        return Finding(ALL, (not believed) if "watch" in self._alive else None, "clock", words)

    def _centre(self) -> Iterator[Finding]:
        status = self._store.fleet.status()
        if status is None:  # it has joined none
            return
        holds: bool | None = None
        words = _("The centre gets what this box counts again.")
        if "sync" in self._alive:
            wrong = self._why_not_told(status)
            holds = wrong is not None
            words = wrong or words
        yield Finding(ALL, holds, "centre", words)

    def _why_not_told(self, status: FleetStatus) -> str | None:
        if not status.connected:
            return " ".join((_("The centre is not reached."), status.problem or "")).strip()
        if status.problem:
            return " ".join((_("The centre does not get what this box counts."), status.problem))
        late = self._store.summaries.backlog(self._moment.utc - NEWS_S)
        if late.minutes:
            return _(NOT_YET, minutes=late.minutes)
        return None


def _sum(counts: Iterable[Counts]) -> Counts:
    some = list(counts)
    return Counts(
        sum(each.mask for each in some),
        sum(each.no_mask for each in some),
        sum(each.incorrect for each in some),
        sum(each.unknown for each in some),
    )
