"""`mb9k bench`: what is measured of which backend, and what is said of the machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.config import Config
from appliance.errors import UserError
from appliance.vision import speed
from appliance.vision.detector import Run
from appliance.vision.hardware import described, l4t
from appliance.vision.manifest import find, folder
from appliance.vision.pixels import Stack
from appliance.vision.speed import BACKENDS, FEWEST_ROUNDS, measured, trtexec
from tests.test_cli import mb9k

# What the tool of TensorRT 10.3 prints, shortened.
TRTEXEC_SAYS = """&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec --onnx=x
[11/27/2026-10:00:00] [I] === Performance summary ===
[11/27/2026-10:00:00] [I] Throughput: 812.5 qps
[11/27/2026-10:00:00] [I] Latency: min = 1.41 ms, max = 2.9 ms, mean = 1.5 ms, median = 1.48 ms, percentile(99%) = 2 ms
[11/27/2026-10:00:00] [I] GPU Compute Time: min = 1.2 ms, max = 2.4 ms, mean = 1.3 ms, median = 1.28 ms
&&&& PASSED TensorRT.trtexec [TensorRT v100300]
"""


def of_a_jetson(root: Path) -> Path:
    """The files by which a Jetson is known, below a folder."""
    for path, text in {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
        "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
        "proc/meminfo": "MemTotal:        7802888 kB\nMemFree: 1 kB\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_a_jetson_is_known_by_its_files(tmp_path: Path) -> None:
    known = described(of_a_jetson(tmp_path))
    assert known["board"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert (known["L4T"], known["system"], known["memory"]) == ("R36.4.3", "Ubuntu 22.04.5 LTS", "7.4 GiB")


def test_this_machine_is_described_without_saying_whose_it_is() -> None:
    known = described()
    assert {"processor", "kernel", "Python", "numpy", "onnxruntime", "load"} <= known.keys()
    host = Path("/proc/sys/kernel/hostname").read_text().strip()
    assert host not in json.dumps(known)


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    assert l4t(tmp_path) == ""
    assert "board" not in described(tmp_path)


def test_each_batch_of_the_backend_that_works_here_gets_its_figures() -> None:
    outcome = measured("", Config(), 0.001, (1, 2))
    assert [(figure.backend, figure.batch) for figure in outcome.figures] == [("onnx", 1), ("onnx", 2)]
    assert all(0 < figure.least_ms <= figure.ms for figure in outcome.figures)
    assert outcome.side_px == 320
    assert outcome.absent == {
        "tensorrt": "TensorRT is not installed",
        "jetson": "jetson-inference is not installed",
    }


class Counting:
    """A stand-in for a backend: it counts what it is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[int] = []
        self.closed = False
        self.error = error

    @contextmanager
    def opened(self, _model: str, _config: Config) -> Iterator[Run]:
        yield self.run
        self.closed = True

    def run(self, stack: Stack) -> Sequence[NDArray[Any]]:
        self.asked.append(len(stack))
        if self.error is not None:
            raise self.error
        return [np.zeros((len(stack), 8, 1, 1))]


def refused(_model: str, _config: Config) -> AbstractContextManager[Run]:
    raise UserError("there is no CUDA device")


def test_a_backend_that_does_not_work_here_is_named_and_the_others_are_measured() -> None:
    works, fails = Counting(), Counting(RuntimeError("out of memory\nat a place"))
    outcome = measured(
        "", Config(), 0.001, (1, 8), {"tensorrt": refused, "broken": fails.opened, "counting": works.opened}
    )
    assert outcome.absent == {
        "tensorrt": "there is no CUDA device",
        "broken": "it failed (RuntimeError: out of memory)",
    }
    assert {figure.backend for figure in outcome.figures} == {"counting"}
    assert works.closed
    assert works.asked[:4] == [1, 8, 1, 8], "once to warm up, then in turns"
    assert len(works.asked) >= 2 + 2 * FEWEST_ROUNDS


def stand_in_trtexec(folder: Path, says: str, refused_flag: str = "") -> Path:
    """A stand-in for trtexec that writes down how it was called."""
    program = folder / "trtexec"
    program.write_text(
        f"""#!/bin/sh
echo "$@" >> {folder}/called
case "$*" in *"{refused_flag or "no such flag"}"*) echo "[E] Unknown option: {refused_flag}"; exit 1;; esac
cat <<'END'
{says}END
"""
    )
    program.chmod(0o755)
    return program


def test_trtexec_is_read_and_asked_for_each_batch_where_the_file_takes_several(tmp_path: Path) -> None:
    program = stand_in_trtexec(tmp_path, TRTEXEC_SAYS)
    figures = trtexec(program, folder() / "weights/mb9k-fp32.onnx", (1, 4))
    assert [(figure.batch, figure.ms, figure.least_ms) for figure in figures] == [(1, 1.28, 1.2), (4, 0.32, 0.3)]
    called = (tmp_path / "called").read_text().splitlines()
    assert re.search(r"--shapes=input_0:1x3x", called[0])
    assert re.search(r"--shapes=input_0:4x3x", called[1])


def test_trtexec_on_path_is_measured_beside_our_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_trtexec(tmp_path, TRTEXEC_SAYS)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    works = Counting()
    outcome = measured("", Config(), 0.001, (1, 8), {"counting": works.opened})
    told = [(figure.backend, figure.batch) for figure in outcome.figures]
    assert told == [("counting", 1), ("counting", 8), ("trtexec", 1), ("trtexec", 8)]
    form = find().forms["tensorrt_int8"].file
    assert all(f"{form} " in line for line in (tmp_path / "called").read_text().splitlines())


def test_a_file_that_takes_one_picture_is_asked_for_one_without_shapes(tmp_path: Path) -> None:
    program = stand_in_trtexec(tmp_path, TRTEXEC_SAYS)
    assert [figure.batch for figure in trtexec(program, folder() / "weights/mb9k-decoded-320.onnx")] == [1]
    assert "--shapes" not in (tmp_path / "called").read_text()


def test_where_the_flags_of_precision_are_gone_it_is_asked_without(tmp_path: Path) -> None:
    program = stand_in_trtexec(tmp_path, TRTEXEC_SAYS, refused_flag="--int8")
    assert len(trtexec(program, folder() / "weights/mb9k-decoded-320.onnx")) == 1
    assert len((tmp_path / "called").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("[E] Error[1]: no CUDA-capable device\n", "no CUDA-capable device"),
        ("nothing of use\n", "it says no GPU compute time"),
    ],
)
def test_what_trtexec_complains_of_is_told(says: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=why):
        trtexec(stand_in_trtexec(tmp_path, says), folder() / "weights/mb9k-decoded-320.onnx")


def test_a_trtexec_that_cannot_be_run_or_has_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be run"):
        trtexec(tmp_path / "absent", folder() / "weights/mb9k-decoded-320.onnx")
    with pytest.raises(UserError, match=r"there is no .*absent\.onnx"):
        trtexec(tmp_path / "absent", tmp_path / "absent.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    with pytest.raises(UserError, match="is no network"):
        trtexec(tmp_path / "absent", tmp_path / "broken.onnx")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """One backend that answers at once, and one that does not work here."""
    counting = Counting()
    monkeypatch.setattr(speed, "TRTEXEC_PLACES", ())
    for name in list(BACKENDS):
        monkeypatch.delitem(BACKENDS, name)
    monkeypatch.setitem(BACKENDS, "counting", counting.opened)
    monkeypatch.setitem(BACKENDS, "tensorrt", refused)
    return counting


def test_the_command_prints_a_table_and_json_for_a_report(quick: Counting, tmp_path: Path) -> None:
    ended = mb9k(tmp_path / "absent.toml", "bench", "--seconds", "0.001")
    assert ended.returncode == 0
    *table, report = ended.stdout.strip().splitlines()
    assert [line.split()[1] for line in table if line.startswith("| counting")] == ["counting"] * 4
    assert "tensorrt does not work here: there is no CUDA device" in table
    outcome = json.loads(report)["outcome"]
    assert outcome["figures"][3]["batch"] == 8
    assert json.loads(report)["machine"]["Python"]


def test_the_command_prints_the_json_alone(quick: Counting, tmp_path: Path) -> None:
    ended = mb9k(tmp_path / "absent.toml", "bench", "--seconds", "0.001", "--json")
    assert json.loads(ended.stdout)["outcome"]["absent"] == {"tensorrt": "there is no CUDA device"}
    assert ended.stderr == ""


def test_a_model_that_there_is_not_is_named(tmp_path: Path) -> None:
    ended = mb9k(tmp_path / "absent.toml", "bench", "--model", "nobody")
    assert (ended.returncode, "there is no model 'nobody'" in ended.stderr) == (1, True)
