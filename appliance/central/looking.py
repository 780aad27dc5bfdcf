"""What is so in the fleet now, rule by rule: read from the database, as boxes told it and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from appliance.alerts import kinds
from appliance.alerts.kinds import ALL, MINUTE_S, Of, Subject
from appliance.alerts.rate import rate_finding
from appliance.alerts.rounds import Finding
from appliance.alerts.rules import Rule
from appliance.central.store import Box, CentralStore, Scope, Site, Span
from appliance.central.store.records import Process
from appliance.central.store.sums import total
from appliance.faces import Counts
from appliance.language import N_, _, n_
from appliance.times import Now
from appliance.web.words import duration

SETTLED_S = 180
"""So long after its start ingest has heard of every box that tells something."""
FEW_ROWS = 60
"""Of backlog: a box has as much between two minutes, and while a watermark is on its way."""
WITHOUT = {
    "ingest": N_("Nothing that boxes send is taken; they keep it."),
    "serve": N_("The page of the centre cannot be opened."),
    "joining": N_("No box can join."),
}
"""What people must know while no process of a kind runs."""
SILENT = N_("Nothing has come from {box} for {time}. See its power and its network.")
NOT_COUNTING = N_("{box} is connected, but for {time} nothing that it counts has come.")
SEE_PAGE = N_("See its page.")
HEARD_S = 180
"""A box says each minute how it is."""
SWITCHED_OFF = N_("Nothing has come from {box} for {time}. It was switched off on purpose.")


@dataclass(frozen=True, slots=True)
class _Told:
    """A backlog as a box told it. state_utc: when. grows: whether it was more than before, when it last changed."""

    rows: int
    state_utc: int
    grows: bool


class Memory:
    """What is kept from look to look: what boxes told of their backlogs, and persons of long times."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._counts: dict[tuple[Scope, int], tuple[float, Counts]] = {}

    def counts(self, scope: Scope, minutes: int, moment: Now, read: Callable[[], Counts]) -> Counts:
        """Persons of the last so many minutes; of many minutes they are read again only when a hundredth has passed."""
        at_s, counts = self._counts.get((scope, minutes), (None, Counts()))
        if at_s is None or not 0 <= moment.uptime_s - at_s < minutes * MINUTE_S / 100:
            counts = read()
            self._counts[scope, minutes] = moment.uptime_s, counts
        return counts

    def grows(self, box: Box) -> bool:
        """Whether there is more to tell than when the box last said so; the same again changes nothing."""
        before = self._told.get(box.id)
        state_utc = box.state_utc or 0
        if before is not None and before.state_utc == state_utc:
            return before.grows
        grows = False
        if before is not None and box.backlog > FEW_ROWS:
            grows = box.backlog > before.rows or (box.backlog == before.rows and before.grows)
        self._told[box.id] = _Told(box.backlog, state_utc, grows)
        return grows


class Looking:
    """One look at the fleet, for one round; what several rules need is read once."""

    def __init__(self, store: CentralStore, rules: Iterable[Rule], memory: Memory, moment: Now) -> None:
        self._store, self._moment, self._memory = store, moment, memory
        # A box with a rule of its own of a kind, active or not, goes by that one; then by its site's.
        self._own = {(rule.kind.name, rule.subject) for rule in rules if rule.subject.of in (Of.BOX, Of.SITE)}

    def __call__(self, rule: Rule, _is_raised: Callable[[Subject], bool]) -> Iterable[Finding]:
        """How it is with everything that a rule is about. Raises sqlite3.Error."""
        if isinstance(rule.parameters, kinds.Rate):
            return self._rates(rule.subject, rule.parameters)
        if isinstance(rule.parameters, kinds.Gone):
            least_s = rule.parameters.silent_s
            return [self._gone(box, least_s) for box in self._about(rule)]
        if isinstance(rule.parameters, kinds.Backlog):
            return [self._backlog(box) for box in self._about(rule)]
        return self._services() if isinstance(rule.parameters, kinds.Service) else []

    # What several need

    @cached_property
    def _boxes(self) -> list[Box]:
        return [box for box in self._store.boxes.all(None) if box.revoked_utc is None]

    @cached_property
    def _sites(self) -> dict[str, Site]:
        return {str(site.id): site for site in self._store.sites.all(None)}

    @cached_property
    def _processes(self) -> list[Process]:
        return self._store.records.processes()

    @cached_property
    def _hears(self) -> bool:
        """Whether what boxes send is taken, and has been for long enough to know who is silent."""
        utc = self._moment.utc
        takes = [each for each in self._processes if each.kind == "ingest" and each.is_alive(utc) and not each.problem]
        return any(utc - each.started_utc >= SETTLED_S for each in takes)

    def _about(self, rule: Rule) -> Iterator[Box]:
        """The boxes that a rule is about."""
        for box in self._boxes:
            of_box, of_site = Subject(Of.BOX, box.id), Subject(Of.SITE, str(box.site_id))
            own = next((each for each in (of_box, of_site) if (rule.kind.name, each) in self._own), ALL)
            if rule.subject == own:
                yield box

    # The kinds

    def _gone(self, box: Box, least_s: float) -> Finding:
        age_s = None if box.heard_utc is None else max(0.0, self._moment.utc - box.heard_utc)
        holds: bool | None = age_s is not None and age_s >= least_s  # one that never told anything cannot be gone
        name = f"{box.name} ({box.site})" if box.site else box.name
        words = _("{box} tells again what it counts.", box=name)
        if holds and age_s is not None:
            words = self._gone_words(box, name, age_s)
        if holds and not self._hears:
            holds = None
        figures = {"age_s": None if age_s is None else int(age_s)}
        return Finding(Subject(Of.BOX, box.id), holds, box.name, words, figures)

    def _gone_words(self, box: Box, name: str, age_s: float) -> str:
        """Whether it is off, away, or there and counts nothing: nobody should look for its power in vain."""
        is_heard = box.state_utc is not None and self._moment.utc - box.state_utc < HEARD_S
        if box.status == "running" and is_heard:
            return " ".join((_(NOT_COUNTING, box=name, time=duration(age_s)), box.problem or _(SEE_PAGE)))
        return _(SWITCHED_OFF if box.status == "stopped" else SILENT, box=name, time=duration(age_s))

    def _backlog(self, box: Box) -> Finding:
        grows = self._memory.grows(box)
        words = n_(
            "The backlog of {box} does not grow any more: {n} row is still to come.",
            "The backlog of {box} does not grow any more: {n} rows are still to come.",
            box.backlog,
            box=box.name,
        )
        if grows:
            words = n_(
                "The backlog of {box} grows: {n} row is still to come. See whether its network is slow.",
                "The backlog of {box} grows: {n} rows are still to come. See whether its network is slow.",
                box.backlog,
                box=box.name,
            )
        return Finding(
            Subject(Of.BOX, box.id), grows if self._hears else None, box.name, words, {"backlog_rows": box.backlog}
        )

    def _rates(self, subject: Subject, parameters: kinds.Rate) -> Iterator[Finding]:
        scope, title = Scope(), _("all boxes")
        if subject.of is Of.SITE:
            if subject.id not in self._sites:
                return  # it was removed
            scope, title = Scope(site_id=int(subject.id)), self._sites[subject.id].name
        elif subject.of is Of.BOX:
            box = next((box for box in self._boxes if box.id == subject.id), None)
            if box is None:
                return
            scope, title = Scope(box_id=box.id), box.name
        span_s = parameters.minutes * MINUTE_S
        until_utc = int(self._moment.utc) + 1
        span = Span(int(self._moment.utc - span_s), until_utc, "minute")
        counts = self._memory.counts(
            scope, parameters.minutes, self._moment, lambda: total(self._store.sums.series(scope, span).values()).counts
        )
        finding = rate_finding(subject, title, counts, parameters, span_s)
        yield finding if self._hears else Finding(subject, None, title, finding.words, finding.figures)

    def _services(self) -> Iterator[Finding]:
        """Each kind of process of which one was heard of within a day and did not end in order."""
        for kind in sorted({each.kind for each in self._processes} & WITHOUT.keys()):
            lives = any(each.kind == kind and each.is_alive(self._moment.utc) for each in self._processes)
            words = _("The service {name} of the centre runs again.", name=kind)
            if not lives:
                words = _("The service {name} of the centre is not running.", name=kind)
                words = " ".join((words, _(WITHOUT[kind]), _("Its log says why.")))
            # On a full disk one that lives cannot write that it does.
            holds = None if not lives and self._store.db.is_full() else not lives
            yield Finding(Subject(Of.SERVICE, kind), holds, kind, words)
