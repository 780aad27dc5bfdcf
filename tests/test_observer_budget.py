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
WANTED_MS_PER_S = 520.0  # for the restless two, where there is enough


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


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody who walks by in three seconds, now and then."""

    def place(now_s: float) -> tuple[float, float] | None:
        since_s = now_s % 10 - 6.4
        return (-24 + 120 * since_s, 120.0) if 0 <= since_s <= 3.1 else None

    path = tmp_path_factory.mktemp("videos") / "passing.mp4"
    path.write_bytes(make_video(people({State.MASK: place}), SECONDS * FPS, container="mp4"))
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


@pytest.mark.parametrize("budget_ms", [WANTED_MS_PER_S / 2, WANTED_MS_PER_S * 2 / 3])
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
    assert detector.spent_ms == pytest.approx(WANTED_MS_PER_S * SECONDS, rel=0.1)
    assert states == {State.MASK, State.NO_MASK}
    assert observer.health.looks in (None, 1.0)


def test_who_passes_gets_every_look_where_the_budget_is_enough_on_average(passing: Path) -> None:
    _, unbound, _ = watched(passing, 100_000.0)
    average_ms = unbound.spent_ms / SECONDS
    assert average_ms < WANTED_MS_PER_S / 2, "most of the time nobody is there"
    _, detector, states = watched(passing, 1.3 * average_ms)
    assert detector.spent_ms == unbound.spent_ms
    assert states == {State.MASK}
