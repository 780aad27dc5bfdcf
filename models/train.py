# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return,unused-ignore,no-untyped-call"
# (PyTorch belongs to the extra `train`; checks run without it.)
"""Trains the detector: `python -m models.train --data DIR --config models/settings.toml --out DIR`.

Running the same command again goes on where the last checkpoint ended. README.md tells more.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from models.charts import draw_curves
from models.dataset import load_crops, load_photos
from models.export import export_raw
from models.landmarks import find_landmarks
from models.loss import LossWeights, detection_loss
from models.network import MaskNet, Widths, count_parameters
from models.samples import Batches, Sources
from models.validate import validate
from models.warmstart import copy_weights

STATE_FILE = "state.pt"


class Run:
    """One training run: network, its moving average, optimiser and history."""

    def __init__(self, settings: dict[str, Any], out: Path, device: str) -> None:
        self.settings, self.out, self.device = settings, out, device
        net = settings["network"]
        self.net = MaskNet(Widths(net["stem"], tuple(net["stages"]), tuple(net["blocks"]), net["neck"]))
        run = settings["run"]
        self.steps_per_epoch = run["samples_per_epoch"] // run["batch"]
        self.steps = run["epochs"] * self.steps_per_epoch
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []

    def prepare(self, start: Path | None, sample: Tensor) -> None:
        """Take the weights to start from, then those of an interrupted run if there is one."""
        if start is not None:
            copy_weights(self.net, start, sample)
        self.net.to(self.device, memory_format=torch.channels_last)
        self.average = deepcopy(self.net).eval()
        values = self.settings["optimiser"]
        self.optimiser = torch.optim.AdamW(self.net.parameters(), values["rate"], weight_decay=values["weight_decay"])
        kept = self.out / STATE_FILE
        if kept.exists():
            state = torch.load(kept, map_location=self.device, weights_only=True)
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

    def progress(self) -> float:
        """0 at the start, 1 at the end: by steps, or by time where the settings limit it."""
        minutes = self.settings["run"]["minutes"]
        return max(self.step / self.steps, self.seconds / (60 * minutes) if minutes else 0.0)

    def learn(self, batch: tuple[Tensor, ...]) -> dict[str, float]:
        """One step on (pixels, boxes, states, ignored); the losses by name."""
        values = self.settings["optimiser"]
        rate = learning_rate(self.progress(), self.step, values)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        pixels, boxes, states, ignored = (part.to(self.device, non_blocking=True) for part in batch)
        inputs = (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        self.net.train()
        losses = detection_loss(self.net(inputs), boxes, states, ignored, LossWeights(**self.settings["loss"]))
        self.optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), values["clip_norm"])
        self.optimiser.step()
        self.step += 1
        self._follow(values["average"])
        return {name: float(loss.detach()) for name, loss in losses.items()}

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        for kept, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - keep)
            else:
                kept.copy_(new)


def learning_rate(progress: float, step: int, values: dict[str, float]) -> float:
    """Linear warm-up, then half a cosine from `rate` to `last_rate`."""
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    rate = values["last_rate"] + (values["rate"] - values["last_rate"]) * wave
    return rate * min(1.0, (step + 1) / max(1, values["warm_up_steps"]))


def train(run: Run, batches: DataLoader[Any], photos: Any) -> None:
    """Until the settings' end; looks at `val` now and then, and keeps the state each time."""
    every = run.settings["run"]["check_every"] * run.steps_per_epoch
    sums: dict[str, float] = {}
    began = since = time.monotonic()
    first, counted = run.step, 0
    for batch in batches:
        losses = run.learn(batch)
        now = time.monotonic()
        run.seconds, since = run.seconds + now - since, now
        counted += 1
        sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
        done = run.progress()
        if run.step % 5 == 0:
            _show(run, done, (now - began) / (run.step - first), losses["total"])
        if run.step % every == 0 or done >= 1:
            means = {name: value / counted for name, value in sums.items()}
            figures = validate(run.average, photos)
            run.history.append({"epoch": run.step / run.steps_per_epoch, **means, **figures})
            print("\n" + json.dumps(run.history[-1]), flush=True)
            sums, counted = {}, 0
            run.save()
            draw_curves(run.history, run.out / "curves.png")
            since = time.monotonic()
        if done >= 1:
            break


def _show(run: Run, done: float, per_step: float, loss: float) -> None:
    left = (1 - done) * run.seconds / max(done, 1e-6)
    bar = "#" * round(30 * done)
    print(
        f"\r[{bar:<30}] {done:4.0%}  epoch {run.step / run.steps_per_epoch:.1f}  {per_step:.2f} s/step  "
        f"loss {loss:.3f}  {left / 60:.0f} min left ",
        end="",
        flush=True,
    )


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description="Train the mask detector.")
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures and labels, see models/README.md")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "settings.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights, curves and checkpoints")
    parser.add_argument("--cache", type=Path, help="folder for decoded pictures (default: inside --out)")
    parser.add_argument("--landmarks", type=Path, help="a YuNet ONNX file, to draw masks on bare faces")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args(argv)
    settings = msgspec.toml.decode(given.config.read_text())
    given.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(given.config, given.out / "settings.toml")
    run_settings = settings["run"]
    torch.set_num_threads(run_settings["threads"])
    torch.manual_seed(run_settings["seed"])
    random.seed(run_settings["seed"])
    np.random.seed(run_settings["seed"])
    cache = given.cache or given.out / "cache"
    photos, crops = load_photos(given.data, "train", cache), load_crops(given.data, cache)
    points: list[list[dict[int, Any]]] = [[{} for _ in photos], [{} for _ in crops]]
    if given.landmarks:
        points = [
            find_landmarks(photos, given.landmarks, cache / "landmarks_train.json"),
            find_landmarks(crops, given.landmarks, cache / "landmarks_crops.json"),
        ]
    sources = Sources(photos, points[0], crops, points[1])
    run = Run(settings, given.out, given.device)
    start = settings["network"]["start"]
    sample_set = Batches(sources, settings, 0, 2)
    torch.manual_seed(run_settings["seed"])
    sample = torch.cat([torch.from_numpy(part) for part in sample_set.plain(16, 416)])
    run.prepare(given.config.parent / start if start else None, sample)
    print(f"{count_parameters(run.net) / 1e6:.3f} M parameters, {run.steps} steps, from step {run.step}", flush=True)
    loader = DataLoader(
        Batches(sources, settings, run.step, run.steps),
        batch_size=None,
        num_workers=run_settings["workers"],
        prefetch_factor=4 if run_settings["workers"] else None,
    )
    train(run, loader, load_photos(given.data, "val", cache))
    export_raw(run.average.cpu(), given.out / "fp32.onnx")
    print(f"weights in {given.out / 'fp32.onnx'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
