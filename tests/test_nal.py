"""What packets say of themselves, on real videos."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import av
import pytest

from appliance.vision.reading.nal import Content, content
from scripts.recorded import packets_of
from tests.videos import grey, make_video

TWO_B: dict[str, object] = {
    "preset": "veryfast",
    "tune": "psnr",
    "x264-params": "bframes=2:b-adapt=0:b-pyramid=none:scenecut=0",
}
H265: dict[str, object] = {"x265-params": "bframes=2:b-adapt=0:scenecut=0:log-level=none"}


@pytest.mark.parametrize("container", ["mpegts", "mp4", "flv"])
def test_pictures_that_nobody_refers_to_are_told(container: str, tmp_path: Path) -> None:
    path = tmp_path / "video"
    path.write_bytes(make_video(grey(64, 64), 50, container=container, options=TWO_B))
    found = Counter(content(packet.source, packet.decoder) for packet in packets_of(path) if packet.size)
    assert found == {Content.PICTURE: 18, Content.SPARE_PICTURE: 32}


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_h265_tells_them_too(container: str, tmp_path: Path) -> None:
    path = tmp_path / "video"
    path.write_bytes(make_video(grey(64, 64), 50, codec="libx265", container=container, options=H265))
    found = Counter(content(packet.source, packet.decoder) for packet in packets_of(path) if packet.size)
    assert found[Content.SPARE_PICTURE] >= 15
    assert found[Content.SPARE_PICTURE] + found[Content.PICTURE] == 50


@pytest.mark.parametrize(("codec", "held"), [("mpeg4", Content.PICTURE), ("mjpeg", Content.SPARE_PICTURE)])
def test_of_other_codecs_every_packet_is_a_picture(codec: str, held: Content, tmp_path: Path) -> None:
    """Of MJPEG one to which no other refers."""
    path = tmp_path / "video"
    path.write_bytes(make_video(grey(64, 64), 10, codec=codec, container="matroska", options={"strict": "unofficial"}))
    assert {content(packet.source, packet.decoder) for packet in packets_of(path) if packet.size} == {held}


def test_parameters_alone_are_no_picture_and_nonsense_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "video"
    path.write_bytes(make_video(grey(64, 64), 25))
    decoder = next(iter(packets_of(path))).decoder

    for data in (b"", b"\0", b"\0\0\1", b"\0\0\1\x67abc\0\0\1\x68abc", b"\0" * 5000, b"\xff" * 5000):
        assert content(av.Packet(data), decoder) is Content.NO_PICTURE
