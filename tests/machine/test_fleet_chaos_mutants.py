"""What would lose or double what boxes count is found by the chaos of a fleet: mutants of the protocol must fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.boxes import until
from tests.fleet_chaos import Chaos
from tests.fleet_chaos_box import ChaosBox
from tests.fleet_chaos_child import MUTANTS
from tests.test_fleet_chaos import HANG_S, PATIENCE_S

AT_ONCE = 3


def until_it_records(box: ChaosBox) -> None:
    """Wait for some detections more, however long a process needs to start on a busy machine."""
    before = box.detections()
    until(lambda: box.detections() > before + 10, PATIENCE_S, f"{box.name} records")


def scripted(chaos: Chaos, is_mutant: bool) -> list[str]:
    """The least that finds every mutant: what is wrong in the end."""
    patience_s, quiet_s = (8.0, 15.0) if is_mutant else (PATIENCE_S, HANG_S)
    with chaos.running():
        (box,) = chaos.boxes
        until(lambda: any(box.acked().values()), PATIENCE_S, "it tells")
        box.kill_writer()  # the next one begins another epoch
        box.writer.start()
        for _ in range(2):
            chaos.pause(0.5, 1.0)
            chaos.kill_broker()
            before = sum(box.acked().values())
            until(lambda: sum(box.acked().values()) > before, PATIENCE_S, "it is answered")  # noqa: B023
            chaos.kill_ingest()  # at once: what was answered must be committed
            if chaos.broken:
                return chaos.broken
        box.copy()
        until_it_records(box)
        time.sleep(1)
        chaos.lose_card(box)
        until_it_records(box)
        chaos.stop_writing()
        if faults := chaos.settle(patience_s, quiet_s):
            return faults
        box.writer.start()
        until_it_records(box)
        chaos.lose_centre(copy=False)
        time.sleep(1)
        chaos.stop_writing()
        return chaos.settle(patience_s, quiet_s)


@pytest.mark.timeout(900)
def test_what_would_lose_or_double_is_found(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Several at once, since they mostly wait; beside them one that does nothing wrong: nothing is found of it."""
    fleets = {}
    for mutant in ("", *MUTANTS):
        folder = tmp_path / (mutant or "none")
        folder.mkdir()
        fleets[mutant] = Chaos(folder, free_port, 3, boxes=1, mutant=mutant)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(fleets, pool.map(lambda one: scripted(fleets[one], bool(one)), fleets), strict=True))
    for mutant, faults in found.items():
        print(f"{mutant or 'none'}: {len(faults)} faults, such as {sorted(faults)[-2:]}")
    assert found[""] == []
    assert [mutant for mutant in MUTANTS if not found[mutant]] == []
