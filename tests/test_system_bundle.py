"""A bundle of the whole system from an image: partitions, the root's own words, RAUC's verdict. The root is tiny."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.slots.bundle import inspected
from appliance.store.soundness import newest_known
from image.doctored import AUTHORITY_PATH, BUILD_PATH, UNIT_PATH, Doctored
from image.system_bundle import PROGRAMS, debugfs, file_system_bytes, make, partitions, release_of
from scripts.signing_keys import AUTHORITY, make_authority, make_signer
from tests.conftest import REPOSITORY

MIB = 1 << 20
BUILD, RELEASE = "0.2.0-0123456789abcdef", "0.2.0-9f8e7d"
CONF = "[system]\ncompatible=mb9k-amd64\nbootloader=grub\n[keyring]\npath={authority}\ncheck-purpose=codesign\n"
LABELS = "label: gpt\nfirst-lba: 2048\nstart=2048, size=8M, name=esp\nsize=64M, name=root_a\nsize=64M, name=root_b\n"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_authority(folder, time.time())
    make_signer(folder, "the tests' signer", time.time())
    return folder


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with a root in which there is only what is asked for."""
    for program in (*PROGRAMS, "mke2fs"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program}; scripts/test installs it")
    folder = tmp_path_factory.mktemp("image")
    root = folder / "root"
    site = root / "var/lib/mb9k-releases" / RELEASE / "lib/python3.13/site-packages"
    shutil.copytree(REPOSITORY / "appliance", site / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "var/lib/mb9k-releases/current").symlink_to(RELEASE)
    for name, text in {
        BUILD_PATH: f"{BUILD}\n",
        AUTHORITY_PATH: "somebody's",
        "/etc/rauc/system.conf": CONF.format(authority=AUTHORITY_PATH),
        "/etc/systemd/system/sysinit.target.wants/other.service": "",
    }.items():
        (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / name[1:]).write_text(text)
    words = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", str(root), str(folder / "root.ext4"), "48M"]
    subprocess.run(words, check=True)
    path = folder / "mb9k-amd64.img"
    with path.open("wb") as file:
        file.truncate(160 * MIB)
    subprocess.run(["sfdisk", "-q", str(path)], input=LABELS, text=True, check=True)
    with path.open("r+b") as file:
        file.seek(partitions(path)["root_a"].offset)
        file.write((folder / "root.ext4").read_bytes())
    return path


def test_a_bundle_says_what_the_root_in_it_says(image: Path, keys: Path, tmp_path: Path) -> None:
    path = make(image, keys, tmp_path, "0.1.0", ["Faces are found farther away.", 'A "quoted" \\ one.'])
    assert path.name == f"mb9k-amd64-{BUILD}.raucb" and list(tmp_path.iterdir()) == [path]
    (tmp_path / "system.conf").write_text(CONF.format(authority=keys / AUTHORITY))
    found = inspected(path, tmp_path / "system.conf")
    assert (found.compatible, found.version, found.build) == ("mb9k-amd64", "0.2.0", BUILD)
    assert (found.told.program, found.told.updates_from, found.told.schema) == ("0.2.0", "0.1.0", newest_known())
    assert found.told.notes == ["Faces are found farther away.", 'A "quoted" \\ one.']
    assert found.signer == "the tests' signer"


def test_a_packed_image_gives_the_same(image: Path, keys: Path, tmp_path: Path) -> None:
    packed = tmp_path / "mb9k-amd64.img.zst"
    subprocess.run(["zstd", "-q", str(image), "-o", str(packed)], check=True)
    assert make(packed, keys, tmp_path / "out", "0.1.0", []).name == f"mb9k-amd64-{BUILD}.raucb"


def test_what_is_no_image_is_refused(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.img"
    path.write_bytes(bytes(MIB))
    with pytest.raises(UserError, match="image/build makes one"):
        make(path, keys, tmp_path, "0.1.0", [])
    subprocess.run(["sfdisk", "-q", str(path)], input="label: gpt\nsize=64K, name=data\n", text=True, check=False)
    with pytest.raises(UserError, match="image/build makes one"):
        make(path, keys, tmp_path, "0.1.0", [])
    with pytest.raises(UserError, match="no ext4"):
        file_system_bytes(path, 0)


def test_a_copy_for_tests_has_a_shell_and_the_image_itself_has_not(image: Path, keys: Path, tmp_path: Path) -> None:
    before = image.read_bytes()
    doctored = Doctored(image, (keys / AUTHORITY).read_text(), tmp_path)
    disk = doctored.disk(tmp_path / "disk.img")
    assert image.read_bytes() == before and doctored.build == BUILD
    root = doctored.root(
        tmp_path / "bad", "0.2.1-f0f0", {"appliance/cli.py": ("from __future__", "raise SystemExit #")}
    )
    assert debugfs(root, f"cat {BUILD_PATH}") == "0.2.1-f0f0\n"
    assert release_of(root) == RELEASE
    folder = f"/var/lib/mb9k-releases/{RELEASE}/lib/python3.13/site-packages"
    assert "raise SystemExit #" in debugfs(root, f"cat {folder}/appliance/cli.py")
    at = partitions(disk)["root_a"].offset
    assert file_system_bytes(disk, at) == 48 * MIB
    assert b"a shell for tests" in disk.read_bytes() and b"a shell for tests" not in before
    assert "shell for tests" in debugfs(root, f"cat {UNIT_PATH}")
    subprocess.run(["e2fsck", "-fn", str(root)], check=True, capture_output=True)
    with pytest.raises(UserError, match="has no 'nothing of it'"):
        doctored.root(tmp_path / "none", "0.2.1-f1", {"appliance/cli.py": ("nothing of it", "")})
