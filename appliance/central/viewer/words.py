"""What the centre says to people, in plain words. Pure functions; views find all of them under `words`."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.central import intake, letters
from appliance.central.store import Box, Command
from appliance.central.viewer import recorded
from appliance.central.viewer.condition import Age, Severity
from appliance.central.viewer.recorded import reason as reason
from appliance.language import N_, _
from appliance.web.words import TOO_FEW as TOO_FEW
from appliance.web.words import duration as duration
from appliance.web.words import listed as listed
from appliance.web.words import number as number
from appliance.web.words import percent as percent
from appliance.web.words import rate_words as rate_words
from appliance.web.words import size_words as size_words

ACTIONS = {
    "identify": N_("Identify: it shows itself for a minute"),
    "restart": N_("Restart a service"),
    "send_again": N_("Send everything again"),
    "rotate_key": N_("Give a stream a new key"),
    "update": N_("Update"),
}
SERVICES = ("watch", "ingest", "gate", "serve", "sync")
"""What can be restarted on a box."""
STATUS = {
    "running": N_("running"),
    "stopped": N_("stopped on purpose"),
    "gone": N_("lost its connection"),
    "": N_("not heard of yet"),
}
UNKNOWN = N_("not known")
NEXT_STEPS = {
    "running": N_(
        "It says that it runs, but tells nothing: see what its own page Fleet says. Restarting its service sync"
        " may help."
    ),
    "stopped": N_("Switch it on again, or revoke it if it is to stay away."),
    "gone": N_(
        "See whether it has power and network; its own page Fleet says why it does not reach this centre. It keeps"
        " what it counts, and tells it later."
    ),
    "": N_(
        "This takes a minute or two after it joined. If it stays so, its own page Fleet says why it does not reach this"
        " centre."
    ),
}
"""What to do about a box from which nothing comes, by its status."""
WRONG_SENDER = N_(
    "Boxes of ours do not send this: bring the older of box and centre up to date. If no box of yours is called like"
    " this, see who may write at your broker."
)
REMEDIES = {
    intake.STRANGER: N_(
        "If you know the box, add it and have it join again. If not, see who may write at your broker."
    ),
    intake.REVOKED: N_(
        "Nothing, if it came as the box was revoked. If more comes, the broker still lets it in: bring it"
        " the lists that `mb9k central broker-config` writes. If the box is to come back, make a join code for its"
        " place."
    ),
    intake.TOO_MANY: N_(
        "Nothing, if it is rare: what was refused comes again. If it stays so, raise"
        " `ingest.rows_per_minute` in central.toml."
    ),
    intake.CLOCK_AHEAD: N_(
        "Set the clock of the box, or give it a time server that it reaches. What was refused comes again."
    ),
    letters.LEFT_OUT: N_("What is to be done stands with those that came just before."),
    intake.TOO_OLD: N_(
        "Nothing: hours so old are closed. `keep.minutes_days` in central.toml says how long they are kept open."
    ),
}
"""What to do about a letter, by the reason for it."""
CLOCK = {"believed": N_("confirmed"), "unknown": N_("not confirmed"), "leapt": N_("jumped"), "": N_("not known")}


def age(kind: Age, age_s: float | None) -> str:
    """How old data is: `fresh`, `3 min old`, `nothing yet`."""
    if age_s is None:
        return _("nothing yet")
    return _("fresh") if kind is Age.FRESH else _("{time} old", time=duration(age_s))


def sentence(text: str) -> str:
    """What is wrong, as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def next_step(box: Box, kind: Age) -> str:
    """What to do about a box from which nothing comes; empty where something comes."""
    return _(NEXT_STEPS.get(box.status, "")) if kind in (Age.STALE, Age.NEVER) and box.revoked_utc is None else ""


def remedy(reason: str) -> str:
    """What to do about a message that was refused for this reason, with what to type in backticks."""
    if reason.startswith(intake.REFUSED):
        return _("See the log of the centre's ingest. The message comes again by itself.")
    return _(REMEDIES.get(reason, WRONG_SENDER))


def command(action: str, detail: str, streams: Mapping[str, str]) -> str:
    """A command and of what: `Restart a service: watch`. streams: their names by number, as text."""
    what = streams.get(detail, _("stream {number}", number=detail)) if action == "rotate_key" else detail
    what = detail.partition(" ")[0] if action == "update" else what  # its sha-256 is for programs
    words = _(ACTIONS.get(action, action))
    return _(recorded.OF_WHAT, action=words, what=what) if what else words


def outcome_mark(given: Command, now_utc: float) -> str:
    """The CSS class of what became of a command: done; refused, failed or expired; or still on its way."""
    if given.done is None:
        return (Severity.PROBLEM if now_utc > given.expires_utc else Severity.NOTICE).mark
    return (Severity.WELL if given.done else Severity.PROBLEM).mark


def room(free_mb: int | None) -> str:
    """Room on a disk: 900 MB, 12 GB."""
    return _(UNKNOWN) if free_mb is None else size_words(1e6 * free_mb)


def degrees(temperature_c: float | None) -> str:
    """A temperature."""
    return _(UNKNOWN) if temperature_c is None else f"{temperature_c:.0f} °C"


def share(part: float, whole: float) -> str:
    """How much of a time was watched."""
    return percent(min(1.0, part / whole)) if whole > 0 else _(UNKNOWN)


def event(what: str) -> str:
    """What happened, as it is on record."""
    return recorded.event(what, ACTIONS)


def machine(box: Box, newer: str = "") -> str:
    """Version, disk and temperature in a line, as far as they are known. newer: the version that others have."""
    known = [_("{version} (others have {newer})", version=box.version, newer=newer) if newer else box.version]
    known += [] if box.disk_free_mb is None else [_("{room} of disk free", room=room(box.disk_free_mb))]
    known += [] if box.temperature_c is None else [degrees(box.temperature_c)]
    return " · ".join(part for part in known if part)
