"""What a board tells of itself, from copies of the files that Linux has on one."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.board import Throttling, look
from appliance.local.words import TOO_LITTLE_VOLTAGE, board_notices, throttled_words

PI = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root: Path, **files: str) -> Path:
    """Files below root; their names with `__` for `/`."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def zone(root: Path, number: int, kind: str, reading: str) -> None:
    write(root / f"sys/class/thermal/thermal_zone{number}", type=kind, temp=reading)


def cooler(root: Path, number: int, kind: str, state: str) -> None:
    write(root / f"sys/class/thermal/cooling_device{number}", type=kind, cur_state=state)


def test_a_board_that_tells_nothing_is_well(tmp_path: Path) -> None:
    board = look(tmp_path)
    assert (board.temperatures_c, board.throttled, board.memory, board.load) == ({}, None, None, None)
    assert board.warmest_c is None and board_notices(board) == []


@pytest.mark.parametrize(
    ("said", "now", "since_start"),
    [
        ("0", set(), set()),
        ("50005", {"UNDER_VOLTAGE", "THROTTLED"}, {"UNDER_VOLTAGE", "THROTTLED"}),
        ("0xe0008", {"HOT"}, {"CAPPED", "THROTTLED", "HOT"}),
    ],
)
@pytest.mark.parametrize("path", [PI, "sys/devices/platform/soc@107c000000/firmware/get_throttled"])
def test_the_firmware_of_a_raspberry_pi_says_why_it_is_slow(
    tmp_path: Path, path: str, said: str, now: set[str], since_start: set[str]
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(f"{said}\n")
    throttled = look(tmp_path).throttled
    assert throttled and throttled.told == frozenset(Throttling)
    assert {reason.name for reason in throttled.now} == now
    assert {reason.name for reason in throttled.since_start} == since_start


def test_a_jetson_shows_its_zones_and_what_slows_its_processors_down(tmp_path: Path) -> None:
    for number, (kind, reading) in enumerate([("cpu-thermal", "61500"), ("gpu-thermal", "58000"), ("cv0", "-256000")]):
        zone(tmp_path, number, kind, reading)
    zone(tmp_path, 9, "cpu-thermal", "60000")
    cooler(tmp_path, 0, "pwm-fan", "3")
    cooler(tmp_path, 1, "cpufreq-cpu0", "0")
    board = look(tmp_path)
    assert board.temperatures_c == {"cpu-thermal": 61.5, "gpu-thermal": 58.0}
    assert board.throttled and not board.throttled.now, "a fan slows nothing down"
    cooler(tmp_path, 1, "cpufreq-cpu0", "2")
    board = look(tmp_path)
    assert board.throttled and board.throttled.now == {Throttling.HOT}
    assert board_notices(board) == ["The board is 62 °C warm and is slowed down. Give it more air, a heat sink or a"
                                    " cooler place."]  # fmt: skip


def test_each_trouble_has_its_own_next_step(tmp_path: Path) -> None:
    write(
        tmp_path,
        proc__loadavg="1.25 0.80 0.60 2/300 4711",
        proc__meminfo="MemTotal:        4000000 kB\nMemFree:  9 kB\nMemAvailable:     100000 kB",
    )
    zone(tmp_path, 0, "cpu-thermal", "84700")
    write(tmp_path, **{PI.replace("/", "__"): "1"})
    board = look(tmp_path)
    assert board.load == 1.25 and board.memory and board.memory.available_bytes == 102_400_000
    voltage, hot, memory = board_notices(board)
    assert voltage == TOO_LITTLE_VOLTAGE
    assert hot.startswith("The board is 85 °C warm. Give it more air")
    assert memory.startswith("Hardly any memory is left: 102 MB of 4.1 GB.")
    assert throttled_words(frozenset(Throttling)).startswith("too little voltage, its clock")
