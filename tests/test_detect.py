"""`mb9k detect`, over real files."""

from __future__ import annotations

import json
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

from appliance.cli import cli
from appliance.errors import UserError
from appliance.faces import CLASSES
from appliance.vision.golden import load_golden
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.manifest import folder, load_manifest
from appliance.vision.pictures import PictureError, pictures
from appliance.vision.pixels import Pixels, frame_of, pixels_of, scale_to

GOLDEN = folder() / "golden"
WORN = GOLDEN / "hopper-worn.jpg"


def detect(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["detect", *map(str, arguments)])


def records(*arguments: object) -> list[dict[str, Any]]:
    result = detect("--json", *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


def worn() -> Pixels:
    return next(image for picture, image in load_golden() if picture.file == WORN.name)


def encoded(image: Pixels, codec: str, pix_fmt: str) -> bytes:
    """The image as one packet of a codec that stands by itself as a file (PNG, JPEG)."""
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = image.shape[:2]
    encoder.pix_fmt, encoder.time_base = pix_fmt, Fraction(1, 1)
    frame = frame_of(image).reformat(format=pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def with_orientation(jpeg: bytes, orientation: int, order: str = ">") -> bytes:
    """The JPEG with an EXIF segment that holds nothing but the orientation."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    tiff = mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def stored_as(upright: Pixels, orientation: int) -> Pixels:
    """How a camera stores an upright picture when it notes this orientation."""
    turned: list[Pixels] = [
        upright,
        upright[:, ::-1],
        upright[::-1, ::-1],
        upright[::-1],
        upright.transpose(1, 0, 2),
        np.rot90(upright, 1),
        upright[::-1, ::-1].transpose(1, 0, 2),
        np.rot90(upright, -1),
    ]
    return np.ascontiguousarray(turned[orientation - 1])


def write_video(path: Path, image: Pixels, seconds: float, fps: int = 10) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(round(seconds * fps)):
            container.mux(stream.encode(frame_of(image)))
        container.mux(stream.encode(None))


def test_json_is_one_object_per_image_with_exactly_the_promised_fields() -> None:
    (record,) = records(WORN)
    assert list(record) == ["file", "time_s", "width", "height", "model", "faces"]
    assert (record["file"], record["time_s"], record["width"], record["height"]) == (str(WORN), None, 412, 412)
    (face,) = record["faces"]
    assert list(face) == ["box", "score", "state", "states"]
    assert face["state"] == "mask"
    assert list(face["states"]) == [state.value for state in CLASSES]
    assert sum(face["states"].values()) == pytest.approx(1, abs=1e-5)
    left, top, width, height = face["box"]
    assert 80 < left < 130 and 70 < top < 130 and 150 < width < 230 and 170 < height < 250


def test_a_low_min_score_shows_what_else_the_detector_considered() -> None:
    (few,) = records(WORN)
    (many,) = records("--min-score", "0.0005", WORN)
    scores = [face["score"] for face in many["faces"]]
    assert len(scores) > len(few["faces"])
    assert min(scores) < 0.2 and scores == sorted(scores, reverse=True)


def test_the_command_line_has_it() -> None:
    result = CliRunner().invoke(cli, ["detect", "--json", str(WORN)])
    assert result.exit_code == 0 and json.loads(result.stdout)["faces"][0]["state"] == "mask"


def test_people_get_a_line_per_face_and_nobody_is_said_too() -> None:
    result = detect(WORN, GOLDEN / "no-face.jpg")
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{WORN}: mask at ")
    assert second == f"{GOLDEN / 'no-face.jpg'}: nobody"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_a_picture_is_turned_upright_as_exif_says(tmp_path: Path, orientation: int, order: str) -> None:
    upright = np.full((48, 80, 3), 128, dtype=np.uint8)
    upright[:24, :40], upright[:24, 40:], upright[24:, :40] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    path = tmp_path / "phone.jpg"
    path.write_bytes(with_orientation(encode_jpeg(stored_as(upright, orientation), 95), orientation, order))
    (picture,) = pictures(path, 5)
    assert picture.image.shape == upright.shape
    assert np.abs(picture.image.astype(int) - upright).mean() < 8


def test_the_bbox_refers_to_the_upright_picture(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    upright = np.ascontiguousarray(worn()[:, 60:])  # not square, so that a mix-up shows
    path.write_bytes(with_orientation(encode_jpeg(stored_as(upright, 6), 95), 6))
    (record,) = records(path)
    assert (record["width"], record["height"]) == (352, 412)
    left, top, *_ = record["faces"][0]["box"]
    assert 20 < left < 70 and 70 < top < 130


def test_damaged_exif_does_not_hide_a_good_picture(tmp_path: Path) -> None:
    path = tmp_path / "odd.jpg"
    jpeg = with_orientation(WORN.read_bytes(), 3)
    path.write_bytes(jpeg.replace(b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xf0"))
    assert records(path)[0]["faces"][0]["state"] == "mask"


@pytest.mark.parametrize("pix_fmt", ["gray", "rgba", "ya8", "rgb48be", "monob"])
def test_grey_transparent_deep_and_black_and_white_pictures_are_read(tmp_path: Path, pix_fmt: str) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(worn(), "png", pix_fmt))
    (record,) = records(path)
    assert (record["width"], record["height"]) == (412, 412)
    if pix_fmt != "monob":  # a drawing in two colours may well hide a face
        assert len(record["faces"]) == 1


def test_a_cmyk_jpeg_has_its_colours(tmp_path: Path) -> None:
    """Adobe's CMYK JPEGs hold four inverted planes."""
    path = tmp_path / "print.jpg"
    path.write_bytes(cmyk_jpeg(cyan=0, magenta=255, yellow=255, black=0))
    (picture,) = pictures(path, 5)
    red, green, blue = picture.image[4, 4].tolist()
    assert red > 240 and green < 15 and blue < 15
    assert len(records(path)) == 1


def cmyk_jpeg(**inks: int) -> bytes:
    """An 8 x 8 JPEG of one colour with four components, stored as Adobe does: inverted."""
    components = b"".join(bytes([number, 0x11, 0]) for number in range(1, 5))
    tables = bytes([0]) + bytes([1] * 64)  # quantisation by 1
    # One code each: DC categories 0..11 with four bits, AC with the end of block alone.
    direct = bytes([0, 0, 0, 0, 12] + [0] * 12) + bytes(range(12))
    other = bytes([0x10, 1] + [0] * 15) + bytes([0])
    bits = "".join(_dc_bits(8 * ((255 - ink) - 128)) + "0" for ink in inks.values())
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    scan = bytes([4]) + b"".join(bytes([number, 0]) for number in range(1, 5)) + bytes([0, 63, 0])
    return (
        b"\xff\xd8"
        + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
        + segment(0xDB, tables)
        + segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 4) + components)
        + segment(0xC4, direct)
        + segment(0xC4, other)
        + segment(0xDA, scan)
        + data
        + b"\xff\xd9"
    )


def _dc_bits(value: int) -> str:
    size = abs(value).bit_length()
    code = f"{size:04b}"
    return code + (f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else "")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3000, 2), (8660, 5774)])
def test_tiny_thin_and_huge_pictures_are_judged(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(encode_jpeg(scale_to(worn(), *size)))
    (record,) = records("--annotate", tmp_path / "drawn", path)
    assert (record["width"], record["height"]) == size
    assert len(record["faces"]) == (1 if min(size) > 1000 else 0)


def test_a_video_is_judged_some_times_a_second(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, worn(), seconds=2)
    found = records(path)
    assert [record["time_s"] for record in found] == pytest.approx([0.2 * index for index in range(10)], abs=0.01)
    assert {record["faces"][0]["state"] for record in found} == {"mask"}
    assert len(records("--fps", 1, path)) == 2
    assert len(records("--fps", 100, path)) == 20


def test_a_folder_is_judged_with_all_below_it_and_other_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("b.jpg", "below/a.JPG"):
        (tmp_path / name).write_bytes(WORN.read_bytes())
    (tmp_path / "notes.txt").write_text("no picture")
    assert [record["file"] for record in records(tmp_path)] == [
        str(tmp_path / "b.jpg"),
        str(tmp_path / "below" / "a.JPG"),
    ]


def broken(folder_: Path, kind: str) -> Path:
    path = folder_ / f"{kind}.jpg"
    if kind == "empty folder":
        path.mkdir()
    elif kind != "absent":
        content = {"empty": b"", "text": b"hello " * 500, "beginning": WORN.read_bytes()[:300]}[kind]
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["absent", "empty", "text", "beginning", "empty folder"])
def test_what_cannot_be_judged_is_one_line_and_the_rest_goes_on(tmp_path: Path, kind: str) -> None:
    path = broken(tmp_path, kind)
    result = detect("--json", path, WORN)
    assert isinstance(result.exception, UserError)  # which the command line turns into a line and exit code 1
    assert str(result.exception) == "1 of the paths could not be judged"
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"mb9k: {path}: ")
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [str(WORN)]


def test_the_exit_code_is_one_when_something_could_not_be_judged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.cli import main

    monkeypatch.setattr("sys.argv", ["mb9k", "detect", str(tmp_path / "absent.jpg"), str(WORN)])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capfd.readouterr()
    assert exit_.value.code == 1
    assert "Traceback" not in captured.err and len(captured.err.splitlines()) == 2
    assert "mask at" in captured.out


def test_heic_is_refused_in_words_since_only_a_tile_of_it_would_be_judged(tmp_path: Path) -> None:
    path = tmp_path / "phone.heic"
    write_video(path.with_suffix(".mp4"), worn(), seconds=0.1)
    path.write_bytes(path.with_suffix(".mp4").read_bytes())
    with pytest.raises(PictureError, match="HEIC is not supported; save it as JPEG"):
        next(pictures(path, 5))


@pytest.mark.parametrize("name", ["100%d.jpg", "half:past.jpg", "frame%03d.jpg", "-.jpg"])
def test_odd_names_are_names_and_not_patterns(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(WORN.read_bytes())
    assert len(records(tmp_path / name)[0]["faces"]) == 1


def test_annotated_pictures_carry_the_bboxes_and_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("one/same.jpg", "two/same.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(WORN.read_bytes())
    drawn = tmp_path / "drawn"
    detect("--annotate", drawn, tmp_path / "one", tmp_path / "two")
    assert len(list(drawn.iterdir())) == 2
    for path in drawn.iterdir():
        with av.open(str(path)) as container:
            image = pixels_of(next(container.decode(video=0)))
        assert image.shape == worn().shape
        assert np.abs(image.astype(int) - worn()).max() > 60


def test_a_folder_that_cannot_be_made_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = detect("--annotate", tmp_path / "file" / "below", WORN)
    assert isinstance(result.exception, UserError) and "--annotate" in str(result.exception)


def test_an_unknown_model_is_a_line_that_names_the_known() -> None:
    result = detect("--model", "nonesuch", WORN)
    assert isinstance(result.exception, UserError) and load_manifest().default in str(result.exception)


def test_a_model_that_fails_its_self_test_judges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.vision.detect.self_test", lambda _: ["a.jpg: says mask, is no_mask"])
    result = detect(WORN)
    assert isinstance(result.exception, UserError) and "fails its self-test" in str(result.exception)
    assert result.stdout == ""


def test_png_with_exif_is_turned_too(tmp_path: Path) -> None:
    upright = np.zeros((8, 16, 3), dtype=np.uint8)
    upright[:4] = 255
    png = encoded(stored_as(upright, 5), "png", "rgb24")
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 5, 0, 0)
    chunk = struct.pack(">I", len(tiff)) + b"eXIf" + tiff + struct.pack(">I", zlib.crc32(b"eXIf" + tiff))
    path = tmp_path / "phone.png"
    path.write_bytes(png[:33] + chunk + png[33:])  # behind the header
    (picture,) = pictures(path, 5)
    assert np.array_equal(picture.image, upright)
