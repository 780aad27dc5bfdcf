"""`mb9k detect`: judge pictures and videos from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from appliance.errors import UserError
from appliance.faces import CLASSES, Face, State
from appliance.vision.annotate import draw_bboxes
from appliance.vision.detector import Detector
from appliance.vision.golden import self_test
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.onnx import load_detector
from appliance.vision.pictures import IMAGES, VIDEOS, Picture, PictureError, pictures
from appliance.vision.tiles import detect_tiled

_CLEAR_LINE = "\r\x1b[K"
_BAR_STEPS = 1000  # per file: a video moves the bar as it goes on


@dataclass(frozen=True, slots=True)
class _Job:
    """What to do with every picture."""

    detector: Detector
    score_threshold: float | None
    fps: float
    as_json: bool
    annotate: Path | None


@click.command("detect")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per picture (per analysed frame of a video).")
@click.option(
    "--annotate", type=click.Path(path_type=Path, file_okay=False), help="Write pictures with the faces marked to here."
)
@click.option(
    "--min-score", "score_threshold", type=click.FloatRange(0, 1), help="Leave out faces with a lower score than this."
)
@click.option("--model", default="", help="A name in models/manifest.toml.  [default: the manifest's]")
@click.option(
    "--fps",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Frames per second of a video.",
)
def detect_command(
    paths: tuple[Path, ...],
    as_json: bool,
    annotate: Path | None,
    score_threshold: float | None,
    model: str,
    fps: float,
) -> None:
    """Judge pictures, videos, and folders of them.

    Bboxes are in pixels of the upright picture, as phones mark it. Large pictures are looked at in parts, too, so that
    small faces are found. What cannot be read is named, the rest goes on, and the exit code is 1.
    """
    job = _Job(_fit_detector(model), score_threshold, fps, as_json, annotate)
    if annotate:
        _make_folder(annotate)
    files, failures = _files(paths)
    for failure in failures:
        click.echo(f"mb9k: {failure}", err=True)
    shown = sys.stderr.isatty()
    count = len(failures)
    with click.progressbar(length=_BAR_STEPS * len(files), label="Judging", file=sys.stderr, hidden=not shown) as bar:
        for number, path in enumerate(files):
            try:
                for picture in pictures(path, fps):
                    if shown:
                        click.echo(_CLEAR_LINE, nl=False, err=True)
                    _process(path, picture, job)
                    bar.update(max(0, round((number + picture.progress) * _BAR_STEPS) - bar.pos))
            except PictureError as error:
                count += 1
                click.echo(f"{_CLEAR_LINE if shown else ''}mb9k: {error}", err=True)
            bar.update((number + 1) * _BAR_STEPS - bar.pos)
    if count:
        raise UserError(f"{count} of the paths could not be judged")


def _fit_detector(model: str) -> Detector:
    """The model, once it has passed its self-test. Raises UserError."""
    detector = load_detector(model)
    if problems := self_test(detector):
        raise UserError(
            f"the model {detector.model_id} fails its self-test ({'; '.join(problems)}); name another with --model"
        )
    return detector


def _files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The files to read, those of folders by name; and what was not found, in words."""
    files: list[Path] = []
    failures: list[str] = []
    for path in paths:
        found = [path]
        if path.is_dir():
            found = sorted(
                file for file in path.rglob("*") if file.suffix.lower() in IMAGES | VIDEOS and file.is_file()
            )
        if not path.exists():
            failures.append(f"{path}: no such file or folder")
        elif not found:
            failures.append(f"{path}: holds no pictures or videos")
        else:
            files += found
    return files, failures


def _process(path: Path, picture: Picture, job: _Job) -> None:
    """Find and classify the faces of one picture, print them, and draw them if there is a folder for it."""
    faces = detect_tiled(job.detector, picture.image, job.score_threshold)
    if job.as_json:
        click.echo(json.dumps(_record(path, picture, job.detector, faces)))
    else:
        for line in _lines(path, picture, faces):
            click.echo(line)
    if job.annotate:
        target = job.annotate / _annotated_name(path, picture)
        try:
            target.write_bytes(encode_jpeg(draw_bboxes(picture.image, faces), 90))
        except OSError as error:
            raise UserError(f"{target}: cannot be written ({error.strerror})") from error


def _record(path: Path, picture: Picture, detector: Detector, faces: Sequence[Face]) -> dict[str, Any]:
    height, width = picture.image.shape[:2]
    return {
        "file": str(path),
        "time_s": picture.time_s,
        "width": width,
        "height": height,
        "model": detector.model_id,
        "faces": [_face(face) for face in faces],
    }


def _face(face: Face) -> dict[str, Any]:
    left, top, right, bottom = (round(side, 2) for side in face.bbox_px)
    return {
        "box": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "score": round(face.score, 4),
        "state": face.state.value,
        "states": {state.value: round(probability, 6) for state, probability in _by_class(face)},
    }


def _by_class(face: Face) -> Iterator[tuple[State, float]]:
    return zip(CLASSES, face.class_probabilities, strict=True)


def _lines(path: Path, picture: Picture, faces: Sequence[Face]) -> list[str]:
    """The same for people, a line per face."""
    where = str(path) if picture.time_s is None else f"{path} at {picture.time_s:.1f} s"
    lines = []
    for face in faces:
        left, top, right, bottom = face.bbox_px
        probabilities = ", ".join(f"{state.value} {probability:.2f}" for state, probability in _by_class(face))
        lines.append(
            f"{where}: {face.state.value} at {left:.0f},{top:.0f} {right - left:.0f}x{bottom - top:.0f}"
            f" (a face: {face.score:.2f}; {probabilities})"
        )
    return lines or [f"{where}: nobody"]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); name another with --annotate") from error


def _annotated_name(path: Path, picture: Picture) -> str:
    """A name of its own for every file, also where two folders, or two formats, have one of the same name."""
    stem = "-".join(part for part in path.parts if part not in ("/", ".", "..")).replace(".", "-")
    return f"{stem}.jpg" if picture.time_s is None else f"{stem}-{picture.time_s:08.3f}s.jpg"
