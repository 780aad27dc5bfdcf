"""From photos to batches: which picture is drawn, how it is cut, and the arrays the network learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from appliance.vision.bboxes import normalised
from models.data.augmentation import INCORRECT, Chances, Sample, augment, cut, flip, mosaic, tilt, with_made_masks
from models.data.dataset import IGNORE, Photo
from models.data.landmarks import Points
from models.data.transplant import Donor

cv2.setNumThreads(1)  # one process per core already

BATCH_SIZE_PX = 320  # `batch` counts inputs of this size; larger ones come in smaller batches


@dataclass(frozen=True, slots=True)
class Sources:
    """The pictures to draw from, each with the landmarks of its bare and masked faces; pool: who may lend a nose."""

    photos: list[Photo]
    photo_points: list[dict[int, Points]]
    crops: list[Photo]
    crop_points: list[dict[int, Points]]
    pool: list[Donor]


class Batches(Dataset[tuple[Tensor, ...]]):
    """Batch number n is always the same: its random numbers depend on the seed and n alone, so that a resumed run
    sees what an uninterrupted one would have seen."""

    def __init__(self, sources: Sources, settings: dict[str, Any], first: int, steps: int, rank: int = 0) -> None:
        self.sources, self.settings, self.first, self.steps, self.rank = sources, settings, first, steps, rank
        self.has_incorrect = np.array([(photo.states == INCORRECT).any() for photo in sources.photos])
        self.done = torch.zeros(1).share_memory_()  # fraction of the run; the training sets it for all workers
        self._choose(settings["samples"])

    def __len__(self) -> int:
        return self.steps - self.first

    def _choose(self, samples: dict[str, Any]) -> None:
        self.samples = samples
        chances = 1.0 + (samples["incorrect_times"] - 1.0) * self.has_incorrect
        self.chances = chances / chances.sum()
        self.made = Chances(samples["drawn_masks"], samples["transplanted_noses"])

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        if number >= len(self):
            raise IndexError(number)
        run, samples = self.settings["run"], self.settings["samples"]
        if max((self.first + number) / self.steps, float(self.done)) >= samples["calm_after"]:
            self._choose(calmed(samples))
        size = int(np.random.default_rng([run["seed"], self.first + number]).choice(samples["sizes"]))
        random = np.random.default_rng([run["seed"], self.first + number, self.rank])
        count = max(2, round(run["batch"] * (BATCH_SIZE_PX / size) ** 2))
        return collate([self.sample(size, random) for _ in range(count)])

    def sample(self, size: int, random: np.random.Generator) -> Sample:
        """One training input of size x size."""
        if random.random() < self.samples["mosaic"]:
            made = mosaic([self._window(size // 2, random, in_mosaic=True) for _ in range(4)])
        else:
            made = self._window(size, random, in_mosaic=False)
        if random.random() < 0.5:
            made = flip(made)
        if random.random() < self.samples["tilted"]:
            made = tilt(made, random)
        made.pixels = augment(made.pixels, random)
        return made

    def plain(self, count: int, size: int) -> list[NDArray[np.float32]]:
        """Network inputs without augmentation, 1 x 3 x size x size each: to set batch statistics."""
        random = np.random.default_rng(self.settings["run"]["seed"])
        return [normalised(self._window(size, random, in_mosaic=False).pixels[None]) for _ in range(count)]

    def _window(self, size: int, random: np.random.Generator, in_mosaic: bool) -> Sample:
        sources, samples = self.sources, self.samples
        if in_mosaic and sources.crops and random.random() < samples["crops"]:
            number = int(random.integers(len(sources.crops)))
            photo, points = sources.crops[number], sources.crop_points[number]
        else:
            number = int(random.choice(len(self.chances), p=self.chances))
            photo, points = sources.photos[number], sources.photo_points[number]
        made = with_made_masks(photo, points, sources.pool, self.made, random)
        return cut(made, size, random, incorrect_times=samples["incorrect_times"])


def calmed(samples: dict[str, Any]) -> dict[str, Any]:
    """The settings with fewer made-up samples: at the end the network sees pictures as they come."""
    calm = samples["calm"]
    fewer = {name: samples[name] * calm for name in ("mosaic", "tilted", "drawn_masks", "transplanted_noses")}
    return {**samples, **fewer, "incorrect_times": 1.0 + (samples["incorrect_times"] - 1.0) * calm}


def collate(samples: list[Sample]) -> tuple[Tensor, ...]:
    """(pixels N x S x S x 3 uint8, bboxes N x M x 4, states N x M, ignored N x K x 4), filled up with IGNORE and 0."""
    faces = [sample.states != IGNORE for sample in samples]
    most = max(1, max(int(face.sum()) for face in faces))
    most_ignored = max(1, max(int((~face).sum()) for face in faces))
    bboxes = np.zeros((len(samples), most, 4), np.float32)
    states = np.full((len(samples), most), IGNORE, np.int64)
    ignored = np.zeros((len(samples), most_ignored, 4), np.float32)
    for row, (sample, face) in enumerate(zip(samples, faces, strict=True)):
        bboxes[row, : face.sum()] = sample.bboxes[face]
        states[row, : face.sum()] = sample.states[face]
        ignored[row, : (~face).sum()] = sample.bboxes[~face]
    pixels = np.stack([sample.pixels for sample in samples])
    return tuple(torch.from_numpy(array) for array in (pixels, bboxes, states, ignored))
