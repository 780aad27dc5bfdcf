"""Checkpoints: folded networks, the same to the bit when loaded, and a start for a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.training import checkpoint
from models.training.network import ConvNorm, MaskNet, Widths
from tests.conftest import REPOSITORY

WIDTHS = Widths(4, (4, 8, 8, 8), (1, 1, 1, 2), 12, reach=2)
COMMITTED = REPOSITORY / "models" / "weights" / "mb9k.safetensors"


def trained() -> MaskNet:
    """A network whose norms have seen something."""
    torch.manual_seed(0)
    net = MaskNet(WIDTHS)
    for module in net.modules():
        if isinstance(module, ConvNorm):
            torch.nn.init.uniform_(module.norm.weight, 0.5, 2)
            torch.nn.init.normal_(module.norm.bias)
            torch.nn.init.normal_(module.norm.running_mean)
            torch.nn.init.uniform_(module.norm.running_var, 0.5, 2)
    return net.eval()


def same(first: MaskNet, second: MaskNet, tolerance: float) -> None:
    """Fails where two networks differ by more on the same pixels."""
    pixels = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        for ours, theirs in zip(first(pixels), second(pixels), strict=True):
            assert ours.std() > 0
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=tolerance * float(ours.std()))


def test_a_checkpoint_says_what_the_network_said(tmp_path: Path) -> None:
    net = trained()
    checkpoint.save(checkpoint.fold(net), WIDTHS, tmp_path / "net.safetensors")
    loaded = checkpoint.load(tmp_path / "net.safetensors")
    assert loaded.widths == WIDTHS
    same(net, loaded, 1e-4)


def test_loading_and_saving_changes_no_bit(tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    loaded = checkpoint.load(COMMITTED)
    checkpoint.save(checkpoint.fold(loaded), loaded.widths, again)
    assert again.read_bytes() == COMMITTED.read_bytes()


def test_a_training_starts_where_the_checkpoint_is() -> None:
    net = checkpoint.unfold(checkpoint.fold(trained()), WIDTHS)
    sample = torch.rand(8, 3, 64, 96)
    started = checkpoint.unfold(checkpoint.fold(net), WIDTHS)
    checkpoint.measure_statistics(started, sample)
    same(net, started, 1e-4)
    with torch.no_grad():
        expected, normalised_by_batch, unmeasured = net(sample)[0], started.train()(sample)[0], net.train()(sample)[0]
    error = (normalised_by_batch - expected).abs().mean() / expected.std()
    assert error < 0.05
    assert (unmeasured - expected).abs().mean() / expected.std() > 10 * error


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_what_is_no_checkpoint_is_one_clear_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SystemExit, match="is no checkpoint of ours"):
        checkpoint.read(path)
