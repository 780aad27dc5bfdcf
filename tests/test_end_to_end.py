"""The picture, from end to end: RTMP in, masks judged, people see it. Real processes, real bytes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from appliance.faces import State
from appliance.secrets import digest, new_token
from appliance.store import DetectionFilter
from appliance.times import now
from appliance.vision.clip import Appearance, make_clip
from tests.boxes import KEY, OTHER_KEY, PASSWORD, Box, publishing, until

pytestmark = pytest.mark.timeout(240)
ALL = DetectionFilter()
CLIP_S = 30


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Appearance]]:
    """The demo clip and the truth about it."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return path, make_clip(path, seconds=CLIP_S)


@pytest.fixture(params=["embedded", pytest.param("mediamtx", marks=pytest.mark.mediamtx)])
def box(request: pytest.FixtureRequest, tmp_path: Path, free_port: Callable[[], int]) -> Box:
    """A box with either ingest."""
    if request.param == "mediamtx" and not shutil.which("mediamtx"):
        pytest.skip("there is no MediaMTX binary on PATH")
    if not shutil.which("ffmpeg"):
        pytest.skip("there is no ffmpeg; apt-get install ffmpeg")
    return Box(tmp_path, request.param, free_port)


@contextmanager
def signed_in(box: Box) -> Iterator[httpx.Client]:
    """A browser in which ann has signed in."""
    until(lambda: answers(box.page), 20, "the page answers")
    with httpx.Client(base_url=box.page, follow_redirects=True) as browser:
        csrf = re.search(r'name="csrf" value="([^"]+)"', browser.get("/sign-in").text)
        assert csrf
        fields = {"name": "ann", "password": PASSWORD, "csrf": csrf.group(1)}
        assert browser.post("/sign-in", data=fields, headers={"Origin": box.page}).status_code == 200
        yield browser


def answers(page: str) -> bool:
    try:
        return httpx.get(page).status_code < 500
    except httpx.HTTPError:
        return False


def test_a_stream_comes_in_masks_are_judged_and_people_see_it(box: Box, clip: tuple[Path, list[Appearance]]) -> None:
    path, truth = clip
    with box.running(), publishing(path, box.url()):
        until(box.is_live, 20, "the stream goes LIVE")
        begun_s, begun_utc = time.monotonic(), time.time()
        # One whole round of the clip, wherever it began; those who come after it belong to the next one.
        until(lambda: time.monotonic() - begun_s > CLIP_S + 4, CLIP_S + 6, "a round of the clip")
        everybody = box.store.detections.page(ALL, limit=200)
        found = [one for one in everybody if one.detection.first_seen_utc < begun_utc + CLIP_S]
        expected = {State(appearance.state) for appearance in truth}
        assert {one.detection.state for one in found} >= expected
        assert abs(len(found) - len(truth)) <= 2, "each person once (one may be cut by where the round began and ended)"

        token = new_token()
        with box.store.writing():
            box.store.people.add_token(1, "test", digest(token), time.time(), time.time() + 86400)
        with httpx.Client(base_url=box.page, headers={"Authorization": f"Bearer {token}"}) as api:
            streams = api.get("/api/v1/streams").json()
            assert [stream["live"] for stream in streams["streams"]] == [True]
            assert len(api.get("/api/v1/detections?limit=200").json()["detections"]) >= len(found)

        with_image = [one for one in found if one.image]
        assert len(with_image) >= len(found) - 1
        image = with_image[-1].image
        assert image is not None
        with signed_in(box) as browser:
            assert "LIVE" in browser.get("/streams").text
            assert browser.get(f"/images/{image.token}").content.startswith(b"\xff\xd8")
        assert httpx.get(f"{box.page}/images/{image.token}").status_code == 303, "sign in first"
    assert KEY not in box.log()
    assert box.store.problems() == []


def test_a_wrong_rotated_or_deactivated_key_is_refused_and_nothing_is_stored(
    box: Box, clip: tuple[Path, list[Appearance]]
) -> None:
    path, _ = clip
    with box.running():
        until(lambda: answers(box.page), 20, "the page answers")
        assert refused(path, box.url(OTHER_KEY))
        with box.store.writing():
            box.store.streams.set_key(box.stream_id, digest(OTHER_KEY))
        assert refused(path, box.url(KEY))
        with box.store.writing():
            box.store.streams.set_active(box.stream_id, False)
        assert refused(path, box.url(OTHER_KEY))
        until(lambda: len(box.store.streams.refusals()) >= 2, 5, "the refusals are recorded")
        assert not box.is_live()
    assert box.store.detections.counts(ALL).total == 0
    said = box.log() + "".join(f"{refusal}" for refusal in box.store.streams.refusals())
    assert KEY not in said
    assert OTHER_KEY not in said


def refused(clip: Path, url: str) -> bool:
    """Whether a publisher is refused (and does not merely hang)."""
    with publishing(clip, url) as publisher:
        try:
            return publisher.wait(15) != 0
        except subprocess.TimeoutExpired:
            return False


def test_rotating_the_key_kicks_the_publisher(box: Box, clip: tuple[Path, list[Appearance]]) -> None:
    path, _ = clip
    with box.running(), publishing(path, box.url()) as publisher:
        until(box.is_live, 20, "the stream goes LIVE")
        with box.store.writing():
            box.store.streams.set_key(box.stream_id, digest(OTHER_KEY))
        until(lambda: publisher.poll() is not None, 5, "the publisher is kicked")
        until(lambda: not box.is_live(), 5, "the stream is offline")


def test_live_ends_when_the_publisher_stops_or_freezes(box: Box, clip: tuple[Path, list[Appearance]]) -> None:
    path, _ = clip
    with box.running():
        with publishing(path, box.url()) as publisher:
            until(box.is_live, 20, "the stream goes LIVE")
            publisher.send_signal(signal.SIGSTOP)
            until(lambda: not box.is_live(), 10, "a frozen publisher is offline")
        with publishing(path, box.url()):
            until(box.is_live, 20, "the stream goes LIVE again")
        until(lambda: not box.is_live(), 10, "a stopped publisher is offline")


def test_kill_9_of_each_service_in_turn_recovers_by_itself_and_loses_nothing(
    box: Box, clip: tuple[Path, list[Appearance]]
) -> None:
    path, _ = clip
    victims = {"gate": "gate", "ingest": "ingest", "watch": "watch", "serve": "serve"}  # and who is started again
    if box.config.media.engine == "mediamtx":
        victims["mediamtx"] = "ingest"

    def newest() -> int:
        page = box.store.detections.page(ALL, limit=1)
        return page[0].id if page else 0

    def runs() -> bool:
        alive = {service.name for service in box.store.services.all(now()) if service.alive}
        return {"gate", "watch", "serve"} <= alive and box.is_live() and answers(box.page)

    with box.running(), reconnecting(path, box.url()):
        until(lambda: runs() and newest() > 0, 40, "the first detection")
        for victim, service in victims.items():
            deaths = box.log().count(f"{service} died")
            before = {one.id for one in box.store.detections.page(ALL, limit=500)}
            os.kill(box.service_pid(victim), signal.SIGKILL)
            until(lambda: box.log().count(f"{service} died") > deaths, 5, "the death is seen and logged")  # noqa: B023
            until(runs, 15, f"everything runs again after the death of {victim}")
            assert before <= {one.id for one in box.store.detections.page(ALL, limit=500)}
        known = newest()
        until(lambda: newest() > known, 25, "people are judged again")
    assert box.store.problems() == []


def reconnecting(clip: Path, url: str) -> _Reconnecting:
    """A publisher that connects again when it is cut off, as OBS does."""
    return _Reconnecting(clip, url)


class _Reconnecting:
    def __init__(self, clip: Path, url: str) -> None:
        script = (
            'while :; do ffmpeg -nostdin -loglevel quiet -re -stream_loop -1 -i "$0" -c copy -f flv "$1"; sleep 1; done'
        )
        self.command = ["sh", "-c", script, str(clip), url]

    def __enter__(self) -> None:
        self.process = subprocess.Popen(self.command, start_new_session=True)

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def test_stopping_the_box_leaves_no_process(box: Box) -> None:
    with box.running() as process:
        until(lambda: answers(box.page), 20, "the page answers")
        pids = [box.service_pid(name) for name in ("gate", "watch", "serve")]
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
