"""The course of a face through the frame: where it is, where it goes, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from appliance.faces import Bbox

# In face sizes: an adult's face is about .15 m wide, so a walker makes 6 to 10 face sizes a second.
_JITTER = 0.06  # how far the detector's bbox is off
_CUT_JITTER = 0.3  # the same where the edge of the frame cuts the face
_SIZE_JITTER = 0.08  # of the logarithm of the size
_SPEED = 6.0  # a face size per second: what anybody's speed may be at first
_WALK = 1.0  # who is slower only stands at the edge
_GROWTH = 0.3  # of the logarithm of the size per second
_CHANGE = 4.0  # how much the speed changes, for each square root of a second ...
_CALM_S = 1.0  # ... and half of it over so long: nobody starts, stops and turns all the time
_GROWTH_CHANGE = 0.15
_FAR = 3.0  # standard deviations that are no chance
_GROWTH_HORIZON_S = 1.0  # nobody grows any further while out of view


@dataclass
class _Spread:
    """The covariance of a place and its rate of change, of one axis."""

    place: float
    both: float
    rate: float

    def after(self, passed_s: float, change: float) -> _Spread:
        """With white noise on the rate, `change` squared per second."""
        noise = change * change
        return _Spread(
            self.place + passed_s * (2 * self.both + passed_s * self.rate) + noise * passed_s**3 / 3,
            self.both + passed_s * self.rate + noise * passed_s**2 / 2,
            self.rate + noise * passed_s,
        )

    def seen(self, off: float, jitter: float, cut: bool = False) -> tuple[float, float]:
        """Take in a measurement that is `off` by so much; the gains of the place and of the rate.

        One that is off by more than the spread allows is where the face is all the same, but says less of the rate:
        frames that arrive in a burst would make people run at any speed. cut: it is off because a part is hidden.
        """
        noise = jitter * jitter
        total = self.place + noise
        if off * off > _FAR * _FAR * total and not cut:
            rate_gain = self.both * _FAR * _FAR / (off * off)
            self.place, self.both, self.rate = noise, 0.0, self.rate - rate_gain * self.both
            return 1.0, rate_gain
        place_gain, rate_gain = self.place / total, self.both / total
        self.rate -= rate_gain * self.both
        self.both *= 1 - place_gain
        self.place *= 1 - place_gain
        return place_gain, rate_gain


@dataclass
class Course:
    """A Kalman filter of constant velocity (Kalman 1960) over the middle of a face and the logarithm of its size.

    x, y: px of the frame; vx, vy: px a second; size_px: the geometric mean of width and height. Both axes of the place
    have the same spread, so what is kept are a few numbers. The time between two faces may be any.
    """

    x: float
    y: float
    size_px: float
    vx: float = 0.0
    vy: float = 0.0
    growth: float = 0.0
    _place: _Spread = field(default_factory=lambda: _Spread(_JITTER**2, 0.0, _SPEED**2))
    _size: _Spread = field(default_factory=lambda: _Spread(_SIZE_JITTER**2, 0.0, _GROWTH**2))

    def __deepcopy__(self, _: object) -> Course:
        return self.after(0.0)

    @property
    def speed(self) -> float:
        """Face sizes a second."""
        return math.hypot(self.vx, self.vy) / self.size_px

    @property
    def spread_px(self) -> float:
        """How far the middle may be off, one standard deviation."""
        return math.sqrt(self._place.place) * self.size_px

    @property
    def log_size_spread(self) -> float:
        """How far the logarithm of the size may be off, one standard deviation."""
        return math.sqrt(self._size.place)

    def has_left(self, size: tuple[float, float]) -> bool:
        """Whether it leads out of a frame of that width and height."""
        return self.speed >= _WALK and not (0 <= self.x <= size[0] and 0 <= self.y <= size[1])

    def after(self, passed_s: float) -> Course:
        """Where it leads in so many seconds."""
        growing_s = min(passed_s, _GROWTH_HORIZON_S)
        return Course(
            self.x + self.vx * passed_s,
            self.y + self.vy * passed_s,
            self.size_px * math.exp(max(-1.0, min(1.0, self.growth * growing_s))),
            self.vx,
            self.vy,
            self.growth,
            self._place.after(passed_s, _CHANGE / (1 + passed_s / _CALM_S)),
            self._size.after(passed_s, _GROWTH_CHANGE),
        )

    def is_far(self, place: tuple[float, float], size_px: float) -> bool:
        """Whether a face of that size there is off by more than chance allows."""
        off = math.hypot(place[0] - self.x, place[1] - self.y) / self.size_px
        off_size = math.log(size_px / self.size_px)
        return off > _FAR * math.hypot(math.sqrt(self._place.place), _JITTER) or abs(off_size) > _FAR * math.hypot(
            self.log_size_spread, _SIZE_JITTER
        )

    def seen(self, x: float, y: float, size_px: float, cut: bool) -> None:
        """Take in a face. cut: by the edge of the frame, so that its middle and size say less."""
        off_x, off_y = x - self.x, y - self.y
        off = math.hypot(off_x, off_y) / self.size_px
        place_gain, rate_gain = self._place.seen(off, _CUT_JITTER if cut else _JITTER)
        self.x += place_gain * off_x
        self.y += place_gain * off_y
        self.vx += rate_gain * off_x
        self.vy += rate_gain * off_y
        if cut:
            self.size_px = max(self.size_px, size_px)  # the face is at least as large as what the frame shows of it
        off = math.log(size_px / self.size_px)
        place_gain, rate_gain = self._size.seen(off, _CUT_JITTER if cut else _SIZE_JITTER, cut)
        self.size_px *= math.exp(place_gain * off)
        self.growth += rate_gain * off


def middle(bbox_px: Bbox) -> tuple[float, float]:
    """The middle of a bbox."""
    return (bbox_px[0] + bbox_px[2]) / 2, (bbox_px[1] + bbox_px[3]) / 2


def size_of(bbox_px: Bbox) -> float:
    """The geometric mean of width and height, at least one pixel."""
    return math.sqrt(max(bbox_px[2] - bbox_px[0], 1.0) * max(bbox_px[3] - bbox_px[1], 1.0))
