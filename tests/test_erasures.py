"""Images of detections that were deleted: all are erased, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.faces import State
from appliance.previews import Previews
from appliance.rules import detections, streams
from appliance.rules.streams import OPERATOR
from appliance.store import StoredImage
from tests.site import JPEG, Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def test_images_that_cannot_be_erased_hold_up_no_others(box: Box) -> None:
    broken = box.images.append(JPEG, box.clock.now.utc - 86400)
    (box.config.images_dir / f"{broken.day}.jpegs").unlink()
    (box.config.images_dir / f"{broken.day}.jpegs").mkdir()  # what a folder in its place does, a failing card does too
    fine = box.images.append(JPEG, box.clock.now.utc)
    for place in [broken] * detections.ERASED_AT_ONCE + [fine]:
        box.store.erasures.add(place)
    assert not detections.erase_some(box.store, box.images)
    assert not detections.erase_some(box.store, box.images)
    assert box.images.read(fine) is None
    left = [place.day for place in box.store.erasures.oldest(1000).values()]
    assert left == [broken.day] * detections.ERASED_AT_ONCE


@pytest.mark.parametrize("size_bytes", [len(JPEG), len(JPEG) - 3, 1])
def test_the_image_of_a_detection_is_never_erased_for_one_that_lay_there_in_a_file_that_is_gone(
    box: Box, size_bytes: int
) -> None:
    old = box.store.detections.all_images()[0]
    box.store.db.execute("update detections set image_size = ? where id = 1", [size_bytes])
    (box.images.folder / f"{old.day}.jpegs").unlink()  # somebody made room by hand
    place = box.images.append(JPEG, box.clock.now.utc)
    box.add_detection(2, State.MASK, StoredImage(place.day, place.offset, place.size_bytes, "new", crc32=place.crc32))
    assert place.offset == old.offset
    detections.delete(box.store, box.images, OPERATOR, 1, box.clock.now)
    assert box.store.erasures.oldest(9) == {}
    assert box.images.read(place) == JPEG
    detections.delete(box.store, box.images, OPERATOR, 3, box.clock.now)
    assert box.images.read(place) is None


def test_of_very_many_images_a_deletion_erases_the_first_and_the_watcher_the_rest(box: Box) -> None:
    with box.store.writing():
        for number in range(detections.ERASED_AT_ONCE):
            place = box.images.append(JPEG, box.clock.now.utc)
            box.add_detection(
                1, State.MASK, StoredImage(place.day, place.offset, place.size_bytes, f"unguessable {number}")
            )
    (day,) = box.images.days()
    door = streams.find(box.store, 1, box.clock.now)
    streams.delete(box.store, box.images, Previews(box.config.run), OPERATOR, door, box.clock.now)
    assert len(box.store.erasures.oldest(10_000)) == 1
    file = box.images.folder / f"{day}.jpegs"
    assert file.read_bytes().count(JPEG) == 1
    detections.erase_some(box.store, box.images)
    assert file.read_bytes().count(JPEG) == 0
