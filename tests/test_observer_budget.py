"""What an observer makes of little computing time: fewer looks, and nobody who stays is missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.faces import Face, State
from appliance.vision.budget import BURST_S, Budget, Costs
from appliance.vision.observer import Observer
from appliance.vision.pixels import Stack
from scripts.recorded import packets_of
from tests.colour_detector import ColourDetector, Place, people
from tests.videos import FPS, make_video

SECONDS = 30
REGION_MS = 100.0


class SlowDetector(ColourDetector):
    """Takes, by a scripted clock, the same time for each square."""

    def __init__(self) -> None:
        self.spent_ms = 0.0

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """See Detector."""
        self.spent_ms += REGION_MS * len(squares)
        return super().look(squares, score_threshold)

    def cpu_s(self) -> float:
        """What this thread would have spent."""
        return self.spent_ms / 1000


@pytest.fixture(scope="module")
def restlessly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody who paces up and down for as long as the video lasts, and somebody who stands."""
    places: dict[State, Place] = {
        State.MASK: lambda now_s: (60 + 200 * abs(now_s / 3 % 2 - 1), 70.0),
        State.NO_MASK: lambda _: (160.0, 180.0),
    }
    path = tmp_path_factory.mktemp("videos") / "restlessly.mp4"
    path.write_bytes(make_video(people(places), SECONDS * FPS, container="mp4"))
    return path


def watched(path: Path, budget_ms: float) -> tuple[Observer, SlowDetector, set[State]]:
    """The observer, its detector, and the states of those it counted."""
    detector, states = SlowDetector(), dict[str, State]()
    costs = Costs(REGION_MS, 0.0)
    observer = Observer(detector, 10, 2.5, Budget(budget_ms).open_purse(), costs, cpu_s=detector.cpu_s)
    for packet in packets_of(path):
        for look in observer.take(packet):
            states |= {track.key: track.state for track in look.update.seen}
    return observer, detector, set(states.values())


@pytest.mark.parametrize("budget_ms", [250.0, 500.0])
def test_no_more_is_spent_than_there_is_and_who_stays_is_found(restlessly: Path, budget_ms: float) -> None:
    observer, detector, states = watched(restlessly, budget_ms)
    assert detector.spent_ms <= budget_ms * (SECONDS + BURST_S) + REGION_MS, (
        "the last region may cost more than is left"
    )
    assert {State.MASK, State.NO_MASK} <= states
    looks = observer.health.looks
    assert looks is not None
    assert looks < 0.9, "and it says that it looks less often than it should"


def test_with_enough_no_look_is_put_off(restlessly: Path) -> None:
    observer, detector, states = watched(restlessly, 100_000.0)
    assert detector.spent_ms > 500 * SECONDS
    assert states == {State.MASK, State.NO_MASK}
    assert observer.health.looks in (None, 1.0)
