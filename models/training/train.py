"""Trains the detector: `python -m models.training.train --data DIR --out RUN [--landmarks YUNET.onnx]`.

Given again, the command goes on where it ended. settings.toml has every setting; checkpoints and curves are in RUN.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, distributed
from torch import multiprocessing as mp
from torch.utils.data import DataLoader

from models.data.dataset import Photo, load_crops, load_photos
from models.data.landmarks import find_landmarks
from models.data.transplant import donors
from models.training import checkpoint
from models.training.charts import draw_curves
from models.training.loss import LossWeights, detection_loss
from models.training.network import MaskNet, Widths
from models.training.samples import Batches, Sources
from models.training.teacher import taught_loss
from models.training.validate import validate

STATE_FILE = "state.pt"  # to go on from


class Run:
    """One training run: network, its moving average, optimiser and history.

    With several processes each holds the whole network and learns from its own samples; gradients are averaged.
    """

    def __init__(self, settings: dict[str, Any], out: Path, device: str, processes: int = 1) -> None:
        self.settings, self.out, self.device, self.processes = settings, out, device, processes
        self.on_gpu = torch.device(device).type == "cuda"
        self.net = MaskNet(msgspec.convert(settings["network"], Widths))
        run = settings["run"]
        self.steps_per_epoch = run["samples_per_epoch"] // (run["batch"] * processes)
        self.steps = run["epochs"] * self.steps_per_epoch
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []
        self.teacher: MaskNet | None = None

    def prepare(self, start: Path | None, sample: Tensor, teacher: Path | None = None) -> None:
        """Take the weights of a checkpoint to start from, then those of an interrupted run if there is one."""
        self.teacher = None if teacher is None else checkpoint.load(teacher)
        if start is not None:
            widths, self.net = self.net.widths, checkpoint.load(start)
            if self.net.widths != widths:
                raise SystemExit(f"{start}: has {self.net.widths}, but the settings say {widths}")
            checkpoint.measure_statistics(self.net, sample)
        self.net.to(self.device, memory_format=torch.channels_last)
        if self.teacher is not None:
            self.teacher.to(self.device, memory_format=torch.channels_last)
        self.average = deepcopy(self.net).eval()
        values = self.settings["optimiser"]
        self.optimiser = torch.optim.AdamW(self.net.parameters(), values["rate"], weight_decay=values["weight_decay"])
        interrupted = self.out / STATE_FILE
        if interrupted.exists():
            state = torch.load(interrupted, map_location=self.device, weights_only=True)
            self.net.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]

    def save(self) -> None:
        """Everything needed to go on; written beside and renamed, so that a crash leaves the last one."""
        state = {
            "net": self.net.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "step": self.step, "seconds": self.seconds,
            "history": self.history,
        }  # fmt: skip
        beside = self.out / (STATE_FILE + ".new")
        torch.save(state, beside)
        beside.replace(self.out / STATE_FILE)
        folder = self.out / checkpoint.FOLDER
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.step // self.steps_per_epoch:05d}.safetensors"
        checkpoint.save(checkpoint.fold(self.average), self.net.widths, path)

    def progress(self) -> float:
        """0 at the start, 1 at the end: by steps, or by time where the settings limit it."""
        minutes = self.settings["run"]["minutes"]
        return max(self.step / self.steps, self.seconds / (60 * minutes) if minutes else 0.0)

    def learn(self, batch: tuple[Tensor, ...], progress: float) -> dict[str, float]:
        """One step on (pixels, bboxes, states, ignored); the losses by name."""
        values = self.settings["optimiser"]
        rate = learning_rate(progress, self.step, values)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        pixels, bboxes, states, ignored = (part.to(self.device, non_blocking=True) for part in batch)
        inputs = (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        weights = LossWeights(**self.settings["loss"])
        outputs = self._said(self.net.train(), inputs)
        losses = detection_loss(outputs, bboxes, states, ignored, weights)
        if self.teacher is not None:
            with torch.no_grad():
                taught = self._said(self.teacher, inputs)
            losses["taught"], share = taught_loss(outputs, taught, weights), self.settings["teacher"]["share"]
            losses["total"] = (1 - share) * losses["total"] + share * losses["taught"]
        self.optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        self._average_gradients()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), values["clip_norm"])
        self.optimiser.step()
        self.step += 1
        self._follow(values["average"])
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _said(self, net: MaskNet, inputs: Tensor) -> tuple[Tensor, ...]:
        half = self.on_gpu and (self.settings["run"]["half"] or net is self.teacher)
        with torch.autocast("cuda", torch.bfloat16, enabled=half):
            outputs = net(inputs)
        return tuple(out.float() for out in outputs)

    def agreed_progress(self) -> float:
        """The mean of the processes' progress: clocks differ, and all must end at the same step."""
        if self.processes == 1:
            return self.progress()
        mean = torch.tensor(self.progress(), dtype=torch.float64)
        distributed.all_reduce(mean)
        return float(mean) / self.processes

    def _average_gradients(self) -> None:
        if self.processes == 1:
            return
        gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.processes
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def _follow(self, momentum: float) -> None:
        for average, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if average.dtype.is_floating_point:
                average.lerp_(new, 1 - momentum)
            else:
                average.copy_(new)


def learning_rate(progress: float, step: int, values: dict[str, float]) -> float:
    """Linear warm-up, then half a cosine from `rate` to `last_rate`."""
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    rate = values["last_rate"] + (values["rate"] - values["last_rate"]) * wave
    return rate * min(1.0, (step + 1) / max(1, values["warm_up_steps"]))


def train(run: Run, batches: DataLoader[Any], photos: list[Photo] | None) -> None:
    """Until the settings' end. Now and then the process with `photos`, those of `val`, validates on them and saves the
    state; the others wait at the next step."""
    every = run.settings["run"]["validate_every"] * run.steps_per_epoch
    sums: dict[str, float] = {}
    began = since = time.monotonic()
    first, counted = run.step, 0
    command = mp.parent_process()
    for batch in batches:
        if command is not None and not command.is_alive():
            raise SystemExit("the training command was ended from outside; run it again to go on")
        done = run.agreed_progress()
        if done >= 1:
            break
        batches.dataset.done.fill_(done)
        losses = run.learn(batch, done)
        now = time.monotonic()
        run.seconds, since = run.seconds + now - since, now
        counted += 1
        sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
        if photos is None:
            continue
        if run.step % 5 == 0:
            _show(run, done, (now - began) / (run.step - first), losses["total"])
        if run.step % every == 0:
            validate_and_save(run, photos, {name: value / counted for name, value in sums.items()})
            sums, counted = {}, 0
            since = time.monotonic()
    if photos is not None and counted:
        validate_and_save(run, photos, {name: value / counted for name, value in sums.items()})


def validate_and_save(run: Run, photos: list[Photo], losses: dict[str, float]) -> None:
    """Measure on `val`, write it down and save the state."""
    run.history.append({"epoch": run.step / run.steps_per_epoch, **losses, **validate(run.average, photos)})
    print("\n" + json.dumps(run.history[-1]), flush=True)
    run.save()
    draw_curves(run.history, run.out / "curves.png")


def _show(run: Run, done: float, per_step: float, loss: float) -> None:
    left = (1 - done) * run.seconds / max(done, 1e-6)
    bar = "#" * round(30 * done)
    print(
        f"\r[{bar:<30}] {done:4.0%}  epoch {run.step / run.steps_per_epoch:.1f}  {per_step:.2f} s/step  "
        f"loss {loss:.3f}  {left / 60:.0f} min left ",
        end="",
        flush=True,
    )


def work(rank: int, options: argparse.Namespace, settings: dict[str, Any]) -> None:
    """One of the training processes; the first also validates and saves."""
    run_settings = settings["run"]
    processes = run_settings["processes"]
    if processes > 1:
        meeting = f"file://{(options.out / 'meeting').absolute()}"
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    torch.set_num_threads(run_settings["threads"])
    torch.manual_seed(run_settings["seed"])
    torch.backends.cudnn.benchmark = True  # inputs have few sizes
    cache = options.cache or options.out / "cache"
    sources = load_sources(options.data, cache, options.landmarks)
    run = Run(settings, options.out, options.device, processes)
    start = settings["network"]["start"]
    sample = torch.cat([torch.from_numpy(part) for part in Batches(sources, settings, 0, 2).plain(16, 416)])
    teacher = settings["teacher"]["checkpoint"]
    beside = options.config.parent
    run.prepare(beside / start if start else None, sample, beside / teacher if teacher else None)
    if rank == 0:
        parameters = sum(values.numel() for values in run.net.parameters()) / 1e6
        print(f"{parameters:.3f} M parameters, {run.steps} steps, from step {run.step}", flush=True)
    workers = run_settings["workers"]
    loader = DataLoader(
        Batches(sources, settings, run.step, run.steps, rank),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=run.on_gpu,
    )
    train(run, loader, load_photos(options.data, "val", cache) if rank == 0 else None)


def load_sources(data: Path, cache: Path, landmarks: Path | None) -> Sources:
    """The pictures to learn from; without a landmark model no masks are drawn."""
    photos, crops = load_photos(data, "train", cache), load_crops(data, cache)
    if landmarks is None:
        return Sources(photos, [{} for _ in photos], crops, [{} for _ in crops], [])
    photo_points = find_landmarks(photos, landmarks, cache / "landmarks_train.json")
    crop_points = find_landmarks(crops, landmarks, cache / "landmarks_crops.json")
    pool = donors(photos, photo_points) + donors(crops, crop_points)
    return Sources(photos, photo_points, crops, crop_points, pool)


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.training.train", description="Train the mask detector.")
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures and labels, see data/dataset.py")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("settings.toml"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights, curves and checkpoints")
    parser.add_argument("--cache", type=Path, help="folder for decoded pictures (default: inside --out)")
    parser.add_argument("--landmarks", type=Path, help="a YuNet ONNX file, to make wrongly worn masks")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(argv)
    settings = msgspec.toml.decode(options.config.read_text())
    options.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(options.config, options.out / "settings.toml")
    cache = options.cache or options.out / "cache"
    load_sources(options.data, cache, options.landmarks)  # what takes long is done once and stored
    load_photos(options.data, "val", cache)
    if settings["run"]["processes"] == 1:
        work(0, options, settings)
    else:
        (options.out / "meeting").unlink(missing_ok=True)  # of a run that was cut off
        mp.spawn(work, (options, settings), settings["run"]["processes"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
