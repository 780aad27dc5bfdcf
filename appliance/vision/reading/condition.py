"""How the reading of a stream goes, and the one true sentence for it. Pure: it is told what happens, and when."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping

from appliance.language import N_

QUIET_S = 4.0  # nothing has come for this long: it is worth a word
LIVE_S = 5.0  # what sent anything within this is LIVE
STILL_S = 5.0  # pictures that do not follow each other for this long stand still
DECODE_S = 5.0  # a key frame that has come to nothing after this long cannot be decoded
KEY_PATIENCE_S = 3.0  # a usual key frame has come by then
REMEMBERED_INTERVALS = 5
MAX_INTERVAL_S = 3600.0  # time stamps that are further apart are broken


class Obstacle(enum.Enum):
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
    WRONG_LOGIN = "wrong login"
    NOT_THERE = "not there"
    NOT_VIDEO = "not video"
    NO_PERMISSION = "no permission"  # for a file or a device
    FORBIDDEN = "forbidden"  # we refuse to read it
    NO_NAME = "no name"
    PORT_CLOSED = "port closed"
    NO_ROUTE = "no route"
    NO_ANSWER = "no answer"
    NO_TRANSPORT = "no transport"
    UNREADABLE = "unreadable"


_TOO_LARGE = N_("The picture is larger than this box can take; send at most 8192 x 8192.")
_UNDECODABLE = N_("The picture cannot be decoded: it is {codec}; use H.264 (or H.265) with 8 bits and 4:2:0.")
_RESTARTED = N_("The ingest is being started again; the stream comes back by itself.")
OF_ABOUT = N_(" of about {interval} s")  # what follows the time that a key frame has been waited for
UNKNOWN_CODEC = N_("a codec that is unknown here")
CODECS: Mapping[str, str] = {
    "av1": "AV1",
    "h264": "H.264",
    "h265": "H.265",
    "hevc": "H.265",
    "mjpeg": "MJPEG",
    "mpeg4": "MPEG-4",
    "vp8": "VP8",
    "vp9": "VP9",
}
"""What codecs are called, by FFmpeg's names, which is what programs are told."""

# Of a stream that the box fetches.
PULLED: Mapping[Obstacle, str] = {
    Obstacle.CONNECTING: N_("Waiting for the first picture."),
    Obstacle.SILENT: N_("The camera is connected, but has sent no video for {seconds}; if this stays, restart it."),
    Obstacle.FROZEN: N_("The camera has sent nothing for {seconds}; connecting again."),
    Obstacle.NO_KEY_FRAME: N_(
        "Waiting for a key frame, {seconds} so far{interval};"
        " set the key-frame interval to 1 s in the camera's settings."
    ),
    Obstacle.SOUND_ONLY: N_("This stream has sound but no picture; switch its video on in the camera's settings."),
    Obstacle.STILL: N_("No new picture for {seconds}, though sound goes on; check the camera."),
    Obstacle.UNDECODABLE: _UNDECODABLE,
    Obstacle.TOO_LARGE: _TOO_LARGE,
    Obstacle.ENDED: N_("The video ended; connecting again."),
    Obstacle.WRONG_LOGIN: N_(
        "The camera refuses the name or password in its address; correct it on the stream's page."
    ),
    Obstacle.NOT_THERE: N_("There is nothing at this address; check it on the stream's page."),
    Obstacle.NOT_VIDEO: N_("What comes from this address is no video; check it on the stream's page."),
    Obstacle.NO_PERMISSION: N_(
        "The box may not read this file or device; for a webcam, its user must be in the group `video`."
    ),
    Obstacle.FORBIDDEN: "{kind}",
    Obstacle.NO_NAME: N_(
        "The network does not know the name in this address; correct it, or write the camera's IP address."
    ),
    Obstacle.PORT_CLOSED: N_(
        "The machine at this address refuses the connection; is the port right,"
        " and is streaming switched on in the camera?"
    ),
    Obstacle.NO_ROUTE: N_("The network has no route to this address; are the box and the camera in the same network?"),
    Obstacle.NO_ANSWER: N_("Nobody answers at this address; is the camera on, and the address right?"),
    Obstacle.NO_TRANSPORT: N_("The camera takes neither TCP nor UDP from this box; check its RTSP settings."),
    Obstacle.UNREADABLE: N_("Cannot read this stream ({kind}); is the camera on and the address right?"),
}

# Of a stream that somebody sends: nobody typed the address at which the box reads it from its own ingest.
PUSHED: Mapping[Obstacle, str] = {
    **dict.fromkeys(Obstacle, _RESTARTED),
    Obstacle.CONNECTING: PULLED[Obstacle.CONNECTING],
    Obstacle.NOT_THERE: PULLED[Obstacle.CONNECTING],
    Obstacle.SILENT: N_("Somebody is connected, but has sent no video for {seconds}; start the stream there again."),
    Obstacle.FROZEN: N_("The sender has sent nothing for {seconds}; is its network gone?"),
    Obstacle.NO_KEY_FRAME: N_(
        "Waiting for a key frame, {seconds} so far{interval}; set the key-frame interval to 2 s in OBS or the phone."
    ),
    Obstacle.SOUND_ONLY: N_("This stream has sound but no picture; switch the camera on in OBS or the phone."),
    Obstacle.STILL: N_("No new picture for {seconds}, though sound goes on; check the camera in OBS or the phone."),
    Obstacle.UNDECODABLE: _UNDECODABLE,
    Obstacle.TOO_LARGE: _TOO_LARGE,
    Obstacle.ENDED: N_("The stream ended; waiting for it to come again."),
    Obstacle.WRONG_LOGIN: N_("The watcher may not read what the ingest takes in; start the box again."),
}

# Only a picture refutes these; the others end as soon as anything comes.
_UNTIL_A_PICTURE = {Obstacle.TOO_LARGE, Obstacle.SOUND_ONLY}


class Condition:
    """What is known of reading one stream. Times are seconds of the monotonic clock.

    last_data_s: anything came; last_frame_s: a picture was decoded. codec: FFmpeg's name of it, empty until known.
    """

    def __init__(self, words: Mapping[Obstacle, str], now_s: float) -> None:
        self.codec = ""
        self.last_data_s: float | None = None
        self.last_frame_s: float | None = None
        self._words = words
        self._failure: Obstacle | None = None
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
        if self._failure not in _UNTIL_A_PICTURE:
            self._failure = None

    def packet(self, key: bool, time_s: float | None, now_s: float) -> None:
        """A piece of the picture came. key: decoding can begin with it; time_s: in the stream's own time."""
        self.data(now_s)
        self._last_packet_s = now_s
        if self._failure is Obstacle.SOUND_ONLY:
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

    def failed(self, obstacle: Obstacle, kind: str = "") -> None:
        """Reading has come to an end. kind: what fills UNREADABLE and FORBIDDEN."""
        if obstacle is Obstacle.SILENT and self.last_data_s is not None:
            self._failure = None  # the time since tells it all
            return
        self._failure, self._kind = obstacle, kind

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
        return recent and self._failure not in _UNTIL_A_PICTURE

    def obstacle(self, now_s: float) -> Obstacle | None:
        """Why there is no picture just now; None: there is."""
        if self._failure is not None:
            return self._failure
        if self.last_frame_s is not None and now_s - self.last_frame_s < QUIET_S:
            return None
        if self.last_data_s is None:
            silent = self._opened and now_s - self._waiting_since_s >= QUIET_S
            return Obstacle.SILENT if silent else Obstacle.CONNECTING
        if self._flows_since_s is None or now_s - self.last_data_s >= QUIET_S:
            return Obstacle.FROZEN
        return self._obstacle_in_flow(now_s, self._flows_since_s)

    def _obstacle_in_flow(self, now_s: float, flows_since_s: float) -> Obstacle | None:
        """While data comes."""
        waited_s = now_s - max(flows_since_s, self.last_frame_s or 0.0)
        if self.last_frame_s is not None and self.last_frame_s >= flows_since_s and waited_s < STILL_S:
            return None
        if waited_s < KEY_PATIENCE_S:
            return Obstacle.CONNECTING
        if self._last_packet_s is None or now_s - self._last_packet_s >= STILL_S:
            return Obstacle.STILL if self.last_frame_s is not None else Obstacle.SOUND_ONLY
        if self._undecoded_since_s is None:
            return Obstacle.NO_KEY_FRAME
        return Obstacle.UNDECODABLE if now_s - self._undecoded_since_s >= DECODE_S else Obstacle.CONNECTING

    def problem(self, now_s: float) -> str | None:
        """The sentence for a person; None when there is a picture. Never the address."""
        obstacle = self.obstacle(now_s)
        if obstacle is None:
            return None
        interval_s = self.key_interval_s
        return self._words[obstacle].format(
            seconds=duration_text(now_s - self._since_s(obstacle)),
            interval=OF_ABOUT.format(interval=f"{interval_s:.0f}") if interval_s and interval_s >= 1 else "",
            codec=codec_name(self.codec) or UNKNOWN_CODEC,
            kind=self._kind,
        )

    def _since_s(self, obstacle: Obstacle) -> float:
        """Since when it has been so."""
        if obstacle is Obstacle.FROZEN:
            return self.last_data_s or self._waiting_since_s
        if obstacle is Obstacle.SILENT:
            return self._waiting_since_s
        return max(self._flows_since_s or self._waiting_since_s, self.last_frame_s or 0.0)


def codec_name(codec: str) -> str:
    """A codec as people call it, `H.264`; another one as FFmpeg does."""
    return CODECS.get(codec, codec)


def duration_text(seconds: float) -> str:
    """How long something has lasted, in steps that need not be written down each second: 4 s, 35 s, 12 min, 3 h."""
    if seconds < 60:
        return f"{int(seconds) if seconds < 5 else int(seconds // 5 * 5)} s"
    return f"{int(seconds // 60)} min" if seconds < 3600 else f"{int(seconds // 3600)} h"
