"""Pictures out of files: images and videos in any format that FFmpeg reads, upright as a person would hold them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import av.error
import numpy as np
from av.container import InputContainer

from appliance.errors import UserError
from appliance.vision.pixels import Pixels, pixels_of

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".ppm", ".pgm", ".heic"}
VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".flv", ".webm", ".ts", ".m4v", ".mpg", ".mpeg", ".3gp"}
HEIC_BRANDS = {"heic", "heix", "heim", "heis", "mif1"}

# Where the formats keep EXIF, which itself is a TIFF file: JPEG, PNG, WebP, and TIFF at its very start.
_EXIF = re.compile(rb"(?:Exif\0\0|eXIf|EXIF.{4}|\A)(II\*\0|MM\0\*)", re.DOTALL)
_ORIENTATION = 0x0112
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
        with path.open("rb") as file, av.open(file, "r") as container:
            count = 0
            for picture in _decoded(container, file, path, fps):
                count += 1
                yield picture
            if not count:
                raise ValueError("there is no picture in it")
    except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise PictureError(f"{path}: cannot be read as a picture or video ({_reason(error)})") from error


def _decoded(container: InputContainer, file: BinaryIO, path: Path, fps: float) -> Iterator[Picture]:
    brand = container.metadata.get("major_brand", "").strip()
    if brand in HEIC_BRANDS or path.suffix.lower() == ".heic":  # FFmpeg would show one tile of it
        raise ValueError("HEIC is not supported; save it as JPEG")
    if not container.streams.video:
        raise ValueError("there is no picture in it")
    video = container.streams.video[0]
    video.thread_type = "AUTO"
    if container.format.name.endswith("_pipe") or path.suffix.lower() in IMAGES:
        for frame in container.decode(video):
            yield Picture(_upright(frame, _mirrored(file)), None, 1.0)
            return
    duration_s = (container.duration or 0) / av.time_base
    due_s = -1.0
    for frame in container.decode(video):
        time_s = frame.time or 0.0
        if time_s + 1e-6 >= due_s:
            # In step with the clock of the video, unless it jumps.
            due_s = due_s + 1 / fps if 0 <= time_s - due_s < 1 / fps else time_s + 1 / fps
            progress = min(1.0, time_s / duration_s) if duration_s > 0 else 0.0
            yield Picture(_upright(frame, mirrored=False), round(time_s, 3), progress)


def _upright(frame: av.VideoFrame, mirrored: bool) -> Pixels:
    """The picture as a person would hold it: phones note how they were held."""
    image = pixels_of(frame)
    return np.ascontiguousarray(np.rot90(image[::-1] if mirrored else image, round(frame.rotation / 90)))


def _mirrored(file: BinaryIO) -> bool:
    """Whether EXIF says that the image is mirrored; FFmpeg only tells us its rotation."""
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


def _reason(error: BaseException) -> str:
    words = error.strerror if isinstance(error, OSError) else str(error)
    return words or type(error).__name__
