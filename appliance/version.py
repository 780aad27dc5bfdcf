"""Which mb9k this is."""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata


@lru_cache(1)
def version() -> str:
    """The version of this program, as it was when it was first asked for: an update may lie beside it already."""
    return metadata.version("mb9k")
