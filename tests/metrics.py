"""What a Prometheus server makes of the text of /metrics, by its own client's parser; and what `promtool` would say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "docs"
NAME = re.compile(r"mb9k_[a-z0-9_]+")
OTHER_UNITS = re.compile(r"_(ms|milliseconds|minutes|hours|days|percent|kb|mb|megabytes|kilobytes|fahrenheit)(_|$)")
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def labels_of(text: str) -> dict[str, set[str]]:
    """The labels of each metric by its name."""
    found: dict[str, set[str]] = {}
    for name, labels in series(text):
        found.setdefault(name, set()).update(label for label, _ in labels)
    return found


def series(text: str) -> Series:
    """Every series by its name and its labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, /, **labels: str) -> float | None:
    """Of one series; None: there is none."""
    return series(text).get((name, tuple(sorted(labels.items()))))


def complaints(text: str) -> Iterator[str]:
    """What `promtool check metrics` would say, and whether something is there twice.

    https://prometheus.io/docs/practices/naming/
    """
    seen = set()
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name in seen:
            yield f"{name}: is there twice"
        seen.add(name)
        if not NAME.fullmatch(name):
            yield f"{name}: is not called like the others"
        if not family.documentation.endswith("."):
            yield f"{name}: has no sentence that says what it is"
        if OTHER_UNITS.search(name):
            yield f"{name}: is not in a base unit"
        if family.type == "counter" and f"# TYPE {name} counter" not in text:
            yield f"{name}: a counter ends in _total"
        if family.type != "counter" and name.endswith(("_total", "_sum", "_count", "_bucket")):
            yield f"{name}: ends like another kind"
        if not family.samples or family.type == "unknown":
            yield f"{name}: has no sample, or no type"
    lines = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    yield from (f"{line}: is there twice" for line in {line for line in lines if lines.count(line) > 1})


def documented(prefix: str) -> set[str]:
    """The metrics that docs/monitoring.md has in its tables: those of a centre begin with mb9k_centre_."""
    rows = [line for line in (FOLDER / "monitoring.md").read_text().splitlines() if line.startswith("| `mb9k_")]
    names = {name for row in rows for name in NAME.findall(row.split("|")[1])}
    return {name for name in names if name.startswith(prefix)}


def told(text: str) -> set[str]:
    """The metrics that there are."""
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def dashboard_complaints(path: Path, text: str) -> Iterator[str]:
    """What of a Grafana dashboard is not told by this text of /metrics, and panels that cover each other."""
    dashboard, told = json.loads(path.read_text()), labels_of(text)
    expressions = [each["expr"] for panel in dashboard["panels"] for each in panel.get("targets", ())]
    expressions += [each["definition"] for each in dashboard["templating"]["list"] if "definition" in each]
    if len(expressions) < 10:
        yield "it has hardly any expression"
    for expression in expressions:
        names = re.findall(r"\bmb9k_\w+", expression)
        if not names or set(names) - told.keys():
            yield f"{expression}: {sorted(set(names) - told.keys())} does not exist"
            continue
        for name, selector in re.findall(r"\b(mb9k_\w+)\{([^}]*)\}", expression):
            yield from _strange(expression, re.findall(r"(\w+)\s*[=!]~?", selector), told[name])
        every = set().union(*(told[name] for name in names))
        for listed in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", expression):
            yield from _strange(expression, re.findall(r"\w+", listed), every)
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [(at["x"] + right, at["y"] + down) for at in places for right in range(at["w"]) for down in range(at["h"])]
    if len(cells) != len(set(cells)) or max(x for x, _ in cells) >= 24:
        yield "its panels cover each other, or stand beyond its edge"


def _strange(expression: str, labels: list[str], known: set[str]) -> Iterator[str]:
    for label in labels:
        if label not in known | {"instance", "job"}:
            yield f"{expression}: there is no label {label}"
