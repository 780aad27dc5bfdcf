"""What an installed package has of models/: what a box loads, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from appliance.vision.manifest import load_manifest
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel is unpacked, as pip does it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_has_the_weights_of_the_manifest_and_no_others(site: Path) -> None:
    models = site / "appliance" / "_models"
    models_named = load_manifest(models).models.values()
    files = {model.file for model in models_named} | {
        form.file for each in models_named for form in each.forms.values()
    }
    assert files == {str(path.relative_to(models)) for path in models.rglob("weights/*")}
    assert {path.name for path in models.iterdir()} == {"manifest.toml", "golden", "weights"}


def test_every_model_of_the_wheel_loads_and_passes_its_self_test(site: Path) -> None:
    program = """
from appliance.vision.golden import self_test
from appliance.vision.manifest import folder, load_manifest
from appliance.vision.onnx import load_detector
print(folder(), *[self_test(load_detector(name)) for name in load_manifest().models])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=site, check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip
    assert done.stdout.split() == [str(site / "appliance" / "_models"), *["[]"] * len(load_manifest().models)]
