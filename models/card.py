"""The tables of the model card: which detectors stand in it, and their figures as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

BEGIN, END = "<!-- figures: written by models.evaluate --card -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Row:
    """A detector to measure. side: longest side of its input, px, where that is free. exact: INT8 as hardware with
    wide sums computes it. hard: on the spoilt pictures too. second_pass: as in the manifest."""

    name: str
    path: Path
    side: int
    exact: bool = False
    hard: bool = False
    second_pass: int = 0


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row as card.toml has it; file: beside card.toml, or with baseline = true in the folder of the baselines."""

    name: str
    file: str
    side: int = 416
    exact: bool = False
    hard: bool = False
    second_pass: int = 0
    baseline: bool = False


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """models/card.toml."""

    rows: list[Entry]


def read_rows(path: Path, baselines: Path | None) -> list[Row]:
    """The rows of card.toml. Exits with one line where it is wrong or the baselines' folder is not given."""
    try:
        card = msgspec.toml.decode(path.read_bytes(), type=Card)
    except (OSError, msgspec.DecodeError) as error:
        raise SystemExit(f"{path}: {error}") from error
    if baselines is None and any(entry.baseline for entry in card.rows):
        raise SystemExit(f"{path} names published detectors; say where they are with --baselines")
    return [
        Row(
            entry.name,
            (baselines if entry.baseline and baselines else path.parent) / entry.file,
            entry.side,
            entry.exact,
            entry.hard,
            entry.second_pass,
        )
        for entry in card.rows
    ]


def tables(results: dict[str, dict[str, Any]]) -> str:
    """All tables. results: by name what `evaluate` measured; the first is the default model."""
    name, default = next(iter(results.items()))
    hard = {row: figures for row, figures in results.items() if "hard" in figures}
    return "\n\n".join(
        [
            _table(
                ["model", "mAP50", "mask", "no_mask", "incorrect", "any face", "right", "passed", "CPU ms (mean)"],
                [[f"**{row}**" if row == name else row, *_accuracy(figures)] for row, figures in results.items()],
            ),
            "Hard pictures, made of the same ones by `hardships.py`: any-face AP50 (three-state mAP50).",
            _table(
                ["model", "clean", *next(iter(hard.values()))["hard"]],
                [[row, *(_pair(one) for one in (figures, *figures["hard"].values()))] for row, figures in hard.items()],
            ),
            f"{name} by size of the face's shorter side in the picture:",
            _table(
                ["", *default["any_face_by_size"]],
                [
                    ["any-face AP50", *map(_share, default["any_face_by_size"].values())],
                    ["state right, of those found", *map(_share, default["state_right_by_size"].values())],
                ],
            ),
            f"{name} by source of the pictures, any-face AP50: "
            + ", ".join(f"{source} {_share(value)}" for source, value in default["any_face_by_source"].items())
            + ".",
            f"{name}, faces of 32 px and more, true state by judged state:",
            _table(
                ["", "mask", "no_mask", "incorrect"],
                [
                    [state, *map(str, row)]
                    for state, row in zip(("mask", "no_mask", "incorrect"), default["states"]["confusion"], strict=True)
                ],
            ),
            f"Expected calibration error of {name}: face score {_share(default['calibration']['face'])}, "
            f"share of the state {_share(default['calibration']['state'])}.",
        ]
    )


def rewrite(readme: Path, text: str) -> None:
    """Put the tables between the marks of the model card."""
    page = readme.read_text()
    if BEGIN not in page or END not in page:
        raise SystemExit(f"{readme}: the marks {BEGIN!r} and {END!r} are gone; put them back where the tables belong")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _accuracy(figures: dict[str, Any]) -> list[str]:
    low, high = figures["map50_interval"]
    ap, states = figures["ap50"], figures["states"]
    return [
        f"{_share(figures['map50'])} [{_share(low)}, {_share(high)}]",
        *(_share(ap[state]) for state in ("mask", "no_mask", "incorrect")),
        _share(figures["any_face"]),
        _share(states["right"]),
        _share(states["incorrect_as_mask"]),
        f"{figures['cpu_ms']:.1f} ({figures['cpu_ms_mean']:.1f})",
    ]


def _pair(figures: dict[str, Any]) -> str:
    return f"{_share(figures['any_face'])} ({_share(figures['map50'])})"


def _share(value: float) -> str:
    """.812 of .8123."""
    return f"{value:.3f}".removeprefix("0")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
