"""A report as a message: text, and the same as HTML that needs no picture. Pure functions.

Bars are cells of tables with a colour. Pictures would be left out by most mail programs until somebody asks for them,
or come as attachments; SVG is shown by hardly any. Beside each bar stand its numbers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from appliance.language import N_, _, labelled, n_, spoken
from appliance.reports import words
from appliance.reports.figures import Sum
from appliance.reports.periods import Kind
from appliance.reports.report import Compared, Report
from appliance.web.render import Renderer
from appliance.web.svg import STATE_LABELS
from appliance.web.words import number, percent, rate_words

VIEWS = Path(__file__).parent / "views"
PARTS_AT_MOST = 50
COLOURS = {"mask": "#1f8a74", "incorrect": "#d39a1e", "no_mask": "#c5482c", "unknown": "#98a29f"}
"""As on paper (print.css): a mail has no style sheet."""


@cache
def _renderer() -> Renderer:
    return Renderer(VIEWS)


def subject(of: Report, title: str) -> str:
    """What stands above it in a list of messages: the rate, so that one need not open it."""
    if not of.rate:
        return n_(
            "{title}: {n} person, {period}",
            "{title}: {n} persons, {period}",
            of.counts.total,
            title=title,
            period=of.period.title,
        )
    values = {"rate": percent(of.rate.value), "n": number(of.rate.n), "period": of.period.title}
    return _("{title}: {rate} (n = {n}), {period}", title=title, **values)


def text(of: Report, title: str, address: str = "") -> str:
    """The message for who reads no HTML. address: of its page; empty: not known."""
    lines = [labelled(title, of.period.title), _("Of {whose}. Times of {name}.", whose=of.whose, name=of.zone.name), ""]
    lines += [_("Persons: {persons}", persons=number(of.counts.total))]
    lines += ["  " + labelled(_(label), number(getattr(of.counts, state))) for state, label in STATE_LABELS.items()]
    lines += [_("Compliance: {rate}", rate=rate_words(of.rate))]
    if of.errors.corrected:
        corrected = rate_words(of.errors.corrected)
        lines.append(_("Corrected for the detector's errors: {corrected}", corrected=corrected))
    lines += ["", *(_against(each, of) for each in of.compared)]
    lines += [
        "",
        _("Persons, compliance:"),
        *("  " + labelled(when, _of_step(step)) for when, step in words.step_runs(of)),
    ]
    if len(of.parts) > 1:
        lines += ["", labelled(_(words.BY_PART[of.noun]), "").rstrip()]
        lines += [
            "  " + labelled(part.name, f"{number(part.counts.total)}, {rate_words(part.rate)}")
            for part in of.parts[:PARTS_AT_MOST]
        ]
    lines += ["", words.unwatched_words(of), words.corrected_words(of), "", _(MEANING), "", _why(of, title)]
    if address:
        lines += ["", address]
    return "\n".join(lines) + "\n"


MEANING = N_(
    "Compliance is of the persons whose mask could be judged; in brackets the 95 % interval, in which the true share"
    " lies 19 times out of 20, and how many were judged. Unknown persons are never in it."
)


WHY = {
    Kind.DAY: N_("An admin of {title} has a report of each day sent to you. To get it no more, ask them."),
    Kind.WEEK: N_("An admin of {title} has a report of each week sent to you. To get it no more, ask them."),
    Kind.MONTH: N_("An admin of {title} has a report of each month sent to you. To get it no more, ask them."),
}


def _against(each: Compared, of: Report) -> str:
    return _("Against {name}: {words}.", name=each.name, words=words.compared_words(each, of))


def _why(of: Report, title: str) -> str:
    return _(WHY[of.period.kind], title=title)


def _of_step(step: Sum) -> str:
    if step.is_gap:
        return _("nobody looked")
    return f"{number(step.counts.total)}, {rate_words(step.rate)}"


def html(of: Report, title: str, address: str = "") -> str:
    """The message as mail programs show it: tables, styles at each element, nothing that is fetched."""
    most = max((step.counts.total for step in of.steps), default=0)
    return _renderer().render(
        "report_mail.html",
        {
            "of": of,
            "title": title,
            "address": address,
            "bar": lambda counts: _bar(counts, most),
            "labels": {state: _(label) for state, label in STATE_LABELS.items()},
            "colours": COLOURS,
            "meaning": _(MEANING),
            "why": _why(of, title),
            "parts": of.parts[:PARTS_AT_MOST],
            "number": number,
            "percent": percent,
            "rate_words": rate_words,
            "say": words,
            "language": spoken(),
        },
    )


def _bar(counts: object, most: int) -> list[tuple[str, int]]:
    """The parts of a bar: (colour, width in percent of the widest one)."""
    return [
        (COLOURS[state], max(1, round(100 * getattr(counts, state) / most)))
        for state in STATE_LABELS
        if most and getattr(counts, state)
    ]
