"""What somebody is told: one event, as a JSON document for programs and as a mail for people. Pure functions.

The record tells it in English; a site tells it in its own language, and a page in the reader's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.alerts.judge import What
from appliance.alerts.kinds import ALL, Of
from appliance.alerts.log import Event
from appliance.language import ENGLISH, N_, _, clock, labelled, long_date, n_, speaking, weekday
from appliance.mail import Mail
from appliance.retold import retold
from appliance.time_zone import UTC, TimeZone
from appliance.times import utc_text

_NAME = "\ue000"
"""Stands for a name while a sentence is looked for, whatever is in that name."""
_TOLD = {What.RAISED: "{words}", What.OVER: N_("Over: {words}"), What.TEST: N_("Test: {words}")}


@dataclass(frozen=True, slots=True)
class Site:
    """Who tells: a box or a centre. url: of its page, without / at its end; empty: not known. zone: its clocks.

    language: in which it tells, a key of LANGUAGES.
    """

    name: str
    noun: str
    url: str = ""
    zone: TimeZone = UTC
    language: str = ENGLISH


def told(event: Event) -> str:
    """What happened, a sentence in the language spoken. What it is about is called there as people called it."""
    if event.subject.of is Of.ALL or not event.title:
        return retold(event.words)
    marked = event.words.replace(event.title, _NAME, 1)
    found = retold(marked)
    return retold(event.words) if found == marked else found.replace(_NAME, event.title)


def document(event: Event, site: Site) -> bytes:
    """The message as JSON, the same bytes each time it is sent. docs/alerts.md says what the fields mean."""
    with speaking(site.language):
        return _document(event, site)


def _document(event: Event, site: Site) -> bytes:
    is_name = event.subject != ALL or event.what is What.TEST  # a test is about the site, which people named
    title = event.title if is_name else retold(event.title)
    about = {"of": event.subject.of.value, "id": event.subject.id, "title": title}
    return json.dumps(
        {
            "id": event.uid,
            "alert": event.alert,
            "what": event.what.value,
            "kind": event.kind,
            "rule": event.rule_id,
            "site": {"name": site.name, "noun": site.noun, "url": site.url},
            "subject": about,
            "at": utc_text(event.at_utc),
            "since": utc_text(event.since_utc),
            "text": _summary(event, site),
            "words": told(event),
            "figures": dict(event.figures),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def summary(event: Event, site: Site) -> str:
    """The message in one line: `Hall: door is offline.`"""
    with speaking(site.language):
        return _summary(event, site)


def _summary(event: Event, site: Site) -> str:
    return _(_TOLD[event.what], words=labelled(site.name, told(event)))


def mail(event: Event, site: Site, to: str) -> Mail:
    """The message as a mail to one person."""
    with speaking(site.language):
        return _mail(event, site, to)


def _mail(event: Event, site: Site, to: str) -> Mail:
    lines = [told(event), ""]
    if event.what is not What.TEST:
        lines += [_("Since: {time}", time=_clock(event.since_utc, site))]
    lines += [_("At: {time} ({zone})", time=_clock(event.at_utc, site), zone=site.zone.name), _who(site)]
    if event.subject != ALL and event.title:
        lines += [_("About: {title}", title=event.title)]
    if site.url:
        lines += ["", f"{site.url}/alerts"]
    lines += ["", _why(site)]
    return Mail(event.uid, to, _summary(event, site), "\n".join(lines) + "\n", from_name=site.name)


def mail_of_many(events: Sequence[Event], site: Site, to: str) -> Mail:
    """Several messages as one mail. Its id is made of theirs: the same messages have the same one."""
    with speaking(site.language):
        return _mail_of_many(events, site, to)


def _mail_of_many(events: Sequence[Event], site: Site, to: str) -> Mail:
    lines = [f"{_time(event.at_utc, site)} {_(_TOLD[event.what], words=told(event))}" for event in events]
    lines += ["", _("Times: {zone}", zone=site.zone.name), _who(site)]
    lines += ["", f"{site.url}/alerts"] if site.url else []
    uid = hashlib.sha256("".join(event.uid for event in events).encode()).hexdigest()[:32]
    first = _(_TOLD[events[0].what], words=told(events[0]))
    subject = n_(
        "{site}: {n} message; {first}", "{site}: {n} messages; {first}", len(events), site=site.name, first=first
    )
    return Mail(uid, to, subject, "\n".join([*lines, "", _why(site)]) + "\n", from_name=site.name)


def _why(site: Site) -> str:
    if site.noun == "centre":
        return _("You get this because a rule of the centre names you; its admins can change that.")
    return _("You get this because a rule of the box names you; its admins can change that.")


def _who(site: Site) -> str:
    return _("Centre: {name}", name=site.name) if site.noun == "centre" else _("Box: {name}", name=site.name)


def _time(utc: float, site: Site) -> str:
    return site.zone.local(utc).strftime("%Y-%m-%d %H:%M")


def _clock(utc: float, site: Site) -> str:
    at = site.zone.local(utc)
    return _("{weekday} {date}, {time}", weekday=weekday(at), date=long_date(at), time=clock(at))
