"""What a broker on site is told: plain JSON that a person can read with `mosquitto_sub`, and its topics.

`mb9k/<box>/...` on the broker of a house is another world than on that of a fleet: nothing here is kept until it was
confirmed, and nobody but people and their home automation reads it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

import msgspec

from appliance.faces import Counts
from appliance.rates import compliance

ONLINE, OFFLINE = "online", "offline"
"""The payloads of availability; the will of the connection is `offline`."""


class Topic(str, enum.Enum):
    """The topics below <prefix>/<box>; all retained."""

    AVAILABILITY = "availability"
    TODAY = "today"
    STREAM = "streams/{number}"


def topic(prefix: str, box: str, kind: Topic, number: int = 0) -> str:
    """Where it is published. number: of the stream."""
    return f"{prefix}/{box}/{kind.value.format(number=number)}"


@dataclass(frozen=True, slots=True)
class OfStream:
    """What is told of a stream beside its persons."""

    name: str
    live: bool
    problem: str | None


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Persons since midnight, by the box's time zone, and the share of those judged who wore the mask properly.

    since: when that was, ISO 8601. compliance, low, high: percent, with the bounds of the 95 % interval; null while
    nobody was judged; unknown persons are in no rate. Of one stream also: name, without its owner; live: ON or OFF;
    problem: why nobody in it is being judged.
    """

    since: str
    people: int
    mask: int
    no_mask: int
    incorrect: int
    unknown: int
    compliance: float | None
    low: float | None
    high: float | None
    name: str | None = None
    live: Literal["ON", "OFF"] | None = None
    problem: str | None = None


def figures_of(counts: Counts, since: str, stream: OfStream | None = None) -> Figures:
    """The figures of these persons: of the whole box, or of one stream."""
    rate = compliance(counts)
    return Figures(
        since=since,
        people=counts.total,
        mask=counts.mask,
        no_mask=counts.no_mask,
        incorrect=counts.incorrect,
        unknown=counts.unknown,
        compliance=_percent(rate.value) if rate else None,
        low=_percent(rate.low) if rate else None,
        high=_percent(rate.high) if rate else None,
        name=stream.name if stream else None,
        live=("ON" if stream.live else "OFF") if stream else None,
        problem=stream.problem if stream else None,
    )


def _percent(share: float) -> float:
    return round(100 * share, 1)
