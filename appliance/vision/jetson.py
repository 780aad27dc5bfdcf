"""jetson-inference's detectNet, for those who have it: runs the decoded form of a model in a process of its own.

detectNet (https://github.com/dusty-nv/jetson-inference, c/detectNet.cpp and python/bindings/PyDetectNet.cpp) takes one
picture at a time, scales it to the network's input, and tells of each bbox the likeliest class alone, with the product
of the score and that class's probability. On TensorRT 10 its published version fails with every ONNX model, even by a
crash; that ends the process, and the CPU judges.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.faces import CLASSES, Face
from appliance.files import sync
from appliance.vision.bboxes import PAD_GREY, Candidates, Float32Array, iou
from appliance.vision.child import Child, parent
from appliance.vision.detector import NetworkDetector, Run
from appliance.vision.engines import alone
from appliance.vision.golden import agreement, self_test
from appliance.vision.gpu_errors import (
    BuildFailed,
    DeviceHung,
    DeviceLost,
    EngineRefused,
    GpuError,
    NotInstalled,
)
from appliance.vision.hardware import l4t
from appliance.vision.manifest import Model, verified
from appliance.vision.onnx import decoded_runner
from appliance.vision.pixels import Pixels, Stack

FORM = "decoded"
LIBRARIES = ("jetson_inference", "jetson_utils")
LABELS = ["BACKGROUND", *(state.value for state in CLASSES)]
LEAST_SCORE = 0.1  # candidates below are not asked for; those above say how sure the state of a face is
MOST = 300  # candidates of a picture
NEVER_CLUSTER = 2.0  # an overlap that no two bboxes have: detectNet unites none, and NMS is ours
NUMBERS = 6  # of a candidate: left, top, right, bottom, confidence, class (1 to 3; 0: there is none)
FOLDER, LOCK = "detectnet-", "detectnet.lock"
BUILD_S = 1800.0  # it builds an engine when it first loads a model
PASS_S = 3.0
READY = b"ready"


class JetsonDetector(NetworkDetector):
    """A detector that looks by detectNet, whose answers are candidates already."""

    def look(self, squares: Stack, score_threshold: float | None = None) -> list[list[Face]]:
        """Faces in each of the squares (see Detector). Smaller ones than region_px lie in the corner of grey."""
        if not len(squares):
            return []
        side, of_input = squares.shape[1], self.region_px
        canvases = np.full((len(squares), of_input, of_input, 3), PAD_GREY, dtype=np.uint8)
        canvases[:, :side, :side] = squares
        threshold = self._threshold(score_threshold)
        found = [candidates_of(rows, threshold, self.model.max_iou) for rows in self.run(canvases)[0]]
        return [self._faces(candidates, (side, side), (side, side)) for candidates in found]

    def _forward(self, content: Pixels, score_threshold: float) -> Candidates:
        height, width = content.shape[:2]
        canvas = np.full((1, self.input_height, self.input_width, 3), PAD_GREY, dtype=np.uint8)
        canvas[0, :height, :width] = content
        return candidates_of(self.run(canvas)[0][0], score_threshold, self.model.max_iou)


def candidates_of(rows: Float32Array, score_threshold: float, max_iou: float) -> Candidates:
    """What detectNet tells of a picture (N x NUMBERS) as candidates.

    It tells of the likeliest state alone. How likely the others are is read from the bboxes that overlap: where some
    of them say mask and others no_mask with nearly the same confidence, the state of the face is not sure.
    """
    rows = rows[(rows[:, 5] > 0) & (rows[:, 4] > 0)]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    bboxes, scores = rows[:, :4], rows[:, 4]
    together = iou(bboxes, bboxes) > max_iou
    np.fill_diagonal(together, True)
    of_class = rows[:, 5] == np.arange(1, len(CLASSES) + 1)[:, None]
    best = np.stack([(together * (scores * mine)).max(axis=1, initial=0) for mine in of_class], axis=1)
    probabilities = best / best.sum(axis=1, keepdims=True)
    chosen = scores >= score_threshold
    return Candidates(bboxes[chosen], scores[chosen], probabilities[chosen].astype(np.float32))


class Jetson:
    """detectNet that judges, in a child. detector: for any number of threads; name: for people. Raises GpuError."""

    def __init__(self, model: Model, files: Path, opening_s: float = BUILD_S) -> None:
        self.name = "detectNet of jetson-inference"
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._child = Child(
            "the process of detectNet",
            "appliance.vision.jetson",
            [str(files / "model.onnx"), str(files / "labels.txt")],
        )
        try:
            if self._answer(opening_s) != READY:
                raise BuildFailed("detectNet does not load the model")
        except BaseException:
            self.close()
            raise
        self.detector = JetsonDetector(model.of_regions(), self.run)

    def run(self, stack: Stack) -> Sequence[NDArray[Any]]:
        """Candidates of each picture, N x MOST x NUMBERS. Raises GpuError, after which it is of no use."""
        with self._lock:
            if self._failure is not None:
                raise DeviceLost(str(self._failure)) from self._failure
            try:
                return [np.stack([self._pass(picture) for picture in stack])]
            except Exception as error:
                self._failure = error
                self._child.end()
                raise

    def close(self) -> None:
        """End it; a pass that hangs ends with it."""
        self._failure = self._failure or DeviceLost("it was closed")
        self._child.kill()
        with self._lock:  # whoever is in a pass lets go of the pipe first
            self._child.end()

    def _pass(self, picture: Pixels) -> Float32Array:
        self._child.send(np.ascontiguousarray(picture).tobytes())
        answer = self._answer(PASS_S)
        if len(answer) != MOST * NUMBERS * 4:
            raise DeviceLost(f"detectNet failed ({answer.decode(errors='replace')})")
        return np.frombuffer(answer, np.float32).reshape(MOST, NUMBERS)

    def _answer(self, timeout_s: float) -> bytes:
        if not self._child.has_news(timeout_s):
            raise DeviceHung(f"detectNet did not answer within {timeout_s:g} s")
        return self._child.content()


def open_detector(
    model: Model,
    folder: Path,
    directory: Path | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    waits: Callable[[], None] = lambda: None,
) -> Jetson:
    """detectNet with the decoded form of the model. folder: where it may keep its engines, beside those of TensorRT.

    Minutes the first time, and one process at a time, since detectNet takes an engine that another one still writes.
    waits: told when another one does it. Raises GpuError, UserError, OSError.
    """
    for library in LIBRARIES:
        if importlib.util.find_spec(library) is None:
            raise NotInstalled("jetson-inference is not installed")
    if FORM not in model.forms:
        raise BuildFailed(f"the model {model.id} has no form for detectNet")
    content = verified(model.forms[FORM], directory)
    with alone(folder / LOCK, is_stopping, waits):
        files = laid_out(content, folder)
        try:
            return _tested(model, files, directory)
        except GpuError:
            if not (engines := [*files.glob("model.onnx.*")]):
                raise
            for engine in engines:  # it may be a half, or another version's: detectNet looks at its name alone
                engine.unlink()
            return _tested(model, files, directory)


def _tested(model: Model, files: Path, directory: Path | None) -> Jetson:
    """detectNet, once it passed its self-test and agrees with ONNX Runtime about the same file."""
    jetson = Jetson(model, files)
    try:
        forward = decoded_runner((files / "model.onnx").read_bytes())
        reference = JetsonDetector(model.of_regions(), _alike(forward))
        problems, close = self_test(jetson.detector, directory), agreement(jetson.detector, reference, directory)
        if problems:
            raise EngineRefused(f"detectNet fails its self-test: {'; '.join(problems[:3])} ({close})")
        if not close.is_close:
            raise EngineRefused(f"detectNet does not judge as ONNX Runtime does: {close}")
    except BaseException:
        jetson.close()
        raise
    return jetson


def _alike(forward: Callable[[Pixels], tuple[NDArray[Any], NDArray[Any]]]) -> Run:
    """What detectNet tells, of a forward pass by another runtime."""

    def run(stack: Stack) -> Sequence[NDArray[Any]]:
        return [np.stack([_told(*forward(picture), picture.shape[0]) for picture in stack])]

    return run


def _told(scores: NDArray[Any], bboxes: NDArray[Any], side_px: int) -> Float32Array:
    """What detectNet would tell of a forward pass, MOST x NUMBERS."""
    best = scores[:, 1:].max(axis=1)
    order = np.argsort(-best, kind="stable")[: np.count_nonzero(best >= LEAST_SCORE)][:MOST]
    rows = np.zeros((MOST, NUMBERS), np.float32)
    rows[: len(order), :4], rows[: len(order), 4] = bboxes[order] * side_px, best[order]
    rows[: len(order), 5] = 1 + scores[order, 1:].argmax(axis=1)
    return rows


def laid_out(content: bytes, folder: Path) -> Path:
    """The folder with the model and its labels, where detectNet puts the engine that it makes.

    It takes an engine that lies beside a model without asking whether it is of that model. So the folder is called
    after what is in it, and after the system, with which its TensorRT changes; others are removed. Raises OSError.
    """
    name = f"{FOLDER}{hashlib.sha256(content).hexdigest()[:16]}-{l4t() or 'no-jetson'}"
    for other in folder.glob(f"{FOLDER}*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)
    files = folder / name
    files.mkdir(parents=True, exist_ok=True)
    for path, wanted in ((files / "model.onnx", content), (files / "labels.txt", "\n".join([*LABELS, ""]).encode())):
        if path.is_file() and path.read_bytes() == wanted:
            continue
        draft = path.with_name(f".{path.name}")
        draft.write_bytes(wanted)
        sync(draft)
        draft.rename(path)
    return files


def serve(pipe: Connection, model: str, labels: str) -> None:
    """What the child does: load the model, then answer for each picture, until nobody asks."""
    inference, utils = (importlib.import_module(library) for library in LIBRARIES)
    net = inference.detectNet(
        model=model, labels=labels, input_blob="input_0", output_cvg="scores", output_bbox="boxes",
        threshold=LEAST_SCORE,
    )  # fmt: skip
    net.SetClusteringThreshold(NEVER_CLUSTER)
    pipe.send_bytes(READY)
    while True:
        content = pipe.recv_bytes()
        side = round((len(content) / 3) ** 0.5)
        picture = np.frombuffer(content, np.uint8).reshape(side, side, 3)
        try:
            rows = np.zeros((MOST, NUMBERS), np.float32)
            found = sorted(_rows(net.Detect(utils.cudaFromNumpy(picture), overlay="none")), key=lambda row: -row[4])
            rows[: len(found)] = np.reshape(found[:MOST], (-1, NUMBERS))
            answer = rows.tobytes()
        except Exception as error:
            answer = type(error).__name__.encode()
        pipe.send_bytes(answer)


def _rows(detections: Sequence[Any]) -> Iterator[tuple[float, ...]]:
    for one in detections:
        yield one.Left, one.Top, one.Right, one.Bottom, one.Confidence, one.ClassID


if __name__ == "__main__":
    with suppress(EOFError, BrokenPipeError):
        serve(parent(), *sys.argv[2:])
    os._exit(0)  # a vendor's library may hang in its own clearing up
