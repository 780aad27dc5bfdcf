"""The tables of the model card: which detectors stand in it, and their figures as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from models.data.dataset import STATES

MARKS = "<!-- figures: written by models.evaluation.evaluate --card -->", "<!-- end of figures -->"
FAR_MARKS = "<!-- far faces: written by models.evaluation.far --card -->", "<!-- end of far faces -->"
COLUMNS = ["model", "mAP50", *STATES, "any face", "right", "passed", "CPU ms (mean)"]
Results = dict[str, dict[str, Any]]
"""By name what `evaluate` measured; the first is the default model."""


@dataclass(frozen=True, slots=True)
class Row:
    """A detector to measure. side: longest side of its input, px, where that is free. exact: INT8 as hardware with
    wide sums computes it. corruptions: on corrupted pictures too. second_pass: as in the manifest. headline: in
    README.md too. timed: not so where another runtime than ours is meant to run it."""

    name: str
    path: Path
    side: int
    exact: bool = False
    corruptions: bool = False
    second_pass: int = 0
    headline: bool = False
    timed: bool = True


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row as card.toml has it; file: beside card.toml, or with baseline = true in the folder of the baselines."""

    name: str
    file: str
    side: int = 640
    exact: bool = False
    corruptions: bool = False
    second_pass: int = 0
    headline: bool = False
    timed: bool = True
    baseline: bool = False


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """models/card.toml."""

    rows: list[Entry]


def read_rows(path: Path, baselines: Path | None) -> list[Row]:
    """The rows of card.toml. Exits with one line where it is wrong or the baselines' folder is missing."""
    try:
        card = msgspec.toml.decode(path.read_bytes(), type=Card)
    except (OSError, msgspec.DecodeError) as error:
        raise SystemExit(f"{path}: {error}") from error
    if baselines is None and any(entry.baseline for entry in card.rows):
        raise SystemExit(f"{path} names published detectors; say where they are with --baselines")
    rows = []
    for entry in card.rows:
        values = msgspec.structs.asdict(entry)
        folder = baselines if values.pop("baseline") and baselines else path.parent
        rows.append(Row(path=folder / values.pop("file"), **values))
    return rows


def headline(results: Results, names: set[str]) -> str:
    """The table of README.md: the first model and those of these names."""
    first = next(iter(results))
    return _accuracy_table({name: figures for name, figures in results.items() if name in {first, *names}})


def details(results: Results) -> str:
    """The tables of experiments.md."""
    name, default = next(iter(results.items()))
    corrupted = {row: figures for row, figures in results.items() if "corruptions" in figures}
    return "\n\n".join(
        [
            _accuracy_table(results),
            "The same pictures, corrupted (`evaluation/corruptions.py`): any-face AP50 (three-state mAP50).",
            table(
                ["model", "clean", *next(iter(corrupted.values()))["corruptions"]],
                [[row, *map(_pair, (figures, *figures["corruptions"].values()))] for row, figures in corrupted.items()],
            ),
            f"{name} by size of the face's shorter side in the picture:",
            table(
                ["", *default["any_face_by_size"]],
                [
                    ["any-face AP50", *map(_fraction, default["any_face_by_size"].values())],
                    ["state right, of those found", *map(_fraction, default["state_right_by_size"].values())],
                ],
            ),
            f"{name} by source of the pictures, any-face AP50: "
            + ", ".join(f"{source} {_fraction(value)}" for source, value in default["any_face_by_source"].items())
            + ".",
            f"{name}, faces of 32 px and more, true state by found state:",
            table(
                ["", *STATES],
                [[state, *map(str, row)] for state, row in zip(STATES, default["states"]["confusion"], strict=True)],
            ),
            f"Expected calibration error of {name}: face score {_fraction(default['calibration']['face'])}, "
            f"probability of the state {_fraction(default['calibration']['state'])}.",
        ]
    )


def _accuracy_table(results: Results) -> str:
    rows = [[name, *_accuracy(figures)] for name, figures in results.items()]
    rows[0][0] = f"**{rows[0][0]}**"
    return table(COLUMNS, rows)


def rewrite(path: Path, text: str, marks: tuple[str, str] = MARKS) -> None:
    """Put the tables between the marks of a page."""
    page, (begin, end) = path.read_text(), marks
    if begin not in page or end not in page:
        raise SystemExit(f"{path}: the marks {begin!r} and {end!r} are gone; put them back where the tables belong")
    before, after = page.partition(begin)[0], page.partition(end)[2]
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def _accuracy(figures: dict[str, Any]) -> list[str]:
    low, high = figures["map50_interval"]
    ap, states = figures["ap50"], figures["states"]
    return [
        f"{_fraction(figures['map50'])} [{_fraction(low)}, {_fraction(high)}]",
        *(_fraction(ap[state]) for state in STATES),
        _fraction(figures["any_face"]),
        _fraction(states["right"]),
        _fraction(states["incorrect_as_mask"]),
        f"{figures['cpu_ms']:.1f} ({figures['cpu_ms_mean']:.1f})" if "cpu_ms" in figures else "-",
    ]


def _pair(figures: dict[str, Any]) -> str:
    return f"{_fraction(figures['any_face'])} ({_fraction(figures['map50'])})"


def _fraction(value: float) -> str:
    """.812 of .8123."""
    return f"{value:.3f}".removeprefix("0")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
