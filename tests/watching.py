"""Cameras for tests that run in a thread of their own, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.vision.frame import Frame
from appliance.vision.pixels import pixels_of
from appliance.vision.reading.camera import Camera
from appliance.vision.reading.decoding import Decoding
from appliance.vision.reading.reach import Reach
from tests.boxes import until

EVERYWHERE = Reach((Path("/"),), frozenset(range(1, 65_536)))  # here cameras are on this machine, files anywhere
ALL = 1_000_000.0  # looks a second: no frame is dropped


class Watcher:
    """Stands in for the analysis: decodes what the camera brings, and tells it."""

    def __init__(self, camera: Camera) -> None:
        self.camera, self.decoding = camera, Decoding(ALL)

    def next_frames(self, patience_s: float = 1.0) -> list[Frame]:
        """What comes of the next packets; empty: nothing within patience_s."""
        packets = self.camera.packets(patience_s)
        found = [frame for packet in packets for frame in self.decoding.take(packet)]
        return [frame for frame in found if self.camera.decoded(frame)]


@contextmanager
def watching(url: str, stall_s: float = 5.0) -> Iterator[Camera]:
    """A camera that runs until the end of the block."""
    camera = Camera(url, EVERYWHERE, stall_s)
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


def frames(camera: Camera, enough: Callable[[list[Frame]], bool], patience_s: float = 15) -> list[Frame]:
    """Frames until the condition holds of those so far."""
    watcher = Watcher(camera)
    got: list[Frame] = []

    def arrived() -> bool:
        for frame in watcher.next_frames(0.05):
            got.append(frame)
            if enough(got):
                return True
        return enough(got)

    until(arrived, patience_s, f"the frames, with the problem {camera.problem!r}")
    return got


def brightness(frame: Frame) -> float:
    return float(pixels_of(frame.source).mean())
