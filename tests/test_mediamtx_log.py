"""What MediaMTX says, as our log passes it on: without keys, and with what the page must know."""

from __future__ import annotations

import logging

import pytest

from appliance.media import mediamtx_log, refusals
from appliance.media.refusals import Refusals

KEY = "RELAYRELAYRELAYREL22"
TIME = "2026/11/27 01:47:40 "


@pytest.mark.parametrize(
    "said",
    [
        f"WAR [path live/{KEY}] reader is too slow, discarding 5 frames",
        f"WAR [path live//{KEY}/] reader is too slow",
        f"ERR [RTMP] [conn 10.0.0.9:5] path 'live/{KEY}' is not configured",
        f"WAR [RTMP] [conn 10.0.0.9:5] someone is already publishing to path 'LIVE/{KEY} and blanks'",
        f"ERR [API] path '{KEY}' not found",
        f"WAR [RTSP] [conn 10.0.0.9:5] failed: rtsp://mb9k:{KEY}@127.0.0.1/live/{KEY}?token={KEY}",
        f"WAR [RTMP] [conn 10.0.0.9:5] invalid path name: can't end with a slash (live/{KEY}/)",
        f'WAR [RTMP] [conn 10.0.0.9:5] parse "rtmp://127.0.0.1/live/{KEY}\\n": net/url: invalid control character',
        f"WAR something about {KEY} that nobody foresaw",
        f"WAR live/{KEY[:6]} and the query ?pass={KEY[:6]}",
        f'WAR [RTMP] path "{KEY[:6]}" is strange',
        f"panic: {KEY}",
    ],
)
def test_no_key_is_passed_on(said: str, caplog: pytest.LogCaptureFixture) -> None:
    mediamtx_log.pass_on(TIME + said + "\n", Refusals())
    assert mediamtx_log.HIDDEN in caplog.text
    assert KEY[:6] not in caplog.text


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("ERR listen tcp 127.0.0.1:1935: bind: address already in use", logging.ERROR),
        ("WAR [RTMP] [conn 10.0.0.9:5] failed to authenticate: server replied with code 401", logging.WARNING),
        ('ERR json: unknown field "noSuchSetting"', logging.ERROR),
    ],
)
def test_what_holds_no_secret_is_passed_on_as_it_is(said: str, level: int, caplog: pytest.LogCaptureFixture) -> None:
    mediamtx_log.pass_on(TIME + said + "\n", Refusals())
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [(level, f"MediaMTX: {said[4:]}")]


def test_what_happens_all_the_time_is_not_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    mediamtx_log.pass_on(
        f"{TIME}INF [RTMP] [conn 10.0.0.9:5] is publishing to path 'live/{KEY}', 2 tracks\n", Refusals()
    )
    assert not caplog.records


CLOSED = "closed: invalid path name"


@pytest.mark.parametrize(
    ("said", "remote", "reason"),
    [
        (f"[conn 10.0.0.9:5] {CLOSED}: can't end with a slash (live/)", "10.0.0.9", refusals.NO_KEY),
        (f"[conn [fd00::9]:5] {CLOSED}: cannot be empty ()", "fd00::9", refusals.NO_KEY),
        (f"[conn 10.0.0.9:5] {CLOSED}: can contain only (live/a (b) c)", "10.0.0.9", refusals.NOT_A_KEY),
        (f"[conn 10.0.0.9:5] {CLOSED}: odd (live/a [conn 1.2.3.4:5] {CLOSED}: z (", "10.0.0.9", refusals.NOT_A_KEY),
        (f"[conn 10.0.0.9:5] {CLOSED}: can contain only (live/" + "é" * 3000, "10.0.0.9", refusals.NOT_A_KEY),
        ('[conn 10.0.0.9:5] closed: parse "rtmp://box/live/K\\n": net/url: invalid', "10.0.0.9", refusals.NOT_A_KEY),
    ],
)  # fmt: skip
def test_an_address_that_is_no_path_is_a_refusal_that_says_what_was_typed_wrong(
    said: str, remote: str, reason: str
) -> None:
    recorded = Refusals()
    for server in ("RTMP", "RTMPS"):
        mediamtx_log.pass_on(f"{TIME}INF [{server}] {said}\n", recorded)
        assert recorded.queue.get_nowait() == (remote, "publish", reason, None)
    assert recorded.queue.empty()


def test_a_connection_that_ends_as_all_do_is_no_refusal() -> None:
    recorded = Refusals()
    for said in ("closed: EOF", "opened", "closed: failed to authenticate: server replied with code 401"):
        mediamtx_log.pass_on(f"{TIME}INF [RTMP] [conn 10.0.0.9:5] {said}\n", recorded)
    assert recorded.queue.empty()


@pytest.mark.parametrize(
    ("said", "listens"),
    [
        ("ERR [RTMP] accept tcp [::]:1935: accept4: too many open files", False),
        ("ERR [RTMPS] accept tcp 10.0.0.1:1936: accept4: too many open files", False),
        ("ERR [RTSP] accept tcp 127.0.0.1:8554: accept4: too many open files in system", False),
        ("WAR [RTMP] [conn 10.0.0.9:5] ERR [RTMP] accept tcp", True),
        ("INF [RTMP] [conn 10.0.0.9:5] closed: [RTMP] accept tcp", True),
        ("something in no form: [RTMP] accept tcp", True),
    ],
)
def test_whether_mediamtx_listens_on_is_told(said: str, listens: bool) -> None:
    assert mediamtx_log.pass_on(f"{TIME}{said}\n", Refusals()) is listens
