"""The curves of a training run as a picture."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

FIGURES = ("map50", "mask", "no_mask", "incorrect", "any", "right")


def draw_curves(history: list[dict[str, float]], path: Path) -> None:
    """What `validate` measured over the epochs, between .4 and 1."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="epochs", ylabel="AP50 on val", ylim=(0.4, 1))
    for name in FIGURES:
        axes.plot(
            [entry["epoch"] for entry in history],
            [entry[name] for entry in history],
            label=f"{name} {history[-1][name]:.3f}",
        )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    figure.savefig(path)
