"""`mb9k engine`, against stand-ins for TensorRT and pycuda: no GPU is involved."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gpus import StandInGpu, no_gpu, stand_in_gpu
from tests.test_cli import mb9k


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A configuration file for a box of its own."""
    path = tmp_path / "mb9k.toml"
    path.write_text(f'state_dir = "{tmp_path / "state"}"\n')
    return path


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInGpu:
    """A stand-in."""
    return stand_in_gpu(tmp_path, monkeypatch)


def test_without_a_gpu_the_command_says_so_in_one_line_and_lists_nothing(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_gpu(monkeypatch)
    ended = mb9k(box, "engine", "build")
    assert (ended.returncode, ended.stderr) == (
        1, "mb9k: no engine: TensorRT is not installed; the box judges on the CPU\n",
    )  # fmt: skip
    assert mb9k(box, "engine", "list").stdout == ""


def test_a_stand_in_engine_is_built_listed_and_removed(box: Path, gpu: StandInGpu) -> None:
    built = mb9k(box, "engine", "build")
    assert built.returncode == 0, built.stderr
    assert "An engine is being built (INT8), for 0 min." in built.stdout
    assert "TensorRT 10.3.0 on Orin, INT8 judges as it should: 16 faces, 0 of one only, 0 in another" in built.stdout
    name, device, size, _, seconds, figures = mb9k(box, "engine", "list").stdout.strip().split("\t")
    assert (device, size[-3:], seconds[-2:], figures[:8]) == ("Orin", " MB", " s", "16 faces")
    assert mb9k(box, "engine", "build").returncode == 0 and len(gpu.builds) == 1, "it is there"
    assert mb9k(box, "engine", "build", "--again").returncode == 0 and len(gpu.builds) == 2
    assert mb9k(box, "engine", "remove").returncode == 1, "nothing is named"
    assert mb9k(box, "engine", "remove", name).stdout == f"{name} is gone.\n"
    assert "there is no engine" in mb9k(box, "engine", "remove", name).stderr
    assert mb9k(box, "engine", "list").stdout == ""


def test_a_stand_in_engine_that_judges_wrongly_is_listed_as_refused_until_it_is_removed(
    box: Path, gpu: StandInGpu
) -> None:
    gpu.set(build="swapped")
    refused = mb9k(box, "engine", "build")
    assert refused.returncode == 1 and "says mask, is no_mask" in refused.stderr
    lines = mb9k(box, "engine", "list").stdout.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["refused", "refused"]
    gpu.set(build="right")
    assert mb9k(box, "engine", "build").returncode == 1, "it is remembered"
    assert len(mb9k(box, "engine", "remove", "--all").stdout.splitlines()) == 2
    assert mb9k(box, "engine", "build").returncode == 0
