"""How streams are received: LIVE, or whether the box or the camera is at fault.

One truth for pages, programs and alerts. Pure but for `receptions`, which reads the store.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from appliance.language import N_, _
from appliance.retold import retold
from appliance.store import Refusal, ServiceStatus, Store, Stream
from appliance.times import Now, utc_text

REFUSAL_S = 86_400.0
"""Whoever was refused longer ago has given up."""
WATCHER = "watch"


@dataclass(frozen=True, slots=True)
class Silence:
    """What is said while a service of the box is silent. since: with {time}; marks, to be translated."""

    never: str
    what: str
    since: str
    advice: str


WITHOUT = {
    WATCHER: Silence(
        N_("The watcher of the box has not run since the box was started"),
        N_("The watcher of the box has not answered"),
        N_("The watcher of the box has not answered since {time}."),
        N_(
            "So it is not known which streams are LIVE, and nobody is counted. The camera may well be all right. If"
            " this stays for more than a minute, restart the box."
        ),
    ),
    "gate": Silence(
        N_("The gate of the box has not run since the box was started"),
        N_("The gate of the box has not answered"),
        N_("The gate of the box has not answered since {time}."),
        N_(
            "So the box lets nobody in who sends to it. The camera may well be all right. If this stays for more than a"
            " minute, restart the box."
        ),
    ),
    "ingest": Silence(
        N_("The ingest of the box has not run since the box was started"),
        N_("The ingest of the box has not answered"),
        N_("The ingest of the box has not answered since {time}."),
        N_(
            "So the box takes in nothing that is sent to it. The camera may well be all right. If this stays for more"
            " than a minute, restart the box."
        ),
    ),
}
"""What a stream needs of the box, by the name of the service."""
NEEDED_TO_BE_SENT_TO = ("gate", "ingest")


class ReceptionState(enum.Enum):
    """How a stream is received. UNKNOWN: the box itself is at fault. REFUSED: somebody sends, and is not let in."""

    LIVE = "live"
    OFFLINE = "offline"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    INACTIVE = "inactive"

    @property
    def label(self) -> str:
        """In a word or two."""
        return {"live": "LIVE", "unknown": "not known", "inactive": "deactivated"}.get(self.value, self.value)


@dataclass(frozen=True, slots=True)
class Reception:
    """How a stream is received just now, and what to do, in the language of who asks.

    what: what is wrong, a sentence without its full stop; empty: nothing is. since: the same as a sentence with {time}
    in it, to be translated; empty where since_utc says nothing of it. advice: sentences; may be empty. problem: why
    nobody in it is judged, as the watcher says while it is heard. refusal: who was refused since the stream was LIVE
    last, or while it is, within a day.
    """

    state: ReceptionState
    what: str = ""
    since_utc: str | None = None
    since: str = ""
    advice: str = ""
    problem: str | None = None
    refusal: Refusal | None = None

    @property
    def is_known(self) -> bool:
        """Whether the box is well enough to tell."""
        return self.state is not ReceptionState.UNKNOWN

    @property
    def is_wrong(self) -> bool:
        """Whether somebody has to see to this stream."""
        return bool(self.problem) or self.state is ReceptionState.REFUSED

    @property
    def words(self) -> str:
        """What is wrong and what to do, without times; empty: nothing is."""
        refusal = self.refusal
        refused = (
            _("Refused, from {remote}: {reason}", remote=refusal.remote, reason=_(refusal.reason)) if refusal else ""
        )
        return " ".join(part for part in (self.what and f"{self.what}.", self.advice, self.problem, refused) if part)


def receptions(store: Store, streams: Sequence[Stream], now: Now, disk_is_full: bool = False) -> dict[int, Reception]:
    """How each of these streams is received, by its id. Raises sqlite3.Error.

    disk_is_full: then a service that is not heard of could not write that it lives.
    """
    services = {service.name: service for service in store.services.all(now)}
    refused = store.senders.refused(now.utc - REFUSAL_S)
    return {each.id: reception(each, services, refused.get(each.id), now, disk_is_full) for each in streams}


def box_at_fault(received: Iterable[Reception]) -> Reception | None:
    """What is wrong with the box itself, to be said once above many streams; None: nothing is."""
    return next((replace(each, refusal=None) for each in received if not each.is_known), None)


def reception(
    stream: Stream, services: dict[str, ServiceStatus], refusal: Refusal | None, now: Now, disk_is_full: bool = False
) -> Reception:
    """How one stream is received. services: by name. refusal: the last at this stream; None: nobody lately."""
    since_utc = stream.live_since_utc if stream.live else stream.ended_utc
    if refusal and since_utc and refusal.at_utc < since_utc:
        refusal = None  # it has been LIVE since
    if not stream.active:
        return Reception(ReceptionState.INACTIVE, refusal=refusal)
    if stream.live:
        return Reception(ReceptionState.LIVE, since_utc=since_utc, problem=_problem(stream), refusal=refusal)
    silent = _silent(stream, services)
    if silent is not None:
        return _not_known(silent, services.get(silent), refusal, now, disk_is_full)
    if stream.has_key and refusal:
        return Reception(ReceptionState.REFUSED, since_utc=refusal.at_utc, problem=_problem(stream), refusal=refusal)
    return _offline(stream, refusal)


def _silent(stream: Stream, services: dict[str, ServiceStatus]) -> str | None:
    """The service of the box without which this stream cannot be LIVE, and which is silent; None: all are heard.

    The gate and the ingest count once they were heard of: that one was never started is told on Home and Health.
    """
    watcher = services.get(WATCHER)
    if watcher is None or not watcher.alive:
        return WATCHER
    needed = NEEDED_TO_BE_SENT_TO if stream.has_key else ()
    return next((name for name in needed if name in services and not services[name].alive), None)


def _not_known(
    name: str, service: ServiceStatus | None, refusal: Refusal | None, now: Now, disk_is_full: bool
) -> Reception:
    if disk_is_full:
        advice = _(
            "The disk of the box is full, and its services cannot say that they run. An admin can make room: delete old"
            " detections or streams, or keep images for fewer days."
        )
        what = _("It is not known which streams are LIVE")
        return Reception(ReceptionState.UNKNOWN, what, advice=advice, refusal=refusal)
    silence = WITHOUT[name]
    advice = _(silence.advice)
    if service is None or service.silent_s is None:
        return Reception(ReceptionState.UNKNOWN, _(silence.never), advice=advice, refusal=refusal)
    since_utc = utc_text(round(now.utc - service.silent_s))
    return Reception(ReceptionState.UNKNOWN, _(silence.what), since_utc, silence.since, advice, refusal=refusal)


def _offline(stream: Stream, refusal: Refusal | None) -> Reception:
    """The box is well: it is the camera, or what sends its picture."""
    if stream.has_key:
        what = _("Nobody has sent to this stream") if stream.ended_utc else _("Nobody sends to this stream")
        since = N_("Nobody has sent to this stream since {time}.")
        advice = _("The box is ready: see whether the camera, OBS or the phone is on, and streams to this box.")
    else:
        what = (
            _("The box has got no picture of this camera")
            if stream.ended_utc
            else _("The box gets no picture of this camera")
        )
        since = N_("The box has got no picture of this camera since {time}.")
        advice = _("The box asks it again and again: see whether the camera is on, and reached from here.")
    return Reception(
        ReceptionState.OFFLINE,
        what,
        stream.ended_utc,
        since,
        "" if stream.problem else advice,
        _problem(stream),
        refusal,
    )


def _problem(stream: Stream) -> str | None:
    """As the watcher put it on record, in the language spoken."""
    return retold(stream.problem) or None
