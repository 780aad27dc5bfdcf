"""What the tests of updates share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.update_room import Bundles


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def good(bundles: Bundles) -> Path:
    return bundles.make("0.2.0")
