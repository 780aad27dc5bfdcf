"""Send a video to an RTMP address, over and over, at its own speed, without FFmpeg being installed.

python scripts/publish.py FILE rtmp://localhost/live/KEY
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import av
from av.container import OutputContainer

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
PASSED_THROUGH = {"h264", "hevc"}


class Publisher:
    """One RTMP connection: sends the file in a loop until the connection ends. Raises av.error.FFmpegError."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url

    def run(self) -> None:
        """Send until the connection ends."""
        with av.open(str(self.path)) as source:
            video = source.streams.video[0]
            width, height, rate = video.width, video.height, video.average_rate or 25
            copied = video.codec_context.name in PASSED_THROUGH
            with av.open(self.url, "w", format="flv", timeout=10) as target:
                if copied:
                    sent = target.add_stream_from_template(video)
                else:
                    sent = target.add_stream(
                        "libx264", rate=rate, options={"preset": "veryfast", "tune": "zerolatency"}
                    )
                    sent.width, sent.height, sent.pix_fmt = width // 2 * 2, height // 2 * 2, "yuv420p"
                self._loop(target, sent, copied)

    def _loop(self, target: OutputContainer, sent: av.VideoStream, copied: bool) -> None:
        begun_s, offset_s = time.monotonic(), 0.0
        while True:
            end_s = offset_s
            with av.open(str(self.path)) as source:
                video = source.streams.video[0]
                for packet in source.demux(video):
                    if packet.pts is None:
                        continue
                    tick_s = float(packet.time_base)
                    moment_s = offset_s + packet.pts * tick_s
                    end_s = max(end_s, moment_s + (packet.duration or 0) * tick_s)
                    time.sleep(max(0.0, begun_s + moment_s - time.monotonic()))
                    shift = round(offset_s / tick_s)
                    if copied:
                        packet.pts += shift
                        packet.dts = None if packet.dts is None else packet.dts + shift
                        packet.stream = sent
                        target.mux(packet)
                    else:
                        for frame in packet.decode():
                            frame.pts = None if frame.pts is None else frame.pts + shift
                            target.mux(sent.encode(frame))
            if end_s <= offset_s:
                raise ValueError(f"{self.path} holds no pictures")
            offset_s = end_s


def main(path: Path, url: str) -> None:
    """Send over and over; connect again when the connection ends."""
    pause_s = FIRST_PAUSE_S
    while True:
        begun_s = time.monotonic()
        try:
            Publisher(path, url).run()
        except ValueError as error:
            sys.exit(f"publish: {error}")
        except (OSError, av.error.FFmpegError) as error:
            # The error quotes the address, and with it the key.
            print(f"publish: the connection ended ({type(error).__name__}); again in {pause_s:.1f} s", file=sys.stderr)
        pause_s = FIRST_PAUSE_S if time.monotonic() - begun_s > 10 else min(LONGEST_PAUSE_S, pause_s * 2)
        time.sleep(pause_s)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit((__doc__ or "").strip())
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except KeyboardInterrupt:
        sys.exit(130)
