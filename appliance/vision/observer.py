"""The observer of one stream: packets in, looks out. It knows no thread, and no clock but that of the packets.

Where something new moves, about ten times a second, the detector looks at regions of the frame. Where nothing does, and
all who are in view are known, only key frames are decoded, and what came since the last one is kept. Whatever a key
frame shows that was not to be expected, somebody new or somebody who is not where they should be, began since the one
before: what was kept is replayed, as if nothing had been left out.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from appliance.faces import Bbox, Face, Health
from appliance.vision.budget import Costs, Purse
from appliance.vision.counting import Counting, place_of
from appliance.vision.detector import Detector
from appliance.vision.frame import Frame
from appliance.vision.health import Rate, Tally
from appliance.vision.looking import sweep
from appliance.vision.looking.again import Found, faces_in
from appliance.vision.looking.demand import is_explained
from appliance.vision.looking.motion import Motion, Moving
from appliance.vision.looking.region import Region
from appliance.vision.looking.regions import Plan, Planner
from appliance.vision.looking.view import View
from appliance.vision.reading.decoding import Decoding
from appliance.vision.reading.gstreamer import Chip
from appliance.vision.reading.packets import Packet
from appliance.vision.tracking.tracker import Seen, Tracker, Update
from appliance.zones import is_excluded

LOW_SCORE_THRESHOLD = 0.25  # faces of this score or more may keep a track alive, and are pixelated
MAX_IOU = 0.5
CALM_S = 0.5  # nothing new has moved for this long: only key frames from now on
FIRST_S = sweep.FIRST_S + 0.5  # from the start, or another scene: until the whole frame was looked at, and a bit longer
LOOK_MS = 60.0  # no look may take longer, whatever the purse holds: the next one is due after 100
MAX_FACES = 200  # of a look are tracked, the best: what it takes to tell people apart grows with the square
NEARLY = 0.05  # of the pause between looks: frames come when they come, and one that is nearly due is taken


@dataclass(frozen=True, eq=False)
class Look:
    """What one frame showed.

    regions: where the detector looked. faces: what it found there, px of the frame. update: what that changed.
    presumed: persons in view of whom it shows no face, where they are expected, and in the state that they were in.
    excluded: of the faces, those where people are never counted: they are nobody's.
    """

    frame: Frame
    regions: Sequence[Region]
    faces: list[Face]
    update: Update
    presumed: list[Face]
    excluded: Sequence[Face] = ()


class Observer:
    """Looks at one stream. Not for several threads.

    looks_per_s: where something new moves. lost_s: out of view for longer is gone. purse: what this stream may spend;
    costs: what a region costs. cpu_s: the CPU time of this thread. accept: whether a frame may be looked at.
    chip: what may decode in FFmpeg's place.
    elsewhere: somebody watches another stream of the camera, and will say when something moves.
    view: what the camera looks at; another may be put in its place at any time.
    """

    def __init__(
        self,
        detector: Detector,
        looks_per_s: float,
        lost_s: float,
        purse: Purse,
        costs: Costs,
        accept: Callable[[Frame], bool] = lambda _: True,
        cpu_s: Callable[[], float] = time.thread_time,
        chip: Chip | None = None,
    ) -> None:
        self.detector = detector
        self.tracker = Tracker(detector.score_threshold, lost_s)
        self.counting = Counting()  # looks that are final are given to it by whoever tells of them
        self._looks_per_s = looks_per_s
        self._purse, self._costs, self._accept, self._cpu_s = purse, costs, accept, cpu_s
        self.tally, self._decoding_rate = Tally(), Rate()
        self.elsewhere = False
        self.view = View()
        self._chip = chip
        self.decoding = Decoding(looks_per_s, chip)
        self.restart()

    def restart(self) -> None:
        """Begin again with the next key frame, after an error; who is in view stays known."""
        self.decoding.flush()
        self.decoding.close()
        self.decoding = Decoding(self._looks_per_s, self._chip)
        self._motion = Motion()
        self._planner = Planner(self.detector.region_px, self._costs)
        self._charged_ms = 0.0
        self._now_s = self._due_s = 0.0
        self._awake_until_s: float | None = None  # None: nothing was looked at yet

    def take(self, packet: Packet) -> Iterator[Look]:
        """The looks that this packet leads to, oldest first. Take them all before the next packet."""
        for frame in self.decoding.take(packet):
            if not self._accept(frame):
                continue
            if self.decoding.elsewhere:
                self._see_view(frame)  # a glance: whatever moves, the other stream tells
            else:
                yield from self._look_at_key(frame) if self.decoding.idle else self._look_if_due(frame)
        self._charge_decoding(packet)

    def wake(self, until_s: float, since_s: float | None = None) -> Iterator[Look]:
        """Decode everything until then, beginning with what was kept: something moves, or somebody watches.

        since_s: when it began to move; None: the frame that was last looked at shows it.
        """
        self._awake_until_s = max(self._awake_until_s or 0.0, until_s)
        for frame in self.decoding.wake(since_s):
            if self._accept(frame):
                yield from self._look_if_due(frame)

    def _look_at_key(self, frame: Frame) -> Iterator[Look]:
        """At a key frame, while nothing new moves."""
        motion_before = copy.deepcopy(self._motion)
        moving = self._moving(frame)
        if moving.stirs and not any(track.missed_s == 0 for track in self.tracker.tracks):
            self._motion = motion_before  # nobody is in view whose motion it might be: the replay shows whose it is
            yield from self._replay(frame)
            return
        tracker_before = self._copied_tracker()
        known = {track.key for track in self.tracker.tracks if track.in_frame}
        look = self._look(frame, moving)
        if self._is_news(moving) or self._is_surprised(known):
            self._motion, self.tracker = motion_before, tracker_before
            yield from self._replay(frame)
        else:
            self._rest()
            yield look

    def _replay(self, frame: Frame) -> Iterator[Look]:
        """Look at what was left out before this frame."""
        self._due_s = 0.0
        yield from self.wake(frame.time_s + CALM_S)

    def _copied_tracker(self) -> Tracker:
        """A tracker that goes its own way; faces and records never change, so that both may have them."""
        shared = [one for track in self.tracker.tracks for one in (*track.recent, track.detection, track.colours)]
        return copy.deepcopy(self.tracker, {id(one): one for one in shared if one is not None})

    def _is_news(self, moving: Moving) -> bool:
        """Whether something moves that neither always does nor is one of those in view, where they were now found."""
        if not moving.stirs or moving.cut or moving.relit:
            return moving.stirs
        expected = self.tracker.expected(self._now_s)
        return not is_explained(moving, [(one.bbox_px, one.spread_px) for one in expected])

    def _is_surprised(self, known: set[str]) -> bool:
        """Whether anybody is new, or somebody who was in view is not where they were expected."""
        return self.tracker.has_doubts or any(
            track.key in known and track.missed_s > 0 for track in self.tracker.within
        )

    def _look_if_due(self, frame: Frame) -> Iterator[Look]:
        pause_s = 1.0 / self._looks_per_s
        early_s = self._due_s - frame.time_s
        if pause_s * NEARLY < early_s <= pause_s * (1 + NEARLY):  # more than that: the clock of the stream began again
            return
        # From when it was due: the rate stays true although frames come when they come.
        self._due_s = frame.time_s + pause_s if abs(early_s) > pause_s else self._due_s + pause_s
        moving = self._moving(frame)
        look = self._look(frame, moving)
        self._rest_if_calm(moving, frame.time_s)
        yield look

    def _moving(self, frame: Frame) -> Moving:
        self._now_s = frame.time_s
        self._see_view(frame)
        return self._motion.look(frame.luma(), frame.luma_step, frame.time_s)

    def _see_view(self, frame: Frame) -> None:
        size = (frame.width, frame.height)
        self.view.look(frame.luma(), frame.rows, size, frame.time_s, frame.utc)

    def _look(self, frame: Frame, moving: Moving) -> Look:
        now_s, size = frame.time_s, (frame.width, frame.height)
        ended = self.tracker.end_all() if moving.cut else []
        plan = self._plan(frame, moving)
        begun_s = self._cpu_s()
        faces, regions = faces_in(plan.regions, partial(self._found, frame), size, MAX_IOU)
        spent_ms = (self._cpu_s() - begun_s) * 1000
        self._costs.learn([region.input_px for region in regions], spent_ms)
        self._purse.spend(spent_ms)
        zones = self.counting.zones

        def is_nobodys(bbox_px: Bbox) -> bool:
            return is_excluded(zones, place_of(bbox_px, size))

        excluded = [face for face in faces if is_nobodys(face.bbox_px)] if zones else []
        tracked = [face for face in faces if face not in excluded][:MAX_FACES]
        seen = [Seen(face, frame.colours(face.bbox_px)) for face in tracked]
        update = self.tracker.update(seen, now_s, frame.utc, regions, size, is_nobodys if zones else None)
        for track in [*ended, *update.ended]:
            if not self.counting.leaves_out(track):
                self.tally.person(track.too_small, now_s)
        update = Update(update.seen, [*ended, *update.ended])
        return Look(frame, plan.regions, faces, update, self.tracker.presumed(now_s), excluded)

    def _plan(self, frame: Frame, moving: Moving) -> Plan:
        allowance_ms = self._purse.allowance_ms(frame.time_s)
        plan = self._planner.plan(
            (frame.width, frame.height),
            moving,
            self.tracker.expected(frame.time_s),
            frame.time_s,
            min(allowance_ms, LOOK_MS),
        )
        # What does not fit into one look comes in the next one; only want of computing time puts it off.
        withheld = bool(plan.over_budget.any()) and allowance_ms < LOOK_MS
        if withheld:
            self._purse.want(LOOK_MS)
        if withheld or plan.regions:
            self.tally.look(not withheld, frame.time_s)
        return plan

    def _found(self, frame: Frame, regions: Sequence[Region]) -> Found:
        """What the detector finds in each; regions of one size are one stack."""
        found: Found = []
        for _, group in groupby(sorted(regions, key=_input_px), key=_input_px):
            alike = list(group)
            found += zip(alike, self.detector.look(frame.cuts(alike), LOW_SCORE_THRESHOLD), strict=True)
        return found

    def _rest_if_calm(self, moving: Moving, now_s: float) -> None:
        if moving.cut or moving.relit or self._awake_until_s is None:
            self._awake_until_s = now_s + FIRST_S
        elif self.tracker.has_doubts or self._is_news(moving):
            self._awake_until_s = max(self._awake_until_s, now_s + CALM_S)
        if now_s >= self._awake_until_s:
            self._rest()

    def _rest(self) -> None:
        # What is not decoded at all shows nobody: that is for a picture in which nobody is.
        self.decoding.rest(elsewhere=self.elsewhere and not self.tracker.tracks)

    def _charge_decoding(self, packet: Packet) -> None:
        """Decoding is paid for whether there is enough or not; looks get what is left."""
        spent_ms = self.decoding.decoding_ms - self._charged_ms
        self._charged_ms = self.decoding.decoding_ms
        self._purse.spend(spent_ms)
        self._decoding_rate.add(packet.time_s, spent_ms)

    @property
    def health(self) -> Health:
        """How well the stream can be judged."""
        decoding_ms, saving_ms, idle_ms = self._decoding_rate.per_s(), self.decoding.saving_ms, None
        if decoding_ms is not None and saving_ms is not None and not self.decoding.can_rest:
            idle_ms = max(0.0, decoding_ms - saving_ms)
        return Health(
            too_small=self.tally.too_small_share(),
            looks=self.tally.made_share(),
            smallest_face_px=self.detector.smallest_face_px,
            decoding_ms=decoding_ms,
            idle_ms=idle_ms,
            delay_s=self.tally.mean_delay_s(),
        )


def _input_px(region: Region) -> int:
    return region.input_px
