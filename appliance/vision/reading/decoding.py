"""From packets to frames, decoding no more than is wanted. Knows no threads and no clock.

While nothing moves (`idle`), key frames alone are decoded, and the packets since are kept. When something moves they
are decoded after all, from the key frame before on: what comes out is what would have come out all the time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, cast

import av
import av.error
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from appliance.vision.frame import Frame
from appliance.vision.reading.chip import FFMPEG, ChipDecoder
from appliance.vision.reading.gstreamer import Chip
from appliance.vision.reading.nal import Content, content
from appliance.vision.reading.packets import KEYS_PAUSE_S, Packet

IDLE_INTERVAL_S = 1.5  # key frames that are further apart would show too late that something moves
ELSEWHERE_INTERVAL_S = 4.0  # where another stream shows it, they only tell how much is decoded at once
ELSEWHERE_KEPT_S = 2.5  # at least: it takes a moment to see movement, and the two streams need not be equally late
GLANCE_S = 10.0  # and one in so long is decoded to see whether the camera still shows what it should
TOLERANCE = 1.05
RARE = 1.5  # times the longest interval: this key frame does not come in time
MAX_PARAMETERS_BYTES = 1000  # a packet of parameters alone is smaller
MAX_KEPT_BYTES = 16_000_000
REMEMBERED_INTERVALS = 3
DISTRUST_KEYS = 10, 80  # so many key frames after one that could not be used, idle is tried again; doubled each time
REMEMBERED_TIMES = 12
LOOKS_PER_S = 10.0


class _Stamp(NamedTuple):
    """What a frame keeps of its packet. Not the packet: FFmpeg holds the one, and it would hold the other."""

    number: int
    time_s: float
    utc: float


class Decoding:
    """Decodes the packets of one stream, in their order.

    looks_per_s: frames that nobody refers to are dropped where as many as this remain.
    chip: what may decode H.264 in FFmpeg's place.
    idle: key frames alone are decoded. elsewhere: hardly any of those. decoding_ms: CPU time spent decoding, in all.
    """

    def __init__(self, looks_per_s: float = LOOKS_PER_S, chip: Chip | None = None) -> None:
        self.idle = self.elsewhere = False
        self.decoding_ms = 0.0
        self._looks_pause_s = 1 / looks_per_s
        self._chip = chip
        self._decoder: VideoCodecContext | None = None  # of the connection
        self._working: VideoCodecContext | ChipDecoder | None = None  # the same, or what does its work
        self._keys_decoder: VideoCodecContext | None = None  # None: the same
        self._rest_at_key = self._elsewhere_at_key = False
        self._pending: deque[Packet] = deque()
        self._kept: deque[Packet] = deque()  # begins with a key frame
        self._kept_bytes = 0
        self._looked: Packet | None = None  # the last key frame in idle that was decoded
        self._given: deque[int] = deque(maxlen=2)  # numbers of the last key frames that were given in idle
        self._number = self._newest_number = -1
        self._skip_number = -1  # a frame that was given before
        self._from_pts: int | None = None  # frames before this one refer to what is not there
        self._last_s = 0.0
        self._times_s: deque[float] = deque(maxlen=REMEMBERED_TIMES)  # of the latest pictures that were decoded
        self._forget_keys()

    def _forget_keys(self) -> None:
        self._intervals_s: deque[float] = deque(maxlen=REMEMBERED_INTERVALS)
        self._last_key: Packet | None = None
        self._key_ms = self._last_key_at_ms = 0.0  # what a key frame costs; decoding_ms when the last one came
        self._saving_ms: float | None = None
        self._frame_s: float | None = None  # from one frame to the next
        self._distrust_keys = 0  # so many key frames are still to come before one is used alone again
        self._next_distrust_keys = DISTRUST_KEYS[0]

    @property
    def key_interval_s(self) -> float | None:
        """The longest of the latest times from one key frame to the next; None: not known yet."""
        return max(self._intervals_s, default=None)

    @property
    def saving_ms(self) -> float | None:
        """CPU time, per second, that a key frame a second saves while nothing moves; None: not known yet."""
        return self._saving_ms

    @property
    def can_rest(self) -> bool:
        """Whether key frames come often enough that they tell in time when something moves."""
        return self._has_keys_every(IDLE_INTERVAL_S)

    @property
    def can_rest_elsewhere(self) -> bool:
        """Whether key frames come often enough, where another stream tells when something moves."""
        return self._has_keys_every(ELSEWHERE_INTERVAL_S)

    def _has_keys_every(self, interval_s: float) -> bool:
        longest_s = self.key_interval_s
        known = longest_s is not None and len(self._intervals_s) > 1
        return known and not self._distrust_keys and (longest_s or 0) <= interval_s * TOLERANCE

    def take(self, packet: Packet) -> Iterator[Frame]:
        """The frames that are due with the packet. Take them all before the next packet."""
        self._pending.append(packet)
        return self._frames()

    def rest(self, elsewhere: bool = False) -> None:
        """Nothing moves: from the next key frame on, be idle, where that can be.

        elsewhere: somebody watches another stream of the camera, and will say when something moves. This may
        change while idle. Where key frames are too rare for the other way, nothing happens: ask can_rest, and wake.
        """
        if not (self.can_rest_elsewhere if elsewhere else self.can_rest):
            return
        if self.idle:
            self.elsewhere = elsewhere
        else:
            self._rest_at_key, self._elsewhere_at_key = True, elsewhere

    def wake(self, since_s: float | None = None) -> Iterator[Frame]:
        """Something moves: the frames since, and from now on all. Take them all before the next packet.

        since_s: when it began to move, monotonic clock: they begin with the key frame before that, if it is kept. None:
        the last frame that was given shows it. Then they begin after the key frame that was given before that one, and
        the one that shows it comes again, in its place.
        """
        self._rest_at_key = False
        if self.idle:
            self._replay(since_s)
        return self._frames()

    def flush(self) -> None:
        """Let the decoder forget what it holds; it goes on with a key frame."""
        if self._working is not None and self._working.is_open:
            self._working.flush_buffers()

    def close(self) -> None:
        """End what decodes in a process of its own. Begins again with a key frame, if packets come."""
        if isinstance(self._working, ChipDecoder):
            self._working.close()

    @property
    def decoder_name(self) -> str:
        """What decodes now: FFmpeg, or the name of a chip."""
        return self._working.name if isinstance(self._working, ChipDecoder) else FFMPEG

    def _replay(self, since_s: float | None) -> None:
        """Let what was kept be decoded next. since_s: as for `wake`."""
        kept = self._kept_since(since_s)
        given = set(self._given)
        if since_s is None and self._looked is not None:
            given.discard(self._looked.number)
        self._leave_idle()
        if not kept:
            return
        self._begin_at(kept[0])
        self._number = kept[0].number - 1
        self._skip_number = kept[0].number if kept[0].number in given else -1
        self._pending.extendleft(reversed(kept))

    def _kept_since(self, since_s: float | None) -> list[Packet]:
        kept = list(self._kept)
        if since_s is None:
            return kept
        before = [index for index, packet in enumerate(kept) if packet.key and packet.time_s <= since_s]
        return kept[before[-1] :] if before else kept

    def _leave_idle(self) -> None:
        self.idle = self.elsewhere = self._rest_at_key = False
        self._looked = None
        self._given.clear()
        self._forget_kept()

    def _forget_kept(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0

    def _begin_at(self, key: Packet) -> None:
        """Let the decoder forget what was before this key frame."""
        self.flush()
        self._from_pts = key.source.pts
        self._times_s.clear()
        self._last_s = 0.0

    def _frames(self) -> Iterator[Frame]:
        while self._pending:
            yield from self._next(self._pending.popleft())

    def _next(self, packet: Packet) -> Iterator[Frame]:
        if packet.decoder is not self._decoder:
            yield from self._drain()
            self._connect(packet.decoder)
        elif packet.number != self._number + 1:  # some were lost, and this is a key frame
            self._begin_at(packet)
            self._forget_kept()
        self._number = packet.number
        if not packet.size:
            yield from self._drain()
            return
        self._note(packet)
        if packet.key and self._from_pts is not None:
            self._from_pts = packet.source.pts  # the key frame from which it was to go on did not decode
        if self._rest_at_key and packet.key:
            yield from self._drain()
            self.idle, self.elsewhere, self._rest_at_key = True, self._elsewhere_at_key, False
        if self.idle:
            yield from self._idle(packet)
        elif not self._is_spare(packet):
            self._times_s.append(packet.time_s)
            yield from self._stamped(self._decode(self._working, packet))

    def _connect(self, decoder: VideoCodecContext) -> None:
        self._leave_idle()
        self._forget_keys()
        self.close()
        self._decoder, self._keys_decoder = decoder, _decoder_of_keys(decoder)
        self._working = ChipDecoder(decoder, self._chip) if self._chip and decoder.name == "h264" else decoder
        self._from_pts, self._skip_number, self._newest_number = None, -1, -1
        self._times_s.clear()

    def _note(self, packet: Packet) -> None:
        """How far apart key frames and frames are."""
        if packet.number <= self._newest_number:
            return
        self._newest_number = packet.number
        if not packet.key:
            return
        self._distrust_keys = max(0, self._distrust_keys - 1)
        if self._last_key is not None:
            interval_s = packet.time_s - self._last_key.time_s
            if interval_s > 0:
                self._intervals_s.append(interval_s)
                if not self.idle:
                    spent_ms = (self.decoding_ms - self._last_key_at_ms) / interval_s
                    self._saving_ms = max(0.0, spent_ms - self._key_ms)
                self._frame_s = interval_s / (packet.number - self._last_key.number)
        self._last_key, self._last_key_at_ms = packet, self.decoding_ms

    def _idle(self, packet: Packet) -> Iterator[Frame]:
        self._kept.append(packet)
        self._kept_bytes += packet.held_bytes
        if packet.key:
            yield from self._idle_key(packet)
        elif packet.size < MAX_PARAMETERS_BYTES and content_of(packet) is Content.NO_PICTURE:
            for decoder in {self._working, self._keys_decoder or self._working}:
                self._decode(decoder, packet)  # parameters, which the next key frame may need
        if self._kept_bytes > MAX_KEPT_BYTES:
            self._keep_from(max((kept.number for kept in self._kept if kept.key), default=packet.number))
            if self._kept_bytes > MAX_KEPT_BYTES:
                self._distrust()
        limit_s = RARE * (ELSEWHERE_INTERVAL_S if self.elsewhere else IDLE_INTERVAL_S)
        have_become_rare = self._last_key is not None and packet.time_s - self._last_key.time_s > limit_s
        if self.idle and (self._distrust_keys or have_become_rare):
            self._replay(packet.time_s)
            yield from self._frames()

    def _idle_key(self, packet: Packet) -> Iterator[Frame]:
        if self.elsewhere:
            old = (
                kept for kept in reversed(self._kept) if kept.key and kept.time_s <= packet.time_s - ELSEWHERE_KEPT_S
            )
            self._keep_from(next(old, self._kept[0]).number)
            if packet.time_s - self._last_s >= GLANCE_S and (glance := self._key_frame(packet)) is not None:
                yield glance
            return
        before = self._looked
        if before is not None and 0 <= packet.time_s - before.time_s < KEYS_PAUSE_S:
            return
        frame = self._key_frame(packet)
        if frame is None:
            self._distrust()
            return
        self._keep_from(packet.number if before is None else before.number)
        self._looked = packet
        self._given.append(packet.number)
        yield frame

    def _distrust(self) -> None:
        """A key frame cannot be used alone: it was broken, or here none can. For a while they are not."""
        self._distrust_keys = self._next_distrust_keys
        self._next_distrust_keys = min(2 * self._distrust_keys, DISTRUST_KEYS[1])

    def _keep_from(self, number: int) -> None:
        while self._kept and self._kept[0].number < number:
            self._kept_bytes -= self._kept.popleft().held_bytes

    def _key_frame(self, packet: Packet) -> Frame | None:
        """The picture of a key frame alone, at once. None: it has none."""
        decoder = self._keys_decoder or self._working
        assert decoder is not None
        self._from_pts = None
        frames = self._decode(decoder, packet) + self._decode(decoder, None)
        decoder.flush_buffers()
        return next(self._stamped(frames), None)

    def _is_spare(self, packet: Packet) -> bool:
        """Whether nobody refers to the picture, and enough of the others remain without it."""
        if self._frame_s is None or content_of(packet) is not Content.SPARE_PICTURE:
            return False
        before_s = max((time_s for time_s in self._times_s if time_s <= packet.time_s), default=None)
        if before_s is None:
            return False
        later = (time_s for time_s in self._times_s if time_s > packet.time_s)
        return min(later, default=packet.time_s + self._frame_s) - before_s <= self._looks_pause_s * TOLERANCE

    def _decode(self, decoder: VideoCodecContext | ChipDecoder | None, packet: Packet | None) -> list[av.VideoFrame]:
        """What is due with the packet; None: all that is left. What is broken is passed over; a key frame mends it."""
        if decoder is None:
            return []
        if packet is not None and packet.source.opaque is None:
            packet.source.opaque = _Stamp(packet.number, packet.time_s, packet.utc)
        begun_s = time.thread_time()
        try:
            return decoder.decode(None if packet is None else packet.source)
        except av.error.FFmpegError:
            return []
        finally:
            spent_ms = (time.thread_time() - begun_s) * 1000
            self.decoding_ms += spent_ms
            if packet is not None and packet.key:
                self._key_ms = spent_ms

    def _drain(self) -> Iterator[Frame]:
        """What the decoder still holds; it goes on with a key frame."""
        frames = self._decode(self._working, None)
        self.flush()
        return self._stamped(frames)

    def _stamped(self, frames: list[av.VideoFrame]) -> Iterator[Frame]:
        for frame in frames:
            stamp = frame.opaque
            if not isinstance(stamp, _Stamp) or stamp.number == self._skip_number:
                continue
            if self._from_pts is not None and frame.pts is not None and frame.pts < self._from_pts:
                continue
            self._from_pts = None
            self._last_s = max(self._last_s, stamp.time_s)
            yield Frame(frame, self._last_s, stamp.utc)


def _decoder_of_keys(decoder: VideoCodecContext) -> VideoCodecContext | None:
    """A decoder for key frames alone that leaves out the loop filter, a tenth of the cost; None: there is none.

    Block edges show a little more, which neither hides nor makes movement, and no other frame is predicted from them.
    """
    if decoder.name not in ("h264", "hevc"):
        return None
    made = cast(VideoCodecContext, VideoCodecContext.create(decoder.name, "r"))
    made.extradata, made.thread_count = decoder.extradata, 1
    made.flags |= Flags.copy_opaque
    made.options = {"skip_loop_filter": "all"}
    return made


def content_of(packet: Packet) -> Content:
    """What the packet holds."""
    return content(packet.source, packet.decoder)
