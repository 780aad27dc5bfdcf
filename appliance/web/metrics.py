"""Figures for Prometheus: the text that its server asks for, from plain values. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from bottle import HTTPResponse

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels: TypeAlias = str
"""As they stand in the text, see `labels`."""
Kind = Literal["gauge", "counter", "summary"]


Sample: TypeAlias = tuple[str, Labels, float]
"""One value: (suffix, labels, value). The suffix stands after the name of its metric: `_sum`, `_count` of a summary."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured. name: in base units, as `mb9k_disk_free_bytes`; a counter's ends in `_total`."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample]


@lru_cache(8192)
def labels(**values: str) -> Labels:
    """By what a value differs from others of its metric. Kept: hundreds of streams have a dozen metrics each."""
    return ",".join([f'{name}="{_escaped(value, quotes=True)}"' for name, value in values.items()])


Values: TypeAlias = float | Iterable[tuple[Labels, float | None]] | None
"""One value without labels, or several with theirs; what is None is not known, and left out."""


def gauge(name: str, text: str, values: Values) -> Metric:
    """What goes up and down. A bool is 0 or 1."""
    return Metric(name, "gauge", text, _samples(values))


def counter(name: str, text: str, values: Values) -> Metric:
    """What only grows until whatever counts begins again."""
    return Metric(name, "counter", text, _samples(values))


def summary(name: str, text: str, sums: Iterable[tuple[Labels, float, int]]) -> Metric:
    """How long something took: by labels, the sum and how often. Both are counters; their rates give the average."""
    samples = [
        (suffix, labels, value)
        for labels, total, count in sums
        for suffix, value in (("_sum", total), ("_count", count))
    ]
    return Metric(name, "summary", text, samples)


def _samples(values: Values) -> list[Sample]:
    known = [("", values)] if values is None or isinstance(values, int | float) else values
    return [("", labels, value) for labels, value in known if value is not None]


def exposition(metrics: Iterable[Metric]) -> str:
    """All of them as text; a metric of which nothing is known is not there."""
    return "".join(_lines(metric) for metric in metrics if metric.samples)


def answer(metrics: Iterable[Metric]) -> HTTPResponse:
    """The same for a server that asks."""
    return HTTPResponse(exposition(metrics), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


def _lines(metric: Metric) -> str:
    lines = [f"# HELP {metric.name} {_escaped(metric.help)}", f"# TYPE {metric.name} {metric.kind}"]
    lines += [
        f"{metric.name}{suffix}{{{labels}}} {+value if isinstance(value, int) else _number(value)}"
        for suffix, labels, value in metric.samples
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    """As Go reads it: whole numbers plain, since most are counts."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    return str(int(value)) if value == int(value) else repr(value)
