"""The manifest of models, and what ONNX Runtime is let near."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from appliance.errors import UserError
from appliance.vision.golden import self_test
from appliance.vision.manifest import find, folder, load_manifest, verified
from appliance.vision.onnx import load_detector
from tests.conftest import REPOSITORY


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of the bundled models to spoil."""
    shutil.copytree(folder(), tmp_path / "models", ignore=shutil.ignore_patterns("*.py", "__pycache__", "*.md"))
    return tmp_path / "models"


def change(models: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the manifest; `edit` is given it as plain data."""
    path = models / "manifest.toml"
    manifest = msgspec.toml.decode(path.read_bytes())
    edit(manifest)
    path.write_bytes(msgspec.toml.encode(manifest))


def replace_weights(models: Path, content: bytes) -> None:
    """Other weights for the default model, under a manifest that means them."""
    model = find("", models)
    path = models / model.file
    path.chmod(0o644)
    path.write_bytes(content)
    name = load_manifest(models).default
    change(models, lambda manifest: manifest["models"][name].update(sha256=hashlib.sha256(content).hexdigest()))


def test_the_bundled_manifest_names_files_that_are_there_unchanged() -> None:
    manifest = load_manifest()
    assert manifest.default in manifest.models
    for name, model in manifest.models.items():
        assert hashlib.sha256(verified(model)).hexdigest() == model.sha256, name
        assert model.source, f"{name} does not say where it is from"
    ids = [model.id for model in manifest.models.values()]
    assert len(set(ids)) == len(ids), "what is stored beside a detection must name one model"


def test_a_model_is_found_by_name_and_the_default_without_one(models: Path) -> None:
    def add(manifest: dict[str, Any]) -> None:
        manifest["models"]["small"] = {**manifest["models"][manifest["default"]], "id": "small", "input_width": 320}

    change(models, add)
    assert find("small", models).id == load_detector("small", models).model_id == "small"
    assert find("", models).id == find("").id
    assert load_detector("small", models).input_width == 320


def test_an_unknown_name_is_answered_with_the_known_ones(models: Path) -> None:
    with pytest.raises(UserError, match=f"there is no model 'best'; there are .*{load_manifest().default}"):
        find("best", models)


def test_a_name_of_before_is_taken_as_the_default_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert find("mb9k-640") == find("") and "mb9k-640" not in load_manifest().models
    assert [record.getMessage() for record in caplog.records] == [
        f"There is no model mb9k-640 any more: {load_manifest().default} is used. Take it out of the configuration."
    ]


def test_other_weights_are_refused(models: Path) -> None:
    path = models / find("", models).file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"sha-256 differs.*install mb9k again") as refusal:
        load_detector("", models)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_missing_weights_are_one_clear_line(models: Path) -> None:
    (models / find("", models).file).unlink()
    with pytest.raises(UserError, match=r"cannot be read \(No such file or directory\); install mb9k again"):
        load_detector("", models)


@pytest.mark.parametrize("content", [b"", b"not a network", None], ids=["empty", "text", "half"])
def test_weights_that_are_no_network_are_one_clear_line(models: Path, content: bytes | None) -> None:
    whole = (models / find("", models).file).read_bytes()
    replace_weights(models, whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(UserError, match="cannot be loaded") as refusal:
        load_detector("", models)
    assert "\n" not in str(refusal.value)


def fields(message: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a protobuf message in its bytes begin:end: number, begin and end of the content."""

    def number() -> int:
        nonlocal begin
        value = shift = 0
        while True:
            byte = message[begin]
            begin += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while begin < end:
        tag = number()
        if tag & 7 == 0:
            number()
        else:
            length = {1: 8, 5: 4}.get(tag & 7) or number()
            yield tag >> 3, begin, begin + length
            begin += length


def weights(network: bytes) -> Iterator[tuple[int, int]]:
    """Where an ONNX file holds the raw data of its larger tensors (onnx.proto: graph 7, initializer 5, raw_data 9)."""
    for _, *graph in (field for field in fields(network, 0, len(network)) if field[0] == 7):
        for _, *tensor in (field for field in fields(network, *graph) if field[0] == 5):
            yield from (
                (data[0], data[1]) for key, *data in fields(network, *tensor) if key == 9 and data[1] - data[0] > 1000
            )


def test_a_network_says_itself_whether_its_input_has_a_fixed_size(models: Path) -> None:
    assert not load_detector("", models).fixed
    content = (models / find("", models).file).read_bytes()
    # In the input's shape a side called h (or w) becomes one of 416 pixels (onnx.proto: dim_param to dim_value).
    fixed = content.replace(b"\n\x03\x12\x01h\n\x03\x12\x01w", b"\n\x03\x08\xa0\x03\n\x03\x08\xa0\x03", 1)
    replace_weights(models, fixed)
    sides = {"region_px": 416, "input_width": 416, "input_height": 416}
    change(models, lambda manifest: manifest["models"][manifest["default"]].update(second_pass=0, **sides))
    detector = load_detector("", models)
    assert detector.fixed
    assert detector.detect(np.zeros((90, 160, 3), dtype=np.uint8)) == []
    assert self_test(detector, models) == []
    change(models, lambda manifest: manifest["models"][manifest["default"]].update(second_pass=2))
    with pytest.raises(UserError, match=r"takes one size only and cannot have a second pass; take second_pass out"):
        load_detector("", models)


def test_a_network_in_floating_point_is_served_too(models: Path) -> None:
    replace_weights(models, (models / "weights" / "mb9k-fp32.onnx").read_bytes())
    assert self_test(load_detector("", models), models) == []


@pytest.mark.parametrize("damage", ["zeroed", "reversed"])
def test_damaged_weights_under_the_right_hash_fail_the_self_test(models: Path, damage: str) -> None:
    content = bytearray((models / find("", models).file).read_bytes())
    for begin, end in weights(bytes(content)):
        content[begin:end] = bytes(end - begin) if damage == "zeroed" else content[begin:end][::-1]
    replace_weights(models, bytes(content))
    assert self_test(load_detector("", models), models)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda model: model.update(sha256="abc"), "sha256"),
        (lambda model: model.update(region_px=300), "region_px"),
        (lambda model: model.update(input_width=400), "input_width"),
        (lambda model: model.update(input_height=0), "input_height"),
        (lambda model: model.update(score_threshold=50), "score_threshold"),
        (lambda model: model.update(treshold=0.5), "treshold"),
        (lambda model: model.pop("file"), "file"),
    ],
    ids=["hash", "region is no multiple of 32", "not a multiple of 32", "no height", "percent", "misspelt", "no file"],
)
def test_a_wrong_manifest_is_refused_and_says_where(
    models: Path, edit: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    name = load_manifest(models).default
    change(models, lambda manifest: edit(manifest["models"][name]))
    with pytest.raises(UserError, match=complaint) as refusal:
        load_detector("", models)
    assert "manifest.toml" in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"default = ", b"\xff\xfe", None], ids=["cut off", "not text", "missing"])
def test_an_unreadable_manifest_is_one_clear_line(models: Path, content: bytes | None) -> None:
    path = models / "manifest.toml"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"manifest\.toml cannot be used \(.*\); install mb9k again"):
        load_manifest(models)


def test_the_models_are_found_in_an_installed_package(tmp_path: Path, models: Path) -> None:
    shutil.copytree(REPOSITORY / "appliance", tmp_path / "site" / "appliance")
    shutil.copytree(models, tmp_path / "site" / "appliance" / "_models")  # where the wheel puts them
    program = (
        "from appliance.vision.manifest import folder; from appliance.vision.onnx import load_detector;"
        "from appliance.vision.golden import self_test; print(folder()); assert self_test(load_detector()) == []"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "site",
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == tmp_path / "site" / "appliance" / "_models"


def test_only_one_file_knows_the_runtime() -> None:
    for path in (REPOSITORY / "appliance").rglob("*.py"):
        if path.name != "onnx.py":
            assert "import onnxruntime" not in path.read_text(), path
