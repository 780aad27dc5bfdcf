"""Pictures out of files: images and videos in any format that FFmpeg reads, upright as a person would hold them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.stream import VideoStream

from appliance.errors import UserError
from appliance.vision.pixels import Pixels, pixels_of

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm", ".heic"}
VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".flv", ".webm", ".ts", ".m4v", ".mpg", ".mpeg", ".3gp"}
HEIC_BRANDS = {"heic", "heix", "heim", "heis", "mif1"}
# What a file may be. FFmpeg also draws text as a picture, and has formats that make it open other files.
FORMATS = (
    "image2,jpeg_pipe,png_pipe,apng,webp_pipe,bmp_pipe,tiff_pipe,gif,gif_pipe,j2k_pipe,ppm_pipe,pgm_pipe,pbm_pipe,"
    "pam_pipe,mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,h264,hevc"
)
NO_PICTURE = "it is no picture and no video, or of a kind that is not read here; save it as JPEG, PNG or MP4"
CUT_OFF = "it is damaged or cut off; send or save it again"
ANIMATED_WEBP = "an animated WebP is not read; save one picture of it as JPEG or PNG"

# Where the formats keep EXIF, which itself is a TIFF file: JPEG, PNG, WebP, and TIFF at its very start.
_EXIF = re.compile(rb"(?:Exif\0\0|eXIf|EXIF.{4}|\A)(II\*\0|MM\0\*)", re.DOTALL)
_ORIENTATION = 0x0112
_KNOWN_STARTS = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....(?:WEBP|AVI )|BM|II\*\0|MM\0\*|....(?:ftyp|jP  )|\x1a\x45\xdf\xa3|FLV",
    re.DOTALL,
)
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"
_MIRRORED = {2, 4, 5, 7}  # of the eight orientations of EXIF


class PictureError(UserError):
    """A file is no picture and no video, or a damaged one; the message says which file and why."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, upright. time_s: where in the video, None for an image; progress: through the file, 0 to 1."""

    image: Pixels
    time_s: float | None
    progress: float


def pictures(path: Path, fps: float) -> Iterator[Picture]:
    """The image, or `fps` frames per second of the video. Raises PictureError, maybe after some good frames."""
    try:
        # An open file, not its name: FFmpeg takes `%d` in a name for a series and `a:` for a protocol.
        with path.open("rb") as file, _opened(file) as container:
            count = 0
            for picture in _decoded(container, file, path, fps):
                count += 1
                yield picture
            if not count:
                raise ValueError(CUT_OFF)
    except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise PictureError(f"{path}: cannot be read as a picture or video ({_reason(error)})") from error


def _opened(file: BinaryIO) -> InputContainer:
    """Raises ValueError, MemoryError."""
    try:
        return av.open(file, "r", options={"format_whitelist": FORMATS})
    except av.error.FFmpegError as error:
        raise ValueError(_what_is_wrong(file)) from error


def _what_is_wrong(file: BinaryIO) -> str:
    """What begins as a picture or video does was one."""
    file.seek(0)
    return CUT_OFF if _KNOWN_STARTS.match(file.read(16)) else NO_PICTURE


def _decoded(container: InputContainer, file: BinaryIO, path: Path, fps: float) -> Iterator[Picture]:
    brand = container.metadata.get("major_brand", "").strip()
    if brand in HEIC_BRANDS or path.suffix.lower() == ".heic":  # FFmpeg would show one tile of it
        raise ValueError("HEIC is not supported; save it as JPEG")
    if not container.streams.video:
        raise ValueError("there is no picture in it")
    video = container.streams.video[0]
    video.thread_type = "AUTO"
    if container.format.name.endswith("_pipe") or path.suffix.lower() in IMAGES:
        yield Picture(_image(container, video, file), None, 1.0)
        return
    duration_s = (container.duration or 0) / av.time_base
    due_s = -1.0
    for frame in container.decode(video):
        time_s = frame.time or 0.0
        if time_s + 1e-6 >= due_s:
            # In step with the clock of the video, unless it jumps.
            due_s = due_s + 1 / fps if 0 <= time_s - due_s < 1 / fps else time_s + 1 / fps
            progress = min(1.0, time_s / duration_s) if duration_s > 0 else 0.0
            yield Picture(_upright(frame, _is_mirrored(frame)), round(time_s, 3), progress)


def _image(container: InputContainer, video: VideoStream, file: BinaryIO) -> Pixels:
    """The image, of an animation the first one. Raises ValueError."""
    if video.codec_context.name == "mjpeg":
        # Without this, what is missing of a JPEG is grey, and nobody would know.
        video.codec_context.options = {"err_detect": "explode"}
    try:
        frame = next(container.decode(video), None)
    except av.error.PatchWelcomeError as error:
        raise ValueError(NO_PICTURE) from error
    except av.error.InvalidDataError as error:
        raise ValueError(ANIMATED_WEBP if _is_animated_webp(file) else _what_is_wrong(file)) from error
    if frame is None or not _has_end(file, video.codec_context.name):
        raise ValueError(CUT_OFF)
    return _upright(frame, _is_mirrored(frame, file))


def _upright(frame: av.VideoFrame, mirrored: bool) -> Pixels:
    """The picture as a person would hold it: phones note how they were held."""
    image = pixels_of(frame)
    return np.ascontiguousarray(np.rot90(image[::-1] if mirrored else image, round(frame.rotation / 90)))


def _is_mirrored(frame: av.VideoFrame, file: BinaryIO | None = None) -> bool:
    """Whether the file says that the picture is mirrored; `rotation` alone does not tell."""
    try:
        matrix: Any = frame.side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]  # the stub is wrong
    except ValueError:  # PyAV 17.1 knows no EXIF side data and gives up on all of it
        return file is not None and _is_mirrored_by_exif(file)
    if matrix is None:
        return False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    return bool(a * d < b * c)


def _is_mirrored_by_exif(file: BinaryIO) -> bool:
    file.seek(0)
    content = file.read()
    found = _EXIF.search(content)
    if not found:
        return False
    tiff = content[found.start(1) : found.start(1) + 65536]
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        entries = (struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * index) for index in range(count))
        return any(tag == _ORIENTATION and value in _MIRRORED for tag, _, _, value in entries)
    except struct.error:  # EXIF is often damaged; the picture is not
        return False


def _is_animated_webp(file: BinaryIO) -> bool:
    file.seek(0)
    start = file.read(21)
    return start[8:16] == b"WEBPVP8X" and bool(
        start[20] & 2
    )  # https://developers.google.com/speed/webp/docs/riff_container


def _has_end(file: BinaryIO, codec: str) -> bool:
    """Whether nothing is cut off: FFmpeg shows what there is of a GIF, and does not miss the last bytes of a JPEG."""
    file.seek(0)
    if codec == "gif":
        return file.read().rstrip(b"\0").endswith(b";")
    if codec == "mjpeg":
        content = file.read()
        return _JPEG_END in content[_jpeg_scan(content) :]  # something else may follow the picture
    return True


def _jpeg_scan(content: bytes) -> int:
    """Where the picture itself begins, behind the headers, which may hold a small picture of their own."""
    at = 2
    while content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] and content[at + 1] != _JPEG_SCAN:
        is_filling = content[at + 1] == 0xFF
        at += 1 if is_filling else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return at


def _reason(error: BaseException) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return CUT_OFF
    words = error.strerror if isinstance(error, OSError) else str(error)
    return words or type(error).__name__
