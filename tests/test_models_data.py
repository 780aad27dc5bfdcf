"""The data of models/: labels, and the samples made of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.data import augmentation, dataset, synthesis, transplant
from tests.mask_photos import write_mask_photos


def test_a_label_is_corrected_if_it_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_mask_photos(tmp_path / "data")
    first, second = dataset.load_photos(data, "train", tmp_path)[:2]
    states = [int(photo.states[0]) for photo in (first, second)]
    fixes = tmp_path / "fixes.csv"
    lines = [f"{first.name},0,{states[0] + 1},{(states[0] + 1) % 3 + 1},wrong",
             f"{second.name},0,{(states[1] + 1) % 3 + 1},{states[1] + 1},stale"]  # fmt: skip
    fixes.write_text("\n".join(["file,bbox_index,was,now,reason", *lines]))
    monkeypatch.setattr(dataset, "FIXES", fixes)
    after = dataset.load_photos(data, "train", tmp_path)
    assert [int(photo.states[0]) for photo in after[:2]] == [(states[0] + 1) % 3, states[1]]


FACE = np.array([[70, 80], [110, 80], [90, 100], [75, 120], [105, 120]], np.float32)


def test_a_transplanted_nose_changes_only_what_lies_above_the_edge() -> None:
    skin, cloth = np.full((200, 180, 3), (200, 150, 120), np.uint8), np.full((200, 180, 3), (200, 150, 120), np.uint8)
    skin[90:110, 85:95] = (120, 60, 60)  # a nose
    cloth[92:160] = (40, 90, 200)
    pool = [transplant.Donor(skin, FACE)]
    seen = set()
    for seed in range(30):
        face = cloth.copy()
        state = transplant.show_nose(face, FACE, pool, np.random.default_rng(seed))
        nose_shows = bool((face[100, 90] == skin[100, 90]).all())
        assert nose_shows == (state == transplant.INCORRECT)
        assert (face[150:] == cloth[150:]).all() and (face[:70] == cloth[:70]).all()
        seen.add(state)
    assert seen == {transplant.MASK, transplant.INCORRECT}


def test_a_nose_that_points_elsewhere_is_not_transplanted() -> None:
    turned = FACE.copy()
    turned[2, 0] += 12
    pool = [transplant.Donor(np.zeros((200, 180, 3), np.uint8), turned)]
    face = np.zeros((200, 180, 3), np.uint8)
    assert transplant.show_nose(face, FACE, pool, np.random.default_rng(0)) is None


def test_a_tilted_face_stays_in_its_bbox() -> None:
    picture = np.full((200, 200, 3), 90, np.uint8)
    cv2.ellipse(picture, (120, 80), (20, 28), 0, 0, 360, (255, 0, 0), -1)
    sample = augmentation.Sample(picture, np.array([[100, 52, 140, 108]], np.float32), np.array([0]))
    for seed in range(10):
        tilted = augmentation.tilt(sample, np.random.default_rng(seed))
        rows, columns = np.nonzero((tilted.pixels[..., 0] > 170) & (tilted.pixels[..., 1] < 50))
        seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        np.testing.assert_allclose(tilted.bboxes[0], seen, atol=2)


def test_hands_before_a_mouth_are_no_mask() -> None:
    seen = set()
    for seed in range(60):
        face = np.full((200, 180, 3), (200, 150, 120), np.uint8)
        state = synthesis.draw_mask(face, FACE, np.random.default_rng(seed))
        red, green, blue = face[125, 90].astype(float)  # the colour of the skin, in whatever light
        skin = abs(red / green - 200 / 150) < 0.35 and abs(blue / green - 120 / 150) < 0.35
        seen.add(state)
        assert state != synthesis.BARE or skin
    assert seen == {synthesis.MASK, synthesis.BARE, synthesis.INCORRECT}
