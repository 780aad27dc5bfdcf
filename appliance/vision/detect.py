"""`mb9k detect`: judge pictures and videos from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import av
import av.error
import click
import numpy as np

from appliance.errors import UserError
from appliance.faces import JUDGED, Face
from appliance.vision.annotate import draw_boxes
from appliance.vision.detector import Detector
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.onnx import load_detector
from appliance.vision.pixels import Pixels, pixels_of

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm", ".pgm"}
VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".flv", ".webm", ".ts", ".m4v", ".mpg", ".mpeg"}
STILL_FORMATS = ("image2", "png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "ppm_pipe", "pgm_pipe")


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture to judge; time_s: where in the video, None for an image."""

    image: Pixels
    time_s: float | None


@click.command("detect", help=__doc__)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per picture (per analysed frame of a video).")
@click.option("--annotate", type=click.Path(path_type=Path, file_okay=False), help="Write pictures with boxes to here.")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Leave out faces less sure than this.")
@click.option("--model", default="", help="A name in models/manifest.toml.  [default: the manifest's]")
@click.option(
    "--fps",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Frames per second of a video.",
)
def detect_command(
    paths: tuple[Path, ...], as_json: bool, annotate: Path | None, min_score: float | None, model: str, fps: float
) -> None:
    """Judge every file; what cannot be read is named, and the rest goes on."""
    detector = load_detector(model)
    if annotate:
        annotate.mkdir(parents=True, exist_ok=True)
    files, failures = _files(paths)
    with _progress(files) as todo:
        for path in todo:
            try:
                for picture in _pictures(path, fps):
                    faces = detector.detect(picture.image, min_score)
                    _print(path, picture, detector, faces, as_json)
                    if annotate:
                        target = annotate / _annotated_name(path, picture)
                        target.write_bytes(encode_jpeg(draw_boxes(picture.image, faces), 90))
            except (av.error.FFmpegError, OSError, ValueError, StopIteration, MemoryError) as error:
                failures.append(f"{path}: cannot be read as a picture or video ({_reason(error)})")
                click.echo(f"mb9k: {failures[-1]}", err=True)
    if failures:
        raise UserError(f"{len(failures)} of the paths could not be judged")


def _files(paths: tuple[Path, ...]) -> tuple[list[Path], list[str]]:
    """The files to judge, those of folders by name; and what was not found."""
    files: list[Path] = []
    failures: list[str] = []
    for path in paths:
        found = (
            sorted(one for one in path.rglob("*") if one.suffix.lower() in IMAGES | VIDEOS) if path.is_dir() else [path]
        )
        if not path.exists():
            failures.append(f"{path}: no such file or folder")
        elif not found:
            failures.append(f"{path}: holds no pictures or videos")
        else:
            files += found
    for failure in failures:
        click.echo(f"mb9k: {failure}", err=True)
    return files, failures


def _progress(files: list[Path]) -> Any:
    """A progress bar on a terminal, out of the way of the results; nothing elsewhere."""
    shown: TextIO | None = sys.stderr if len(files) > 1 else None
    return click.progressbar(files, label="Judging", file=shown, hidden=not (shown and shown.isatty()))


def _pictures(path: Path, fps: float) -> Iterator[Picture]:
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError("it has no picture")
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        still = container.format.name in STILL_FORMATS or path.suffix.lower() in IMAGES
        due_s = 0.0
        for frame in container.decode(video):
            image = _upright(frame)
            if still:
                yield Picture(image, None)
                return
            time_s = frame.time or 0.0
            if time_s + 1e-6 >= due_s:
                due_s = max(due_s, time_s - 1 / fps) + 1 / fps
                yield Picture(image, round(time_s, 3))


def _upright(frame: av.VideoFrame) -> Pixels:
    """The picture as a person would look at it: phones note how they were held."""
    return np.ascontiguousarray(np.rot90(pixels_of(frame), frame.rotation // 90))


def _print(path: Path, picture: Picture, detector: Detector, faces: list[Face], as_json: bool) -> None:
    height, width = picture.image.shape[:2]
    if as_json:
        record = {
            "file": str(path),
            "time_s": picture.time_s,
            "width": width,
            "height": height,
            "model": detector.model_id,
            "faces": [_face(face) for face in faces],
        }
        click.echo(json.dumps(record))
        return
    where = str(path) if picture.time_s is None else f"{path} at {picture.time_s:.1f} s"
    if not faces:
        click.echo(f"{where}: nobody")
    for face in faces:
        left, top, right, bottom = face.box_px
        shares = ", ".join(f"{state.value} {share:.2f}" for state, share in zip(JUDGED, face.states, strict=True))
        click.echo(
            f"{where}: {face.state.value} at {left:.0f},{top:.0f} {right - left:.0f}x{bottom - top:.0f}"
            f" (a face: {face.score:.2f}; {shares})"
        )


def _face(face: Face) -> dict[str, Any]:
    left, top, right, bottom = (round(side, 2) for side in face.box_px)
    return {
        "box": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "score": round(face.score, 4),
        "state": face.state.value,
        "states": {state.value: round(share, 6) for state, share in zip(JUDGED, face.states, strict=True)},
    }


def _annotated_name(path: Path, picture: Picture) -> str:
    """Two files of one name in two folders get two names."""
    stem = "-".join(part for part in path.with_suffix("").parts if part not in ("/", ".", ".."))
    return f"{stem}.jpg" if picture.time_s is None else f"{stem}-{picture.time_s:08.3f}s.jpg"


def _reason(error: BaseException) -> str:
    if isinstance(error, (av.error.FFmpegError, OSError)):
        return error.strerror or type(error).__name__
    return str(error) or type(error).__name__
