"""Motion: where a frame differs from what the camera usually shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.bool_]
"""rows x columns of square cells that cover the frame; the last row and column may reach beyond it."""


@dataclass(frozen=True, eq=False)
class Moving:
    """Where a frame differs from the background.

    cell_px: the side of a cell, px of the frame. cells: where something moves. restless: those of them where something
    moves all the time (a flag, a fan, rain). relit: the light changed everywhere, so that motion tells nothing for a
    moment. cut: the camera shows another scene.
    """

    cell_px: int
    cells: Cells
    restless: Cells
    relit: bool = False
    cut: bool = False
