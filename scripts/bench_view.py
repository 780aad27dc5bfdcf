"""What it costs to see whether a picture is right, beside what motion costs in the same looks; and false alarms."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from appliance.vision.frame import Frame
from appliance.vision.looking.motion import Motion
from appliance.vision.looking.view import Luma, View
from appliance.vision.pixels import frame_of, pixels_of, scale_to

LOOKS_PER_S = 10
SECONDS = 120
CUT_LEVELS = 25  # mean difference of two frames between which the clip was cut
SHORTEST = 15  # frames of a scene
HOUR_S = 3600


def view() -> None:
    """On the street clip, enlarged to 1080p: ms of CPU a second at ten looks a second; false alarms an hour a scene."""
    path = Path(os.environ.get("MB9K_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
    path = path / "video" / "Face_Mask_Video.mp4"
    if not path.is_file():
        print(f"  (the street clip is not here: {path}; set MB9K_DATA)")
        return
    with av.open(str(path)) as video:
        pictures = [pixels_of(frame) for frame in video.decode(video=0)]
    frames = [frame_of(scale_to(one, 1920, 1080)).reformat(format="yuv420p") for one in pictures[:10]]
    right, motion, spent_view, spent_motion = View(), Motion(), list[float](), list[float]()
    for look in range(SECONDS * LOOKS_PER_S):  # in turns, so that both see the same load
        frame = Frame(frames[look % 10], look / LOOKS_PER_S, look / LOOKS_PER_S)
        begun_s = time.process_time()
        motion.look(frame.luma(), frame.luma_step, frame.time_s)
        between_s = time.process_time()
        right.look(frame.luma(), frame.rows, (frame.width, frame.height), frame.time_s, frame.utc)
        spent_motion.append(between_s - begun_s)
        spent_view.append(time.process_time() - between_s)
    for name, spent in (("motion", spent_motion), ("the view", spent_view)):
        a_second = 1000 * sum(spent) / SECONDS
        mean_ms, most_ms = 1000 * statistics.mean(spent), 1000 * max(spent)
        print(f"  {name:10} {a_second:6.2f} ms a second, {mean_ms:.3f} a look, {most_ms:.1f} at most")
    grey = [np.asarray(one.mean(2), np.uint8) for one in pictures]
    said = [_said(scene) for scene in _scenes(grey)]
    print(f"  of the clip's {len(said)} scenes, an hour each as they are: {sum(said)} false alarms")


def _said(scene: list[Luma]) -> int:
    """How often something is said of a scene that goes on for an hour."""
    right, before, count = View(), None, 0
    for now_s in range(0, HOUR_S, 5):
        shown = scene[now_s * 37 % len(scene)]
        step = max(1, round(max(shown.shape) / 240))
        right.look(shown[::step, ::step], shown[::step].view, (shown.shape[1], shown.shape[0]), now_s, now_s)
        count += right.faulty is not None and right.faulty != before
        before = right.faulty
    return count


def _scenes(frames: list[Luma]) -> Iterator[list[Luma]]:
    """The clip between its cuts."""
    cuts = [
        number
        for number in range(1, len(frames))
        if np.abs(frames[number].astype(int) - frames[number - 1]).mean() > CUT_LEVELS
    ]
    for first, end in zip([0, *cuts], [*cuts, len(frames)], strict=True):
        if end - first > SHORTEST:
            yield frames[first:end]
