"""Streams with many detections are deleted step by step: gone for people at once, and wholly whatever ends between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from appliance.errors import InputError
from appliance.faces import State
from appliance.images import day_of
from appliance.previews import Previews
from appliance.rules import people, streams
from appliance.rules.streams import AT_ONCE, OPERATOR
from appliance.secrets import digest
from appliance.store import BoxClock, Store, StoredImage, WallClock
from appliance.times import now, utc_text
from appliance.watch.forgetting import Forgetting
from tests import boxes
from tests.site import JPEG, Box, dump
from tests.test_browser import Served, served

__all__ = ["served"]
MANY = 2 * AT_ONCE + 100  # three steps


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    fill(made.store, made, MANY - 1)
    yield made
    made.close()


def fill(store: Store, box: Box, number: int) -> None:
    """So many more persons in stream 1, of whom every third has an image."""
    with store.writing():
        for each in range(number):
            image = None
            if each % 3 == 0:
                place = box.images.append(JPEG, box.clock.now.utc)
                image = StoredImage(place.day, place.offset, place.size_bytes, f"many {each}", crc32=place.crc32)
            box.add_detection(1, State.NO_MASK if each % 4 else State.MASK, image)


def delete(box: Box) -> int:
    door = streams.find(box.store, 1, box.clock.now)
    return streams.delete(box.store, box.images, Previews(box.config.run), OPERATOR, door, box.clock.now)


def rows(box: Box) -> int:
    (count,) = box.store.db.execute("select count(*) from detections where stream_id = 1").fetchone()
    return int(count)


def test_a_stream_with_many_is_gone_for_people_before_its_rows_are(box: Box) -> None:
    expected = box.store.receipts.measure("stream_id = 1")
    receipt_id = delete(box)
    receipt = box.store.receipts.get(receipt_id)
    assert receipt and receipt.deleted == expected and expected.detections == MANY
    assert rows(box) == MANY
    ann = box.browser("ann")
    for path in ("/streams/1", "/detections/1", "/api/v1/streams/1", "/api/v1/detections/1"):
        assert ann.get(path).status_code == 404, path
    assert ann.get("/api/v1/detections").json()["detections"][0]["stream"] == "sci:lab"
    assert ann.get("/api/v1/counts").json()["total"] == 1
    assert "door" not in ann.get("/trends").text + ann.get("/detections").text
    assert box.store.streams.ids() == {2} and box.store.summaries.streams() == {2: "lab"}
    assert not box.store.streams.active_keys().keys() & {"key 1"} and len(box.store.streams.active_keys()) == 1
    assert streams.add(box.store, OPERATOR, 1, "door", None, box.clock.now)[0].title == "ann:door"  # the name is free


def test_step_by_step_all_of_it_goes_and_the_sums_follow(box: Box) -> None:
    receipt_id = delete(box)
    assert box.store.problems() == []
    left = [rows(box)]
    while streams.go_on_deleting(box.store, box.images):
        left.append(rows(box))
        assert box.store.problems() == []
    assert left == [MANY, MANY - AT_ONCE, MANY - 2 * AT_ONCE, 0]
    assert box.store.erasures.count() == 0
    (day,) = box.images.days()
    assert JPEG not in (box.images.folder / f"{day}.jpegs").read_bytes()
    assert box.store.trends.by_stream(None) == box.store.trends.by_stream([2])
    assert "deleted under receipt" not in dump(box)
    assert box.store.deletions.progress() == [] and box.store.receipts.get(receipt_id)


def test_no_receipt_says_that_nothing_is_left_while_rows_are(box: Box) -> None:
    receipt_id = delete(box)
    clock = BoxClock(1.0, box.clock.now.boot_id, 1.0, box.clock.now.utc, WallClock.BELIEVED)
    forgetting = Forgetting(30)
    forgetting.leave_nothing(box.store, clock, box.clock.now.utc)
    receipt = box.store.receipts.get(receipt_id)
    assert receipt and receipt.finished_utc is None
    while streams.go_on_deleting(box.store, box.images):
        pass
    forgetting.leave_nothing(box.store, clock, box.clock.now.utc)
    receipt = box.store.receipts.get(receipt_id)
    assert receipt and receipt.finished_utc


def test_the_page_tells_how_far_it_is_and_ends_with_the_receipt(box: Box) -> None:
    ann = box.browser("ann")
    assert "a page shows how far it is" in ann.get("/streams/1/delete").text
    page = ann.follow("/streams/1/delete", page="/streams/1/delete")
    address = str(page.url.path)
    assert address.startswith("/receipts/") and 'data-refresh="2"' in page.text
    assert f"0 of 1\u202f{MANY - 1000} detections are deleted" in page.text
    assert "0 of 368 images are overwritten" in page.text
    assert f"0 of 1\u202f{MANY - 1000} detections are gone" in ann.get("/streams").text
    assert address not in box.browser("sci").get("/streams").text
    streams.go_on_deleting(box.store, box.images)
    assert f"{AT_ONCE} of 1\u202f{MANY - 1000} detections are deleted" in ann.get(address).text
    while streams.go_on_deleting(box.store, box.images):
        pass
    page = ann.get(address)
    assert "<progress" not in page.text and "still overwrites" in page.text
    box.store.receipts.finish(99, box.clock.now.utc)
    page = ann.get(address)
    assert "nothing of it is left" in page.text and "data-refresh" not in page.text


def test_the_owner_of_what_is_being_deleted_stays_until_it_is_gone(box: Box) -> None:
    with box.store.writing():
        box.store.streams.give_to(1, 3)
    delete(box)
    eve = box.store.people.named("eve")
    assert eve
    with pytest.raises(InputError, match="still being deleted"):
        people.remove(box.store, OPERATOR, eve, box.clock.now)
    while streams.go_on_deleting(box.store, box.images):
        pass
    assert people.remove(box.store, OPERATOR, eve, box.clock.now)


FILL = """
    with recursive n (i) as (select 1 union all select i + 1 from n where i < 10000)
    insert into detections (stream_id, first_seen_utc, last_seen_utc, state, confidence, votes, bbox_left, bbox_top,
      bbox_right, bbox_bottom, frame_width, frame_height, model, image_day, image_offset, image_size, image_token)
    select 1, :at, :at, 'mask', 0.9, 7, 1, 2, 30, 40, 640, 360, 'm', :day, 10 * i, 10, 'many ' || i from n
"""


def test_a_site_that_is_killed_goes_on_when_it_starts_again(served: Served) -> None:
    store = served.store
    with store.writing():
        at = now().utc
        store.db.execute(FILL, {"at": utc_text(at), "day": day_of(at - 86400)})
        store.people.add_token(1, "a program", digest("token"), at, at + 86400)
    answer = httpx.delete(f"{served.address}/api/v1/streams/1", headers={"Authorization": "Bearer token"})
    assert answer.status_code == 204
    (begun,) = store.deletions.progress()
    assert begun.total == 10_001
    boxes.until(lambda: not store.deletions.progress() or store.deletions.progress()[0].done > 0, 60, "it goes on")
    assert served.process
    served.process.kill()
    served.process.wait()
    served.start()
    boxes.until(lambda: not store.deletions.progress(), 60, "it goes on by itself")
    (left,) = store.db.execute("select count(*) from detections").fetchone()
    assert left == 0 and store.streams.title(1) == "" and store.problems() == []
