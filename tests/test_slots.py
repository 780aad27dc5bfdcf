"""Which slot a bootloader starts: its state on plain files, RAUC's contract, three counted attempts, power cuts."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.config import load
from appliance.slots import grubenv as blocks
from appliance.slots import tryboot
from appliance.slots.grubenv import Grub, choose
from appliance.slots.jetson import Jetson, active, statuses
from appliance.slots.loader import ATTEMPTS, Loader, answer, current_slot, other
from appliance.slots.machine import Machine
from appliance.slots.tryboot import Tryboot
from appliance.update.versions import UpdateError
from tests.conftest import REPOSITORY
from tests.slot_room import FRESH, grubenv
from tests.test_cli import mb9k

AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition=4\n[tryboot]\nboot_partition=5\n"
RUNS_A, RUNS_B = "root=PARTLABEL=root_a ro rauc.slot=A quiet", "rauc.slot=B"


class Board:
    """A stand-in for a Raspberry Pi's firmware: which slot it starts, by the file alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, argument: str = "") -> str:
        usual, tried = (line for line in self.path.read_text().splitlines() if line.startswith("boot_partition="))
        return {"boot_partition=4": "A", "boot_partition=5": "B"}[tried if argument == "0 tryboot" else usual]


@pytest.fixture(params=["grub", "tryboot"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Loader:
    if request.param == "grub":
        return Grub(grubenv(tmp_path / "grubenv"))
    (tmp_path / "autoboot.txt").write_text(AUTOBOOT)
    return Tryboot(tmp_path / "autoboot.txt")


def test_a_fresh_image_starts_slot_a_and_never_the_empty_one(state: Loader) -> None:
    assert answer(state, ["get-primary"], RUNS_A) == "A"
    assert [answer(state, ["get-state", slot], RUNS_A) for slot in "AB"] == ["good", "bad"]
    assert not state.begin_attempt()


def test_rauc_writes_the_other_slot_and_that_starts_next(state: Loader) -> None:
    assert answer(state, ["get-current"], RUNS_A) == "A"
    answer(state, ["set-state", "B", "bad"], RUNS_A)
    assert answer(state, ["get-primary"], RUNS_A) == "A"
    answer(state, ["set-primary", "B"], RUNS_A)
    assert [answer(state, [*words], RUNS_A) for words in (["get-primary"], ["get-state", "B"])] == ["B", "good"]
    answer(state, ["set-state", "B", "good"], RUNS_B)
    assert answer(state, ["get-primary"], RUNS_B) == "B"
    assert [answer(state, ["get-state", slot], RUNS_B) for slot in "AB"] == ["good", "good"]


def test_a_slot_that_is_said_to_be_bad_is_not_started(state: Loader) -> None:
    state.set_primary("B")
    state.set_good("B", False)
    assert state.primary() == "A" and not state.is_good("B")


def test_one_changes_ones_mind_before_the_restart(state: Loader) -> None:
    state.set_primary("B")
    state.set_primary("A")
    assert state.primary() == "A" and not state.begin_attempt()


@pytest.mark.parametrize(
    "words", [[], ["get-state"], ["set-state", "B", "fine"], ["set-primary", "C"], ["get-primary", "A"], ["reboot"]]
)
def test_what_rauc_does_not_ask_is_refused(state: Loader, words: list[str]) -> None:
    with pytest.raises(UpdateError, match=r"nothing that RAUC asks|there is no slot"):
        answer(state, words, RUNS_A)


def test_the_slot_that_runs_stands_on_the_kernels_command_line() -> None:
    assert (current_slot(RUNS_A), current_slot(RUNS_B), other("A"), other("B")) == ("A", "B", "B", "A")
    for line in ("root=/dev/sda1", "xrauc.slot=A", "rauc.slot=", "rauc.slot=C"):
        with pytest.raises(UpdateError):
            current_slot(line)


def boot(state: Grub) -> str:
    """What GRUB does at a start, by our model of it."""
    choice = choose(state.variables())
    grubenv(state.path, "".join(f"{name}={value}\n" for name, value in choice.variables.items()).encode())
    return choice.slot


def test_grub_starts_a_slot_three_times_and_then_the_other_one(tmp_path: Path) -> None:
    state = Grub(grubenv(tmp_path / "grubenv"))
    state.set_primary("B")
    assert [boot(state) for _ in range(ATTEMPTS + 1)] == ["B", "B", "B", "A"]
    assert not state.is_good("B") and state.primary() == "A"
    state.set_good("A", True)
    assert [boot(state) for _ in range(2)] == ["A", "A"]


def test_a_power_cut_before_a_slot_is_good_costs_one_attempt_only(tmp_path: Path) -> None:
    state = Grub(grubenv(tmp_path / "grubenv"))
    state.set_primary("B")
    assert [boot(state), boot(state)] == ["B", "B"]
    state.set_good("B", True)
    assert state.variables()["B_TRY"] == "0" and boot(state) == "B"


def test_grubs_counters_start_over_when_no_slot_qualifies(tmp_path: Path) -> None:
    state = Grub(grubenv(tmp_path / "grubenv", FRESH.replace(b"B_OK=0", b"B_OK=1")))
    started = [boot(state) for _ in range(9)]
    assert started == [*"AAABBB", *"AAA"]
    assert Grub(grubenv(tmp_path / "grubenv")).primary() == "A"
    assert [choose({}).slot, choose({"ORDER": "B A"}).slot, choose({"ORDER": "x", "B_OK": "1"}).slot] == ["A", "B", "B"]


@pytest.mark.skipif(not (REPOSITORY / "image" / "grub.cfg").exists(), reason="there is no image/ yet")
def test_grub_cfg_of_the_image_chooses_as_our_model_does(tmp_path: Path) -> None:
    """Its words are those of a shell, too; GRUB's commands are stand-ins that note what they were told."""
    script = tmp_path / "grub.sh"
    stand_ins = [f"{name}() {{ :; }}" for name in ("serial", "terminal_input", "terminal_output", "regexp", "reboot")]
    stand_ins += ["load_env() { . ./env; }", 'save_env() { shift 2; for n; do eval "echo $n=\\$$n"; done >after; }']
    stand_ins += ['linux() { echo "$*" >linux; }', "initrd() { :; }", "boot() { exit 0; }", "sleep() { :; }"]
    text = (REPOSITORY / "image" / "grub.cfg").read_text().replace('-f "$KERNEL"', '-n "$KERNEL"')
    script.write_text("\n".join([*stand_ins, text]))
    for order, a_ok, a_try, b_ok, b_try in itertools.product(("A B", "B A"), "01", "0123", "01", "0123"):
        before = {"ORDER": order, "A_OK": a_ok, "A_TRY": a_try, "B_OK": b_ok, "B_TRY": b_try}
        (tmp_path / "env").write_text("".join(f'{name}="{value}"\n' for name, value in before.items()))
        subprocess.run(["sh", str(script)], cwd=tmp_path, check=True, capture_output=True)
        after = dict(line.split("=") for line in (tmp_path / "after").read_text().splitlines())
        choice = choose(before)
        assert f"rauc.slot={choice.slot} " in (tmp_path / "linux").read_text(), before
        assert after == choice.variables, before


def test_a_block_is_read_as_grub_wrote_it_and_written_as_grub_reads_it(tmp_path: Path) -> None:
    path = grubenv(tmp_path / "grubenv", b"# a comment\nORDER=B A\nodd=a\\\\b\nA_OK=1\n")
    assert blocks.decode(path.read_bytes()) == {"ORDER": "B A", "odd": "a\\b", "A_OK": "1"}
    Grub(path).set_good("B", True)
    content = path.read_bytes()
    assert len(content) == 1024 and content.startswith(blocks.HEAD) and content.endswith(b"#")
    assert blocks.decode(content) == {"ORDER": "B A", "odd": "a\\b", "A_OK": "1", "B_OK": "1", "B_TRY": "0"}
    if shutil.which("grub-editenv"):
        done = subprocess.run(["grub-editenv", str(path), "list"], check=True, capture_output=True, text=True)
        assert "B_OK=1" in done.stdout.splitlines()


def test_what_is_no_block_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "grubenv"
    for content in (b"", b"#" * 1024, blocks.HEAD.ljust(1000, b"#")):
        path.write_bytes(content)
        with pytest.raises(UpdateError, match="no environment block"):
            Grub(path).set_good("A", True)
        assert path.read_bytes() == content
    full = grubenv(path, b"x=" + b"y" * 990 + b"\n").read_bytes()
    with pytest.raises(UpdateError, match="no room"):
        Grub(path).set_good("A", True)
    assert path.read_bytes() == full


def test_a_pi_tries_a_slot_three_times_and_goes_on_with_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "autoboot.txt"
    path.write_text(AUTOBOOT)
    state, board = Tryboot(path), Board(path)
    state.set_primary("B")
    started = []
    while state.begin_attempt():
        started.append(board.start(state.reboot_argument))
        assert board.start() == "A", "whatever happens there, the usual slot is next"
    assert started == ["B", "B", "B"]
    assert board.start() == "A" and not state.is_good("B") and state.primary() == "A"


def test_a_pi_starts_what_proved_itself_also_in_the_last_attempt(tmp_path: Path) -> None:
    path = tmp_path / "autoboot.txt"
    path.write_text(AUTOBOOT)
    state, board = Tryboot(path), Board(path)
    state.set_primary("B")
    assert [state.begin_attempt() for _ in range(ATTEMPTS)] == [True] * 3
    state.set_good("B", True)
    assert (board.start(), board.start("0 tryboot")) == ("B", "A")
    state.set_primary("A")
    state.begin_attempt()
    state.set_good("A", True)
    assert path.read_text().endswith(AUTOBOOT), "back where it began"


def test_autoboot_txt_fits_what_the_firmware_reads_and_says_the_same_when_read_again(tmp_path: Path) -> None:
    fields = itertools.product("AB", (True, False), range(4), ("", "A", "B", "AB"))
    for usual, is_tried, left, bad in fields:
        state = tryboot.Autoboot((4, 15), usual, is_tried, left, frozenset(bad))
        text = tryboot.encode(state)
        assert len(text) < 512 and tryboot.decode(text) == state
    for text in ("", "[all]\nboot_partition=2\n", AUTOBOOT.replace("=5", "=4"), AUTOBOOT.replace("tryboot_a_b=1", "")):
        (tmp_path / "autoboot.txt").write_text(text)
        with pytest.raises(UpdateError, match=r"no autoboot\.txt for two slots"):
            Tryboot(tmp_path / "autoboot.txt").primary()


INFO = """Current rootfs slot: A
Active rootfs slot: B
num_slots: 2
slot: 0,             retry_count: 0,             status: unbootable
slot: 1,             retry_count: 3,             status: normal
"""
NVBOOTCTRL = f"""#!/bin/sh
# A stand-in for NVIDIA's program, for tests.
echo "$*" >>{{folder}}/told
[ "$3" = dump-slots-info ] && cat <<'END'
{INFO}END
[ "$3" != set-slot-as-unbootable ] || {{{{ echo "no such slot" >&2; exit 3; }}}}
"""


def test_a_jetson_is_asked_by_nvidias_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (active(INFO), statuses(INFO)) == ("B", {"A": "unbootable", "B": "normal"})
    with pytest.raises(UpdateError, match="is this a Jetson"):
        Jetson().primary()
    (tmp_path / "nvbootctrl").write_text(NVBOOTCTRL.format(folder=tmp_path))
    (tmp_path / "nvbootctrl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    board = Jetson()
    said = [answer(board, ["get-primary"], ""), *(answer(board, ["get-state", slot], "") for slot in "AB")]
    assert said == ["B", "bad", "good"]
    board.set_primary("B")
    board.set_good("B", True)
    with pytest.raises(UpdateError, match="no such slot"):
        board.set_good("A", False)
    told = [line.removeprefix("-t rootfs ") for line in (tmp_path / "told").read_text().splitlines()]
    assert told[3:] == ["set-active-boot-slot 1", "mark-boot-successful", "set-slot-as-unbootable 0"]
    assert not board.begin_attempt()
    with pytest.raises(UpdateError, match="ROOTFS_AB=1"):
        active("Current bootloader slot: A")


CHANGE = {
    "grub": "from appliance.slots.grubenv import Grub; Grub(Path(sys.argv[1])).set_primary('B')",
    "tryboot": "from appliance.slots.tryboot import Tryboot; Tryboot(Path(sys.argv[1])).set_primary('B')",
}
CALLS = ("write", "fsync", "rename,renameat,renameat2", "unlink,unlinkat")  # strace counts each by itself


@pytest.mark.parametrize("kind", ["grub", "tryboot"])
def test_a_power_cut_at_any_call_leaves_the_old_state_or_the_new_one(kind: str, tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is missing (apt install strace)")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("there is no right to trace a process here")
    path = tmp_path / ("grubenv" if kind == "grub" else "autoboot.txt")
    state: Loader = Grub(path) if kind == "grub" else Tryboot(path)
    program = f"import sys; from pathlib import Path; {CHANGE[kind]}"
    seen: dict[str, str] = {}
    for call, number in itertools.product(CALLS, range(1, 4)):
        if kind == "grub":
            grubenv(path)
        else:
            path.write_text(AUTOBOOT)
        kill = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]  # as the call begins
        command = ["strace", "-o", "/dev/null", *kill, sys.executable, "-B", "-c", program, str(path)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
        assert {each.name for each in tmp_path.iterdir()} <= {path.name, path.with_suffix(".new").name}
        if done.returncode:
            seen[f"{call.split(',')[0]} {number}"] = state.primary()
    assert seen == {"write 1": "A", "fsync 1": "A", "rename 1": "A", "fsync 2": "B", "unlink 1": "B"}
    state.set_primary("A")
    assert list(tmp_path.iterdir()) == [path], "what a cut left is gone after the next change"


def test_the_machine_says_which_bootloader_it_has(tmp_path: Path) -> None:
    config = tmp_path / "mb9k.toml"
    config.write_text('[slots]\nloader = "auto"\n')
    slots = load(config).slots
    machine = Machine(tmp_path / "system.conf", tmp_path / "build-id", tmp_path / "cmdline", tmp_path / "model")
    assert isinstance(machine.loader(slots), Grub)
    (tmp_path / "model").write_text("Raspberry Pi 4 Model B Rev 1.5\0")
    assert isinstance(machine.loader(slots), Tryboot)
    for kind, expected in (("grub", Grub), ("tryboot", Tryboot), ("jetson", Jetson)):
        config.write_text(f'[slots]\nloader = "{kind}"\n')
        assert isinstance(machine.loader(load(config).slots), expected)
    config.write_text("")
    with pytest.raises(UpdateError, match="no second slot"):
        machine.loader(load(config).slots)
    (tmp_path / "system.conf").write_text("[system]\ncompatible=mb9k-amd64\nbundle-formats=verity\n[slot.rootfs.0]\n")
    (tmp_path / "build-id").write_text("0.1.0-0123456789abcdef\n")
    (tmp_path / "cmdline").write_text(RUNS_A + "\n")
    assert (machine.compatible(), machine.build(), machine.slot()) == ("mb9k-amd64", "0.1.0-0123456789abcdef", "A")
    (tmp_path / "system.conf").write_text("[system]\n")
    (tmp_path / "build-id").unlink()
    for ask in (machine.compatible, machine.build):
        with pytest.raises(UpdateError):
            ask()


def test_a_box_without_slots_is_told_how_its_system_is_updated(tmp_path: Path) -> None:
    config = tmp_path / "mb9k.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n')
    for words in ([], ["good"], ["get-primary"], ["set-state", "A", "good"]):
        done = mb9k(config, "slots", *words)
        assert done.returncode == 1 and "update it with its package manager" in done.stderr, words
