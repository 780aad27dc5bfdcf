"""Which images go: real day files, real SQLite; the clocks are the test's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.accounts.people import Role
from appliance.disk import Reserve
from appliance.faces import Detection, State
from appliance.images import ImageFiles, day_of
from appliance.sections import Images
from appliance.store import DetectionFilter, Store, StoredImage, WallClock
from appliance.times import Now, utc_seconds
from appliance.watch.retention import Retention

NOON = utc_seconds("2026-11-24T12:00Z")
DAY_S = 86400.0
JPEG = b"\xff\xd8 a picture \xff\xd9"


class Box:
    """A record, its images and a retention. keep_days is 30."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "mb9k.db")
        self.store.people.add("ann", "-", Role.ADMIN, NOON)
        self.store.streams.add_with_key(1, "door", "0" * 64, NOON)
        self.images = ImageFiles(folder / "images")
        self.now = Now(NOON, "first start", 100.0)
        self.synchronised = True
        self.config = Images(min_free_mb=0)
        self.start_watcher()

    def start_watcher(self) -> None:
        self.retention = Retention(
            self.images, self.config, Reserve(self.images.folder.parent), lambda: self.synchronised
        )

    def somebody_passes(self) -> str:
        """Somebody is recorded with an image; the day it was filed under."""
        place = self.images.append(JPEG, self.now.utc)
        detection = Detection(self.now.utc, self.now.utc, State.MASK, 0.9, 5, (0, 0, 1, 1), 2, 2, "m")
        count = len(self.store.detections.page(DetectionFilter(), limit=500))
        self.store.detections.add(1, detection, StoredImage(place.day, place.offset, place.size_bytes, f"t{count}"))
        return place.day

    def run(self, days: float) -> None:
        """The box runs on, its clock with it; the watcher looks every six hours."""
        for _ in range(round(days * 4)):
            self.now = replace(self.now, utc=self.now.utc + DAY_S / 4, uptime_s=self.now.uptime_s + DAY_S / 4)
            self.step()

    def minute(self) -> None:
        self.now = replace(self.now, utc=self.now.utc + 60, uptime_s=self.now.uptime_s + 60)
        self.step()

    def step(self) -> None:
        self.retention.step(self.store, self.now)

    def leap(self, days: float) -> None:
        """The wall clock alone goes forward (or back)."""
        self.now = replace(self.now, utc=self.now.utc + days * DAY_S)

    def off(self, days: float) -> None:
        """The machine is off for so long, and starts again."""
        self.now = Now(self.now.utc + days * DAY_S, f"{self.now.boot_id} and on", 10.0)
        self.start_watcher()

    def record(self, days: int) -> None:
        """Somebody passes on each of so many days."""
        for _ in range(days):
            self.somebody_passes()
            self.step()
            self.run(1)

    @property
    def with_image(self) -> int:
        """How many detections have an image that can be read."""
        found = self.store.detections.page(DetectionFilter(), limit=500)
        return sum(each.image is not None and self.images.read(each.image) is not None for each in found)

    @property
    def notice(self) -> str | None:
        clock = self.store.ages.clock()
        assert clock
        return clock.notice


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    yield box
    box.store.close()


def test_images_go_after_so_many_days_and_their_people_stay(box: Box) -> None:
    box.record(3)
    box.run(26.5)
    assert box.with_image == 3
    box.run(1)
    assert box.with_image == 2
    box.run(2)
    assert (box.with_image, box.images.days()) == (0, [])
    assert len(box.store.detections.page(DetectionFilter())) == 3
    assert box.store.ages.image_days() == {}
    assert box.store.erasures.oldest(10) == {}


@pytest.mark.parametrize("synchronised", [True, False])
@pytest.mark.parametrize("days", [31, 400, 20_000])
def test_a_clock_that_jumps_forward_while_the_box_runs_takes_no_image(
    box: Box, days: float, synchronised: bool
) -> None:
    box.record(5)
    box.synchronised = synchronised
    box.leap(days)
    for _ in range(90):
        box.minute()
    assert box.with_image == 5
    assert not synchronised or (box.notice and "5 days would be too old" in box.notice)


def test_images_of_after_a_jump_and_of_before_are_kept_once_the_clock_is_right_again(box: Box) -> None:
    box.record(5)
    box.leap(400)
    box.minute()
    box.somebody_passes()
    box.minute()
    box.leap(-400)
    box.minute()
    assert (box.with_image, box.notice) == (6, None)
    box.run(31)
    assert box.with_image == 0


def test_images_of_a_clock_that_starts_in_1970_live_on_when_the_time_arrives(box: Box) -> None:
    box.synchronised = False
    box.now = Now(30.0, "first start", 30.0)
    assert box.somebody_passes() == "19700101"
    box.step()
    box.somebody_passes()  # not yet noted when the time arrives
    box.now = Now(NOON, "first start", 95.0)
    box.synchronised = True
    box.step()
    box.minute()
    assert box.with_image == 2
    box.run(30.5)
    assert box.with_image == 0


def test_the_first_images_after_a_start_in_1970_live_as_long_as_the_others(box: Box) -> None:
    box.record(3)
    box.off(0.5)
    true_utc, box.synchronised = box.now.utc, False
    box.now = replace(box.now, utc=0.0)
    box.somebody_passes()
    box.step()
    box.now, box.synchronised = replace(box.now, utc=true_utc), True
    box.minute()
    box.run(26)
    assert box.with_image == 4
    box.run(6)
    assert box.with_image == 0


def test_without_the_time_images_go_by_how_long_the_box_ran(box: Box) -> None:
    box.synchronised = False
    box.record(2)
    box.off(300)
    box.run(27.5)
    assert box.with_image == 2
    assert box.notice is not None
    assert "for 30 days of running" in box.notice
    box.run(3)
    assert box.with_image == 0


def test_a_box_that_was_off_for_a_weekend_forgets_what_became_too_old(box: Box) -> None:
    box.record(3)
    box.run(26.5)
    box.off(2)
    box.minute()
    assert (box.with_image, box.notice) == (1, None)


def test_a_box_that_was_off_for_months_keeps_its_images_until_somebody_confirms_the_clock(box: Box) -> None:
    box.record(5)
    box.off(90)
    today = box.somebody_passes()
    box.run(2)
    assert box.with_image == 6
    box.store.ages.believe(box.now)
    box.minute()
    assert (box.with_image, box.images.days(), box.notice) == (1, [today], None)


def test_a_leap_by_which_no_image_goes_is_believed_after_an_hour(box: Box) -> None:
    box.record(5)
    box.off(10)
    box.minute()
    assert (clock := box.store.ages.clock())
    assert clock.wall_clock is WallClock.UNKNOWN
    for _ in range(60):
        box.minute()
    assert (clock := box.store.ages.clock())
    assert (clock.wall_clock, clock.notice, box.with_image) == (WallClock.BELIEVED, None, 5)


def test_a_clock_that_was_right_once_and_goes_on_evenly_is_believed_without_a_time_server(box: Box) -> None:
    box.record(1)
    box.synchronised = False
    box.run(2)
    box.start_watcher()
    box.minute()
    assert (clock := box.store.ages.clock())
    assert clock.wall_clock is WallClock.BELIEVED


def test_keeping_images_for_fewer_days_takes_those_of_many_days_at_once(box: Box) -> None:
    box.record(20)
    box.config = Images(keep_days=7, min_free_mb=0)
    box.start_watcher()
    box.minute()
    assert box.with_image == 6


def test_what_an_older_version_kept_is_as_old_as_its_names_say(box: Box) -> None:
    for age in (0, 29, 31, 200):
        box.now = replace(box.now, utc=NOON - age * DAY_S)
        box.somebody_passes()
    box.now = Now(0.0, "first start", 1.0)
    box.somebody_passes()
    box.now = Now(NOON, "first start", 100.0)
    box.step()
    assert box.images.days() == ["19700101", day_of(NOON - 29 * DAY_S), day_of(NOON)]


def test_what_an_older_version_kept_survives_a_wrong_clock_at_the_first_start_of_this_one(box: Box) -> None:
    for age in (1, 2, 3):
        box.now = replace(box.now, utc=NOON - age * DAY_S)
        box.somebody_passes()
    box.now = Now(NOON + 400 * DAY_S, "first start", 100.0)
    box.step()
    assert box.with_image == 3
    assert box.notice is not None


def test_room_is_made_in_the_order_of_arrival_whatever_the_days_are_called(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    first = box.somebody_passes()
    box.minute()
    box.leap(-20_000)
    second = box.somebody_passes()
    box.minute()
    box.leap(20_001)
    today = box.somebody_passes()
    box.minute()
    assert second < first < today
    box.retention.config = Images(min_free_mb=10**9)
    caplog.clear()
    box.minute()
    gone = re.findall(r"forgot the images of ([0-9]+)", caplog.text)
    assert gone == [first, second]
    assert box.images.days() == [today]


@pytest.mark.parametrize("calls", [1, 2])
def test_a_day_whose_forgetting_was_cut_off_is_forgotten_at_the_next_start(
    box: Box, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    box.record(1)
    box.run(28.5)
    writing, left = box.store.writing, [calls]

    class Cut(Exception):
        pass

    def cut_off():  # type: ignore[no-untyped-def]
        if left[0] == 0:
            raise Cut
        left[0] -= 1
        return writing()

    monkeypatch.setattr(box.store, "writing", cut_off)
    with pytest.raises(Cut):
        box.run(1)
    monkeypatch.undo()
    assert box.store.erasures.oldest(9) == {}, "a file that gets its name would be overwritten"
    box.off(1)
    box.minute()
    assert (box.images.days(), box.store.ages.image_days(), box.store.erasures.oldest(9)) == ([], {}, {})
