"""The geometry of bboxes: letterbox, decoding, NMS."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.vision.bboxes import (
    MAX_CANDIDATES,
    STRIDES,
    Float32Array,
    aligned,
    content_size,
    decode,
    iou,
    nms,
    rescale,
    rescale_bbox,
)

SIZE = (96, 64)  # width, height of the network's input


def outputs() -> list[Float32Array]:
    """What a network says that sees nothing."""
    return [np.full((1, 8, SIZE[1] // stride, SIZE[0] // stride), -12.0, dtype=np.float32) for stride in STRIDES]


def bboxes(*sides: tuple[float, float, float, float]) -> Float32Array:
    return np.array(sides, dtype=np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("size", "content"),
    [
        ((1920, 1080), (416, 234)),
        ((1080, 1920), (234, 416)),
        ((640, 480), (416, 312)),
        ((416, 416), (416, 416)),
        ((100, 50), (416, 208)),
        ((1, 1), (416, 416)),
        ((10000, 1), (416, 2)),
        ((1, 10000), (2, 416)),
    ],
)
def test_a_picture_fits_the_input_without_distortion(size: tuple[int, int], content: tuple[int, int]) -> None:
    assert content_size(*size, 416, 416) == content


@pytest.mark.parametrize("side", range(1, 900, 37))
def test_a_content_is_even_and_never_larger_than_the_input(side: int) -> None:
    for width, height in ((side, 480), (1280, side)):
        for limit in ((416, 256), (320, 320)):
            content = content_size(width, height, *limit)
            assert all(length % 2 == 0 and 2 <= length <= most for length, most in zip(content, limit, strict=True))


def test_the_input_is_the_next_multiple_of_the_coarsest_stride() -> None:
    assert aligned(416, 234) == (416, 256)
    assert aligned(2, 32) == (32, 32)


@pytest.mark.parametrize("level", range(3))
def test_a_face_is_decoded_at_every_stride(level: int) -> None:
    stride = STRIDES[level]
    said = outputs()
    # The cell in row 1, column 2 sees a face: a quarter cell right of its centre, half a cell above, 3 x 5 cells large.
    said[level][0, :, 1, 2] = [2.0, 0.0, 3.0, 1.0, 0.25, -0.5, np.log(3), np.log(5)]
    ((found, scores, probabilities),) = decode(said, 0.5)
    x, y = (2 + 0.5 + 0.25) * stride, (1 + 0.5 - 0.5) * stride
    np.testing.assert_allclose(
        found, bboxes((x - 1.5 * stride, y - 2.5 * stride, x + 1.5 * stride, y + 2.5 * stride)), rtol=1e-5
    )
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-2.0))], rtol=1e-5)
    powers = np.exp([0.0, 3.0, 1.0])
    np.testing.assert_allclose(probabilities, [powers / powers.sum()], rtol=1e-5)


def test_each_input_of_a_stack_has_its_own_faces() -> None:
    said = [np.concatenate([array] * 3) for array in outputs()]
    said[0][0, 0, 2, 3] = said[2][2, 0, 0, 0] = 2.0
    for output in said:
        output[:, 4:] = 0
    found = decode(said, 0.5)
    assert [len(candidates.scores) for candidates in found] == [1, 0, 1]
    np.testing.assert_allclose(found[0].bboxes, bboxes((24, 16, 32, 24)))
    np.testing.assert_allclose(found[2].bboxes, bboxes((0, 0, 32, 32)))


def test_faces_come_highest_score_first_and_none_below_the_threshold() -> None:
    said = outputs()
    for level, logit in ((0, 0.5), (1, 3.0), (2, -1.0)):
        said[level][0, 0, 0, 0] = logit
        said[level][0, 1:, 0, 0] = 0
    ((_, scores, _),) = decode(said, 0.5)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([-3.0, -0.5])), rtol=1e-5)
    ((_, scores, _),) = decode(said, 0.01)
    assert len(scores) == 3


def test_an_empty_picture_has_no_faces() -> None:
    ((found, scores, probabilities),) = decode(outputs(), 0.5)
    assert (found.shape, scores.shape, probabilities.shape) == ((0, 4), (0,), (0, 3))
    assert nms(found, 0.5) == []


def test_a_network_gone_wild_neither_overflows_nor_drowns_us() -> None:
    said = [np.full((1, 8, 416 // stride, 416 // stride), 1e4, dtype=np.float32) for stride in STRIDES]
    ((found, scores, probabilities),) = decode(said, 0.0)
    assert len(found) == MAX_CANDIDATES
    assert np.isfinite(found).all() and np.isfinite(probabilities).all() and (scores == 1).all()


def test_iou_of_bboxes() -> None:
    first = bboxes((0, 0, 10, 10), (0, 0, 0, 0))
    second = bboxes((0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10), (20, 20, 10, 10))
    np.testing.assert_allclose(iou(first, second), bboxes((1, 1 / 3, 0, 0), (0, 0, 0, 0)), rtol=1e-6)


def test_nms_removes_what_overlaps_a_higher_score_and_no_more() -> None:
    crowd = bboxes((0, 0, 10, 10), (1, 0, 11, 10), (5, 0, 15, 10), (40, 40, 50, 50))
    assert nms(crowd, 0.5) == [0, 2, 3]
    assert nms(crowd, 0.3) == [0, 3]
    # A bbox that was removed removes nobody: the third overlaps the second, which is gone.
    assert nms(bboxes((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)), 0.4) == [0, 2]


def test_bboxes_return_to_the_full_picture_and_stay_inside() -> None:
    found = rescale(bboxes((-5, 10, 208, 300)), (416, 234), (1920, 1080))
    np.testing.assert_allclose(found, [[0, 10 * 1080 / 234, 960, 1080]], rtol=1e-6)
    assert rescale_bbox((104, 0, 208, 117), (416, 234), (1920, 1080)) == pytest.approx((480, 0, 960, 540))
