"""Sources of every kind that cameras are, and files that are none."""

from __future__ import annotations

import functools
import subprocess
from contextlib import nullcontext
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import av.error
import pytest

from appliance.vision.reading.reach import Reach, SourceRefused
from appliance.vision.reading.source import NO_FILE_FORMAT, opened
from tests.cameras import (
    HOST,
    answering,
    camera_at,
    jpegs_of,
    pictures,
    playlist,
    refused,
    sending,
)
from tests.http_servers import serving_http
from tests.media_room import FFMPEG, make_clip, skip_without
from tests.videos import grey, make_video


@pytest.fixture(scope="module")
def video() -> bytes:
    return make_video(grey(64, 64), 150)


TEXT_PATHS = ["/m.txt", "/m.nfo", "/m.ans", "/m", "/m.m3u8", "/m.mpd", "/m.ffconcat", "/m.srt", "/m.sdp"]


@pytest.mark.parametrize("path", TEXT_PATHS)
@pytest.mark.parametrize(
    "text",
    [
        b"live/SOMEBODYSKEY\n" * 200,
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"1\n00:00:01,000 --> 00:00:05,000\nhello\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="x"></MPD>',
    ],
)
def test_no_text_is_drawn_and_no_list_is_followed(path: str, text: bytes) -> None:
    with answering({path: sending(text, "text/plain")}) as (port, _):
        with pytest.raises((SourceRefused, OSError)) as refusal:
            pictures(f"http://{HOST}:{port}{path}", camera_at(port))
        assert "SOMEBODYSKEY" not in str(refusal.value)


def test_mjpeg_flv_mpegts_and_mp4_are_played(tmp_path: Path, video: bytes) -> None:
    jpegs = jpegs_of(40)
    parts = b"".join(
        b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(j), j) for j in jpegs
    )
    no_lengths = b"".join(b"--b\r\nContent-Type: image/jpeg\r\n\r\n%s\r\n" % j for j in jpegs)
    multipart = 'multipart/x-mixed-replace; boundary="b"'
    in_fragments = {"movflags": "frag_keyframe+empty_moov"}
    answers = {
        "/mjpeg": sending(parts, multipart),
        "/no-lengths": sending(no_lengths, multipart),
        "/jpegs": sending(b"".join(jpegs), "video/x-motion-jpeg"),
        "/ts": sending(video),
        "/flv": sending(make_video(grey(64, 64), 150, container="flv"), "video/x-flv"),
        "/fragments.mp4": sending(make_video(grey(64, 64), 150, container="mp4", muxing=in_fragments)),
    }
    with answering(answers) as (port, _):
        for path in answers:
            assert pictures(f"http://{HOST}:{port}{path}?channel=1", camera_at(port)) == 5, path


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_hls_is_played(kind: str, tmp_path: Path) -> None:
    skip_without(*FFMPEG)
    clip = make_clip(tmp_path / "clip.flv")
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(clip), "-c:v", "copy", "-an", "-f", "hls"]
    subprocess.run([*command, "-hls_segment_type", kind, "-hls_time", "1", str(tmp_path / "live.m3u8")], check=True)
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with serving_http(handler) as port:  # type: ignore[arg-type]
        assert pictures(f"http://{HOST}:{port}/live.m3u8", camera_at(port), enough=1000) >= 50


@pytest.mark.parametrize("name", ["m.txt", "m.m3u8", "m.ffconcat", "m.sdp", "m%d.png"])
def test_a_file_that_is_no_video_is_refused(name: str, tmp_path: Path) -> None:
    for text in (
        "keys\n" * 500,
        "ffconcat version 1.0\nfile /etc/passwd\n",
        playlist("#EXTINF:1,", "/etc/passwd").decode(),
    ):
        (tmp_path / name).write_text(text)
        assert refused(str(tmp_path / name), Reach((tmp_path,))) == NO_FILE_FORMAT


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("rtsp://127.0.0.1:1/live/KEY", {"rtsp_transport": "tcp", "timeout": "3000000"}),
        ("http://127.0.0.1:1/live/KEY.flv", {}),
    ],
)
def test_our_own_ingest_is_read_with_little_delay_and_time_limits(
    url: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = {"flags": "low_delay", "analyzeduration": "500000", "probesize": "500000"}
    asked: list[object] = []

    def open_nothing(*names: object, **how: object) -> Any:
        asked.extend((names, how))
        return nullcontext(SimpleNamespace(streams=()))

    monkeypatch.setattr(av, "open", open_nothing)
    with opened(url, None, 3.0):
        pass
    assert asked == [(url, "r"), {"options": live | options, "timeout": (10, 3)}]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass
