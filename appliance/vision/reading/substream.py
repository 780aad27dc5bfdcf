"""The smaller picture of a camera, watched for movement so that the large one need not be decoded meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from appliance.language import N_
from appliance.vision.frame import Frame
from appliance.vision.looking.motion import Motion
from appliance.vision.reading.camera import STALL_S, Camera
from appliance.vision.reading.decoding import Decoding
from appliance.vision.reading.reach import Reach

log = logging.getLogger(__name__)

LOOKS_PER_S = 5.0
KEYS_SUFFICE_S = 0.5  # key frames that come this often show movement soon enough
FRESH_S = 3.0  # a last look before this: it tells nothing about now
MARGIN_S = 1.0  # the two streams of a camera need not be equally late
AGAIN_S = 60.0  # after an error
CRASHED = N_("the box cannot judge it, and its log says why")
SHOWS_NOTHING = N_("The sub-stream shows nothing, so the main stream is watched instead.")


class SubStream:
    """Watches a stream for movement, in two threads of its own, until stopped. Its trouble ends nothing.

    moved: called at each look that sees movement, and when watching ends, by a thread of this; it must return at once.
    """

    def __init__(
        self, url: str, reach: Reach | None, moved: Callable[[], None] = lambda: None, stall_s: float = STALL_S
    ) -> None:
        self.camera = Camera(url, reach, stall_s)
        self.decoding = Decoding(LOOKS_PER_S)
        self._moved = moved
        self._motion = Motion()
        self._looks = 0  # since the picture came back
        self._looked_s = self._moved_s = self._began_s = float("-inf")
        self._crashed = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sub-stream", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.camera.start()
        self._thread.start()

    def stop(self) -> None:
        """Ask its threads to end."""
        self._stopping.set()
        self.camera.stop()

    def join(self, patience_s: float) -> None:
        """Wait until the watching thread has ended."""
        self._thread.join(patience_s)

    def is_alive(self) -> bool:
        """Whether both of its threads run."""
        return self._thread.is_alive() and self.camera.is_alive()

    @property
    def is_watching(self) -> bool:
        """Whether it would tell if something moved now."""
        fresh = time.monotonic() - self._looked_s < FRESH_S
        return self._thread.is_alive() and fresh and self._looks > 1 and self.camera.problem is None

    @property
    def problem(self) -> str | None:
        """Why the main stream is watched instead, for a person to read and without the address; None: it is not."""
        if self.is_watching:
            return None
        why = CRASHED if self._crashed else self.camera.problem
        return f"{SHOWS_NOTHING} {why or ''}".rstrip()

    def moved_since(self, time_s: float) -> bool:
        """Whether anything moved then or later; monotonic clock."""
        return self._moved_s >= time_s

    @property
    def began_s(self) -> float:
        """When the latest movement began at the latest, monotonic clock: what led to it is in the frames since."""
        return self._began_s - MARGIN_S

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except Exception:
                # The main stream is watched meanwhile.
                log.exception("watching a sub-stream failed; again in %.0f s", AGAIN_S)
                self._crashed, self._looks = True, 0
                self._moved()
                self._stopping.wait(AGAIN_S)
                self.decoding.flush()
                self.decoding, self._motion = Decoding(LOOKS_PER_S), Motion()
        self._moved()

    def _watch(self) -> None:
        """Take in the next packets."""
        for packet in self.camera.packets(keys_only=self.decoding.idle):
            for frame in self.decoding.take(packet):
                if self.camera.decoded(frame):
                    self._see(frame)
            interval_s = self.decoding.key_interval_s
            if interval_s is not None and interval_s <= KEYS_SUFFICE_S:
                self.decoding.rest()

    def _see(self, frame: Frame) -> None:
        pause_s = frame.time_s - self._looked_s
        if 0 <= pause_s < 1 / LOOKS_PER_S:
            return
        moving = self._motion.look(frame.luma(), frame.luma_step, frame.time_s)
        self._looks = self._looks + 1 if pause_s < FRESH_S else 1
        if moving.stirs:
            if frame.time_s - self._moved_s > FRESH_S:
                self._began_s = frame.time_s - min(pause_s, FRESH_S)
            self._moved_s = frame.time_s
            self._moved()
        self._looked_s, self._crashed = frame.time_s, False
