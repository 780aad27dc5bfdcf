"""The tables of the model card."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.evaluation.card import FAR_MARKS, MARKS, details, headline, read_rows, rewrite
from tests.conftest import REPOSITORY

FIGURES = {
    "map50": 0.8123,
    "map50_interval": (0.77, 0.86),
    "ap50": {"mask": 0.9, "no_mask": 0.85, "incorrect": 0.7},
    "any_face": 1.0,
    "any_face_by_size": {"small": 0.5},
    "state_right_by_size": {"small": 0.25},
    "any_face_by_source": {"one": 0.75},
    "states": {"right": 0.96, "incorrect_as_mask": 0.125, "confusion": [[5, 1, 0], [0, 7, 2], [3, 0, 8]]},
    "calibration": {"face": 0.03, "state": 0.01},
    "cpu_ms": 7.25,
    "cpu_ms_mean": 8.0,
}
UNTIMED = {name: value for name, value in FIGURES.items() if not name.startswith("cpu")}


def test_every_figure_stands_in_the_tables() -> None:
    text = details({"ours": {**FIGURES, "corruptions": {"dark": {**FIGURES, "any_face": 0.625}}}, "theirs": FIGURES})
    assert "| .960 | .125 | - |" in details({"ours": FIGURES | {"corruptions": {}}, "theirs": UNTIMED})
    assert "| **ours** | .812 [.770, .860] | .900 | .850 | .700 | 1.000 | .960 | .125 | 7.2 (8.0) |" in text
    assert "| theirs |" in text and "| ours | 1.000 (.812) | .625 (.812) |" in text
    assert "| incorrect | 3 | 0 | 8 |" in text and "face score .030" in text


def test_the_model_card_has_the_default_and_the_rows_named() -> None:
    lines = headline({"ours": FIGURES, "theirs": FIGURES, "others": FIGURES}, {"others"}).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| **ours**", "| others"]


def test_both_pages_have_a_place_for_their_tables() -> None:
    for name in ("README.md", "experiments.md"):
        page = (REPOSITORY / "models" / name).read_text()
        assert all(page.count(mark) == 1 for mark in (*MARKS, *FAR_MARKS)), name


def test_the_commands_of_the_card_are_there_with_their_options() -> None:
    commands = re.findall(r"python -m (models\.\S+)(.*)", (REPOSITORY / "models" / "README.md").read_text())
    assert len(commands) >= 4
    for module, arguments in commands:
        source = (REPOSITORY / module.replace(".", "/").rstrip("`")).with_suffix(".py").read_text()
        for option in re.findall(r"--[a-z-]+", arguments):
            assert f'"{option}"' in source, (module, option)


def test_the_tables_replace_the_old_ones_and_nothing_else(tmp_path: Path) -> None:
    readme, (begin, end) = tmp_path / "README.md", FAR_MARKS
    readme.write_text(f"before\n{MARKS[0]}\nkept\n{MARKS[1]}\n{begin}\nold\n{end}\nafter\n")
    rewrite(readme, "new", FAR_MARKS)
    assert readme.read_text() == f"before\n{MARKS[0]}\nkept\n{MARKS[1]}\n{begin}\n\nnew\n\n{end}\nafter\n"
    readme.write_text("no marks")
    with pytest.raises(SystemExit, match="put them back"):
        rewrite(readme, "new")


def test_the_card_names_weights_that_are_here_and_asks_for_the_baselines(tmp_path: Path) -> None:
    card = REPOSITORY / "models" / "card.toml"
    for row in read_rows(card, tmp_path):
        assert row.path.is_file() or tmp_path in row.path.parents, row.path
    with pytest.raises(SystemExit, match="--baselines"):
        read_rows(card, None)


def test_a_wrong_card_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text("[[rows]]\nnam = 'x'\n")
    with pytest.raises(SystemExit, match=r"card\.toml"):
        read_rows(tmp_path / "card.toml", None)
