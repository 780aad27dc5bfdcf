"""Which root GRUB starts: grub.cfg is run by a shell, with GRUB's commands as functions, on plain files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from image.boot import ENVIRONMENT_BYTES, FIRST, environment, grub_configuration
from image.targets import TARGETS

STAND_INS = """
serial() { :; }; terminal_input() { :; }; terminal_output() { :; }; sleep() { :; }; initrd() { :; }; reboot() { :; }
regexp() { DISK=hd0; }
load_env() { file=$2; shift 2; for name in "$@"; do
  while IFS='=' read -r key value; do [ "$key" != "$name" ] || eval "$name=\\$value"; done <"$file"; done; }
save_env() { file=$2; shift 2; for name in "$@"; do eval "echo \\"$name=\\$$name\\""; done >"$file"; }
linux() { echo "started $*"; }
boot() { exit 0; }
root=hd0,gpt1
"""


class Disk:
    """The partitions of a disk, as folders that are named as GRUB names them."""

    def __init__(self, folder: Path, **values: str) -> None:
        self.folder = folder
        for part in ("gpt1", "gpt2/boot", "gpt3/boot"):
            (folder / f"(hd0,{part.split('/')[0]})" / part.partition("/")[2]).mkdir(parents=True)
        self.grubenv = folder / "(hd0,gpt1)/grubenv"
        self.grubenv.write_bytes(environment({**FIRST, **values}))
        self.put_kernel("gpt2")

    def put_kernel(self, part: str) -> None:
        (self.folder / f"(hd0,{part})/boot/vmlinuz").write_bytes(b"kernel")

    def start(self) -> str:
        """Which slot is started: A, B, or nothing."""
        script = STAND_INS + grub_configuration(TARGETS["amd64"])
        done = subprocess.run(
            ["dash", "-c", script], cwd=self.folder, capture_output=True, text=True, check=True, timeout=10
        )
        assert not done.stderr
        started = [line.split() for line in done.stdout.splitlines() if line.startswith("started ")]
        slots = [word for words in started for word in words if word.startswith("rauc.slot=")]
        roots = [word for words in started for word in words if word.startswith("root=")]
        assert roots == [f"root=PARTLABEL=root_{slot.partition('=')[2].lower()}" for slot in slots]
        return slots[0].partition("=")[2] if slots else ""

    def values(self) -> dict[str, str]:
        lines = self.grubenv.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def write(self, **values: str) -> None:
        """As RAUC does: a slot was found good, bad, or is wanted next."""
        self.grubenv.write_bytes(environment({**self.values(), **values}))


def test_a_new_box_starts_a(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    assert disk.start() == "A"
    assert disk.values() == {**FIRST, "A_TRY": "1"}


def test_the_counters_start_over_when_none_is_left(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    tries = []
    for _ in range(7):
        assert disk.start() == "A"
        tries.append(disk.values()["A_TRY"])
    assert tries == ["1", "2", "3", "1", "2", "3", "1"]


def test_a_new_root_has_three_attempts_then_the_one_before_starts(tmp_path: Path) -> None:
    disk = Disk(tmp_path, ORDER="B A", B_OK="1")
    disk.put_kernel("gpt3")
    assert [disk.start() for _ in range(4)] == ["B", "B", "B", "A"]
    disk.write(A_TRY="0")  # found good
    assert disk.start() == "A", "B stays out of it"


def test_a_root_that_was_found_good_starts_as_often_as_it_likes(tmp_path: Path) -> None:
    disk = Disk(tmp_path, ORDER="B A", B_OK="1")
    disk.put_kernel("gpt3")
    for _ in range(6):
        assert disk.start() == "B"
        disk.write(B_TRY="0")


def test_a_root_being_written_never_starts(tmp_path: Path) -> None:
    disk = Disk(tmp_path, ORDER="B A", B_OK="0")
    disk.put_kernel("gpt3")
    assert {disk.start() for _ in range(7)} == {"A"}


def test_an_empty_slot_never_starts(tmp_path: Path) -> None:
    disk = Disk(tmp_path, ORDER="B A", B_OK="1")
    assert {disk.start() for _ in range(7)} == {"A"}


@pytest.mark.parametrize("content", [b"", b"\0" * ENVIRONMENT_BYTES, b"A_OK=\nB_OK=x\nA_TRY=y\n"])
def test_a_damaged_grubenv_starts_what_has_a_kernel(tmp_path: Path, content: bytes) -> None:
    disk = Disk(tmp_path)
    disk.grubenv.write_bytes(content)
    assert disk.start() == "A"
    assert disk.start() == "A"


def test_both_bad_starts_one_all_the_same(tmp_path: Path) -> None:
    disk = Disk(tmp_path, A_OK="0", B_OK="0", A_TRY="3", B_TRY="3")
    disk.put_kernel("gpt3")
    assert disk.start() == "A"


def test_grubenv_is_a_block_as_grub_writes_it() -> None:
    block = environment(FIRST)
    assert len(block) == ENVIRONMENT_BYTES
    assert block.startswith(b"# GRUB Environment Block\nORDER=A B\nA_OK=1\n")
    assert block.endswith(b"#")
