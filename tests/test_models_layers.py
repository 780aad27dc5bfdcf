"""The folders of models/ lie one above the other, and the lower ones do without PyTorch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FLOORS = ("data", "evaluation", "training", "release")
SOURCES = sorted((REPOSITORY / "models").rglob("*/*.py"))


def imports(source: str) -> set[str]:
    """Every module named in an import."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def complaints(floor: str, source: str) -> list[str]:
    """The imports that a file of that folder may not have."""
    above = FLOORS[FLOORS.index(floor) + 1 :]
    forbidden = tuple(f"models.{name}." for name in above)
    if floor in {"data", "evaluation"}:
        forbidden += ("torch", "safetensors", "onnx.")
    return [name for name in imports(source) if name.startswith(forbidden)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_imports_run_down_only(path: Path) -> None:
    assert not complaints(path.parent.name, path.read_text())


@pytest.mark.parametrize(
    ("floor", "source"),
    [
        ("data", "from models.evaluation import figures"),
        ("training", "from models.release.export import export_raw"),
        ("evaluation", "import torch"),
    ],
)
def test_the_check_sees_an_import_that_runs_up(floor: str, source: str) -> None:
    assert complaints(floor, source)
