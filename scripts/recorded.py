"""Videos in files as packets of a stream, so that an observer judges them as fast as it can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

from appliance.vision.reading.packets import Packet, decoder_of


def packets_of(path: Path, begin_s: float = 1000.0) -> Iterator[Packet]:
    """The packets of a video, as if shown from begin_s (monotonic clock) on; the end of it at last.

    utc is the time in the video. Raises what FFmpeg raises.
    """
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        decoder, tick_s, at_s = decoder_of(video), float(video.time_base or 0), 0.0
        assert decoder is not None
        for number, packet in enumerate(container.demux(video)):
            stamp = packet.dts if packet.pts is None else packet.pts
            at_s = at_s if stamp is None else stamp * tick_s
            yield Packet(packet, decoder, number, begin_s + at_s, at_s, begin_s + at_s, packet.is_keyframe)
