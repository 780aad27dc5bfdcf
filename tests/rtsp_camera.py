"""An RTSP camera for tests: a MediaMTX of its own, which FFmpeg feeds. It may take UDP alone, and it may freeze."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.boxes import START_S, end, is_listening, publishing, until


class RtspCamera:
    """A camera at `url`. Freezing ends its data, and none of its connections."""

    def __init__(self, url: str, feeding: subprocess.Popen[bytes]) -> None:
        self.url = url
        self._feeding = feeding

    def freeze(self) -> None:
        """Send nothing more."""
        self._feeding.send_signal(signal.SIGSTOP)


@contextmanager
def rtsp_camera(folder: Path, clip: Path, transport: str, free_port: Callable[[], int]) -> Iterator[RtspCamera]:
    """A camera that plays the clip over tcp or udp alone, until the end of the block."""
    if not shutil.which("mediamtx"):
        pytest.skip("there is no MediaMTX binary on PATH")
    rtsp, rtmp, udp = free_port(), free_port(), free_port()
    udp += udp % 2  # RTP takes an even one and the next
    settings = {
        "logLevel": "error",
        "rtspAddress": f"127.0.0.1:{rtsp}",
        "rtmpAddress": f"127.0.0.1:{rtmp}",
        "rtpAddress": f"127.0.0.1:{udp}",
        "rtcpAddress": f"127.0.0.1:{udp + 1}",
        "rtspTransports": [transport],
        "readTimeout": "60s",
        **dict.fromkeys(("hls", "webrtc", "srt", "moq"), False),
        "paths": {"all_others": {}},
    }
    path = folder / "camera.yml"
    path.write_text(json.dumps(settings))
    process = subprocess.Popen(["mediamtx", str(path)])
    try:
        until(lambda: is_listening(rtmp) and is_listening(rtsp), START_S, "the camera is on")
        with publishing(clip, f"rtmp://127.0.0.1:{rtmp}/1") as feeding:
            yield RtspCamera(f"rtsp://127.0.0.1:{rtsp}/1", feeding)
    finally:
        end(process)
