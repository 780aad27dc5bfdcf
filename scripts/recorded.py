"""Videos in files as packets of a stream, so that an observer judges them as fast as it can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.codec.context import Flags

from appliance.vision.packets import Packet


def packets_of(path: Path, begin_s: float = 1000.0) -> Iterator[Packet]:
    """The packets of a video, as if shown from begin_s (monotonic clock) on; utc is the time in the video."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.thread_type, video.codec_context.thread_count = "NONE", 1
        video.codec_context.flags |= Flags.copy_opaque  # so that each frame knows its packet
        tick_s = float(video.time_base or 0)
        for number, packet in enumerate(container.demux(video)):
            if packet.size == 0:
                continue
            assert packet.pts is not None
            at_s = packet.pts * tick_s
            yield Packet(packet, video.codec_context, number, begin_s + at_s, at_s, begin_s + at_s, packet.is_keyframe)
