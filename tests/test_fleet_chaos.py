"""Everything is killed, cut off, lost and put back, and in the end the centre has exactly what the boxes counted.

Whether it would be noticed if not: machine/test_fleet_chaos_mutants.py.

For longer: MB9K_CHAOS_S=3600 MB9K_CHAOS_SEED=7 .venv/bin/pytest -s --timeout 7200 tests/test_fleet_chaos.py -k sqlite
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.boxes import until
from tests.fleet_chaos import Chaos

SECONDS = float(os.environ.get("MB9K_CHAOS_S", "20"))
SEED = int(os.environ.get("MB9K_CHAOS_SEED", "1"))
PATIENCE_S = 60.0
HANG_S = 180.0
"""What takes so long to be told hangs, however busy the machine is."""


@pytest.mark.timeout(500 + 2 * SECONDS)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_centre_ends_with_exactly_what_the_boxes_counted(
    engine: str, tmp_path: Path, free_port: Callable[[], int], request: pytest.FixtureRequest
) -> None:
    cluster = request.getfixturevalue("postgres") if engine == "postgresql" else None
    begun_s = time.monotonic()
    with Chaos(tmp_path, free_port, SEED, cluster=cluster).running() as chaos:
        card = chaos.boxes[0]
        until(chaos.all_tell, PATIENCE_S, "all tell")
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
        faults = chaos.settle(PATIENCE_S, HANG_S)
        print(
            f"{engine}, seed {SEED}: {chaos.detections()} detections, {sum(chaos.happened.values())} faults"
            f" {dict(chaos.happened)}, {time.monotonic() - begun_s:.0f} s"
        )
        assert faults == []
