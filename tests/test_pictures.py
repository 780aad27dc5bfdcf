"""Every kind of picture and video that people have: judged as a person sees it, or refused in one line."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from appliance.vision.pictures import ANIMATED_WEBP, CUT_OFF, NO_PICTURE, PictureError, pictures
from appliance.vision.pixels import Pixels, frame_of

QUARTERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128))
# How a picture is stored when the file says that showing it takes this of EXIF's eight orientations.
STORED: dict[int, Image.Transpose | None] = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# The same as the matrix of an MP4 (a, b, c, d): https://developer.apple.com/documentation/quicktime-file-format
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def four_colours(width: int = 96, height: int = 64) -> Pixels:
    """A picture that looks different however it is turned or mirrored."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    for number, colour in enumerate(QUARTERS):
        top, left = (number // 2) * height // 2, (number % 2) * width // 2
        image[top : top + height // 2, left : left + width // 2] = colour
    return image


def read(path: Path) -> Pixels:
    return next(pictures(path, 5)).image


def refusal(path: Path) -> str:
    with pytest.raises(PictureError) as refused:
        list(pictures(path, 5))
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def looks_like(image: Pixels, wanted: Pixels) -> bool:
    return image.shape == wanted.shape and float(np.abs(image.astype(int) - wanted).mean()) < 8


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff", "avif"])
def test_an_image_is_shown_as_its_file_says(tmp_path: Path, kind: str, orientation: int) -> None:
    upright, how = Image.fromarray(four_colours()), STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if how is None else upright.transpose(how)
    path = saved(tmp_path / f"phone.{kind}", stored, exif=exif, quality=95)
    assert looks_like(read(path), four_colours())


@pytest.mark.parametrize("orientation", MATRICES)
def test_a_video_is_shown_as_its_file_says(tmp_path: Path, orientation: int) -> None:
    how = STORED[orientation]
    upright = Image.fromarray(four_colours())
    stored = np.asarray(upright if how is None else upright.transpose(how))
    path = tmp_path / "phone.mp4"
    write_video(path, stored)
    write_matrix(path, MATRICES[orientation])
    assert looks_like(read(path), four_colours())


def write_video(path: Path, image: Pixels, frames: int = 10) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "qp": "10"})
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(frame_of(image)))
        container.mux(stream.encode(None))


def write_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Have the track of an MP4 say how it is to be shown, as phones do."""
    content = path.read_bytes()
    unturned = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    a, b, c, d = (value << 16 for value in matrix)
    at = content.index(unturned, content.index(b"tkhd"))
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:at] + turned + content[at + len(unturned) :])


@pytest.mark.parametrize("kind", ["gif", "png", "avif"])
def test_of_an_animation_the_first_picture_is_judged(tmp_path: Path, kind: str) -> None:
    first = Image.fromarray(four_colours())
    other = first.transpose(Image.Transpose.ROTATE_180)
    path = saved(tmp_path / f"moves.{kind}", first, save_all=True, append_images=[other], duration=100)
    assert len(list(pictures(path, 5))) == 1
    assert looks_like(read(path), four_colours())


def test_an_animated_webp_is_refused_in_words_of_its_own(tmp_path: Path) -> None:
    first = Image.fromarray(four_colours())
    other = first.transpose(Image.Transpose.ROTATE_180)
    assert ANIMATED_WEBP in refusal(saved(tmp_path / "a.webp", first, save_all=True, append_images=[other]))


def test_of_many_pages_the_first_is_judged(tmp_path: Path) -> None:
    first = Image.fromarray(four_colours())
    other = first.transpose(Image.Transpose.ROTATE_180)
    assert looks_like(read(saved(tmp_path / "fax.tiff", first, save_all=True, append_images=[other])), four_colours())


@pytest.mark.parametrize("kind", ["jpg", "tiff"])
def test_the_colours_of_printers_are_read(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / f"print.{kind}", Image.fromarray(four_colours()).convert("CMYK"))
    assert looks_like(read(path), four_colours())


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_read(tmp_path: Path, kind: str) -> None:
    grey = np.asarray(Image.fromarray(four_colours()).convert("L"))
    path = saved(tmp_path / f"deep.{kind}", Image.fromarray(grey.astype(np.uint16) * 257))
    assert looks_like(read(path), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["jpg", "progressive jpg"])
@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_a_jpeg_that_was_cut_off_says_so(tmp_path: Path, options: dict[str, bool], share: float) -> None:
    """Judged all the same, its lower part would be grey, and who stood there nobody."""
    assert CUT_OFF in refusal(cut(saved(tmp_path / "a.jpg", noise(), quality=95, **options), share))


def test_a_jpeg_that_lacks_its_very_last_bytes_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", noise(), quality=95)
    path.write_bytes(path.read_bytes()[:-20])
    assert CUT_OFF in refusal(path)


def test_what_follows_a_jpeg_makes_it_no_worse(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(four_colours()))
    path.write_bytes(path.read_bytes() + b"SEFT\xff\xd9\xff\xda" + bytes(100))  # as some phones do
    assert looks_like(read(path), four_colours())


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "avif", "gif"])
def test_any_image_that_was_cut_off_says_so(tmp_path: Path, kind: str) -> None:
    assert CUT_OFF in refusal(cut(saved(tmp_path / f"a.{kind}", noise()), 0.7))


def test_a_video_that_was_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, four_colours())
    assert CUT_OFF in refusal(cut(path, 0.5))


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8))


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("name", ["notes.txt", "a.ans", "a.jpg", "a.png", "a.gif", "a.mp4", "a.m3u8", "a.srt", "a"])
def test_text_is_no_picture_whatever_its_name(tmp_path: Path, name: str) -> None:
    """FFmpeg draws text, and a person would have been looked for in it."""
    path = tmp_path / name
    path.write_text("\x1b[31mhello\n" * 200)
    assert NO_PICTURE in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.png\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.png\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>',
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
    ids=["concat", "HLS", "DASH", "SDP"],
)
def test_a_file_never_opens_another(tmp_path: Path, text: str) -> None:
    saved(tmp_path / "other.png", Image.fromarray(four_colours()))
    (tmp_path / "a.jpg").write_text(text)
    (tmp_path / "a.txt").write_text(text)
    assert NO_PICTURE in refusal(tmp_path / "a.jpg")
    assert NO_PICTURE in refusal(tmp_path / "a.txt")


def test_a_kind_that_is_not_supported_names_those_that_are(tmp_path: Path) -> None:
    lab = saved(tmp_path / "a.tiff", Image.new("LAB", (32, 32)))
    assert "save it as JPEG, PNG or MP4" in refusal(lab)


def test_an_empty_file_and_one_of_zeros_are_no_pictures(tmp_path: Path) -> None:
    for name, content in (("a.jpg", b""), ("b.png", bytes(5000))):
        (tmp_path / name).write_bytes(content)
        assert NO_PICTURE in refusal(tmp_path / name)


def test_a_jpeg_with_something_behind_it_is_read(tmp_path: Path) -> None:
    """Phones append videos and depths to their pictures."""
    buffer = io.BytesIO()
    Image.fromarray(four_colours()).save(buffer, "jpeg", quality=95)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue() + b"motion" * 100)
    assert looks_like(read(tmp_path / "a.jpg"), four_colours())
