"""Packets between two threads: when they were shown, and what waits of them. The clock is turned by hand."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import av
import pytest
from av.video.codeccontext import VideoCodecContext

from appliance.vision.reading.packets import (
    BEHIND_S,
    MAX_BATCH,
    MAX_DELAY_S,
    MAX_WAITING_BYTES,
    MAX_WAITING_S,
    OVERHEAD_BYTES,
    WINDOW_S,
    Packet,
    PacketQueue,
    StreamClock,
)

FRAME_S = 1 / 25
TICK_S = 1 / 1000
DECODER = VideoCodecContext.create("h264", "r")


def shown(arrivals: Sequence[tuple[float, float]]) -> list[float]:
    """When pictures were shown, of (time stamp, arrival)."""
    clock = StreamClock(TICK_S)
    stamps = [(round(pts_s / TICK_S), now_s) for pts_s, now_s in arrivals]
    return [clock.shown_s(pts, pts, now_s) for pts, now_s in stamps]


def test_pictures_that_come_late_and_in_a_burst_keep_their_distances() -> None:
    steady = [(index * FRAME_S, 500 + index * FRAME_S) for index in range(50)]
    burst = [(index * FRAME_S, 505.0) for index in range(50, 125)]  # three seconds at once
    times_s = shown(steady + burst)
    assert [later - earlier for earlier, later in itertools.pairwise(times_s)] == pytest.approx([FRAME_S] * 124)
    assert times_s[-1] == pytest.approx(500 + 124 * FRAME_S)


def test_what_is_late_by_chance_does_not_count() -> None:
    late_s = [0.2, 0.05, 0.3, 0.0, 0.12, 0.08, 0.25]
    times_s = shown([(index * FRAME_S, 500 + index * FRAME_S + late) for index, late in enumerate(late_s)])
    assert times_s[3:] == pytest.approx([500 + index * FRAME_S for index in range(3, 7)])
    assert all(time_s <= 500 + index * FRAME_S + late_s[index] for index, time_s in enumerate(times_s))


def test_a_network_that_becomes_slower_and_a_clock_that_drifts_are_followed() -> None:
    slower = [(index, 500 + index + (1.0 if index > 10 else 0.0)) for index in range(60)]
    assert shown(slower)[-1] == pytest.approx(560)
    drifting = [(index, 500 + index * 1.001) for index in range(1000)]
    late_s = [now_s - time_s for (_, now_s), time_s in zip(drifting, shown(drifting), strict=True)]
    assert max(late_s) <= 2 * WINDOW_S * 0.001 + 1e-6


@pytest.mark.parametrize("leap_s", [-3.0, -1000.0, -MAX_DELAY_S - 1, 5.0, 90_000.0])
def test_time_stamps_that_leap_begin_again(leap_s: float) -> None:
    before = [(100 + index * FRAME_S, 500 + index * FRAME_S) for index in range(25)]
    after = [(pts_s + 1 + leap_s, now_s + 1) for pts_s, now_s in before]
    assert shown(before + after)[25:] == pytest.approx([now_s for _, now_s in after])


def test_pictures_of_the_past_do_not_begin_the_clock_again() -> None:
    clock = StreamClock(TICK_S)
    assert clock.shown_s(10_000, 9_900, 500.0) == 500.0
    assert clock.shown_s(10_120, 9_940, 500.04) == pytest.approx(500.04)
    assert clock.shown_s(10_040, 9_980, 500.08) == pytest.approx(499.96), "a B-frame"


def test_without_a_time_stamp_the_arrival_counts() -> None:
    assert StreamClock(TICK_S).shown_s(None, None, 500.0) == 500.0


def packet(number: int, key: bool = False, size: int = 1000) -> Packet:
    time_s = 1000 + number * FRAME_S
    return Packet(av.Packet(bytes(size)), DECODER, number, time_s, time_s, time_s, key)


def filled(count: int, key_every: int, size: int = 1000) -> PacketQueue:
    queue = PacketQueue()
    for number in range(count):
        queue.put(packet(number, number % key_every == 0, size))
    return queue


def taken(queue: PacketQueue) -> list[int]:
    """The numbers of all that waits."""
    numbers = []
    while batch := queue.take(0, keys_only=False):
        numbers += [packet.number for packet in batch]
    return numbers


def test_packets_come_once_and_in_order_a_few_at_a_time() -> None:
    queue = filled(40, 25)
    assert [packet.number for packet in queue.take(0, keys_only=False)] == list(range(MAX_BATCH))
    assert taken(queue) == list(range(MAX_BATCH, 40))
    assert queue.take(0.01, keys_only=False) == []
    assert queue.dropped_s == 0


def test_who_is_behind_goes_on_with_the_newest_key_frame() -> None:
    queue = filled(int(BEHIND_S / FRAME_S) + 3, 20)
    assert taken(queue) == list(range(40, 53))
    assert queue.dropped_s == pytest.approx(40 * FRAME_S)


def test_without_a_newer_key_frame_everything_waits_up_to_a_limit() -> None:
    limit = int(MAX_WAITING_S / FRAME_S)
    assert taken(filled(limit - 1, 10_000)) == list(range(limit - 1))
    queue = filled(limit + 50, 10_000)
    assert taken(queue) == [], "the rest refers to what is gone"
    queue.put(packet(1000))
    queue.put(packet(1001, key=True))
    queue.put(packet(1002))
    assert taken(queue) == [1001, 1002]


def test_what_waits_has_a_limit_in_bytes() -> None:
    size = MAX_WAITING_BYTES // 10 - OVERHEAD_BYTES
    assert taken(filled(10, 4, size)) == list(range(10))
    assert taken(filled(11, 4, size)) == [8, 9, 10]
    assert taken(filled(11, 100, size)) == []


def test_who_waits_for_key_frames_is_not_behind() -> None:
    queue = PacketQueue()
    found: list[list[Packet]] = []
    thread = threading.Thread(target=lambda: found.append(queue.take(30, keys_only=True)))
    thread.start()
    while not queue._taking:
        pass
    for number in range(100):
        queue.put(packet(number, key=number == 99))
    thread.join(30)
    assert [packet.number for packet in found[0]] == list(range(100))


def test_the_end_of_a_connection_wakes() -> None:
    queue = PacketQueue()
    assert queue.take(0, keys_only=True) == []
    queue.put(packet(0))
    queue.put(packet(1, size=0))
    assert [packet.number for packet in queue.take(30, keys_only=True)] == [0, 1]


def test_what_was_cleared_goes_on_with_a_key_frame() -> None:
    queue = filled(5, 5)
    queue.clear()
    queue.put(packet(5))
    queue.put(packet(6, key=True))
    assert taken(queue) == [6]
