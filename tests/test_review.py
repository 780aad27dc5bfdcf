"""Detections as a review: marked, corrected one by one or together, found again; what is kept beside their image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.faces import Counts, State
from appliance.images import Integrity
from appliance.previews import Previews
from appliance.rules import streams as stream_rules
from appliance.rules.detections import erase_some
from appliance.rules.privacy import keep_statistics_only
from appliance.store import DetectionFilter, PictureKind, StoredImage, StoredPicture
from appliance.times import utc_text
from tests.site import JPEG, Box, Browser


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """Detections 1 (mask) to 6; all but the second are of the stream 1."""
    made = Box(tmp_path / "state")
    for state in (State.UNKNOWN, State.NO_MASK, State.NO_MASK, State.MASK):
        made.clock.forward(60)
        made.add_detection(1, state)
    yield made
    made.close()


@pytest.fixture
def ann(box: Box) -> Browser:
    return box.browser("ann")


def listed(browser: Browser, query: str = "") -> list[int]:
    return [
        int(each)
        for each in re.findall(r'class="tile" href="/detections/(\d+)', browser.get(f"/detections{query}").text)
    ]


def entries(box: Box, action: str) -> list[tuple[str, str]]:
    rows = box.store.db.execute("select subject, details from audit where action = ? order by number", [action])
    return [(row["subject"], row["details"]) for row in rows]


def state(box: Box, detection_id: int) -> State:
    found = box.store.detections.get(detection_id)
    assert found
    return found.detection.state


def test_one_after_the_other_is_corrected_or_left_within_the_filter(box: Box, ann: Browser) -> None:
    answer = ann.post("/detections/5/state?stream=1&state=no_mask", state="mask")
    assert answer.headers["location"] == "/detections/4?stream=1&state=no_mask&back=5"
    page = ann.get(answer.headers["location"]).text
    assert "Detection 5 is reviewed: Mask." in page and 'href="/detections/5?stream=1&amp;state=no_mask"' in page
    answer = ann.post("/detections/4/review?stream=1&state=no_mask", reviewed="yes")
    assert answer.headers["location"] == "/detections/4?stream=1&state=no_mask", "it was the last one"
    assert "Detection 4 is reviewed: No mask. No older one follows." in ann.get(answer.headers["location"]).text
    assert state(box, 5) is State.MASK and state(box, 4) is State.NO_MASK
    for number, edited_by in ((5, "ann"), (4, None)):
        found = box.store.detections.get(number)
        assert found and found.edited_by == edited_by and found.reviewed_by == "ann"
        assert found.reviewed_utc == utc_text(box.clock.now.utc)
    assert entries(box, "detection_reviewed") == [("detection 4", "")]
    assert "Mark as not reviewed" in ann.get("/detections/4").text
    ann.post("/detections/4/review", reviewed="no")
    ann.post("/detections/4/review", reviewed="no")
    assert entries(box, "review_taken_back") == [("detection 4", "")], "what is so already is not told"
    assert "not yet" in ann.get("/detections/4").text
    assert ann.post("/detections/9/review", reviewed="yes").status_code == 404


def test_several_are_corrected_or_marked_at_once_and_the_next_one_is_at_hand(box: Box, ann: Browser) -> None:
    token = ann.csrf()
    sent = {"csrf": token, "id": ["6", "4", "99", "x"], "do": "incorrect"}
    answer = ann.client.post("/detections/review?stream=1&up_to=6", data=sent)
    assert answer.headers["location"] == "/detections?stream=1&up_to=6#detection-3"
    assert state(box, 6) is state(box, 4) is State.INCORRECT and state(box, 5) is State.NO_MASK
    assert len(entries(box, "detection_corrected")) == 2
    assert "2 detections were marked." in ann.get(answer.headers["location"]).text
    answer = ann.client.post("/detections/review?reviewed=no", data={"csrf": token, "id": ["5", "3"], "do": "reviewed"})
    assert answer.headers["location"] == "/detections?reviewed=no#detection-2"
    assert entries(box, "detection_reviewed") == [("2 detections", '{"detections":[3,5]}')]
    assert listed(ann, "?reviewed=no") == [2, 1] and listed(ann, "?reviewed=yes") == [6, 5, 4, 3]
    for wrong in ({"do": "mask"}, {"id": "1"}, {"id": "1", "do": "purple"}):
        assert ann.client.post("/detections/review", data={"csrf": token, **wrong}).status_code == 400
    assert ann.client.post("/detections/review", data={"id": "1", "do": "mask"}).status_code == 403, "without a token"
    assert 'name="id"' not in box.browser("sci").get("/detections").text


def test_what_is_reviewed_is_counted_and_the_share_is_shown(box: Box, ann: Browser) -> None:
    for number in (1, 4):
        box.store.detections.review(number, "ann", box.clock.now.utc)
    count = box.store.trends.counts
    assert count(DetectionFilter(reviewed=True)) == Counts(mask=1, no_mask=1)
    assert count(DetectionFilter(reviewed=False)) == Counts(mask=1, no_mask=2, unknown=1)
    assert count(DetectionFilter(state=State.NO_MASK, reviewed=True)) == Counts(no_mask=1)
    assert count(DetectionFilter(stream_id=2, reviewed=False)) == Counts(no_mask=1)
    assert "2 reviewed (33 %)" in ann.get("/detections").text
    assert "reviewed (" not in ann.get("/detections?reviewed=yes").text
    assert "Could not read: reviewed" in ann.get("/detections?reviewed=perhaps").text
    csv = ann.get("/export/detections?format=csv&reviewed=yes").text
    assert len(csv.strip().splitlines()) == 3


def test_an_empty_list_says_which_part_of_the_filter_leaves_everybody_out(ann: Browser) -> None:
    page = ann.get("/detections?stream=1&state=incorrect&since=2020-01-01T00:00Z&search=door").text
    assert "No person matches this filter." in page and "5 without the state" in page
    assert 'href="/detections?stream=1&amp;since=2020-01-01T00%3A00%3A00.000Z&amp;search=door"' in page
    assert "without the stream" not in page and "without the times" not in page and "without the search" not in page
    page = ann.get("/detections?stream=1&state=incorrect&until=2020-01-01T00:00Z").text
    assert "Nobody either without any one part of it." in page
    page = ann.get("/detections?stream=77").text
    assert "was deleted, or never was" in page and "6 without the stream" in page and "a deleted stream" in page


def test_what_is_asked_for_often_is_a_link_away(box: Box, ann: Browser) -> None:
    page = ann.get("/detections?stream=1&reviewed=no").text
    found = {
        words: address for address, words in re.findall(r'<a class="button" href="([^"]*)"[^>]*>([^<]*)</a>', page)
    }
    assert list(found)[:5] == ["Today", "Yesterday", "No mask today", "Unknown", "Not reviewed"]
    assert re.search(r'reviewed=no" aria-current="true">Not reviewed', page)
    today = utc_text(box.store.trends.midnight_utc(box.clock.now.utc)).replace(":", "%3A")
    assert found["No mask today"] == f"/detections?stream=1&amp;state=no_mask&amp;since={today}"
    assert found["Yesterday"].endswith(f"&amp;until={today}")
    assert '<details class="card fold" id="filter">' in page and "2<span" in page


def test_the_api_says_who_reviewed_what_and_sets_it(box: Box) -> None:
    client = box.browser().client
    client.headers["Authorization"] = "Bearer token of ann"
    assert client.get("/api/v1/detections/3").json()["reviewed"] is False
    answer = client.patch("/api/v1/detections/3", json={"reviewed": True}).json()
    assert (answer["reviewed"], answer["reviewed_by"], answer["state"]) == (True, "ann", "unknown")
    assert answer["reviewed_at"] == utc_text(box.clock.now.utc)
    assert [each["id"] for each in client.get("/api/v1/detections?reviewed=true").json()["detections"]] == [3]
    assert client.get("/api/v1/counts?reviewed=false").json()["total"] == 5
    assert client.patch("/api/v1/detections/3", json={"reviewed": False}).json()["reviewed_by"] is None
    assert client.patch("/api/v1/detections/3", json={"state": "mask"}).json()["reviewed"] is True
    assert client.get("/api/v1/detections?reviewed=yes").status_code == 400


def keep_beside(box: Box, detection_id: int = 1, at: float | None = None) -> list[StoredPicture]:
    """A scene and another face, in the day file of then."""
    at = box.clock.now.utc if at is None else at
    made = []
    for kind, bbox in ((PictureKind.SCENE, (0.1, 0.2, 0.3, 0.5)), (PictureKind.FACE, None)):
        place = box.images.append(JPEG + kind.value.encode() * 40, at)
        token = f"{kind.value} {detection_id} {place.offset}"
        made.append(StoredPicture(place.day, place.offset, place.size_bytes, token, kind, at, bbox, crc32=place.crc32))
        with box.store.writing():
            assert box.store.pictures.add(detection_id, made[-1])
    return made


def test_the_scene_and_the_other_faces_are_shown_and_their_viewing_is_on_record(box: Box, ann: Browser) -> None:
    scene, face = keep_beside(box)
    page = ann.get("/detections/1").text
    assert f"/images/{scene.token}" in page and f"/images/{face.token}" in page
    assert '<rect x="100.0" y="200.0" width="200.0" height="300.0"/>' in page
    assert len(entries(box, "images_viewed")) == 1
    assert ann.get(f"/images/{scene.token}").content.endswith(b"scene")
    assert len(entries(box, "images_viewed")) == 1, "the page was told of already"
    assert box.browser("sci").get(f"/images/{face.token}").is_success
    assert len(entries(box, "images_viewed")) == 2
    newer = keep_beside(box)
    assert [each.token for each in box.store.pictures.of(1)] == [face.token, *(each.token for each in newer)]
    assert ann.get(f"/images/{scene.token}").status_code == 404, "a later scene took its place"
    assert not erase_some(box.store, box.images)
    assert box.images.integrity(scene) is Integrity.ERASED and box.images.integrity(face) is Integrity.WHOLE
    assert box.store.problems() == []


@pytest.mark.parametrize("how", ["detection", "images", "stream", "age", "day", "statistics"])
def test_what_takes_an_image_away_takes_what_is_beside_it(box: Box, how: str) -> None:
    beside = keep_beside(box)
    person = box.store.people.named("ann")
    stream = box.store.streams.get(1, box.clock.now)
    assert person and stream
    now, store, images = box.clock.now, box.store, box.images
    if how == "detection":
        box.browser("ann").post("/detections/1/delete")
        deleted = store.receipts.newest()[0].deleted
        assert (deleted.images, deleted.image_bytes) == (3, len(JPEG) + sum(each.size_bytes for each in beside))
    elif how == "images":
        assert store.detections.count_images(1) == 3
        stream_rules.delete_images(store, images, person, stream, now)
    elif how == "stream":
        stream_rules.delete(store, images, Previews(box.config.run), person, stream, now)
    elif how == "age":
        with store.writing():
            store.detections.forget_images_of(1, 0, 100, 100)
    elif how == "day":
        with store.writing():
            store.detections.forget_images(beside[0].day)
    else:
        keep_statistics_only(box.config, store, person, now)
    while erase_some(store, images):
        pass
    assert [images.integrity(each) for each in beside] == [Integrity.ERASED] * 2
    assert store.db.execute("select count(*) as left from pictures").fetchone()["left"] == 0
    assert store.erasures.count() == 0 and store.problems() == []


def test_nothing_is_kept_beside_an_image_that_is_not_there(box: Box) -> None:
    place = box.images.append(JPEG, box.clock.now.utc)
    picture = StoredPicture(
        place.day, place.offset, place.size_bytes, "t", PictureKind.FACE, box.clock.now.utc, crc32=place.crc32
    )
    for detection_id in (2, 99):
        assert not box.store.pictures.add(detection_id, picture)


def test_an_erasure_spares_what_lies_beside_another_image(box: Box) -> None:
    scene, _ = keep_beside(box)
    assert box.store.detections.not_in_use(scene.day, [scene, replace(scene, offset=10**6)]) == [
        replace(scene, offset=10**6)
    ]
    image = StoredImage(scene.day, 10**6, 5, "other", crc32=1)
    assert box.store.detections.set_image(3, image)
    assert len(box.store.detections.all_images()) == 4
