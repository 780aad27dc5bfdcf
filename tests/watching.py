"""Cameras for tests that run in a thread of their own, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.vision.bboxes import content_size
from appliance.vision.camera import (
    Camera,
    Frame,
)
from appliance.vision.reach import Reach
from tests.boxes import until

EVERYWHERE = Reach((Path("/"),), frozenset(range(1, 65_536)))  # here cameras are on this machine, files anywhere
RATE = 100.0  # every picture, unless a test is about the rate


def size_for(width: int, height: int) -> tuple[int, int]:
    return content_size(width, height, 160, 160)


@contextmanager
def watching(url: str, rate: float = RATE, stall_s: float = 5.0) -> Iterator[Camera]:
    """A camera that runs until the end of the block."""
    camera = Camera(url, size_for, rate, EVERYWHERE, stall_s)
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


def frames(camera: Camera, enough: Callable[[list[Frame]], bool], patience_s: float = 15) -> list[Frame]:
    """Frames until the condition holds of those so far."""
    got: list[Frame] = []

    def arrived() -> bool:
        frame = camera.next_frame(0.05)
        if frame is not None:
            got.append(frame)
        return enough(got)

    until(arrived, patience_s, f"the frames, with the problem {camera.problem!r}")
    return got


def brightness(frame: Frame) -> float:
    return float(frame.small.mean())
