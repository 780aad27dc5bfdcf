"""The wheel of this checkout, and those of all it needs, for the target's Python."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

from image.base import cache
from image.targets import PYTHON, Target
from image.tools import run

REPOSITORY = Path(__file__).parent.parent
EXTRA = "box"
GLIBC_OLDEST, GLIBC_NEWEST = 17, 41  # trixie has 2.41


def own_wheel(folder: Path, log_path: Path) -> Path:
    """The wheel of this checkout. Raises UserError."""
    offline = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", *offline, "-w", str(folder), str(REPOSITORY)], log_path)
    (wheel,) = folder.glob("mb9k-*.whl")
    return wheel


def wheels_path(target: Target) -> Path:
    """Where the other wheels lie, or will lie: they are kept by what pyproject.toml says."""
    inputs = ((REPOSITORY / "pyproject.toml").read_text(), EXTRA, PYTHON, target.machine)
    key = hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]
    return cache() / f"image-wheels-{target.architecture}-{key}.tar"


def fetch_wheels(target: Target, own: Path, log_path: Path) -> None:
    """Fetch the wheels that ours needs, from the package index that pip knows. Raises UserError."""
    path = wheels_path(target)
    folder = own.parent / "others"
    shutil.rmtree(folder, ignore_errors=True)
    platforms = [f"manylinux_2_{minor}_{target.machine}" for minor in range(GLIBC_NEWEST, GLIBC_OLDEST - 1, -1)]
    words = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", f"--python-version={PYTHON}"]
    words += [f"--platform={each}" for each in (*platforms, f"manylinux2014_{target.machine}")]
    run([*words, f"--dest={folder}", f"{own}[{EXTRA}]"], log_path)
    (folder / own.name).unlink(missing_ok=True)
    draft = path.with_name(f"draft-{os.getpid()}-{path.name}")
    run(["tar", "--sort=name", "--owner=0", "--group=0", "-cf", str(draft), "-C", str(folder), "."], log_path)
    draft.replace(path)
    for old in path.parent.glob(f"image-wheels-{target.architecture}-*.tar"):
        if old != path:
            old.unlink()
