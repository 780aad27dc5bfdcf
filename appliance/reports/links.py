"""Where the numbers and bars of a report's page lead: to lists of those persons, and from a day to its own report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from bottle import html_escape

from appliance.faces import State
from appliance.language import number
from appliance.reports.figures import Part, Sum
from appliance.reports.periods import Kind, period_of
from appliance.reports.report import Report
from appliance.reports.words import address_of
from appliance.web.markup import Markup

Subjects: TypeAlias = tuple[str, ...] | None
ListAddress: TypeAlias = Callable[[Subjects, float, float, State | None], str]
"""The list of the persons of some subjects (None: of all), in since <= first seen < until, of a state; empty: none."""


def no_list(_subjects: Subjects, _since_utc: float, _until_utc: float, _state: State | None) -> str:
    """Of a site that keeps sums only."""
    return ""


@dataclass(frozen=True)
class Links:
    """Those of one report. Nobody has no list; an address is empty where there is nowhere to go."""

    of: Report
    subjects: Subjects = None
    list_address: ListAddress = no_list

    @cached_property
    def _span(self) -> tuple[float, float]:
        return self.of.period.since_utc(self.of.zone), self.of.period.until_utc(self.of.zone)

    def all(self) -> Mapping[str, str]:
        """The lists of the whole report by state; "": everybody."""
        return {
            state.value if state else "": self.list_address(self.subjects, *self._span, state)
            for state in (None, *State)
        }

    def step(self, step: Sum) -> str:
        """Where its bar leads: an hour to its persons, a day to its report."""
        if not step.counts.total:
            return ""
        if self.of.period.kind is Kind.DAY:
            return self.list_address(self.subjects, step.start_utc, step.end_utc, None)
        return address_of(period_of(Kind.DAY, self.of.zone.day(step.start_utc)), self.subjects)

    def persons(self, step: Sum, state: State | None = None) -> str:
        """The list of its persons."""
        there = getattr(step.counts, state.value) if state else step.counts.total
        return self.list_address(self.subjects, step.start_utc, step.end_utc, state) if there else ""

    def part(self, part: Part, state: State | None = None) -> str:
        """The list of the persons of a part."""
        there = getattr(part.counts, state.value) if state else part.counts.total
        if not there or not part.subject:
            return ""
        return self.list_address((part.subject,), *self._span, state)


def linked(n: int, address: str) -> Markup:
    """A number, and the link to what it counts, if there is one."""
    return Markup(f'<a href="{html_escape(address)}">{number(n)}</a>' if address else number(n))
