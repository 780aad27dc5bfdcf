"""How an image is made, in seconds: what is refused, the partitions, the same bytes twice, what the lists say."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from image.base import base_key, sources
from image.boot import fill_pi, grub_configuration
from image.disk import MIB, layout, make_disk, make_fat, name_uuid, number
from image.root import RELEASES, content_sum, same_times
from image.sbom import sbom
from image.targets import TARGETS
from image.tools import PROGRAMS
from tests.conftest import REPOSITORY

EPOCH_S = 1_700_000_000
OUTSIDE = [] if os.geteuid() else ["unshare", "--user"]
"""As somebody whom this machine does not know: not as root, though with the right to read what is root's."""


def build(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "image", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_an_unknown_target_is_refused_in_one_line() -> None:
    done = build("toaster")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "there is no target toaster; there are: amd64, arm64, rpi5\n"


def test_what_is_missing_is_named_with_what_to_type(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("no right to mount a disk")
    done = build("amd64", f"--out={tmp_path}", env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("programs are missing; install them: apt-get install ")
    assert {package for package in PROGRAMS.values() if package not in done.stderr} == set()


def test_somebody_else_than_root_is_told_so(tmp_path: Path) -> None:
    command = [*OUTSIDE, sys.executable, "-m", "image", "amd64", f"--out={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "sudo image/build" in done.stderr


def need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"there is no {program}; scripts/test installs it")


@pytest.mark.parametrize("name", ["amd64", "arm64"])
def test_the_partitions_are_where_everybody_looks_for_them(tmp_path: Path, name: str) -> None:
    need("genimage", "sfdisk")
    target = TARGETS[name]
    for part in layout(target):
        if part.content:
            (tmp_path / part.content).write_bytes(part.name.encode().ljust(MIB, b"."))
    disk = tmp_path / "disk.img"
    make_disk(target, tmp_path, disk, "build 1", tmp_path / "log")
    said = subprocess.run(["sfdisk", "--json", str(disk)], check=True, capture_output=True, text=True).stdout
    table = json.loads(said)["partitiontable"]
    assert table["label"] == "gpt"
    found = [(each["name"], each["type"].lower(), each["size"] * 512 // MIB) for each in table["partitions"]]
    assert found == [(each.name, each.type, each.size_mib) for each in layout(target)]
    assert [each["name"] for each in table["partitions"]][:3] == ["esp", "root_a", "root_b"]
    assert table["partitions"][-1]["name"] == "data", "the last one can grow"
    with disk.open("rb") as file:
        file.seek(table["partitions"][1]["start"] * 512)
        assert file.read(6) == b"root_a"
    assert table["id"].lower() == name_uuid("build 1", "disk"), "nothing is drawn by chance"
    assert [each["uuid"].lower() for each in table["partitions"]] == [
        name_uuid("build 1", each.name) for each in layout(target)
    ]


def test_a_fat_file_system_is_the_same_twice(tmp_path: Path) -> None:
    need("mkfs.vfat", "mcopy", "mtype")
    folder = tmp_path / "files"
    paths = [tmp_path / "1/esp.vfat", tmp_path / "2/esp.vfat"]
    for path in paths:
        shutil.rmtree(folder, ignore_errors=True)
        path.parent.mkdir()
        (folder / "EFI/debian").mkdir(parents=True)
        (folder / "EFI/debian/grub.cfg").write_text(grub_configuration(TARGETS["amd64"]))
        make_fat(path, folder, 40, EPOCH_S, tmp_path / "log")
        if path == paths[0]:
            time.sleep(2.1)  # FAT counts in two seconds
    assert paths[0].read_bytes() == paths[1].read_bytes()
    said = subprocess.run(["mtype", "-i", str(paths[0]), "::/EFI/debian/grub.cfg"], check=True, capture_output=True)
    assert b"console=ttyS0,115200" in said.stdout


def test_a_tree_is_the_same_twice(tmp_path: Path) -> None:
    sums: list[str] = []
    for name in ("1", "2"):
        package = tmp_path / name / "site-packages/some"
        package.mkdir(parents=True)
        (package / "module.py").write_text("ANSWER = 42\n")
        os.utime(package / "module.py", (EPOCH_S + len(sums) * 1000, EPOCH_S + 7 + len(sums) * 1000))
        (package / "link").symlink_to("module.py")
        compileall.compile_dir(package, quiet=1, stripdir=str(tmp_path / name))
        assert len(list(package.glob("__pycache__/*.pyc"))) == 1
        same_times(tmp_path / name, EPOCH_S)
        sums.append(content_sum(tmp_path / name))
        said = subprocess.run(
            [sys.executable, "-v", "-c", "import some.module"], cwd=package.parent, capture_output=True, text=True
        )
        assert "matches" in said.stderr and "wrote" not in said.stderr, "what was compiled is taken"
    assert sums[0] == sums[1]


def test_a_pi_finds_a_command_line_for_each_slot(tmp_path: Path) -> None:
    target = TARGETS["arm64"]
    root = tmp_path / "root"
    for name in ("boot/vmlinuz", "boot/initrd.img", "usr/lib/raspi-firmware/start4.elf"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    fill_pi(target, root, tmp_path / "boot")
    lines = (tmp_path / "boot/config.txt").read_text().splitlines()
    for slot in ("a", "b"):
        at = lines.index(f"[boot_partition={number(target, f'boot_{slot}')}]")
        words = (tmp_path / "boot" / lines[at + 1].removeprefix("cmdline=")).read_text().split()
        assert {f"root=PARTLABEL=root_{slot}", f"rauc.slot={slot.upper()}"} <= set(words)
    assert (tmp_path / "boot/start4.elf").exists()


def test_the_sbom_names_debians_packages_and_the_wheels(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: zstd\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.5.7+dfsg-1\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n"
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nDescription: C\n lib\nVersion: 2:2.41-12\n"
    )
    packages = tmp_path / RELEASES / "0.1.0-abc/lib/python3.13/site-packages"
    (packages / "numpy-2.3.5.dist-info").mkdir(parents=True)
    (packages / "numpy-2.3.5.dist-info/METADATA").write_text("Metadata-Version: 2.4\nName: NumPy\nVersion: 2.3.5\n\n")
    (tmp_path / RELEASES / "mediamtx-1.20.1").mkdir()
    document = json.loads(json.dumps(sbom(tmp_path, "mb9k-amd64", "0.1.0-abc", EPOCH_S)))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert [each.get("purl", each["name"]) for each in document["components"]] == [
        "pkg:deb/debian/libc6@2%3A2.41-12?arch=amd64&distro=debian-13",
        "pkg:deb/debian/zstd@1.5.7%2Bdfsg-1?arch=amd64&distro=debian-13",
        "pkg:pypi/numpy@2.3.5",
        "mediamtx",
    ]
    references = [each["bom-ref"] for each in document["components"]]
    assert len(references) == len(set(references))
    assert document == sbom(tmp_path, "mb9k-amd64", "0.1.0-abc", EPOCH_S)


def test_a_base_is_kept_by_what_it_is_made_from() -> None:
    keys = {base_key(target) for target in TARGETS.values()}
    assert len(keys) == len(TARGETS)
    assert sources(TARGETS["rpi5"], "http://deb.debian.org/debian")[-1].startswith(
        "deb http://deb.debian.org/debian trixie-backports main"
    )


def test_nothing_of_this_folder_is_secret_or_lets_anybody_in() -> None:
    files = [each for each in (REPOSITORY / "image").rglob("*") if each.is_file() and "out" not in each.parts]
    for path in files:
        text = path.read_text(errors="replace")
        assert "BEGIN" not in text and "PRIVATE KEY" not in text, path
        assert path.name != "authorized_keys"
