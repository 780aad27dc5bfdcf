"""A stand-in for jetson-inference, on the CPU by ONNX Runtime: nothing that it shows was seen on a Jetson.

It does what detectNet does with an ONNX model: the picture is stretched to the input, classes but the first are
compared with the threshold, of each bbox the likeliest is told, and bboxes of one class that overlap are united. An
engine beside the model is made once, and taken as it is the next time.

STAND_IN_FAULT says what goes wrong: load, crash at loading, detect, crash, hang; and labels, which are swapped.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from appliance.vision.bboxes import normalised
from appliance.vision.pixels import scale_to

FAULT = os.environ.get("STAND_IN_FAULT", "")


class Detection:
    """One bbox in px of the picture; ClassID counts from the first class, which is the background."""

    def __init__(self, class_id: int, confidence: float, bbox_px: Any) -> None:
        self.ClassID, self.Confidence = class_id, float(confidence)
        self.Left, self.Top, self.Right, self.Bottom = map(float, bbox_px)

    def unite(self, other: Detection, threshold: float) -> bool:
        """Grow by another one that overlaps by more than the threshold, as a share of the smaller one's area."""
        wide = min(self.Right, other.Right) - max(self.Left, other.Left)
        high = min(self.Bottom, other.Bottom) - max(self.Top, other.Top)
        areas = [(each.Right - each.Left) * (each.Bottom - each.Top) for each in (self, other)]
        if self.ClassID != other.ClassID or min(wide, high) <= 0 or wide * high / max(min(areas), 1e-9) < threshold:
            return False
        self.Left, self.Top = min(self.Left, other.Left), min(self.Top, other.Top)
        self.Right, self.Bottom = max(self.Right, other.Right), max(self.Bottom, other.Bottom)
        self.Confidence = max(self.Confidence, other.Confidence)
        return True


class detectNet:
    """See the module."""

    def __init__(
        self, threshold: float, model: str, labels: str, input_blob: str, output_cvg: str, output_bbox: str
    ) -> None:
        if FAULT == "crash at loading":
            os.kill(os.getpid(), signal.SIGSEGV)
        engine = Path(f"{model}.1.1.GPU.FP16.engine")
        if not engine.exists():
            engine.write_bytes(Path(model).read_bytes())
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(engine.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Exception("detectNet failed to load network") from error
        if FAULT == "load" or Path(labels).read_text().split()[0] != "BACKGROUND":
            raise Exception("detectNet failed to load network")
        self._session, self._names = session, (input_blob, [output_cvg, output_bbox])
        self._threshold, self._clustering = threshold, 0.75

    def SetClusteringThreshold(self, threshold: float) -> None:
        """From which overlap on bboxes of one class are united."""
        self._clustering = threshold

    def Detect(self, image: Any, overlay: str = "box,labels,conf") -> list[Detection]:
        """What the network finds in a picture, height x width x 3, RGB."""
        if FAULT == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if FAULT == "hang":
            threading.Event().wait()
        if FAULT == "detect":
            raise Exception("detectNet.Detect() encountered an error")
        assert overlay == "none"
        entrance, outputs = self._names
        height, width = image.shape[:2]
        side = self._session.get_inputs()[0].shape[2]
        tensor = normalised(scale_to(image, side, side)[None])
        scores, bboxes = (output[0] for output in self._session.run(outputs, {entrance: tensor}))
        if FAULT == "labels":
            scores = scores[:, [0, 2, 1, 3]]
        found: list[Detection] = []
        for index in np.flatnonzero(scores[:, 1:].max(axis=1) >= self._threshold):
            class_id = 1 + int(scores[index, 1:].argmax())
            one = Detection(class_id, scores[index, class_id], bboxes[index] * np.array([width, height] * 2))
            if not any(other.unite(one, self._clustering) for other in found):
                found.append(one)
        return found
