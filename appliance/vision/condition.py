"""How the reading of a stream goes, and the one true sentence for it. Pure: it is told what happens, and when."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping

QUIET_S = 4.0  # nothing has come for this long: it is worth a word
LIVE_S = 5.0  # what sent anything within this is LIVE
STILL_S = 5.0  # pictures that do not follow each other for this long stand still
DECODE_S = 5.0  # a key frame that has come to nothing after this long cannot be decoded
KEY_PATIENCE_S = 3.0  # a usual key frame has come by then
REMEMBERED_INTERVALS = 5
MAX_INTERVAL_S = 3600.0  # time stamps that are further apart are broken


class State(enum.Enum):
    """Why there is no picture."""

    CONNECTING = "connecting"
    SILENT = "silent"  # connected, and nothing has come yet
    FROZEN = "frozen"  # something came, and then nothing more
    NO_KEY_FRAME = "no key frame"
    SOUND_ONLY = "sound only"
    STILL = "still"  # sound goes on, pictures do not
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too large"
    ENDED = "ended"
    REFUSED = "refused"
    NOT_THERE = "not there"
    NOT_VIDEO = "not video"
    NOT_ALLOWED = "not allowed"  # a file or a device
    NOT_TO_BE_READ = "not to be read"  # we refuse to
    NO_NAME = "no name"
    PORT_CLOSED = "port closed"
    NO_ROUTE = "no route"
    NO_ANSWER = "no answer"
    NO_TRANSPORT = "no transport"
    UNREADABLE = "unreadable"


_TOO_LARGE = "The picture is larger than this box can take; send at most 8192 x 8192."
_UNDECODABLE = "The picture cannot be decoded: it is {codec}; use H.264 (or H.265) with 8 bits and 4:2:0."
_RESTARTED = "The ingest is being started again; the stream comes back by itself."

# Of a stream that the box fetches.
PULLED: Mapping[State, str] = {
    State.CONNECTING: "Waiting for the first picture.",
    State.SILENT: "The camera is connected, but has sent no video for {seconds}; if this stays, restart it.",
    State.FROZEN: "The camera has sent nothing for {seconds}; connecting again.",
    State.NO_KEY_FRAME: "Waiting for a key frame, {seconds} so far{interval};"
    " set the key-frame interval to 2 s in the camera's settings.",
    State.SOUND_ONLY: "This stream has sound but no picture; switch its video on in the camera's settings.",
    State.STILL: "No new picture for {seconds}, though sound goes on; look after the camera.",
    State.UNDECODABLE: _UNDECODABLE,
    State.TOO_LARGE: _TOO_LARGE,
    State.ENDED: "The video ended; connecting again.",
    State.REFUSED: "The camera refuses the name or password in its address; correct it on the stream's page.",
    State.NOT_THERE: "There is nothing at this address; check it on the stream's page.",
    State.NOT_VIDEO: "What comes from this address is no video; check it on the stream's page.",
    State.NOT_ALLOWED: "The box may not read this file or device; for a webcam, its user must be in the group `video`.",
    State.NOT_TO_BE_READ: "{kind}",
    State.NO_NAME: "The network does not know the name in this address; correct it, or write the camera's IP address.",
    State.PORT_CLOSED: "The machine at this address refuses the connection; is the port right,"
    " and is streaming switched on in the camera?",
    State.NO_ROUTE: "There is no way to this address; are the box and the camera in the same network?",
    State.NO_ANSWER: "Nobody answers at this address; is the camera on, and the address right?",
    State.NO_TRANSPORT: "The camera takes neither TCP nor UDP from this box; look into its RTSP settings.",
    State.UNREADABLE: "Cannot read this stream ({kind}); is the camera on and the address right?",
}

# Of a stream that somebody sends: nobody typed the address at which the box reads it from its own ingest.
PUSHED: Mapping[State, str] = {
    **dict.fromkeys(State, _RESTARTED),
    State.CONNECTING: PULLED[State.CONNECTING],
    State.NOT_THERE: PULLED[State.CONNECTING],
    State.SILENT: "Somebody is connected, but has sent no video for {seconds}; start the stream there again.",
    State.FROZEN: "The sender has sent nothing for {seconds}; is its network gone?",
    State.NO_KEY_FRAME: "Waiting for a key frame, {seconds} so far{interval};"
    " set the key-frame interval to 2 s in OBS or the phone.",
    State.SOUND_ONLY: "This stream has sound but no picture; switch the camera on in OBS or the phone.",
    State.STILL: "No new picture for {seconds}, though sound goes on; look after the camera in OBS or the phone.",
    State.UNDECODABLE: _UNDECODABLE,
    State.TOO_LARGE: _TOO_LARGE,
    State.ENDED: "The stream ended; waiting for it to come again.",
    State.REFUSED: "The watcher may not read what the ingest takes in; start the box again.",
}

# Only a picture refutes these; the others end as soon as anything comes.
_OF_THE_PICTURE = {State.TOO_LARGE, State.SOUND_ONLY}


class Condition:
    """What is known of reading one stream. Times are seconds of the monotonic clock.

    last_data_s: anything came; last_frame_s: a picture was decoded. codec: FFmpeg's name of it, empty until known.
    """

    def __init__(self, words: Mapping[State, str], now_s: float) -> None:
        self.codec = ""
        self.last_data_s: float | None = None
        self.last_frame_s: float | None = None
        self._words = words
        self._failure: State | None = None
        self._kind = ""
        self._waiting_since_s = now_s  # for anything at all
        self._undecoded_since_s: float | None = None  # a key frame came, and no picture since
        self._last_key_s: float | None = None  # of the stream's own time
        self._intervals_s: deque[float] = deque(maxlen=REMEMBERED_INTERVALS)
        self.begin()

    def begin(self) -> None:
        """Connecting begins."""
        self._opened = False
        self._flows_since_s: float | None = None
        self._last_packet_s: float | None = None  # of the picture
        self._last_key_s = None

    def opened(self, codec: str) -> None:
        """It is connected, and the codec of its picture is known."""
        if codec != self.codec:
            self.codec, self._undecoded_since_s = codec, None
        self._opened = True

    def data(self, now_s: float) -> None:
        """Anything came, sound or picture."""
        self.last_data_s = now_s
        if self._flows_since_s is None:
            self._flows_since_s = now_s
        if self._failure not in _OF_THE_PICTURE:
            self._failure = None

    def packet(self, key: bool, time_s: float | None, now_s: float) -> None:
        """A piece of the picture came. key: decoding can begin with it; time_s: in the stream's own time."""
        self.data(now_s)
        self._last_packet_s = now_s
        if self._failure is State.SOUND_ONLY:
            self._failure = None
        if not key:
            return
        if self._undecoded_since_s is None:
            self._undecoded_since_s = now_s
        if time_s is not None:
            if self._last_key_s is not None and 0 < time_s - self._last_key_s < MAX_INTERVAL_S:
                self._intervals_s.append(time_s - self._last_key_s)
            self._last_key_s = time_s

    def frame(self, now_s: float) -> None:
        """A picture was decoded."""
        self.last_frame_s = now_s
        self._failure = self._undecoded_since_s = None

    def failed(self, state: State, kind: str = "") -> None:
        """Reading has come to an end. kind: what fills UNREADABLE and NOT_TO_BE_READ."""
        if state is State.SILENT and self.last_data_s is not None:
            self._failure = None  # the time since tells it all
            return
        self._failure, self._kind = state, kind

    @property
    def flows(self) -> bool:
        """Whether anything has come since connecting began."""
        return self._flows_since_s is not None

    @property
    def key_interval_s(self) -> float | None:
        """The longest of the latest times from one key frame to the next; None: not known yet."""
        return max(self._intervals_s.copy(), default=None)

    def is_live(self, now_s: float) -> bool:
        """Whether anything useful came in the last seconds."""
        recent = self.last_data_s is not None and now_s - self.last_data_s < LIVE_S
        return recent and self._failure not in _OF_THE_PICTURE

    def state(self, now_s: float) -> State | None:
        """Why there is no picture just now; None: there is."""
        if self._failure is not None:
            return self._failure
        if self.last_frame_s is not None and now_s - self.last_frame_s < QUIET_S:
            return None
        if self.last_data_s is None:
            silent = self._opened and now_s - self._waiting_since_s >= QUIET_S
            return State.SILENT if silent else State.CONNECTING
        if self._flows_since_s is None or now_s - self.last_data_s >= QUIET_S:
            return State.FROZEN
        return self._state_of_flow(now_s, self._flows_since_s)

    def _state_of_flow(self, now_s: float, flows_since_s: float) -> State | None:
        """While data comes."""
        waited_s = now_s - max(flows_since_s, self.last_frame_s or 0.0)
        if self.last_frame_s is not None and self.last_frame_s >= flows_since_s and waited_s < STILL_S:
            return None
        if waited_s < KEY_PATIENCE_S:
            return State.CONNECTING
        if self._last_packet_s is None or now_s - self._last_packet_s >= STILL_S:
            return State.STILL if self.last_frame_s is not None else State.SOUND_ONLY
        if self._undecoded_since_s is None:
            return State.NO_KEY_FRAME
        return State.UNDECODABLE if now_s - self._undecoded_since_s >= DECODE_S else State.CONNECTING

    def problem(self, now_s: float) -> str | None:
        """The sentence for a person; None when there is a picture. Never the address."""
        state = self.state(now_s)
        if state is None:
            return None
        interval_s = self.key_interval_s
        return self._words[state].format(
            seconds=lasting(now_s - self._since_s(state)),
            interval=f" of about {interval_s:.0f} s" if interval_s and interval_s >= 1 else "",
            codec=self.codec or "a codec that is unknown here",
            kind=self._kind,
        )

    def _since_s(self, state: State) -> float:
        """Since when it has been so."""
        if state is State.FROZEN:
            return self.last_data_s or self._waiting_since_s
        if state is State.SILENT:
            return self._waiting_since_s
        return max(self._flows_since_s or self._waiting_since_s, self.last_frame_s or 0.0)


def lasting(seconds: float) -> str:
    """How long something has lasted, in steps that need not be written down each second: 4 s, 35 s, 12 min, 3 h."""
    if seconds < 60:
        return f"{int(seconds) if seconds < 5 else int(seconds // 5 * 5)} s"
    return f"{int(seconds // 60)} min" if seconds < 3600 else f"{int(seconds // 3600)} h"
