"""The store of engines: whole or not there, one builder at a time."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.vision.engines import DRAFT, ENGINE, LOCK, MOST_KEPT, Engines, Key
from appliance.vision.gpu_errors import Stopped
from tests.boxes import until
from tests.conftest import REPOSITORY

KEY = Key("a" * 64, 320, "int8", 8, "10.3.0", "Orin (nvgpu)", "8.7")
OTHER = Key("a" * 64, 320, "int8", 8, "10.16.2", "Orin (nvgpu)", "8.7")
PLAN = bytes(range(256)) * 100


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    """An empty folder that is not there yet."""
    return Engines(tmp_path / "engines")


def keep(engines: Engines, key: Key = KEY, plan: bytes = PLAN) -> Path:
    engines.keep(key, plan, "2026-11-27T16:00:00Z", 61.2, "16 faces")
    return engines.folder / f"{key.name}{ENGINE}"


def test_an_engine_is_found_again_under_its_key_alone(engines: Engines) -> None:
    assert engines.load(KEY) is None
    keep(engines)
    assert Engines(engines.folder).load(KEY) == PLAN
    assert engines.load(OTHER) is None
    assert engines.folder.stat().st_mode & 0o777 == 0o700


def test_every_part_of_a_key_makes_another_name() -> None:
    others = [
        Key("b" * 64, 320, "int8", 8, "10.3.0", "Orin (nvgpu)", "8.7"),
        Key("a" * 64, 416, "int8", 8, "10.3.0", "Orin (nvgpu)", "8.7"),
        Key("a" * 64, 320, "fp16", 8, "10.3.0", "Orin (nvgpu)", "8.7"),
        Key("a" * 64, 320, "int8", 4, "10.3.0", "Orin (nvgpu)", "8.7"),
        Key("a" * 64, 320, "int8", 8, "10.3.0", "Orin nvgpu", "8.7"),
        Key("a" * 64, 320, "int8", 8, "10.3.0", "Orin (nvgpu)", "11.0"),
        OTHER,
        KEY,
    ]
    assert len({key.name for key in others}) == len(others)
    assert KEY.name.startswith("int8-320-trt10.3.0-orin-nvgpu-sm87-")
    assert "/" not in Key("a" * 64, 320, "int8", 8, "10.3.0", "../../etc", "8.7").name


@pytest.mark.parametrize("damage", ["cut in half", "one bit", "no header", "another key", "empty"])
def test_an_engine_that_is_not_whole_or_not_ours_is_removed_and_never_given_out(engines: Engines, damage: str) -> None:
    path = keep(engines)
    content = bytearray(path.read_bytes())
    if damage == "cut in half":
        del content[len(content) // 2 :]
    elif damage == "one bit":
        content[-1] ^= 1
    elif damage == "no header":
        content = bytearray(PLAN)
    elif damage == "empty":
        content = bytearray()
    else:
        content = bytearray(keep(engines, OTHER).read_bytes())
    path.write_bytes(content)
    assert engines.load(KEY) is None
    assert not path.exists()


def test_a_full_disk_leaves_the_engine_of_before_and_no_draft(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(engines)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep(engines, plan=b"a newer one")
    monkeypatch.undo()
    assert engines.load(KEY) == PLAN
    assert list(engines.folder.iterdir()) == [path]


def test_a_refusal_is_remembered_until_an_engine_is_kept_or_it_is_forgotten(engines: Engines) -> None:
    assert engines.refusal(KEY) is None
    engines.refuse(KEY, "2026-11-27T16:00:00Z", 61.2, "3 states differ")
    assert (engines.refusal(KEY), engines.refusal(OTHER)) == ("3 states differ", None)
    assert [(name, entry and entry.refused) for name, entry in engines.all()] == [(KEY.name, True)]
    keep(engines)
    assert engines.refusal(KEY) is None
    engines.refuse(KEY, "2026-11-27T16:00:00Z", 61.2, "3 states differ")
    engines.forget(KEY)
    assert engines.refusal(KEY) is None and engines.load(KEY) is None


def test_the_engines_longest_not_used_go(engines: Engines) -> None:
    keys = [Key("a" * 64, 320, "int8", 8, f"10.{number}.0", "Orin", "8.7") for number in range(MOST_KEPT + 2)]
    for number, key in enumerate(keys):
        os.utime(keep(engines, key), (number, number))
    keep(engines, keys[0])
    assert [engines.load(key) is not None for key in keys] == [True, False, False, *[True] * (MOST_KEPT - 1)]


def test_engines_are_listed_and_removed_by_name(engines: Engines) -> None:
    keep(engines)
    (engines.folder / f"strange{ENGINE}").write_bytes(b"\xff")
    assert [name for name, _ in engines.all()] == sorted([KEY.name, "strange"])
    assert dict(engines.all())["strange"] is None
    engines.remove("strange")
    engines.remove(KEY.name)
    assert engines.all() == []
    for name in (KEY.name, "../engines", ""):
        with pytest.raises(UserError, match="there is no engine"):
            engines.remove(name)


def test_a_second_builder_waits_for_the_first_even_in_another_process(engines: Engines) -> None:
    program = f"""
import sys
from pathlib import Path
from tests.test_engines import KEY, Engines
with Engines(Path({str(engines.folder)!r})).building(KEY, lambda: False, lambda: None):
    print("builds", flush=True)
    sys.stdin.read()
"""
    first = subprocess.Popen(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert first.stdout is not None and first.stdin is not None
    with first:
        assert first.stdout.readline() == b"builds\n"
        waits, in_turn = threading.Event(), threading.Event()

        def build() -> None:
            with engines.building(KEY, lambda: False, waits.set):
                in_turn.set()

        second = threading.Thread(target=build)
        second.start()
        assert waits.wait(20)
        with pytest.raises(Stopped), engines.building(KEY, lambda: True, lambda: None):
            pass
        with engines.building(OTHER, lambda: False, lambda: None):
            pass  # another engine may be built meanwhile
        assert not in_turn.is_set()
        first.kill()  # the kernel lets go of its lock
        assert in_turn.wait(20)
        second.join()


def test_a_build_that_ends_with_its_process_is_counted_and_one_that_only_fails_is_not(engines: Engines) -> None:
    program = f"""
import os, signal
from pathlib import Path
from tests.test_engines import KEY, Engines
with Engines(Path({str(engines.folder)!r})).begun(KEY):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for times in (1, 2):
        assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY).returncode == -signal.SIGKILL
        assert (engines.cut_off(KEY), engines.cut_off(OTHER)) == (times, 0)
    with pytest.raises(Stopped), engines.begun(KEY):
        raise Stopped("the box stops")
    assert engines.cut_off(KEY) == 0
    assert list(engines.folder.iterdir()) == []


def test_what_a_killed_builder_left_is_cleared_away(engines: Engines) -> None:
    path = keep(engines)
    left = engines.folder / f"{KEY.name}.0a1b2c3d{DRAFT}"
    left.write_bytes(PLAN)
    with engines.building(KEY, lambda: False, lambda: None):
        until(lambda: not left.exists(), 1, "the draft is gone")
    assert {each.name for each in engines.folder.iterdir()} == {path.name, f"{KEY.name}{LOCK}"}
