"""The demo clip: what it claims to show is what our detector finds in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from appliance.faces import CLASSES, Face
from appliance.vision import clip as clip_module
from appliance.vision.clip import ROUND_S, Appearance, make_clip
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import Pixels, pixels_of

WIDTH, HEIGHT, FPS = 640, 360, 10


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Appearance]]:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return path, make_clip(path, ROUND_S, WIDTH, HEIGHT, FPS)


@pytest.fixture(scope="module")
def seen(clip: tuple[Path, list[Appearance]]) -> list[tuple[float, list[Face]]]:
    """What the detector finds, three times a second: time and faces."""
    detector = load_detector()
    every = 3
    return [
        (frame.time or 0.0, detector.detect(pixels_of(frame)))
        for number, frame in enumerate(frames(clip[0]))
        if number % every == 0
    ]


def frames(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path), "r") as container:
        yield from container.decode(container.streams.video[0])


def well_inside(who: Appearance, time_s: float) -> bool:
    """Whether the whole face is certainly within the picture."""
    margin_s = (who.leaves_s - who.enters_s) * 0.2
    return who.enters_s + margin_s <= time_s <= who.leaves_s - margin_s


def test_every_person_is_found_in_nearly_every_frame_with_the_right_state(
    clip: tuple[Path, list[Appearance]], seen: list[tuple[float, list[Face]]]
) -> None:
    for who in clip[1]:
        right = []
        for time_s, faces in seen:
            if well_inside(who, time_s):
                alike = sum(other.state is who.state and well_inside(other, time_s) for other in clip[1])
                right.append(Counter(face.state for face in faces)[who.state] >= alike)
        assert len(right) > 10
        assert sum(right) / len(right) > 0.9, who


def test_nobody_is_found_who_is_not_there(
    clip: tuple[Path, list[Appearance]], seen: list[tuple[float, list[Face]]]
) -> None:
    for time_s, faces in seen:
        assert len(faces) <= sum(who.enters_s <= time_s < who.leaves_s for who in clip[1]), time_s


def test_all_states_pass_one_person_comes_back_and_two_share_the_picture(clip: tuple[Path, list[Appearance]]) -> None:
    people = clip[1]
    assert {who.state for who in people} == set(CLASSES)
    assert max(Counter((who.person, who.state) for who in people).values()) == 2
    assert any(one.leaves_s > two.enters_s for one, two in pairwise(people))
    assert all(0 < who.enters_s < who.leaves_s < ROUND_S for who in people)  # so that it can be looped


def test_the_clip_is_what_streams_are_made_of(clip: tuple[Path, list[Appearance]]) -> None:
    with av.open(str(clip[0]), "r") as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == (WIDTH, HEIGHT)
        assert video.average_rate is not None and float(video.average_rate) == FPS
        packets = [packet for packet in container.demux(video) if packet.size]
    assert len(packets) == ROUND_S * FPS
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert keys == [second * FPS for second in range(ROUND_S)]
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets]  # no B-frames


def test_a_longer_clip_repeats_the_scene_and_a_shorter_one_lacks_who_would_not_get_through(tmp_path: Path) -> None:
    long = make_clip(tmp_path / "long.mp4", 2 * ROUND_S, 64, 36, 2)
    half = len(long) // 2
    assert [who.enters_s + ROUND_S for who in long[:half]] == [who.enters_s for who in long[half:]]
    assert [who.person for who in long[:half]] == [who.person for who in long[half:]]
    assert make_clip(tmp_path / "short.mp4", 10, 64, 36, 2) == [who for who in long if who.leaves_s <= 10]


def test_a_clip_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def until_the_disk_is_full(*scene: Any) -> Iterator[Pixels]:
        yield from islice(drawn(*scene), 90)  # enough for the encoder to have written some
        raise OSError(28, "No space left on device")

    drawn = clip_module._frames
    monkeypatch.setattr(clip_module, "_frames", until_the_disk_is_full)
    with pytest.raises(OSError, match="No space left"):
        make_clip(tmp_path / "clip.mp4", 5, 64, 36)
    assert list(tmp_path.iterdir()) == []
