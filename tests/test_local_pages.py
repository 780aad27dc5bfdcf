"""What the pages say and do: home, streams, detections, people; kept up to date; nothing lost."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from appliance.faces import Detection, Face, Health, PictureFault, State
from appliance.images import Place
from appliance.local.words import duration, service_problems
from appliance.rules import privacy
from appliance.rules.streams import OPERATOR
from appliance.secrets import digest
from appliance.store import BoxClock, ServiceStatus, Source, WallClock, explain_trouble
from appliance.times import utc_text
from appliance.web.shown import SHOWN_S
from tests.site import PASSWORD, Box, Browser

NASTY = """<script>alert(1)</script>"'&"""


def made(browser: Browser) -> str:
    """The page after a stream was made."""
    return browser.get(browser.post("/streams", name="yard", kind="key").headers["location"]).text


def rotated(browser: Browser) -> str:
    """The page after stream 2 got a new key."""
    return browser.get(browser.post("/streams/2/key", page="/streams/2/new-key").headers["location"]).text


def shown_key(page: str) -> str:
    found = re.search(r'id="stream-key"[^>]*>([A-Z0-9]{20})<', page)
    return found[1] if found else ""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def heartbeats(box: Box, *names: str) -> None:
    for name in names:
        box.store.services.heartbeat(name, 1, box.clock.now.utc, None, box.clock.now)


def test_home_counts_persons_and_says_how_sure_the_rate_is(box: Box) -> None:
    for state in [State.MASK] * 16 + [State.UNKNOWN]:
        box.add_detection(1, state)
    page = box.browser("ann").get("/").text
    assert ">19</a></strong> persons" in page
    assert "Compliance" in page and "not enough people yet" in page, "18 were judged"
    for state in [State.MASK] * 7:
        box.add_detection(1, state)
    page = box.browser("ann").get("/").text
    assert ">26</a></strong> persons" in page
    assert "<strong>96 %</strong>" in page and "(80 to 100 %, n = 25)" in page
    assert "/images/unguessable" in page and "By hour" in page


def test_home_of_an_empty_box_says_what_to_do_first(box: Box) -> None:
    box.store.db.execute("delete from streams")
    page = box.browser("ann").get("/").text
    assert "/streams/new" in page and "OBS" in page and "not enough people yet" in page


def test_home_says_which_service_is_dead_and_what_its_trouble_is(box: Box) -> None:
    browser = box.browser("ann")
    page = browser.get("/").text
    assert "The gate is not running" in page and "The watcher is not running" in page
    heartbeats(box, "gate", "notify")
    box.store.services.heartbeat("watch", 1, 0.0, "The model failed its self-test & is not used.", box.clock.now)
    page = browser.get("/").text
    assert "not running" not in page and "failed its self-test &amp; is not used." in page
    box.clock.forward(8)
    assert "The watcher is not running" in browser.get("/").text


def test_a_page_is_sent_again_only_when_it_changed(box: Box) -> None:
    browser = box.browser("ann")
    for path in ("/", "/streams", "/detections", "/streams/1"):
        etag = browser.get(path).headers["etag"]
        assert browser.get(path, headers={"If-None-Match": etag}).status_code == 304, path
    etag = browser.get("/").headers["etag"]
    box.add_detection(1, State.MASK)
    assert browser.get("/", headers={"If-None-Match": etag}).status_code == 200


def test_without_script_a_page_reloads_itself(box: Box) -> None:
    browser = box.browser("ann")
    for path in ("/", "/streams", "/detections"):
        page = browser.get(path).text
        assert re.search(r'<noscript><meta http-equiv="refresh" content="15(; url=[?]up_to=2)?"></noscript>', page)
        assert 'data-refresh="5"' in page
        assert not re.search(r"<script(?! src=)|style=| on[a-z]+=", page)


def test_a_new_stream_shows_its_key_once_with_what_to_type_into_obs(box: Box) -> None:
    browser = box.browser("sci")
    answer = browser.get(browser.post("/streams", name="yard", kind="key").headers["location"])
    key = re.search(r'id="stream-key"[^>]*>([A-Z0-9]{20})<', answer.text)
    assert key and answer.headers["cache-control"] == "no-store"
    assert ">rtmp://box.test/live<" in answer.text and f"rtmp://box.test/live/{key[1]}" in answer.text
    stream = box.store.streams.all(box.clock.now, search="yard")[0]
    assert box.store.streams.active_keys()[digest(key[1])] == stream.id
    assert stream.title == "sci:yard"
    assert key[1] not in browser.get(f"/streams/{stream.id}").text + "\n".join(box.store.db.conn.iterdump())


def test_the_server_to_type_is_the_configured_one(tmp_path: Path) -> None:
    rtmp = {"public_host": "masks.example", "port": 2935, "tls_certificate": "c.pem", "tls_key": "k.pem"}
    box = Box(tmp_path / "configured", rtmp=rtmp)
    page = made(box.browser("ann"))
    assert ">rtmp://masks.example:2935/live<" in page and ">rtmps://masks.example:1936/live<" in page
    box.close()


def test_behind_a_proxy_publishers_are_told_the_name_that_people_open(tmp_path: Path) -> None:
    box = Box(tmp_path / "proxied", web={"names": ["box.test"], "base_url": "http://masks.example.org:81"})
    assert ">rtmp://masks.example.org/live<" in made(box.browser("ann"))
    box.close()


def test_a_new_key_ends_the_old_one(box: Box) -> None:
    key = shown_key(rotated(box.browser("sci")))
    assert key and set(box.store.streams.active_keys()) == {digest("key 1"), digest(key)}


def test_who_reloads_the_page_of_a_new_key_sees_the_same_key_for_some_minutes(box: Box) -> None:
    sci = box.browser("sci")
    key = shown_key(rotated(sci))
    assert shown_key(sci.get("/streams/2/key").text) == key
    page = sci.get("/streams/2/key").text
    assert "this page shows it until" in page and utc_text(box.clock.now.utc + SHOWN_S)[:19] in page
    assert box.store.streams.active_keys()[digest(key)] == 2
    box.clock.forward(SHOWN_S)
    answer = sci.get("/streams/2/key")
    assert answer.status_code == 410 and "not shown any more" in answer.text and key not in answer.text


def test_a_new_key_is_shown_to_nobody_but_who_made_it_and_only_while_it_is_the_key(box: Box) -> None:
    sci = box.browser("sci")
    key = shown_key(rotated(sci))
    assert box.browser("ann").get("/streams/2/key").status_code == 410  # an admin, who could make another
    assert box.browser("eve").get("/streams/2/key").status_code in (403, 404)
    assert shown_key(sci.get("/streams/2/key").text) == key
    box.store.streams.set_key(2, digest("a key that somebody made meanwhile"))
    assert sci.get("/streams/2/key").status_code == 410


def test_who_makes_a_stream_and_reloads_sees_its_key_again_and_makes_no_other(box: Box) -> None:
    ann = box.browser("ann")
    answer = ann.post("/streams", name="yard", kind="key")
    address = answer.headers["location"]
    assert answer.status_code == 303 and address.endswith("/key")
    assert shown_key(ann.get(address).text) == shown_key(ann.get(address).text) != ""
    assert [stream.name for stream in box.store.streams.all(box.clock.now)].count("yard") == 1


def test_what_cuts_a_publisher_off_asks_first(box: Box) -> None:
    sci = box.browser("sci")
    page = sci.get("/streams/2").text
    assert 'action="/streams/2/key"' not in page and 'action="/streams/2/deactivate"' not in page
    for address, form in (("/streams/2/new-key", "/streams/2/key"), ("/streams/2/deactivate", "/streams/2/deactivate")):
        box.store.streams.set_offline(2)
        box.store.services.heartbeat("watch", 1, 0.0, None, box.clock.now)
        asked = sci.get(address).text
        assert f'action="{form}"' in asked and "It is LIVE" not in asked
        box.store.streams.set_live(2, "10.0.0.5", box.clock.now.utc)
        assert "It is LIVE: whoever sends to it is cut off at once" in sci.get(address).text
    assert set(box.store.streams.active_keys()) == {digest("key 1"), digest("key 2")}  # asking changes nothing


def test_the_page_of_a_key_says_how_obs_is_set(box: Box) -> None:
    page = rotated(box.browser("sci"))
    settings = dict(re.findall(r"<dt>([^<]+)</dt><dd><code[^>]* data-copied>([^<]+)</code> <button", page))
    key = shown_key(page)
    assert settings["Server"] == "rtmp://box.test/live" and settings["Stream Key"] == key
    assert settings["Rate Control"] == "CBR" and settings["Bitrate, in Kbps"] == "2500"
    assert settings["Keyframe Interval, in seconds"] == "2"
    assert settings["Address with the key"] == f"rtmp://box.test/live/{key}"


def test_a_stream_says_how_often_key_frames_come_and_over_what(box: Box) -> None:
    browser = box.browser("ann")
    box.store.services.heartbeat("watch", 1, 0.0, None, box.clock.now)
    box.store.streams.set_live(1, "10.0.0.5", box.clock.now.utc)
    box.store.streams.set_problem(1, "Waiting for a key frame.")
    box.store.streams.describe(1, "h264", 640, 360, None, 17)
    page = browser.get("/streams/1").text
    assert "360, H.264, a key frame every 17 s" in page
    assert "Set the key-frame interval to 2 s in OBS or the phone" in page
    box.store.streams.describe(1, "h264", 640, 360, None, 2)
    assert "Set the key-frame interval" not in browser.get("/streams/1").text, "that is what the page of the key says"
    assert "of computing" not in page
    assert "No live picture yet." in page
    location = browser.post("/streams", name="cam", kind="source", source="rtsp://camera/1").headers["location"]
    stream_id = int(location.rsplit("/", 1)[1])
    box.store.streams.set_problem(stream_id, None)
    box.store.streams.describe(stream_id, "h264", 640, 360, "udp", 1)
    page = browser.get(location).text
    assert "this box fetches rtsp://camera/1, over UDP" in page
    assert "a key frame every 1 s" in page
    assert "Set the key-frame interval" not in page
    assert "Decoded by" not in page
    box.store.streams.set_live(stream_id, None, box.clock.now.utc)
    box.store.streams.describe(stream_id, "h264", 640, 360, "udp", 2, "nvv4l2decoder")
    box.store.streams.set_health(stream_id, Health(decoding_ms=118, idle_ms=14))
    page = browser.get(location).text
    assert "Set the key-frame interval to 1 s in the camera&#039;s settings" in page
    assert "would cost about 14 instead of 118 ms of computing a second while nothing moves." in page
    assert "<dt>Decoded by</dt><dd>nvv4l2decoder</dd>" in page


def test_a_sub_stream_that_fails_is_no_problem_of_the_stream(box: Box) -> None:
    heartbeats(box, "watch")
    box.store.streams.set_live(1, "10.0.0.5", box.clock.now.utc)
    box.store.streams.set_problem(1, None, "The sub-stream shows nothing; is its user in the group `video`?")
    page, home = (box.browser("ann").get(path).text for path in ("/streams/1", "/"))
    assert '<p class="notice">The sub-stream shows nothing; is its user in the group <code>video</code>?</p>' in page
    assert "sub-stream shows nothing" not in home, "everybody is judged"


def test_a_stream_that_cannot_be_judged_well_says_why_and_lists_say_it_briefly(box: Box) -> None:
    browser = box.browser("ann")
    box.store.services.heartbeat("watch", 1, 0.0, None, box.clock.now)
    box.store.streams.set_live(1, "10.0.0.5", box.clock.now.utc)
    box.store.streams.set_health(1, Health(too_small=0.04, looks=0.9))
    pages = [browser.get(path).text for path in ("/streams/1", "/streams", "/")]
    assert not any("too small" in page or "looks" in page for page in pages)
    box.store.streams.set_health(1, Health(too_small=0.31, looks=0.62))
    one, *lists = [browser.get(path).text for path in ("/streams/1", "/streams", "/")]
    assert "31 % of faces were too small: move the camera closer or zoom." in one
    assert "it makes 62 % of the looks it wants." in one and "a sub-stream to watch." in one
    assert all("31 % of faces too small" in page and "62 % of looks made" in page for page in lists)
    box.store.streams.set_offline(1)
    assert not any("too small" in browser.get(path).text for path in ("/streams/1", "/streams", "/"))


def test_what_is_wrong_with_a_picture_is_said_with_its_time_and_what_to_do_until_it_is_the_new_view(box: Box) -> None:
    browser = box.browser("ann")
    box.store.services.heartbeat("watch", 1, 0.0, None, box.clock.now)
    box.store.streams.set_live(1, "10.0.0.5", box.clock.now.utc)
    box.store.views.keep(1, 0, b"a view", box.clock.now.utc)
    assert not any("been dark" in browser.get(path).text for path in ("/streams/1", "/streams", "/", "/box-health"))
    box.store.streams.set_picture_fault(1, PictureFault.DARK, utc_text(box.clock.now.utc))
    for path in ("/streams/1", "/box-health"):
        page = " ".join(browser.get(path).text.split())
        assert "The picture has been dark since <time" in page and "</time>: is the lamp off, or" in page, path
    assert all("picture dark" in browser.get(path).text for path in ("/streams?show=problem", "/"))
    assert browser.post("/streams/1/view").headers["location"].endswith("/streams/1")
    page = browser.get("/streams/1").text
    assert "been dark" not in page and "not learned yet" in page
    assert box.store.views.get(1).asked == 1


@pytest.mark.parametrize(
    ("px", "width", "height", "square"),
    [
        (28, 1920, 1080, 'x="20" y="527.9" width="14.6" height="14.6"'),
        (14, 960, 540, 'x="20" y="527.9" width="14.6" height="14.6"'),
        (28, 640, 480, 'x="20" y="686.2" width="43.8" height="43.8"'),
        (None, 640, 480, None),
        (28, 0, 0, None),
    ],
)
def test_the_smallest_face_is_a_square_of_its_size_in_the_picture(
    box: Box, px: float | None, width: int, height: int, square: str | None
) -> None:
    box.store.services.heartbeat("watch", 1, 0.0, None, box.clock.now)
    box.store.streams.set_live(1, "10.0.0.5", box.clock.now.utc)
    box.store.streams.describe(1, "h264", width, height)
    box.store.streams.set_health(1, Health(smallest_face_px=px))
    page = box.browser("ann").get("/streams/1").text
    assert ("smallest face judged" in page, '<svg class="smallest-face" hidden>' in page) == (bool(square), not square)
    if square:
        assert page.count(square) == 2
        assert f'viewBox="0 0 1000 {round(1000 * height / width, 1)}"' in page


def test_a_face_too_small_to_judge_is_said_to_be_unknown_for_that(box: Box) -> None:
    browser, at = box.browser("ann"), box.clock.now.utc
    far = Detection(at, at + 1, State.UNKNOWN, 0.0, 0, (1, 2, 9, 9), 640, 360, "m", too_small=True)
    number = box.store.detections.add(1, far)
    assert browser.get(f"/detections/{number}").text.count("Unknown: face too small") == 2
    assert all("Unknown: face too small" in browser.get(path).text for path in ("/detections", "/streams/1"))
    browser.post(f"/detections/{number}/state", state="unknown")
    page = browser.get(f"/detections/{number}").text
    assert "too small" not in page and "Unknown, confirmed by ann" in page


def test_the_sub_stream_of_a_camera_is_made_shown_kept_and_taken_away(box: Box) -> None:
    browser = box.browser("ann")
    location = browser.post(
        "/streams",
        name="cam",
        kind="source",
        source="rtsp://camera/main",
        watch="rtsp://camera/sub?pwd=hunter3",
        source_user="admin",
        source_password="hunter2",
    ).headers["location"]
    stream_id = int(location.rsplit("/", 1)[1])

    def addresses() -> Source:
        return box.store.streams.active_sources()[stream_id]

    main, sub = "rtsp://admin:hunter2@camera/main", "rtsp://admin:hunter2@camera/sub?pwd=hunter3"
    assert addresses() == Source(main, sub)
    form, page = browser.get(f"{location}/edit").text, browser.get(location).text
    assert "hunter" not in form + page and "rtsp://•••@camera/sub?pwd=•••" in page
    fields = {name: re.search(rf'name="{name}" value="([^"]*)"', form) for name in ("source", "watch")}
    untouched = {name: found[1] for name, found in fields.items() if found}
    browser.post(f"{location}/edit", name="camera", **untouched)
    assert addresses() == Source(main, sub)
    browser.post(f"{location}/edit", name="camera", **untouched, source_password="better")
    assert addresses() == Source(main.replace("hunter2", "better"), sub.replace("hunter2", "better"))
    refused = browser.post(f"{location}/edit", name="camera", **{**untouched, "watch": "rtsp://u:hunter4@0.0.0.0/"})
    assert refused.status_code == 400
    assert "Sub-stream: There is no camera at this address" in refused.text and "hunter" not in refused.text
    browser.post(f"{location}/edit", name="camera", **{**untouched, "watch": ""})
    assert addresses().watch_url is None
    assert "Watched in" not in browser.get(location).text


def test_a_stream_is_deactivated_activated_and_renamed(box: Box) -> None:
    browser = box.browser("ann")
    browser.post("/streams/2/deactivate")
    assert "Deactivated" in browser.get("/streams").text and len(box.store.streams.active_keys()) == 1
    browser.post("/streams/2/activate")
    browser.post("/streams/2/edit", name="kitchen", owner="3")
    stream = box.store.streams.get(2, box.clock.now)
    assert stream and stream.active and stream.title == "eve:kitchen" and stream.has_key


def test_deleting_a_stream_says_what_goes_and_overwrites_its_images(box: Box) -> None:
    browser = box.browser("ann")
    image = box.store.detections.all_images()[0]
    page = browser.get("/streams/1/delete").text
    assert "<strong>1</strong> detection." in page and "<strong>1</strong> image, which is overwritten" in page
    assert box.store.streams.get(1, box.clock.now)
    browser.post("/streams/1/delete")
    assert box.store.streams.get(1, box.clock.now) is None and box.store.detections.get(1) is None
    day = (box.config.images_dir / f"{image.day}.jpegs").read_bytes()
    assert not any(day[image.offset : image.offset + image.size_bytes])


def test_deleting_a_detection_overwrites_its_image(box: Box) -> None:
    image = box.store.detections.all_images()[0]
    box.browser("ann").post("/detections/1/delete")
    assert box.store.detections.get(1) is None
    assert box.images.read(image) is None


def test_an_admin_corrects_a_state_and_the_page_says_who(box: Box) -> None:
    browser = box.browser("ann")
    assert browser.post("/detections/1/state", state="incorrect").is_redirect
    assert "Worn incorrectly, corrected by ann" in browser.get("/detections/1").text
    assert browser.post("/detections/1/state", state="purple").status_code == 400


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "", "kind": "key"}, "Give the stream a name."),
        ({"name": "door", "kind": "key"}, "choose another name"),
        ({"name": "cam", "kind": "source", "source": ""}, "Say where"),
        ({"name": "cam", "kind": "source", "source": "gopher://typed"}, "must start with"),
    ],
)
def test_a_form_that_was_not_accepted_says_why_and_keeps_the_text(box: Box, fields: dict[str, str], said: str) -> None:
    before = len(box.store.streams.all(box.clock.now))
    answer = box.browser("ann").post("/streams", **fields)
    assert answer.status_code == 400 and said in answer.text
    assert f'value="{fields["name"]}"' in answer.text and f'value="{fields.get("source", "")}"' in answer.text
    assert len(box.store.streams.all(box.clock.now)) == before


def test_a_full_disk_is_said_on_the_form_and_the_text_is_kept(box: Box) -> None:
    box.store.db.execute("create trigger full before insert on streams begin select raise(abort, 'disk is full'); end")
    browser = box.browser("ann")
    answer = browser.post("/streams", name="long thought about", kind="key")
    assert answer.status_code in (400, 503) and "Traceback" not in answer.text
    assert len(box.store.streams.all(box.clock.now)) == 2
    assert 'value="long thought about"' in answer.text


def test_a_locked_store_is_said_and_nothing_is_lost(box: Box) -> None:
    box.busy_timeout_s = 0.05
    browser = box.browser("ann")
    csrf = browser.csrf()
    with box.store.writing():
        answer = browser.client.post("/streams", data={"csrf": csrf, "name": "patience", "kind": "key"})
        switched = browser.client.post("/streams/1/deactivate", data={"csrf": csrf})
        assert browser.get("/").is_success, "readers do not wait"
    assert 'value="patience"' in answer.text and "busy writing" in answer.text
    assert switched.status_code == 503 and "busy writing" in switched.text
    assert browser.post("/streams", name="patience", kind="key").headers["location"].endswith("/key")


NEW = "quite another passphrase"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/streams", {"name": "yard", "kind": "key"}),
        ("/streams/1/edit", {"name": "yard", "owner": "1"}),
        ("/people", {"name": "bob", "role": "admin", "password": NEW, "again": NEW}),
        ("/people/2/role", {"role": "admin"}),
        ("/people/2/password", {"password": NEW, "again": NEW}),
        ("/people/3/remove", {}),
        ("/account/password", {"current": PASSWORD, "password": NEW, "again": NEW}),
        ("/account/tokens", {"name": "report"}),
    ],
)
def test_a_form_that_the_store_did_not_take_is_no_mistake_of_the_person(
    box: Box, path: str, fields: dict[str, str]
) -> None:
    box.busy_timeout_s = 0.05
    browser = box.browser("ann")
    csrf = browser.csrf()
    with box.store.writing():
        answer = browser.client.post(path, data={"csrf": csrf, **fields})
    assert answer.status_code == 503 and "busy writing" in answer.text


def test_a_claim_that_the_store_did_not_take_is_no_mistake_of_the_person(tmp_path: Path) -> None:
    box = Box(tmp_path / "new", claimed=False)
    box.busy_timeout_s = 0.05
    browser = box.browser()
    csrf = browser.csrf("/claim")
    code = box.config.claim_code_path.read_text().strip()
    with box.store.writing():
        form = {"csrf": csrf, "name": "ann", "code": code, "password": NEW, "again": NEW}
        answer = browser.client.post("/claim", data=form)
    assert answer.status_code == 503 and "busy writing" in answer.text
    box.close()


def test_a_full_disk_keeps_nobody_from_looking(box: Box) -> None:
    browser = box.browser("ann")
    full = "begin select raise(abort, 'database or disk is full'); end"
    box.store.db.execute(f"create trigger full_1 before update on sessions {full}")
    box.store.db.execute(f"create trigger full_2 before update on streams {full}")
    csrf = browser.csrf()
    box.clock.forward(7200)  # the session's use would be noted now
    assert browser.get("/").is_success
    answer = browser.client.post("/streams/1/key", data={"csrf": csrf})
    assert answer.status_code == 503 and "disk of the box is full" in answer.text and "stream-key" not in answer.text


def test_an_image_that_cannot_be_erased_waits_and_its_detection_is_gone(box: Box) -> None:
    image = box.store.detections.all_images()[0]
    day = box.config.images_dir / f"{image.day}.jpegs"
    day.unlink()
    day.mkdir()  # what a folder in its place does, a failing card does too: OSError
    answer = box.browser("ann").post("/streams/1/delete")
    assert answer.status_code == 303
    assert box.store.detections.get(1) is None
    assert list(box.store.erasures.oldest(9).values()) == [Place(image.day, image.offset, image.size_bytes)]


def test_the_password_of_a_camera_is_never_shown_and_survives_an_edit(box: Box) -> None:
    browser = box.browser("ann")
    url = "rtsp://admin:hunter2@camera.example:554/live?channel=1&password=hunter3"
    location = browser.post("/streams", name="cam", kind="source", source=url).headers["location"]
    form = browser.get(f"{location}/edit").text
    assert "hunter" not in browser.get(location).text + form + browser.get("/streams").text
    shown = re.search(r'name="source" value="([^"]*)"', form)
    assert shown and "camera.example:554/live?channel=1" in shown[1]
    browser.post(f"{location}/edit", name="camera 2", source=shown[1].replace("&amp;", "&"))
    assert url in [source.url for source in box.store.streams.active_sources().values()]
    refused = browser.post(f"{location}/edit", name="camera 3", source="rtsp://•••@other.example/")
    assert refused.status_code == 400


def test_nothing_that_people_name_becomes_markup(box: Box) -> None:
    browser = box.browser("ann")
    assert browser.post("/streams", name=NASTY, kind="key").headers["location"] == "/streams/3/key"
    browser.post("/people", name=NASTY, role="admin", password="long enough", again="long enough")
    browser.follow("/account/tokens", name=NASTY)
    box.store.streams.set_problem(1, NASTY)
    box.store.streams.add_refusal("192.0.2.9", "publish", NASTY, 1, box.clock.now.utc)
    box.store.services.heartbeat("watch", 1, 0.0, NASTY, box.clock.now)
    box.store.streams.set_live(1, NASTY, box.clock.now.utc)
    box.store.db.execute("update detections set model = ?", [NASTY])
    paths = ["/", "/streams", "/streams/1", "/streams/3", "/streams/3/edit", "/streams/3/delete", "/people", "/account"]
    paths += ["/streams/3/key", "/streams/3/new-key", "/streams/3/deactivate"]
    for path in [*paths, "/detections", "/detections/1", f"/detections?search={NASTY}&state={NASTY}&since={NASTY}"]:
        assert "<script>alert" not in browser.get(path).text, path
    assert "&lt;script&gt;" in browser.get("/streams").text
    assert "<script>alert" not in browser.get(f"/{NASTY}").text


def test_detections_are_filtered_by_stream_state_time_and_search(box: Box) -> None:
    browser = box.browser("sci")

    def ids(query: str) -> list[str]:
        return re.findall(r'class="tile" href="/detections/(\d+)', browser.get(f"/detections{query}").text)

    assert ids("") == ["2", "1"]
    assert ids("?stream=1") == ["1"] and ids("?state=no_mask") == ["2"] and ids("?search=SCI:l") == ["2"]
    assert (
        "compliance" in browser.get("/detections").text
        and "compliance" not in browser.get("/detections?state=mask").text
    )
    assert ids("?since=2000-01-01T00:00&until=2000-01-02T00:00") == []
    assert ids("?since=2000-01-01T00:00:00.000Z") == ["2", "1"]
    for odd in ("?since=soon", "?until=0001-01-01", "?until=9999-12-31T23:59:59%2B14:00", "?stream=x", "?state=%00"):
        assert browser.get(f"/detections{odd}").status_code == 200, odd
    assert "Could not read: from. A time looks like" in browser.get("/detections?since=soon").text
    of_stream = browser.get(f"/detections?stream={2**63}").text
    assert "Could not read: stream. Choose it once more." in of_stream and "A time looks like" not in of_stream
    for meant in ("2026-11-24T13:00:00+01:00", "2026-11-24T12:00"):  # in an address this + is a space; no zone: UTC
        assert 'data-utc="2026-11-24T12:00:00.000Z"' in browser.get(f"/detections?since={meant}&colour=red").text


def test_pages_of_detections_lead_through_all_of_them_and_back(box: Box) -> None:
    for number in range(60):
        box.add_detection(1 + number % 2, State.MASK)
    browser = box.browser("ann")

    def walk(path: str, link: str) -> list[list[int]]:
        pages = []
        while path:
            text = browser.get(path).text
            pages.append([int(n) for n in re.findall(r'class="tile" href="/detections/(\d+)', text)])
            found = re.search(rf'rel="{link}" href="([^"]*)"', text)
            path = found[1].replace("&amp;", "&") if found else ""
        return pages

    down = walk("/detections?stream=1", "next")
    ids = [each for page in down for each in page]
    assert ids == sorted(ids, reverse=True) and len(ids) == len(set(ids)) == 31
    up = walk(f"/detections?stream=1&before={down[0][-1]}", "prev")
    assert up[-1] == down[0]


def test_a_detection_leads_to_its_neighbours_within_the_filter(box: Box) -> None:
    for _ in range(3):
        box.add_detection(2, State.MASK)
    page = box.browser("sci").get("/detections/3?stream=2").text
    assert re.search(r'rel="prev" href="/detections/4\?stream=2"', page)
    assert re.search(r'rel="next" href="/detections/2\?stream=2"', page)


def test_the_preview_is_the_watchers_newest_picture_and_says_somebody_looks(box: Box) -> None:
    from appliance.previews import Previews

    previews = Previews(box.config.run)
    browser = box.browser("sci")
    heartbeats(box, "watch")
    assert browser.get("/streams/2/preview.jpg").status_code == 204
    assert not previews.is_requested(2), "nobody draws for a stream that is offline"
    box.store.streams.set_live(2, "192.0.2.5", box.clock.now.utc)
    assert browser.get("/streams/2/preview.jpg").status_code == 204 and previews.is_requested(2)
    previews.write(2, b"\xff\xd8 now")
    answer = browser.get("/streams/2/preview.jpg")
    assert answer.content == b"\xff\xd8 now" and answer.headers["X-Picture-Faces"] == "[]"
    previews.write(2, b"\xff\xd8 now", [Face((1, 2, 30, 40), 0.9, (1, 0, 0), State.MASK)])
    assert browser.get("/streams/2/preview.jpg").headers["X-Picture-Faces"] == '[["mask",1,2,30,40]]'


def test_a_preview_tells_its_age_and_is_not_handed_out_once_it_is_not_live(box: Box) -> None:
    from appliance.previews import Previews

    previews = Previews(box.config.run)
    browser = box.browser("sci")
    heartbeats(box, "watch")
    box.store.streams.set_live(2, "192.0.2.5", box.clock.now.utc)
    previews.write(2, b"\xff\xd8 then")

    def answer_at_age(age_s: float) -> httpx.Response:
        drawn_s = time.time() - age_s
        os.utime(previews.folder / "2.jpg", (drawn_s, drawn_s))
        return browser.get("/streams/2/preview.jpg")

    assert 1.5 <= float(answer_at_age(1.5).headers["X-Picture-Age-S"]) < 3
    assert "data-none hidden" in browser.get("/streams/2").text
    assert answer_at_age(3.1).status_code == 204
    assert "The live picture appears in a moment." in browser.get("/streams/2").text


def test_a_person_is_removed_only_when_nothing_hangs_on_them(box: Box) -> None:
    browser = box.browser("ann")
    assert "still owns sci:lab" in browser.post("/people/2/remove").text
    box.store.db.execute("delete from streams")
    assert "only admin" in browser.post("/people/1/remove").text
    assert "only admin" in browser.post("/people/1/role", role="data_scientist").text
    page = browser.get(browser.post("/people/2/remove").headers["location"]).text
    assert "The person sci (Data Scientist)" in page and "the account, with sessions and tokens" in page
    assert box.store.receipts.newest()[0].by_name == "ann"
    assert {person.name for person in box.store.people.all()} == {"ann", "eve"}


def test_people_are_added_once_and_a_bad_form_keeps_the_name(box: Box) -> None:
    browser = box.browser("ann")
    good = {"name": "Kim", "role": "data_scientist", "password": "long enough", "again": "long enough"}
    assert browser.post("/people", **good).is_redirect
    for change in ({}, {"name": "Kim:1"}, {"password": "short"}, {"again": "different"}, {"role": "king"}):
        answer = browser.post("/people", **{**good, **change})
        assert answer.status_code == 400 and 'role="alert"' in answer.text and 'value="Kim' in answer.text
    assert box.store.people.count() == 4


@pytest.mark.parametrize(
    "path",
    [
        f"/streams/{2**63}",
        "/streams/99999999999999999999",
        "/detections/99999999999999999999",
        "/images/a%2fb",
        "/streams/-1",
    ],
)
def test_odd_addresses_are_a_friendly_404(box: Box, path: str) -> None:
    answer = box.browser("ann").get(path)
    assert answer.status_code == 404 and "Go to the start" in answer.text


def test_home_says_what_is_wrong_with_the_clock(box: Box) -> None:
    assert "mb9k clock" not in box.browser("ann").get("/").text
    box.store.ages.note_clock(BoxClock(5.0, "boot", 9.0, None, WallClock.UNKNOWN, "Run `mb9k clock confirm`."))
    assert '<p class="notice">Run <code>mb9k clock confirm</code>.</p>' in box.browser("ann").get("/").text


def test_home_says_what_is_wrong_with_a_stream_where_its_picture_would_be(box: Box) -> None:
    heartbeats(box, "watch")
    box.store.streams.set_problem(1, "Its user must be in the group `video`, <b>not</b> root.")
    page = box.browser("ann").get("/").text
    assert "the group <code>video</code>, &lt;b&gt;not&lt;/b&gt; root." in page
    assert "<strong>1 stream has a problem</strong>" in page


def test_a_box_of_statistics_offers_nobody_who_is_not_kept(box: Box) -> None:
    privacy.keep_statistics_only(box.config, box.store, OPERATOR, box.clock.now)
    ann = box.browser("ann")
    stream, export, listed = (ann.get(path).text for path in ("/streams/1", "/export", "/detections"))
    assert "Nobody was seen yet." not in stream and "None: this box keeps statistics only." in stream
    assert "All of this stream" not in stream
    assert "One row per person:" not in export and "/export/detections" not in export and "/export/faces" not in export
    assert "/export/sums" in export and "The sums are all there is of persons." in export
    assert "reviewed (" not in listed and '<a href="/trends">Trends</a> and in <a href="/report">reports</a>' in listed


def test_no_number_of_a_box_of_statistics_leads_to_a_list_that_is_empty(box: Box) -> None:
    heartbeats(box, "watch")
    at = box.clock.now.utc
    for number in range(24):
        state = State.MASK if number % 2 else State.NO_MASK
        box.store.detections.add(1, Detection(at, at + 3, state, 0.9, 7, (1, 2, 30, 40), 640, 360, "m"))
    ann, there, to_a_list = box.browser("ann"), {}, re.compile('href="/detections[?]|href="/detections">[0-9]')
    box.store.streams.set_live(1, None, at)
    today = f"/report?day={utc_text(at)[:10]}"
    pages = ("/", "/?range=days", "/streams", "/streams/1", "/trends", "/trends?range=week&stream=1", today)
    for page in pages:
        there[page] = len(to_a_list.findall(ann.get(page).text))
    assert all(there.values()), there
    privacy.keep_statistics_only(box.config, box.store, OPERATOR, box.clock.now)
    for page in pages:
        text = ann.get(page).text
        assert re.search(">(24|25)<", text) and to_a_list.findall(text) == [], page
    assert 'href="/trends?range=day' in ann.get("/trends?range=week&stream=1").text, "a day has a page of its own"


def test_a_form_about_a_person_that_was_not_accepted_stays_open(box: Box) -> None:
    ann = box.browser("ann")
    answer = ann.post("/people/2/password", password="four words of mine", again="other words of mine")
    assert answer.status_code == 400
    assert '<details open><summary aria-label="Change sci">' in answer.text
    assert '<details><summary aria-label="Change eve">' in answer.text


def test_words_for_durations_and_troubles() -> None:
    assert [duration(s) for s in (5, 300, 3600, 12_000, 90_000, 400_000)] == [
        "under a minute", "5 min", "1 h", "3 h 20 min", "1 day", "4 days",
    ]  # fmt: skip
    assert "full" in explain_trouble(sqlite3.OperationalError("database or disk is full"))
    gate, notify = (ServiceStatus(name, True, "", 1, None) for name in ("gate", "notify"))
    assert service_problems([gate, notify, ServiceStatus("watch", True, "", 1, "Hot.")]) == ["Hot."]
    assert service_problems([gate, notify], disk_is_full=True)[1:] == [
        "While the disk of the box is full, it cannot be told whether this runs: `watch`."
    ]
