"""The service that takes RTMP streams: MediaMTX where there is one, otherwise the embedded ingest.

Which one is decided here, once, at its start. The others hear it from its API (`mediamtx.Client.engine`).
"""

from __future__ import annotations

import os

from appliance.config import Config
from appliance.media import embedded, mediamtx


def serve(config: Config) -> None:
    """Take streams until SIGTERM. Raises UserError."""
    if mediamtx.engine(config) == "embedded":
        embedded.serve(config)
        return
    command = mediamtx.command(config)
    os.execv(command[0], command)  # noqa: S606 - MediaMTX takes our place
