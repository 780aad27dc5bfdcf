"""A frame: what is cut from its planes is what converting all of it would give."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from io import BytesIO

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from appliance.vision.bboxes import PAD_GREY
from appliance.vision.colours import COUNT, Colours, colour_distance
from appliance.vision.frame import Frame
from appliance.vision.looking.region import Region
from appliance.vision.pixels import Pixels, frame_of, pixels_of, scale_to, shrink
from tests.videos import make_video

# Conversions with threads=1: with more, FFmpeg 8 may leave eight pixels of ten bits as they were in memory.
PLANAR = ["yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21"]
PACKED = ["yuyv422", "uyvy422"]
DEEP = ["yuv420p10le", "yuv422p10le", "p010le"]
FORMATS = [*PLANAR, *PACKED, *DEEP, "gray"]
OTHER_FORMATS = ["rgb24", "bgr24", "rgba", "gbrp", "pal8", "yuv411p", "gray10le"]
SIZES = [(640, 360), (854, 480), (322, 242)]


def noise(name: str, width: int = 640, height: int = 360, colorspace: int = 2, color_range: int = 0) -> av.VideoFrame:
    """Every pixel another: nothing can be off by one and not be noticed."""
    frame = av.VideoFrame(width, height, name)
    frame.colorspace, frame.color_range = colorspace, color_range
    random = np.random.default_rng(7)
    for plane in frame.planes:
        content = np.frombuffer(memoryview(plane), np.uint8)
        if name in DEEP or name == "gray10le":
            words = random.integers(0, 1024, len(content) // 2, dtype=np.uint16)
            content[:] = (words << 6 if name == "p010le" else words).view(np.uint8)
        else:
            content[:] = random.integers(0, 256, len(content), dtype=np.uint8)
    return frame


@cache
def picture(width: int, height: int) -> Pixels:
    """A smooth one, as cameras show; the same for all tests, so nobody may write to it."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(columns / 97 + 1), np.cos(rows / 79), np.sin((rows + columns) / 153)]
    made = np.stack([127 + 100 * wave for wave in waves], axis=2).astype(np.uint8)
    made.setflags(write=False)
    return made


def seen(source: av.VideoFrame) -> Frame:
    return Frame(source, 1.0, 2.0)


@pytest.mark.parametrize("color_range", [ColorRange.UNSPECIFIED, ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("colorspace", [2, Colorspace.ITU601, Colorspace.ITU709, 6, 9])  # 2: unknown, 9: BT.2020
@pytest.mark.parametrize("name", [*FORMATS, *OTHER_FORMATS])
def test_a_region_is_what_converting_the_whole_frame_would_give(name: str, colorspace: int, color_range: int) -> None:
    source = noise(name, colorspace=int(colorspace), color_range=int(color_range))
    whole = pixels_of(source)
    for left, top, side in ((0, 0, 96), (100, 50, 128), (480, 200, 160), (34, 18, 320), (2, 4, 32), (0, 0, 352)):
        cut = seen(source).cut(Region(left, top, side, side))
        assert cut.dtype == np.uint8
        assert np.array_equal(cut, whole[top : top + side, left : left + side])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*FORMATS, *OTHER_FORMATS])
def test_the_whole_picture_is_converted_once(name: str, size: tuple[int, int]) -> None:
    source = noise(name, *size)
    frame = seen(source)
    assert np.array_equal(frame.full(), pixels_of(source))
    assert frame.full() is frame.full()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*FORMATS, "rgb24", "pal8"])
def test_any_part_is_what_the_whole_shows_there(name: str, size: tuple[int, int]) -> None:
    source = noise(name, *size)
    whole = pixels_of(source)
    width, height = size
    random = np.random.default_rng(3)
    for _ in range(40):
        left, right = sorted(random.choice(width + 1, 2, replace=False).tolist())
        top, bottom = sorted(random.choice(height + 1, 2, replace=False).tolist())
        part = seen(source).part(left, top, right, bottom)
        assert np.array_equal(part, whole[top:bottom, left:right]), (left, top, right, bottom)


@pytest.mark.parametrize("size", [(321, 243), (321, 242), (322, 243)])
@pytest.mark.parametrize("name", FORMATS)
def test_parts_of_an_odd_frame_differ_by_how_ffmpeg_places_its_chroma_at_most(name: str, size: tuple[int, int]) -> None:
    source = frame_of(picture(*size)).reformat(format=name, threads=1)
    for left, top, right, bottom in ((0, 0, *size), (27, 44, 261, 57), (100, 201, *size)):
        part = seen(source).part(left, top, right, bottom).astype(int)
        assert np.abs(part - pixels_of(source)[top:bottom, left:right]).max() <= 8


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "uyvy422", "p010le", "rgb24"])
@settings(max_examples=60, deadline=None)
@given(
    left=st.integers(-200, 200).map(lambda x: 2 * x),
    top=st.integers(-200, 200).map(lambda y: 2 * y),
    side=st.integers(1, 10).map(lambda n: 32 * n),
)
def test_beyond_the_frame_is_grey(name: str, left: int, top: int, side: int) -> None:
    source = noise(name, 322, 242)
    canvas = np.full((242 + 800, 322 + 800, 3), PAD_GREY, dtype=np.uint8)
    canvas[400 : 400 + 242, 400 : 400 + 322] = pixels_of(source)
    x, y = left + 400, top + 400
    expected = np.full((side, side, 3), PAD_GREY, dtype=np.uint8)
    within = canvas[max(0, y) : y + side, max(0, x) : x + side]
    expected[: within.shape[0], : within.shape[1]] = within
    assert np.array_equal(seen(source).cut(Region(left, top, side, side)), expected)


@pytest.mark.parametrize(
    ("name", "color_range"),
    [
        (name, color_range)
        for name in (*PLANAR, *PACKED, *DEEP, "rgb24", "gray")
        for color_range in (ColorRange.MPEG, ColorRange.JPEG)
        if not (name.startswith("yuvj") and color_range == ColorRange.MPEG)  # the name says that it is full range
    ],
)
@pytest.mark.parametrize(("side", "input_px"), [(320, 160), (448, 320), (700, 192), (360, 352)])
def test_a_region_that_is_scaled_down_is_averaged(name: str, color_range: int, side: int, input_px: int) -> None:
    source = frame_of(picture(800, 720)).reformat(
        format=name, dst_colorspace=Colorspace.ITU709, dst_color_range=int(color_range), threads=1
    )
    cut = seen(source).cut(Region(50, 10, side, input_px))
    expected = scale_to(pixels_of(source)[10 : 10 + side, 50 : 50 + side], input_px, input_px)
    assert cut.shape == (input_px, input_px, 3)
    assert np.abs(cut.astype(int) - expected).max() <= 8
    assert abs(cut.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "rgb24"])
def test_a_large_region_beyond_the_frame_has_its_content_in_its_place(name: str) -> None:
    source = frame_of(np.full((360, 640, 3), 250, dtype=np.uint8)).reformat(format=name)
    cut = seen(source).cut(Region(-40, -140, 640, 160))
    inside = np.zeros((160, 160), dtype=bool)
    inside[35:125, 10:] = True
    assert np.all(cut[~inside] == PAD_GREY)
    assert np.all(cut[inside] >= 245)


@pytest.mark.parametrize("name", ["yuv420p", "yuvj422p", "nv12", "p010le", "rgb24", "gray"])
def test_a_picture_for_people_is_the_whole_scaled_down(name: str) -> None:
    source = frame_of(picture(800, 600)).reformat(format=name, threads=1)
    small = seen(source).shrunk(320)
    assert small.shape == (240, 320, 3)
    assert np.abs(small.astype(int) - shrink(pixels_of(source), 320)).max() <= 8
    assert np.array_equal(seen(source).shrunk(800), pixels_of(source))


def test_a_stack_holds_each_region() -> None:
    source = noise("yuv420p")
    regions = [Region(0, 0, 96, 96), Region(-10, 300, 96, 96), Region(100, 20, 300, 96)]
    stack = seen(source).cuts(regions)
    assert stack.shape == (3, 96, 96, 3)
    for cut, region in zip(stack, regions, strict=True):
        assert np.array_equal(cut, seen(source).cut(region))
    assert len(seen(source).cuts([])) == 0
    with pytest.raises(ValueError, match="one input_px"):
        seen(source).cuts([Region(0, 0, 96, 96), Region(0, 0, 128, 128)])


@pytest.mark.parametrize(
    ("width", "height", "step"), [(1920, 1080, 8), (1080, 1920, 8), (640, 360, 3), (3840, 2160, 16), (160, 120, 1)]
)
def test_luma_has_about_240_samples_along_the_longer_side(width: int, height: int, step: int) -> None:
    frame = seen(av.VideoFrame(width, height, "yuv420p"))
    assert frame.luma_step == step
    assert frame.luma().shape == (-(-height // step), -(-width // step))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*FORMATS, "gray10le", "rgb24", "bgr24", "pal8"])
def test_luma_is_the_brightness_of_every_few_pixels(name: str, size: tuple[int, int]) -> None:
    source = frame_of(picture(*size)).reformat(format="gray" if name == "pal8" else name, threads=1)
    if name == "pal8":
        source = grey_with_palette(source)
    luma = seen(source).luma()
    step = seen(source).luma_step
    limited = name not in ("rgb24", "bgr24", "pal8", "gray", "gray10le") and "j" not in name
    grey = pixels_of(frame_of(picture(*size)).reformat(format="gray"))[::step, ::step, 0].astype(float)
    expected = grey * 219 / 255 + 16 if limited else grey
    assert luma.dtype == np.uint8
    assert np.abs(luma - expected).max() <= 4


def grey_with_palette(grey: av.VideoFrame) -> av.VideoFrame:
    frame = av.VideoFrame(grey.width, grey.height, "pal8")
    image, palette = (np.frombuffer(memoryview(plane), np.uint8) for plane in frame.planes)
    image.reshape(grey.height, -1)[:, : grey.width] = grey.to_ndarray()
    palette.reshape(-1, 4)[:] = np.arange(256, dtype=np.uint8)[:, None]
    return frame


def test_luma_is_a_view_that_nobody_can_write_to() -> None:
    """The decoder still predicts from the frame."""
    source = noise("yuv420p")
    luma = seen(source).luma()
    assert np.shares_memory(luma, np.frombuffer(memoryview(source.planes[0]), np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        luma[0, 0] = 0


def decoded(options: dict[str, object]) -> Iterator[av.VideoFrame]:
    video = make_video(lambda index: np.roll(picture(324, 242), 7 * index, axis=1), 5, options=options)
    with av.open(BytesIO(video), "r") as container:
        yield from container.decode(video=0)


@pytest.mark.parametrize("options", [{}, {"color_range": "pc"}, {"colorspace": "bt709", "color_range": "tv"}])
def test_decoded_frames_whose_rows_are_padded(options: dict[str, object]) -> None:
    frames = list(decoded(options))
    assert frames
    assert any(plane.line_size > plane.width for plane in frames[0].planes)
    for source in frames:
        whole = pixels_of(source)
        assert np.array_equal(seen(source).cut(Region(66, 50, 192, 192)), whole[50:242, 66:258])
        assert seen(source).luma().shape == source_rows(source)[:: seen(source).luma_step].shape


def source_rows(source: av.VideoFrame) -> NDArray[np.uint8]:
    plane = source.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]


COAT, DRESS, SHIRT = (40, 45, 60), (170, 40, 50), (210, 210, 205)


def person(
    colour: tuple[int, int, int], x: int = 400, face_px: int = 60, brighter: float = 1.0, seed: int = 0
) -> av.VideoFrame:
    """Somebody in clothes of a colour with folds and the noise of a camera, before a wall."""
    random = np.random.default_rng(seed)
    image = np.full((480, 854, 3), (120, 130, 110), dtype=float)
    top, half = 100 + face_px, round(face_px * 1.1)
    rows = np.arange(top, 480)[:, None, None]
    image[top:, max(0, x - half) : x + half] = np.array(colour) * (1 + 0.15 * np.sin(rows / 9 + seed))
    image = image * brighter + random.normal(0, 6, image.shape)
    return frame_of(image.clip(0, 255).astype(np.uint8)).reformat(format="yuv420p")


def worn(source: av.VideoFrame, x: int = 400, face_px: int = 60) -> Colours:
    found = seen(source).colours((x - face_px / 2, 100, x + face_px / 2, 100 + face_px * 1.2))
    assert found is not None
    return found


@pytest.mark.parametrize("colour", [COAT, DRESS, SHIRT])
def test_colours_stay_the_same_while_somebody_walks(colour: tuple[int, int, int]) -> None:
    first = worn(person(colour))
    assert first.shape == (COUNT,)
    assert first.dtype == np.float32
    assert first.sum() == pytest.approx(1, abs=1e-4)
    for step, (x, face_px, brighter) in enumerate([(430, 60, 1.0), (500, 64, 1.1), (600, 80, 0.9)], 1):
        assert colour_distance(first, worn(person(colour, x, face_px, brighter, step), x, face_px)) < 0.15


def test_other_clothes_have_other_colours() -> None:
    everybody = [worn(person(colour)) for colour in (COAT, DRESS, SHIRT)]
    for index, first in enumerate(everybody):
        assert colour_distance(first, first) == 0
        for second in everybody[index + 1 :]:
            assert 0.35 < colour_distance(first, second) <= 1


@pytest.mark.parametrize("name", [*FORMATS[:-1], "rgb24"])
def test_colours_are_the_same_in_every_format(name: str) -> None:
    source = person(DRESS)
    assert colour_distance(worn(source), worn(source.reformat(format=name, threads=1))) < 0.15


def test_a_grey_camera_has_greys() -> None:
    dark, light = (worn(person(colour).reformat(format="gray")) for colour in (COAT, SHIRT))
    assert colour_distance(dark, light) > 0.2


@pytest.mark.parametrize(
    ("bbox_px", "is_seen"),
    [
        ((400, 100, 460, 172), True),
        ((-20, 100, 40, 172), True),
        ((-60, 100, 0, 172), False),
        ((-500, 100, -440, 172), False),
        ((400, 300, 460, 372), True),
        ((400, 340, 460, 412), False),
        ((400, 470, 460, 542), False),
        ((400, 100, 403, 103), False),
        ((400, 100, 400, 100), False),
    ],
)
def test_where_half_of_the_torso_is_out_of_the_frame_nothing_is_known(
    bbox_px: tuple[float, float, float, float], is_seen: bool
) -> None:
    assert (seen(person(COAT)).colours(bbox_px) is not None) is is_seen


@pytest.mark.parametrize("name", [*FORMATS, "rgb24"])
def test_rows_are_whole_and_have_the_samples_of_the_luma(name: str) -> None:
    frame = seen(noise(name, 854, 480))
    rows = frame.rows()
    assert rows.shape[1] == 854
    assert np.array_equal(rows[:, :: frame.luma_step], frame.luma())
