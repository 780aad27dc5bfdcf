"""Live pictures as files, with what is said of them inside."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from appliance.faces import Face, State
from appliance.previews import MARKED_AT_MOST, Marked, Previews
from appliance.vision.annotate import COLOURS, draw_bboxes
from appliance.vision.jpeg import encode_jpeg


def face(left: float, side: float, state: State) -> Face:
    return Face((left, 20, left + side, 20 + side), 0.9, (1.0, 0.0, 0.0), state)


def by_pillow() -> bytes:
    """A JPEG that begins with JFIF's own segment, as a camera's may."""
    with io.BytesIO() as made:
        Image.new("RGB", (64, 48), (0, 90, 160)).save(made, "jpeg", comment=b"mb9k is no camera")
        return made.getvalue()


@pytest.mark.parametrize("jpeg", [encode_jpeg(np.zeros((48, 64, 3), np.uint8)), by_pillow()], ids=["FFmpeg", "Pillow"])
def test_what_is_said_of_a_picture_comes_with_it_and_changes_no_pixel(tmp_path: Path, jpeg: bytes) -> None:
    previews = Previews(tmp_path)
    previews.write(1, jpeg, [face(3.6, 8, State.NO_MASK), face(10, 20, State.MASK)])
    shown = previews.read(1)
    assert shown
    assert shown.faces == [Marked(State.MASK, 10, 20, 30, 40), Marked(State.NO_MASK, 4, 20, 12, 28)]
    assert shown.faces_json == '[["mask",10,20,30,40],["no_mask",4,20,12,28]]'
    ours, theirs = (np.asarray(Image.open(io.BytesIO(each))) for each in (shown.jpeg, jpeg))
    assert (ours == theirs).all()
    previews.write(1, jpeg)
    shown = previews.read(1)
    assert shown and shown.jpeg == jpeg and shown.faces_json == "[]"


def test_of_very_many_faces_the_largest_are_told_of(tmp_path: Path) -> None:
    previews = Previews(tmp_path)
    sides = [3 + number % 90 for number in range(200)]
    previews.write(1, by_pillow(), [face(1, side, State.UNKNOWN) for side in sides])
    shown = previews.read(1)
    assert shown and len(shown.faces_json) < 2500, "it must fit into a header"
    assert [each.right - each.left for each in shown.faces] == sorted(sides, reverse=True)[:MARKED_AT_MOST]


def test_a_frame_without_words_is_in_the_picture_itself_for_who_has_no_script() -> None:
    grey = np.full((100, 100, 3), 60, np.uint8)
    drawn = draw_bboxes(grey, [face(30, 40, State.INCORRECT)], with_words=False)
    assert (drawn[20, 50] == COLOURS[State.INCORRECT]).all() and (drawn[40, 30] == COLOURS[State.INCORRECT]).all()
    assert (drawn[:20] == 60).all() and (drawn[24:50, 36:60] == 60).all(), "no words, above or inside"
