"""Addresses, files and devices that a source may not lead to: real sockets, links and pipes."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from appliance.vision.reading.reach import NO_FILE, NO_WEBCAM, OUTSIDE, THIS_BOX, Reach, SourceRefused
from appliance.vision.reading.source import opened
from tests.cameras import (
    HOST,
    answering,
    pictures,
    refused,
    resolving,
    sending,
)
from tests.videos import grey, make_video


@pytest.fixture(scope="module")
def video() -> bytes:
    return make_video(grey(64, 64), 150)


INSIDE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_to_the_inside_is_refused(address: str) -> None:
    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, 80))]

    for scheme in ("http", "https", "rtsp", "rtsps"):
        assert refused(f"{scheme}://{HOST}/", Reach(resolve=resolve)) == THIS_BOX


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0", "[::1]"])
def test_loopback_is_refused_however_it_is_written(host: str, video: bytes) -> None:
    with answering({"/": sending(video)}) as (port, asked):
        assert refused(f"http://{host}:{port}/", Reach()) == THIS_BOX
        assert refused(f"rtsp://{host}:{port}/", Reach()) == THIS_BOX
    assert asked == []


def test_the_boxs_own_addresses_are_refused_in_either_family() -> None:
    own = _own_addresses()
    assert own
    for address in own:
        assert not Reach().allows(address, 80), address
    assert Reach(own_ports=frozenset({80})).allows(own[0], 80)


def test_cameras_are_where_people_have_them() -> None:
    for address in ("192.168.250.9", "10.250.0.9", "172.31.250.9", "100.64.250.9", "fdff::9", "2001:db8::9"):
        assert Reach().allows(address, 554), address


def test_a_second_answer_for_a_name_gains_nothing(video: bytes) -> None:
    with answering({"/": sending(video)}) as (port, asked):
        for answers in (("192.0.2.200", "127.0.0.1"), ("169.254.1.1", "127.0.0.1")):
            reach = Reach(resolve=resolving(*answers))
            with pytest.raises((SourceRefused, OSError)), opened(f"http://{HOST}:{port}/", reach, 0.2):
                pass
            assert refused(f"http://{HOST}:{port}/", reach) == THIS_BOX, "at the next connection it is looked at again"
    assert asked == []


def test_a_name_that_nobody_knows_is_told() -> None:
    for scheme in ("rtsp", "http"):
        with pytest.raises(socket.gaierror), opened(f"{scheme}://no-such-camera.invalid/1", Reach(), 0.2):
            pass


def test_files_are_read_inside_the_folders_only(tmp_path: Path, video: bytes) -> None:
    inside, outside = tmp_path / "videos", tmp_path / "secret.ts"
    inside.mkdir()
    outside.write_bytes(video)
    (inside / "good.ts").write_bytes(video)
    (inside / "link.ts").symlink_to(outside)
    (inside / "inner.ts").symlink_to(inside / "good.ts")
    (inside / "up").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe.ts")
    reach = Reach((inside,))
    assert pictures(str(inside / "good.ts"), reach) == pictures(str(inside / "inner.ts"), reach) == 5
    for path in (outside, inside / "link.ts", inside / "up" / "secret.ts", inside / ".." / "secret.ts"):
        assert refused(str(path), reach) == OUTSIDE
    assert refused(str(inside / "good.ts"), Reach()) == OUTSIDE
    assert refused("/proc/self/environ", reach) == OUTSIDE
    for path in (inside / "pipe.ts", inside):
        assert refused(str(path), reach) == NO_FILE
    with pytest.raises(FileNotFoundError):
        pictures(str(inside / "none.ts"), reach)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/dev/../etc/passwd", "/dev/stdin", "/dev/fd/0"])
def test_only_a_webcam_is_read_of_the_devices(path: str) -> None:
    assert refused(path, Reach((Path("/"),))) == NO_WEBCAM


def _own_addresses() -> list[str]:
    """The addresses of this machine that are not loopback, as the kernel lists them."""
    own = []
    for family, far in ((socket.AF_INET, "192.0.2.254"), (socket.AF_INET6, "fd00::fe")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.connect((far, 9))
            own.append(probe.getsockname()[0])
    return own
