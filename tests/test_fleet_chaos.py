"""Everything is killed, cut off, lost and put back, and in the end the centre has exactly what the boxes counted.

For longer: MB9K_CHAOS_S=3600 MB9K_CHAOS_SEED=7 .venv/bin/pytest -s --timeout 7200 tests/test_fleet_chaos.py -k centre
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.boxes import until
from tests.fleet_chaos import Chaos
from tests.fleet_chaos_child import MUTANTS

SECONDS = float(os.environ.get("MB9K_CHAOS_S", "30"))
SEED = int(os.environ.get("MB9K_CHAOS_SEED", "1"))
PATIENCE_S = 60.0


@pytest.mark.timeout(240 + 2 * SECONDS)
def test_the_centre_ends_with_exactly_what_the_boxes_counted(tmp_path: Path, free_port: Callable[[], int]) -> None:
    begun_s = time.monotonic()
    with Chaos(tmp_path, free_port, SEED).running() as chaos:
        card = chaos.boxes[0]
        until(lambda: all(box.acked() and max(box.acked().values()) for box in chaos.boxes), PATIENCE_S, "all tell")
        begin_s = time.monotonic()
        anchors: list[tuple[float, Callable[[], None]]] = [
            (0.2, card.copy),
            (0.25, chaos.copy_centre),
            (0.4, lambda: chaos.lose_card(card)),
            (0.55, lambda: chaos.lose_centre(copy=True)),
            (0.75, lambda: chaos.lose_centre(copy=False)),
            (0.85, lambda: chaos.lose_card(card)),
        ]
        while (passed := (time.monotonic() - begin_s) / SECONDS) < 1:
            if anchors and passed >= anchors[0][0]:
                anchors.pop(0)[1]()
            chaos.one_fault()
            chaos.pause(0.1, 0.8)
        chaos.stop_writing()
        faults = chaos.settle(PATIENCE_S)
        print(
            f"seed {SEED}: {chaos.detections()} detections, {sum(chaos.happened.values())} faults"
            f" {dict(chaos.happened)}, {time.monotonic() - begun_s:.0f} s"
        )
        assert faults == []


def scripted(chaos: Chaos) -> list[str]:
    """The least that finds every mutant: what is wrong in the end."""
    (box,) = chaos.boxes
    until(lambda: any(box.acked().values()), PATIENCE_S, "it tells")
    box.kill_writer()  # the next one begins another epoch
    box.writer.start()
    for _ in range(3):
        chaos.pause(0.5, 1.0)
        chaos.kill_broker()
        chaos.pause(1.0, 2.0)
        chaos.kill_ingest()
        if chaos.broken:
            return chaos.broken
    box.copy()
    time.sleep(3)
    chaos.lose_card(box)
    time.sleep(2)
    chaos.stop_writing()
    if faults := chaos.settle(8.0):
        return faults
    box.writer.start()
    time.sleep(2)
    chaos.lose_centre(copy=False)
    time.sleep(1)
    chaos.stop_writing()
    return chaos.settle(8.0)


@pytest.mark.parametrize("mutant", ["", *MUTANTS])
def test_what_would_lose_or_double_is_found(mutant: str, tmp_path: Path, free_port: Callable[[], int]) -> None:
    with Chaos(tmp_path, free_port, 3, boxes=1, mutant=mutant).running() as chaos:
        faults = scripted(chaos)
    print(f"{mutant or 'none'}: {len(faults)} faults, such as {sorted(faults)[-2:]}")
    assert bool(faults) == bool(mutant), faults
