"""What somebody is told: one event, as a JSON document for programs and as a mail for people. Pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.alerts.judge import What
from appliance.alerts.kinds import ALL
from appliance.alerts.log import Event
from appliance.language import N_, _, clock, long_date, n_, weekday
from appliance.mail import Mail
from appliance.time_zone import UTC, TimeZone
from appliance.times import utc_text

_TOLD = {What.RAISED: "{words}", What.OVER: N_("Over: {words}"), What.TEST: N_("Test: {words}")}


@dataclass(frozen=True, slots=True)
class Site:
    """Who tells: a box or a centre. url: of its page, without / at its end; empty: not known. zone: its clocks."""

    name: str
    noun: str
    url: str = ""
    zone: TimeZone = UTC


def document(event: Event, site: Site) -> bytes:
    """The message as JSON, the same bytes each time it is sent. docs/alerts.md says what the fields mean."""
    about = {"of": event.subject.of.value, "id": event.subject.id, "title": event.title}
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
            "text": summary(event, site),
            "words": event.words,
            "figures": dict(event.figures),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def summary(event: Event, site: Site) -> str:
    """The message in one line: `Hall: door is offline.`"""
    return _(_TOLD[event.what], words=f"{site.name}: {event.words}")


def mail(event: Event, site: Site, to: str) -> Mail:
    """The message as a mail to one person."""
    lines = [event.words, ""]
    if event.what is not What.TEST:
        lines += [_("Since: {time}", time=_clock(event.since_utc, site))]
    lines += [_("At: {time} ({zone})", time=_clock(event.at_utc, site), zone=site.zone.name), _who(site)]
    if event.subject != ALL and event.title:
        lines += [_("About: {title}", title=event.title)]
    if site.url:
        lines += ["", f"{site.url}/alerts"]
    lines += ["", _why(site)]
    return Mail(event.uid, to, summary(event, site), "\n".join(lines) + "\n", from_name=site.name)


def mail_of_many(events: Sequence[Event], site: Site, to: str) -> Mail:
    """Several messages as one mail. Its id is made of theirs: the same messages have the same one."""
    lines = [f"{_time(event.at_utc, site)} {_(_TOLD[event.what], words=event.words)}" for event in events]
    lines += ["", _("Times: {zone}", zone=site.zone.name), _who(site)]
    lines += ["", f"{site.url}/alerts"] if site.url else []
    uid = hashlib.sha256("".join(event.uid for event in events).encode()).hexdigest()[:32]
    first = _(_TOLD[events[0].what], words=events[0].words)
    subject = n_(
        "{site}: {n} message; {first}", "{site}: {n} messages; {first}", len(events), site=site.name, first=first
    )
    return Mail(uid, to, subject, "\n".join([*lines, "", _why(site)]) + "\n", from_name=site.name)


def _teller(site: Site) -> str:
    return _("Centre: {name}", name=site.name) if site.noun == "centre" else _("Box: {name}", name=site.name)


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
