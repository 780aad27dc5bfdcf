"""Videos that tests make for themselves, and a server that plays them as badly as the network does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from appliance.vision.pixels import Pixels
from tests.http_servers import Player, serving_http

Picture = Callable[[int], Pixels]
FPS = 25


def grey(width: int, height: int) -> Picture:
    """Pictures that grow brighter from frame to frame, by 2 of 255."""
    return lambda index: np.full((height, width, 3), min(255, 16 + 2 * index), dtype=np.uint8)


def make_video(
    picture: Picture | None,
    frames: int,
    *,
    codec: str = "libx264",
    container: str = "mpegts",
    sound: bool = False,
    options: dict[str, object] | None = None,
    key_frame_every: int = FPS,
    muxing: dict[str, str] | None = None,
) -> bytes:
    """A video of that many frames, FPS a second; sound: with AAC. picture None: nothing but sound."""
    file = BytesIO()
    with av.open(file, "w", format=container, options=muxing or {}) as output:
        video = None
        if picture is not None:
            first = picture(0)
            video = cast(VideoStream, output.add_stream(codec, rate=FPS))
            video.width, video.height, video.pix_fmt = first.shape[1], first.shape[0], "yuv420p"
            quick: dict[str, str] = (
                {"preset": "ultrafast", "tune": "zerolatency"} if codec == "libx264" else {"preset": "ultrafast"}
            )
            video.options = quick | ({"x265-params": "log-level=none"} if codec == "libx265" else {}) | (options or {})
            video.codec_context.gop_size = key_frame_every
        audio = output.add_stream("aac", rate=48000, layout="mono") if sound else None
        for index in range(frames):
            if video is not None and picture is not None:
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, FPS)
                output.mux(video.encode(frame))
            if audio is not None:
                output.mux(audio.encode(_silence(index)))
        for stream in (video, audio):
            if stream is not None:
                output.mux(stream.encode(None))
    return file.getvalue()


def _silence(index: int) -> av.AudioFrame:
    samples = 48000 // FPS
    frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), dtype=np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, index * samples, Fraction(1, 48000)
    return frame


@contextmanager
def serving(answer: Callable[[int], Iterable[bytes]], statuses: Callable[[int], int] = lambda _: 200) -> Iterator[str]:
    """An HTTP server; the n-th connection (from 0) gets the bytes of answer(n), then the end. Yields the URL.

    The URL carries a secret, as ours do.
    """
    count = iter(range(10_000))

    class Handler(Player):
        def do_GET(self) -> None:
            number = next(count)
            self.send_response(statuses(number))
            self.end_headers()
            self.play(answer(number))

    with serving_http(Handler) as port:
        yield f"http://127.0.0.1:{port}/video?token=SECRETTOKEN"


def in_parts(video: bytes, seconds: float, stopping: threading.Event, parts: int = 50) -> Iterator[bytes]:
    """The bytes in even parts over that many seconds; ends early when `stopping` is set."""
    size = -(-len(video) // parts)
    for begin in range(0, len(video), size):
        yield video[begin : begin + size]
        if stopping.wait(seconds / parts):
            return
