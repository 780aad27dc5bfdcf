"""The JSON API, held against its own document: every route documented, every answer of the documented shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator

from appliance.accounts.people import Role
from appliance.config import Config
from appliance.faces import Detection, Health, Judging, PictureFault, State
from appliance.images import ImageFiles
from appliance.local.openapi import OPERATIONS, document
from appliance.local.site import make_app
from appliance.secrets import digest
from appliance.store import Kind, Store, StoredImage
from appliance.times import Now, now
from tests.alerted import something_is_wrong
from tests.site import new_store

NOON = 1_795_521_600.0  # 2026-11-24T12:00:00Z
JPEG = b"\xff\xd8 a picture \xff\xd9"


class Api:
    """A site with an admin `ann`, a scientist `sci` with a stream (2) and a scientist `eve`; tokens = names."""

    def __init__(self, folder: Path, web: dict[str, Any] | None = None) -> None:
        self.config = msgspec.convert({"state_dir": str(folder), "web": web or {}}, Config)
        self.store = new_store(self.config.store_path)
        self.images = ImageFiles(self.config.images_dir)
        self.app = make_app(self.config, lambda: Store.open_existing(self.config.store_path))
        with self.store.writing():
            self._fill()
        self.client = httpx.Client(transport=httpx.WSGITransport(app=self.app), base_url="http://box")

    def _fill(self) -> None:
        for name, role in (("ann", Role.ADMIN), ("sci", Role.DATA_SCIENTIST), ("eve", Role.DATA_SCIENTIST)):
            person_id = self.store.people.add(name, "no password", role, NOON)
            self.store.people.add_token(person_id, "test", digest(name), NOON, NOON + 90 * 86400)
        self.store.streams.add_with_key(1, "door", digest("key-1"), NOON)
        self.store.streams.add_with_key(2, "lab", digest("key-2"), NOON)
        place = self.images.append(JPEG, NOON)
        self.image = StoredImage(place.day, place.offset, place.size_bytes, "unguessable")
        for number in range(5):
            seen = Detection(
                NOON + number, NOON + number + 2, list(State)[number % 4], 0.9, 7, (1, 2, 30, 40), 640, 360, "m"
            )
            self.store.detections.add(1 + number % 2, seen, self.image if number == 0 else None)
        something_is_wrong(self.store.alerts, Now(NOON, "boot", 1.0))
        self.store.receipts.add(Kind.IMAGES, "ann:door", "ann", self.store.receipts.measure(), NOON)

    def call(self, method: str, path: str, who: str | None = "ann", **options: Any) -> httpx.Response:
        headers = {} if who is None else {"Authorization": f"Bearer {who}"}
        return self.client.request(method, path, headers={**headers, **options.pop("headers", {})}, **options)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path / "state")
    yield made
    made.store.close()


def test_every_route_is_documented_and_every_documented_operation_is_there(api: Api) -> None:
    routes = {
        (route.method, re.sub(r"<(\w+)(:\w+)?>", r"{\1}", route.rule))
        for route in api.app.routes
        if route.rule.startswith("/api")
    }
    documented = {(operation.method, operation.path) for operation in OPERATIONS}
    assert {route for route in routes if route[1] != "/api"} == documented


EXAMPLES: list[tuple[str, str, Any]] = [
    ("GET", "/api/openapi.json", None),
    ("GET", "/api/v1/status", None),
    ("GET", "/api/v1/streams", None),
    ("POST", "/api/v1/streams", {"name": "yard"}),
    ("POST", "/api/v1/streams", {"name": "cam", "source_url": "rtsp://u:p@cam/1", "watch_url": "rtsp://cam/2"}),
    ("GET", "/api/v1/streams/1", None),
    ("PATCH", "/api/v1/streams/1", {"active": False, "name": "gate", "images": "no_images", "detections_days": 90}),
    ("POST", "/api/v1/streams/1/key", None),
    ("GET", "/api/v1/streams/1/calibration", None),
    ("GET", "/api/v1/streams/1/zones", None),
    (
        "PUT",
        "/api/v1/streams/1/zones",
        {"zones": [{"kind": "line", "name": "Door", "points": [[0.5, 0.9], [0.5, 0.1]]}]},
    ),
    ("GET", "/api/v1/streams/1/crossings", None),
    ("POST", "/api/v1/streams/1/view", None),
    ("DELETE", "/api/v1/streams/1/images", None),
    ("DELETE", "/api/v1/streams/2", None),
    ("GET", "/api/v1/audit", None),
    ("GET", "/api/v1/trends", None),
    ("GET", "/api/v1/alerts", None),
    ("GET", "/api/v1/alert-rules", None),
    (
        "POST",
        "/api/v1/alert-rules",
        {"kind": "rate", "about": {"of": "stream", "id": "1"}, "parameters": {"percent": 85}},
    ),
    ("GET", "/api/v1/alert-rules/1", None),
    ("PATCH", "/api/v1/alert-rules/1", {"parameters": {"minutes": 10}, "recipients": [1]}),
    ("DELETE", "/api/v1/alert-rules/1", None),
    ("GET", "/api/v1/alert-recipients", None),
    (
        "POST",
        "/api/v1/alert-recipients",
        {
            "name": "Chat",
            "way": "webhook",
            "address": "https://hooks.example.org/mb9k",
            "secret": "sixteen or more of them",
        },
    ),
    ("POST", "/api/v1/alert-recipients/1/test", None),
    ("DELETE", "/api/v1/alert-recipients/1", None),
    ("GET", "/api/v1/receipts", None),
    ("GET", "/api/v1/receipts/1", None),
    ("GET", "/api/v1/detections", None),
    ("POST", "/api/v1/detections", {"stream_id": 1, "state": "mask", "first_seen": "2026-11-24T12:00:00Z"}),
    ("GET", "/api/v1/detections/1", None),
    ("GET", "/api/v1/detections/1/image", None),
    ("PATCH", "/api/v1/detections/1", {"state": "incorrect"}),
    ("DELETE", "/api/v1/detections/1", None),
    ("POST", "/api/v1/detections/1/not-a-person", None),
    ("GET", "/api/v1/counts", None),
    ("GET", "/api/v1/export/detections", None),
    ("GET", "/api/v1/export/sums", None),
    ("GET", "/api/v1/export/faces", None),
    ("GET", "/api/v1/updates", None),
    ("POST", "/api/v1/updates/upload", None),
    ("DELETE", "/api/v1/updates/upload", None),
    ("POST", "/api/v1/updates/fetch", {"address": "https://updates.example.org/mb9k-0.2.0.mb9k"}),
    ("DELETE", "/api/v1/updates/fetch", None),
    ("POST", "/api/v1/updates/start", None),
    ("POST", "/api/v1/updates/back", None),
]


def test_there_is_an_example_of_every_operation() -> None:
    shown = {(method, re.sub(r"/\d+", "/{}", path)) for method, path, _ in EXAMPLES}
    assert shown == {(operation.method, re.sub(r"{\w+}", "{}", operation.path)) for operation in OPERATIONS}


@pytest.mark.parametrize(("method", "path", "sent"), EXAMPLES, ids=lambda value: str(value))
def test_an_answer_has_the_documented_shape(api: Api, method: str, path: str, sent: Any) -> None:
    answer = api.call(method, path, json=sent)
    described = document()["paths"][
        re.sub(r"(streams|detections|receipts|alert-rules|alert-recipients)/\d+", _parameter, path)
    ][method.lower()]
    expected = described["responses"].get(str(answer.status_code))
    assert expected, f"{answer.status_code} is not documented: {answer.text}"
    content = expected.get("content", {})
    if "application/json" in content:
        schema = {**content["application/json"]["schema"], "components": document()["components"]}
        Draft202012Validator(schema).validate(answer.json())
    elif "image/jpeg" in content:
        assert answer.content == JPEG
    elif content:
        assert answer.headers["content-type"].partition(";")[0] in content
    else:
        assert answer.content == b""


def _parameter(match: re.Match[str]) -> str:
    return f"{match[1]}/{{{match[1].removeprefix('alert-')[:-1]}_id}}"


@pytest.mark.parametrize(("method", "path", "sent"), EXAMPLES, ids=lambda value: str(value))
def test_without_a_token_nothing_is_told_or_done(api: Api, method: str, path: str, sent: Any) -> None:
    if path == "/api/openapi.json":
        return  # it tells what the API is, nothing of this box
    for who in (None, "wrong"):
        answer = api.call(method, path, who, json=sent)
        assert answer.status_code == 401
        assert answer.json()["error"].endswith(".")
        assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert len(api.store.detections.all_images()) == 1
    assert api.store.streams.ids() == {1, 2}


def test_a_scientist_sees_and_edits_own_streams_only(api: Api) -> None:
    assert [stream["title"] for stream in api.call("GET", "/api/v1/streams", "sci").json()["streams"]] == ["sci:lab"]
    assert api.call("GET", "/api/v1/streams/2", "sci").status_code == 200
    for method, path, sent in (
        ("GET", "/api/v1/streams/1", None),
        ("PATCH", "/api/v1/streams/1", {"name": "mine"}),
        ("DELETE", "/api/v1/streams/1", None),
        ("POST", "/api/v1/streams/1/key", None),
        ("POST", "/api/v1/streams/1/view", None),
    ):
        assert api.call(method, path, "sci", json=sent).status_code == 404
        assert api.call(method, path.replace("1", "2", 1).replace("v2", "v1"), "eve", json=sent).status_code == 404
    assert api.call("PATCH", "/api/v1/streams/2", "sci", json={"owner": "ann"}).status_code == 403
    assert api.call("POST", "/api/v1/streams", "sci", json={"name": "x", "owner": "ann"}).status_code == 403


def test_a_scientist_sees_all_detections_and_edits_none(api: Api) -> None:
    assert len(api.call("GET", "/api/v1/detections", "eve").json()["detections"]) == 5
    assert api.call("GET", "/api/v1/detections/1/image", "eve").content == JPEG
    for method, path, sent in EXAMPLES:
        if "detections" in path and method != "GET":
            assert api.call(method, path, "sci", json=sent).status_code == 403
    assert len(api.store.detections.all_images()) == 1


def test_detections_are_paged_by_following_next(api: Api) -> None:
    path: str | None = "/api/v1/detections?limit=1&search=lab"
    seen: list[int] = []
    while path:
        page = api.call("GET", path).json()
        assert len(page["detections"]) == 1
        seen += [detection["id"] for detection in page["detections"]]
        path = page["next"]
    assert seen == [4, 2], "those of sci:lab"


def test_detections_and_counts_are_filtered_alike(api: Api) -> None:
    filters = "stream=1&state=mask&since=2026-11-24T12:00:00Z&until=2026-11-24T12:00:04Z"
    assert [one["id"] for one in api.call("GET", f"/api/v1/detections?{filters}").json()["detections"]] == [1]
    assert api.call("GET", f"/api/v1/counts?{filters}").json()["total"] == 1


def test_a_new_key_is_shown_once_and_works(api: Api) -> None:
    made = api.call("POST", "/api/v1/streams", "sci", json={"name": "yard"}).json()
    assert digest(made["stream_key"]) in api.store.streams.active_keys()
    assert made["stream_key"] not in api.call("GET", f"/api/v1/streams/{made['id']}", "sci").text
    rotated = api.call("POST", f"/api/v1/streams/{made['id']}/key", "sci").json()
    assert rotated["stream_key"] != made["stream_key"]
    assert digest(made["stream_key"]) not in api.store.streams.active_keys()


def test_the_password_of_a_camera_is_not_shown(api: Api) -> None:
    made = api.call("POST", "/api/v1/streams", json={"name": "cam", "source_url": "rtsp://admin:hunter22@camera/1"})
    assert made.status_code == 201
    assert made.json()["stream_key"] is None
    assert "hunter22" not in made.text
    assert "hunter22" not in api.call("GET", "/api/v1/streams").text


def test_a_sub_stream_is_given_shown_without_its_password_and_ended(api: Api) -> None:
    sent = {"name": "cam", "source_url": "rtsp://admin:hunter2@cam/1", "watch_url": "rtsp://cam/2?token=hunter3"}
    made = api.call("POST", "/api/v1/streams", json=sent)
    assert made.json()["watch_url"] == "rtsp://•••@cam/2?token=•••"
    path = f"/api/v1/streams/{made.json()['id']}"
    assert "hunter" not in api.call("GET", path).text + api.call("GET", "/api/v1/streams").text + made.text
    assert api.call("PATCH", path, json={"watch_url": None}).json()["watch_url"] is None
    other = api.call("GET", "/api/v1/streams/1").json()
    assert (other["watch_url"], other["watch_problem"]) == (None, None)


def test_a_stream_says_what_decodes_it_while_it_is_live(api: Api) -> None:
    assert api.call("GET", "/api/v1/streams/1").json()["decoded_by"] is None
    api.store.streams.set_live(1, None, NOON)
    api.store.streams.describe(1, "h264", 1920, 1080, decoded_by="nvv4l2decoder")
    api.store.services.heartbeat("watch", 1, NOON, None, now())
    assert api.call("GET", "/api/v1/streams/1").json()["decoded_by"] == "nvv4l2decoder"
    api.store.streams.set_offline(1)
    assert [each["decoded_by"] for each in api.call("GET", "/api/v1/streams").json()["streams"]] == [None, None]


def test_what_is_wrong_with_a_picture_is_told_until_its_view_is_learned_again(api: Api) -> None:
    api.store.streams.set_live(1, None, NOON)
    api.store.services.heartbeat("watch", 1, NOON, None, now())
    api.store.streams.set_picture_fault(1, PictureFault.MOVED, "2026-11-24T12:00:00Z")
    told = api.call("GET", "/api/v1/streams/1").json()
    assert (told["picture_fault"], told["picture_fault_since"]) == ("moved", "2026-11-24T12:00:00Z")
    told = api.call("POST", "/api/v1/streams/1/view").json()
    assert (told["picture_fault"], told["picture_fault_since"]) == (None, None)


def test_trends_are_the_numbers_of_the_record_cut_by_the_clocks_of_the_box(api: Api) -> None:
    day = api.call("GET", "/api/v1/trends?range=day&day=2026-11-24").json()
    assert (day["zone"], day["step"], len(day["buckets"])) == ("UTC", "hour", 24)
    assert day["counts"]["total"] == api.call("GET", "/api/v1/counts").json()["total"] == 5
    assert sum(bucket["counts"]["total"] for bucket in day["buckets"]) == 5
    own = "/api/v1/trends?range=own&since=2026-11-24T12:00&until=2026-11-24T12:30"
    quarters = api.call("GET", own).json()
    assert [bucket["start"][11:16] for bucket in quarters["buckets"]] == ["12:00", "12:15"]
    assert all(bucket["complete"] for bucket in quarters["buckets"])
    of_one = api.call("GET", "/api/v1/trends?range=day&day=2026-11-24&stream=2", "sci").json()
    assert of_one["counts"]["total"] < 5 and of_one["stream"] == 2
    for wrong in (
        "since=2026-11-24&day=2026-11-24",
        "day=2026-11-24",
        "range=day&since=2026-11-24",
        "range=never",
        "range=day&day=today",
        "range=own",
        "range=own&since=2026-11-25&until=2026-11-24",
    ):
        refused = api.call("GET", f"/api/v1/trends?{wrong}")
        assert (refused.status_code, refused.json()["error"].endswith(".")) == (400, True), wrong
    assert api.call("GET", "/api/v1/trends?stream=9").status_code == 404


def test_streams_come_in_pages_when_asked_for(api: Api) -> None:
    for name in ("yard", "hall", "gate"):
        api.call("POST", "/api/v1/streams", json={"name": name})
    whole = api.call("GET", "/api/v1/streams").json()
    titles = [stream["title"] for stream in whole["streams"]]
    assert titles == sorted(titles) and len(titles) == 5 and whole["next"] is None, "as ever"
    address, seen = "/api/v1/streams?limit=2&search=a", []
    while address:
        page = api.call("GET", address).json()
        assert len(page["streams"]) <= 2
        seen += [stream["title"] for stream in page["streams"]]
        address = page["next"]
    assert seen == [title for title in titles_by_id(api) if "a" in title] and len(seen) > 2
    assert [each["title"] for each in api.call("GET", "/api/v1/streams?after=0", "sci").json()["streams"]] == [
        "sci:lab"
    ]
    assert api.call("GET", "/api/v1/streams?after=999").json() == {"streams": [], "next": None}
    for wrong in ("limit=0", "limit=201", "limit=x", "after=x", "before=1"):
        assert api.call("GET", f"/api/v1/streams?{wrong}").status_code == 400, wrong


def titles_by_id(api: Api) -> list[str]:
    streams = api.call("GET", "/api/v1/streams").json()["streams"]
    return [stream["title"] for stream in sorted(streams, key=lambda stream: stream["id"])]


def test_the_status_says_what_judges(api: Api) -> None:
    judging = Judging("tensorrt", "TensorRT 10.3.0 on Orin, INT8", "A GPU answers.", "2026-11-27T16:00:00Z")
    api.store.services.heartbeat("gate", 1, NOON, None, now())
    api.store.services.heartbeat("watch", 1, NOON, None, now(), judging)
    told = {each["name"]: each["judging"] for each in api.call("GET", "/api/v1/status").json()["services"]}
    assert told["gate"] is None
    assert told["watch"] == {
        "backend": "tensorrt",
        "name": "TensorRT 10.3.0 on Orin, INT8",
        "reason": "A GPU answers.",
        "since": "2026-11-27T16:00:00Z",
        "progress": None,
    }


def test_a_stream_says_how_well_it_can_be_judged_and_a_detection_why_it_could_not(api: Api) -> None:
    unknown = dict.fromkeys(("too_small", "looks", "smallest_face_px", "decoding_ms", "idle_ms", "delay_s"))
    assert api.call("GET", "/api/v1/streams/1").json()["health"] == unknown
    api.store.services.heartbeat("watch", 1, NOON, None, now())
    api.store.streams.set_live(1, None, NOON)
    api.store.streams.set_health(1, Health(0.31, 1, 28, 118, 14, 0.4))
    told = {"too_small": 0.31, "looks": 1.0, "smallest_face_px": 28, "decoding_ms": 118, "idle_ms": 14, "delay_s": 0.4}
    assert api.call("GET", "/api/v1/streams").json()["streams"][0]["health"] == told
    far = Detection(NOON, NOON, State.UNKNOWN, 0.9, 7, (1, 2, 9, 9), 640, 360, "m", too_small=True)
    number = api.store.detections.add(1, far)
    path = f"/api/v1/detections/{number}"
    assert (api.call("GET", path).json()["state"], api.call("GET", path).json()["reason"]) == ("unknown", "too_small")
    assert api.call("PATCH", path, json={"state": "unknown"}).json()["reason"] is None, "a person said so"
    assert api.call("GET", "/api/v1/detections/1").json()["reason"] is None


def test_a_deleted_detection_is_gone_with_its_image(api: Api) -> None:
    assert api.call("DELETE", "/api/v1/detections/1").status_code == 204
    assert api.call("GET", "/api/v1/detections/1").status_code == 404
    assert JPEG not in next(api.images.folder.iterdir()).read_bytes()


def test_a_deleted_stream_is_gone_with_its_images(api: Api) -> None:
    assert api.call("DELETE", "/api/v1/streams/1").status_code == 204
    assert JPEG not in next(api.images.folder.iterdir()).read_bytes()
    assert api.call("GET", "/api/v1/counts").json()["total"] == 2


def _by_hand(what: str, number: str) -> bytes:
    given = {"stream_id": "1", "confidence": "1", what: number}
    numbers = ", ".join(f'"{name}": {value}' for name, value in given.items())
    return f'{{"state": "mask", "first_seen": "2026-11-24T00:00Z", {numbers}}}'.encode()


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "said"),
    [
        ("POST", "/api/v1/streams", b"{", 400, "openapi"),
        ("POST", "/api/v1/streams", b'{"name": "a", "colour": 1}', 400, "colour"),
        ("POST", "/api/v1/streams", b'{"name": 7}', 400, "name"),
        ("POST", "/api/v1/streams", b'{"name": ""}', 400, "name"),
        ("POST", "/api/v1/streams", b'{"name": "a\\u202eb"}', 400, "invisible"),
        ("POST", "/api/v1/streams", b'{"name": "door"}', 409, "door"),
        ("POST", "/api/v1/streams", b'{"name": "a", "source_url": "ftp://x"}', 400, "rtsp"),
        ("POST", "/api/v1/streams", b'{"name": "a", "owner": "nobody"}', 400, "nobody"),
        ("POST", "/api/v1/streams", b" " * 70_000, 413, "bytes"),
        ("PATCH", "/api/v1/streams/1", b'{"active": "yes"}', 400, "active"),
        ("GET", "/api/v1/streams/99", None, 404, "stream"),
        ("GET", "/api/v1/streams/99999999999999999999", None, 404, "stream"),
        ("GET", "/api/v1/detections/99999999999999999999", None, 404, "detection"),
        ("GET", "/api/v1/detections?limit=0", None, 400, "limit"),
        ("GET", "/api/v1/detections?limit=many", None, 400, "limit"),
        ("GET", "/api/v1/detections?before=99999999999999999999", None, 400, "before"),
        ("GET", "/api/v1/detections?state=happy", None, 400, "mask"),
        ("GET", "/api/v1/counts?since=yesterday", None, 400, "since"),
        ("PATCH", "/api/v1/detections/1", b'{"state": "happy"}', 400, "happy"),
        ("POST", "/api/v1/detections", _by_hand("stream_id", "9"), 404, "stream"),
        ("POST", "/api/v1/detections", b'{"stream_id": 1, "state": "mask", "first_seen": "soon"}', 400, "first_seen"),
        (
            "POST",
            "/api/v1/detections",
            b'{"stream_id": 1, "state": "mask", "first_seen": "2026-11-24T00:00Z", "last_seen": "2026-11-23T00:00Z"}',
            400,
            "before",
        ),
        ("GET", "/api/v1/detections?streams=1", None, 400, "'streams'"),
        ("GET", "/api/v1/detections?streams=1", None, 400, "state, since, until, reviewed, search, limit, before"),
        ("GET", "/api/v1/status?verbose", None, 400, "'verbose'; known here: none"),
        ("GET", "/api/openapi.json?pretty=1", None, 400, "pretty"),
        ("DELETE", "/api/v1/streams/1?force=1", None, 400, "force"),
        ("POST", "/api/v1/streams?name=a", b'{"name": "a"}', 400, "name"),
        ("GET", "/api/v1/counts?stream=1&stream=2", None, 400, "twice"),
        ("GET", "/api/v1/counts?stream=", None, 400, "stream"),
        ("GET", "/api/v1/counts?since=", None, 400, "since"),
        ("GET", "/api/v1/streams?search=%ff", None, 400, "percent-encoded"),
        ("GET", "/api/v1/streams?" + "&" * 2000, None, 400, "percent-encoded"),
        *(
            ("GET", f"/api/v1/detections?{name}={number}", None, 400, name)
            for name in ("stream", "limit", "before")
            for number in ("-1", "1.0", "1e400", "nan", "inf", "NaN", str(2**63), "9" * 5000, "0x1", "%00", "%C2%B2")
        ),
        *(
            ("GET", f"/api/v1/counts?{name}={time}", None, 400, name)
            for name in ("since", "until")
            for time in (
                "0000-01-01T00:00Z", "0001-01-01T00:00%2B23:59", "9999-12-31T23:59:59-23:59", "3000-01-01T00:00Z",
                "1969-12-31T23:59:59Z", "2026-02-30T00:00Z", "2026-11-24T25:00Z", "2026-11-24T00:00%2B99:00", "1e400",
                "nan", "1795521600", "2026-11-24T00:00:00" + "0" * 5000 + "Z",
            )
        ),
        ("GET", "/api/v1/counts?since=2026-11-24T12:00:00", None, 400, "2026-11-23T17:00:00+01:00"),
        ("GET", "/api/v1/counts?until=2026-11-24", None, 400, "time zone"),
        *(
            ("GET", f"/api/v1/{path}", None, 404, ".")
            for path in ("streams/-1", f"streams/-{2**64}", f"detections/{2**63}", f"detections/{2**63}/image")
        ),
        ("PATCH", f"/api/v1/detections/{2**63}", b'{"state": "mask"}', 404, "detection"),
        ("DELETE", "/api/v1/detections/" + "9" * 5000, None, 404, "detection"),
        *(
            ("POST", "/api/v1/detections", _by_hand(what, number), 400 if what == "confidence" else status, ".")
            for what in ("confidence", "stream_id")
            for number, status in (
                ("NaN", 400), ("Infinity", 400), ("1e400", 400), ("-1", 404), (str(2**63), 404), ("9" * 5000, 400),
            )
        ),
        ("POST", "/api/v1/streams", b'{"name": "\\ud800"}', 400, "."),
        ("POST", "/api/v1/streams", b'{"name": "a", "owner": "\\u0000"}', 400, "."),
        ("POST", "/api/v1/streams", b'\xff', 400, "."),
        ("GET", "/api/v1/nothing", None, 404, "."),
        ("PUT", "/api/v1/streams", b"{}", 405, "."),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_bad_input_gets_a_sentence(
    api: Api, method: str, path: str, sent: bytes | None, status: int, said: str
) -> None:
    answer = api.call(method, path, content=sent)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert said in error
    assert "Traceback" not in error
    assert len(error) < 300
    assert api.store.streams.ids() == {1, 2}


@pytest.mark.parametrize(
    "noon",
    [
        "2026-11-24T12:00:00Z",
        "2026-11-24T13:00:00%2B01:00",
        "2026-11-24T13:00:00+01:00",  # in an address this + is a space
        "2026-11-24T13:00:00+0100",
        "2026-11-24t13:00:00.000+01",
        "2026-11-24%2008:30-03:30",
        "2026-11-24T12:00:00.000000000z",
    ],
)
def test_a_time_is_taken_as_it_was_meant(api: Api, noon: str) -> None:
    assert api.call("GET", f"/api/v1/counts?since={noon}").json()["total"] == 5
    assert api.call("GET", f"/api/v1/counts?until={noon}").json()["total"] == 0


def test_a_time_is_taken_to_the_millisecond(api: Api) -> None:
    sent = {"stream_id": 1, "state": "mask", "first_seen": "2026-11-24T13:00:00,25+01:00"}
    assert api.call("POST", "/api/v1/detections", json=sent).json()["first_seen"] == "2026-11-24T12:00:00.250Z"


def test_below_a_path_the_links_of_answers_lead_there(tmp_path: Path) -> None:
    below = Api(tmp_path / "below", {"base_url": "http://box/box3"})
    page = below.call("GET", "/api/v1/detections?limit=1").json()
    assert page["next"].startswith("/box3/api/v1/detections?")
    assert below.call("GET", page["next"]).json()["detections"][0]["id"] == 4
    image = below.call("GET", "/api/v1/detections/1").json()["image"]
    assert image.startswith("/box3/") and below.call("GET", image).content == JPEG
    below.store.close()


def test_the_document_is_served_and_valid_json(api: Api) -> None:
    served = api.call("GET", "/api/openapi.json", None).json()
    assert served == json.loads(json.dumps(document()))
    assert served["openapi"].startswith("3.1")
