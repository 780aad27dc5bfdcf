"""Which detection is whose, in the bench that measures how soon people are stored."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.faces import Bbox
from scripts.bench_delay import Arrival, told
from scripts.scene_people import golden_people
from scripts.scenes import Actor, Visit, Waypoint

BEGUN_UTC = 1000.0


def walking(enters_s: float, speed_px: float, y: float = 100.0) -> Visit:
    """A face of 40 px that walks to the right, wholly visible after .1 s, for 5 s."""
    at_s = np.arange(enters_s, enters_s + 5, 1 / 15, dtype=np.float64)
    x = speed_px * (at_s - enters_s)
    actor = Actor(golden_people()[0], (Waypoint(0, 0, 0, 40),))
    shown = np.where(at_s < enters_s + 0.1, 0.5, 1.0)
    return Visit(actor, at_s, np.stack([x, np.full_like(x, y), x + 40, np.full_like(x, y + 40)], 1), shown)


def arrival(first_s: float, last_s: float, stored_s: float, bbox_px: Bbox) -> Arrival:
    """Times of the clip."""
    return Arrival(BEGUN_UTC + stored_s, BEGUN_UTC + first_s, BEGUN_UTC + last_s, bbox_px)


def test_whoever_is_seen_for_a_while_before_they_are_stored_is_who_the_image_shows() -> None:
    visit = walking(10, speed_px=300)
    detected = arrival(10.2, 11.2, 11.3, (60, 100, 100, 140))  # the image is of the first look, a second before
    assert told([visit], [detected], BEGUN_UTC) == [pytest.approx((0.07, 1.17), abs=0.05)]


def test_a_detection_is_of_the_nearest_person_alone() -> None:
    first, second = walking(10, speed_px=40), walking(12, speed_px=40)
    detections = [arrival(10.2, 10.4, 10.5, (12, 100, 52, 140)), arrival(12.2, 12.4, 12.6, (12, 100, 52, 140))]
    delays = told([first, second], detections[1:], BEGUN_UTC)
    assert delays == [pytest.approx((0.07, 0.47), abs=0.05)], "who was not stored has not the detection of the next"
    assert len(told([first, second], detections, BEGUN_UTC)) == 2
    assert told([first], [arrival(30, 30.2, 30.3, (12, 100, 52, 140))], BEGUN_UTC) == []
