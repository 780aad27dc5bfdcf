"""What the tests of training and release share; they need the extra `train`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mask_photos import write_mask_photos


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of four pictures."""
    return write_mask_photos(tmp_path / "data")
