"""MediaMTX: the real binary takes our configuration and opens no more than it should."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from appliance import certificates, supervisor
from appliance.cli import cli
from appliance.config import Config, load
from appliance.errors import UserError
from appliance.https import Keeper
from appliance.loopback import authorization
from appliance.media import ingest, mediamtx
from appliance.media.mediamtx import Connection
from appliance.media.refusals import NOT_OFFERED
from appliance.processes import can_be_childless
from appliance.sections import Media, Rtmp
from appliance.times import now
from tests.boxes import is_listening, publishing, until
from tests.media_room import MediaRoom, make_clip, skip_without
from tests.signers import Signer, pem

KEY = "MEDIAMEDIAMEDIAMED22"
OTHER_KEY = "MEDIAMEDIAMEDIAMED33"
SECRET = "secret/with+odd&signs"
LISTEN = "0A"  # as /proc/net/tcp writes the state

# Its configuration


def test_the_configuration_is_whole_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "mediamtx.yml"
    mediamtx.write_config(Config(state_dir=str(tmp_path)), path)
    mediamtx.write_config(Config(state_dir=str(tmp_path), media=Media(read_port=7)), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["rtspAddress"] == "127.0.0.1:7"
    assert list(path.parent.iterdir()) == [path], "no draft is left"


def test_rtmps_is_on_when_both_files_are_named() -> None:
    only_one = mediamtx.configuration(Config(rtmp=Rtmp(tls_certificate="cert.pem")), SECRET)
    both = mediamtx.configuration(
        Config(rtmp=Rtmp(tls_certificate="cert.pem", tls_key="key.pem", tls_port=444)), SECRET
    )
    assert "rtmpEncryption" not in only_one
    assert both["rtmpEncryption"] == "optional"
    assert both["rtmpsAddress"] == ":444"


def test_an_address_is_written_as_it_should_be() -> None:
    hosts = ("0.0.0.0", "::", "192.168.0.7", "fd00::7")
    written = [mediamtx.configuration(Config(rtmp=Rtmp(host=host)), SECRET)["rtmpAddress"] for host in hosts]
    assert written == [":1935", ":1935", "192.168.0.7:1935", "[fd00::7]:1935"]


def test_the_engine_is_chosen_by_what_is_there(tmp_path: Path) -> None:
    binary = tmp_path / "mediamtx"
    named = Config(state_dir=str(tmp_path), media=Media(engine="mediamtx", binary=str(binary)))
    auto = Config(media=Media(binary=str(binary)))
    embedded = Config(media=Media(engine="embedded", binary=str(binary)))
    assert mediamtx.engine(auto) == "embedded"
    with pytest.raises(UserError, match=r"install it.*media\.binary.*embedded"):
        mediamtx.engine(named)
    with pytest.raises(UserError, match="not on PATH"):
        mediamtx.command(named)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    assert mediamtx.engine(auto) == mediamtx.engine(named) == "mediamtx"
    assert mediamtx.engine(embedded) == "embedded"


def test_what_was_decided_at_the_start_holds_when_a_binary_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary, path, served = tmp_path / "mediamtx", tmp_path / "mb9k.toml", list[Config]()
    path.write_text(f'state_dir = "{tmp_path}"\n[media]\nbinary = "{binary}"\n')
    started = {child.name: child for child in supervisor.children(load(path), path, "info")}
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    assert mediamtx.engine(load(path)) == "mediamtx"
    monkeypatch.setattr("appliance.media.ingest.serve", served.append)
    monkeypatch.setattr("appliance.service.prepare", lambda *_: None)
    CliRunner().invoke(cli, list(started["ingest"].command[3:]), catch_exceptions=False)
    assert [mediamtx.engine(config) for config in served] == ["embedded"]


def test_readers_show_the_secret_whatever_its_signs() -> None:
    config = Config(media=Media(read_port=8554))
    shown = "mb9k:secret%2Fwith%2Bodd%26signs@127.0.0.1:8554"
    assert mediamtx.read_url(config, "embedded", "live//KEY", SECRET) == f"http://{shown}/live//KEY.flv"
    assert mediamtx.read_url(config, "mediamtx", "live//KEY", SECRET) == f"rtsp://{shown}/live//KEY"


# The real binary


@pytest.fixture
def room(tmp_path: Path, free_port: Callable[[], int]) -> MediaRoom:
    made = MediaRoom(tmp_path, "mediamtx", free_port)
    made.add_stream(KEY)
    return made


def listening(pid: int) -> set[tuple[str, int]]:
    """Every (address, port) on which a process listens: TCP, and any UDP at all."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(handle.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if fields[9] in inodes and (fields[3] == LISTEN or table.startswith("udp")):
                address, _, port = fields[1].rpartition(":")
                found.add((_readable(address), int(port, 16)))
    return found


def _readable(address: str) -> str:
    """An address as /proc/net/tcp writes it: 0100007F is 127.0.0.1."""
    if len(address) == 8:
        return socket.inet_ntop(socket.AF_INET, bytes.fromhex(address)[::-1])
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, 32, 8)]
    return socket.inet_ntop(socket.AF_INET6, b"".join(words))


def binary_of(process: subprocess.Popen[bytes]) -> int:
    """The process of MediaMTX itself, a child of our service."""
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(child)


def publisher_of(room: MediaRoom) -> Connection:
    """The one connection that publishes; others may just be asking whether anybody listens."""
    (connection,) = (one for one in room.client.connections() if one.state == "publish")
    return connection


HOOK_PATIENCE_S = 3.0


def add_path_with_hook(room: MediaRoom, mark: Path, **headers: str) -> int:
    """Ask MediaMTX to run a command that leaves a mark, as anybody with a web page could; its status."""
    path = {"source": "publisher", "runOnInit": f"touch {mark}"}
    address = f"http://127.0.0.1:{room.config.media.api_port}/v3/config/paths/add/x"
    return httpx.post(address, content=json.dumps(path), headers={"Content-Type": "text/plain", **headers}).status_code


@pytest.mark.mediamtx
def test_no_stranger_on_this_machine_and_no_web_page_can_ask_mediamtx_anything(room: MediaRoom, tmp_path: Path) -> None:
    with room.running():
        mark = tmp_path / "mark"
        for shown in ({}, {"Origin": "http://elsewhere.test"}, {"Authorization": authorization("guessed")}):
            assert add_path_with_hook(room, mark, **shown) == 401
        page = f"http://127.0.0.1:{room.config.media.api_port}"
        for path in (
            "/v3/paths/list",
            "/v3/config/global/get",
            "/metrics",
            "/nothing",
            f"/v3/info?token={room.secret}",
        ):
            assert httpx.get(page + path).status_code == 401
        assert not mark.exists()
        assert not [name for name in mediamtx.configuration(room.config, SECRET) if "runOn" in name]
    arguments = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert room.secret.encode() not in arguments


@pytest.mark.mediamtx
def test_no_page_may_read_what_its_api_answers(room: MediaRoom) -> None:
    with room.running():
        address = f"http://127.0.0.1:{room.config.media.api_port}/v3/paths/list"
        asked = {"Origin": "http://elsewhere.test", "Access-Control-Request-Method": "GET"}
        for method in ("OPTIONS", "GET"):
            assert "access-control-allow-origin" not in httpx.request(method, address, headers=asked).headers


@pytest.mark.mediamtx
def test_a_stream_key_publishes_by_rtmp_and_not_by_rtsp(room: MediaRoom, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.flv")
    with room.running():
        command = ["ffmpeg", "-nostdin", "-loglevel", "quiet", "-re", "-i", str(clip), "-c", "copy", "-f", "rtsp"]
        address = f"rtsp://127.0.0.1:{room.config.media.read_port}/live/{KEY}"
        ended = subprocess.run([*command, "-rtsp_transport", "tcp", address], timeout=20, check=False)
        assert ended.returncode != 0
        until(lambda: {one.reason for one in room.store.streams.refusals()} == {NOT_OFFERED}, 5, "it is recorded")


@pytest.mark.mediamtx
def test_a_hook_does_not_run_even_for_who_has_the_secret(room: MediaRoom, tmp_path: Path) -> None:
    if not can_be_childless():
        pytest.skip("this kernel has no seccomp filters")
    shown = {"Authorization": authorization(room.secret)}
    free = tmp_path / "ran"
    with room.running_gate():
        # The binary alone would do it, so this test can see it.
        with room._running(mediamtx.command(room.config), room.config.media.api_port):
            assert add_path_with_hook(room, free, **shown) == 200
            until(free.exists, 10, "the hook runs")
        with room.running_ingest():
            mark = tmp_path / "mark"
            assert add_path_with_hook(room, mark, **shown) == 200
            time.sleep(HOOK_PATIENCE_S)
            assert not mark.exists()
            assert room.client.info().startswith("v1."), "all else goes on"


@pytest.mark.mediamtx
def test_variables_of_the_environment_change_nothing(room: MediaRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTX_RTSP", "no")
    monkeypatch.setenv("MTX_AUTHMETHOD", "internal")
    with room.running():
        assert httpx.get(f"http://127.0.0.1:{room.config.media.api_port}/v3/info").status_code == 401
        assert is_listening(room.config.media.read_port)


@pytest.mark.mediamtx
def test_its_service_gives_heartbeats_says_when_it_is_ready_and_ends_with_it(
    room: MediaRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with room.running_ingest() as process:
            while supervisor.recv(100) != b"READY=1":
                pass
            until(lambda: room.store.services.is_alive("ingest", now()), 10, "a heartbeat")
            os.kill(binary_of(process), signal.SIGKILL)
            assert process.wait(10) == 128 + signal.SIGKILL
        with room.running_ingest() as process:
            binary = binary_of(process)
            process.kill()
            until(lambda: not is_listening(room.config.rtmp.port), 10, "it ends with its service")
            assert not Path(f"/proc/{binary}").exists() or "Z" in Path(f"/proc/{binary}/stat").read_text()


@pytest.mark.mediamtx
def test_when_it_can_take_no_more_connections_it_is_ended(room: MediaRoom) -> None:
    """Out of file descriptors it closes its RTMP listener for good, and keeps running."""
    with room.running_ingest() as process, ExitStack() as strangers:
        binary = binary_of(process)
        few = len(list(Path(f"/proc/{binary}/fd").iterdir())) + 10
        resource.prlimit(binary, resource.RLIMIT_NOFILE, (few, few))

        def has_ended() -> bool:
            with suppress(OSError):
                strangers.enter_context(socket.create_connection(("127.0.0.1", room.config.rtmp.port), 1.0))
            return process.poll() is not None

        until(has_ended, 30, "it is ended")
        assert process.returncode == 1, "so that it is started again"
    assert room.log().count("takes no more connections") == 1


@pytest.mark.mediamtx
def test_a_mediamtx_that_takes_no_rtmp_is_not_running(room: MediaRoom, free_port: Callable[[], int]) -> None:
    elsewhere = msgspec.structs.replace(room.config, rtmp=Rtmp(host="127.0.0.1", port=free_port()))
    with room.running_ingest():
        assert ingest._is_running(room.config)
        assert not ingest._is_running(elsewhere)
    assert not ingest._is_running(room.config)


@pytest.mark.mediamtx
def test_what_mediamtx_cannot_start_with_is_logged_and_its_exit_code_passed_on(room: MediaRoom) -> None:
    with socket.create_server(("127.0.0.1", room.config.media.read_port)), room.running_ingest() as process:
        assert process.wait(10) == 1
    assert "MediaMTX: listen tcp" in room.log()
    assert "address already in use" in room.log()


@pytest.mark.mediamtx
def test_nothing_but_rtmp_is_open_beyond_loopback(room: MediaRoom) -> None:
    media = room.config.media
    # As a box has it; this test's own RTMP port is bound to loopback.
    wide = mediamtx.configuration(Config(rtmp=Rtmp(port=room.config.rtmp.port), media=media), SECRET)
    with room.running_ingest() as process:
        expected = {("127.0.0.1", port) for port in (media.api_port, media.read_port)}
        assert listening(binary_of(process)) == expected | {("127.0.0.1", room.config.rtmp.port)}
    others = {name: wide[name] for name in wide if name.endswith("Address") and name != "authHTTPAddress"}
    assert others.pop("rtmpAddress") == f":{room.config.rtmp.port}"
    assert all(address.startswith("127.0.0.1:") for address in others.values())


@pytest.mark.mediamtx
def test_this_test_would_notice_a_key_that_the_binary_does_not_know(
    room: MediaRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = mediamtx.configuration(room.config, SECRET)
    monkeypatch.setattr(mediamtx, "configuration", lambda *_: {**right, "noSuchSetting": True})
    ended = subprocess.run(mediamtx.command(room.config), capture_output=True, timeout=10, check=False)
    assert ended.returncode == 1
    assert b"noSuchSetting" in ended.stdout


@pytest.mark.mediamtx
def test_neither_keys_nor_the_token_stand_in_what_it_says(room: MediaRoom, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.flv")
    with room.running():
        for url in (room.url(OTHER_KEY), room.url(OTHER_KEY, app="nowhere/"), room.url("", app="live")):
            with publishing(clip, url) as refused:
                assert refused.wait(12) != 0
        with publishing(clip, room.url(KEY)):
            with room.open(room.wait_for(KEY).name) as container:
                next(container.decode(video=0))
            with publishing(clip, room.url(KEY)) as second:
                assert second.wait(12) != 0
            room.client.kick(publisher_of(room))
    assert "failed to authenticate" in room.log(), "it does say something"
    assert not [secret for secret in (KEY, OTHER_KEY, room.secret) if secret in room.log()]


@pytest.mark.mediamtx
def test_rtmps_takes_streams_too_and_a_kick_ends_them(tmp_path: Path, free_port: Callable[[], int]) -> None:
    skip_without("openssl", "openssl")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=box"]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    room = MediaRoom(
        tmp_path, "mediamtx", free_port, tls_port=free_port(), tls_certificate=str(certificate), tls_key=str(key)
    )
    room.add_stream(KEY)
    clip = make_clip(tmp_path / "clip.flv")
    with room.running():
        with publishing(clip, f"rtmps://127.0.0.1:{room.config.rtmp.tls_port}/live/{KEY}") as publisher:
            path = room.wait_for(KEY)
            connection = publisher_of(room)
            assert connection.encrypted
            assert connection.id == path.source_id
            room.client.kick(connection)
            assert publisher.wait(10) != 0
        with publishing(clip, room.url(KEY)):  # plain RTMP goes on beside it
            room.wait_for(KEY)
            assert not publisher_of(room).encrypted


def shown_by(port: int) -> str:
    """The sha-256 of the certificate that a port of loopback shows."""
    text = ssl.get_server_certificate(("127.0.0.1", port))
    return certificates.whole_fingerprint(text)


@pytest.mark.mediamtx
def test_with_https_rtmps_has_the_certificate_of_the_site_and_takes_another_up(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    room = MediaRoom(tmp_path, "mediamtx", free_port, https=True, tls_port=free_port())
    room.add_stream(KEY)
    clip, port = make_clip(tmp_path / "clip.flv"), room.config.rtmp.tls_port
    with room.running():
        keeper = Keeper(room.config)
        assert shown_by(port) == keeper.certificate(time.time()).fingerprint
        with publishing(clip, f"rtmps://127.0.0.1:{port}/live/{KEY}"):
            room.wait_for(KEY)
            key = ec.generate_private_key(ec.SECP256R1())
            keeper.give(Signer().sign(key), pem(key), time.time())
            given = keeper.certificate(time.time()).fingerprint
            until(lambda: shown_by(port) == given, 30, "new publishers are shown the new certificate")
            assert publisher_of(room).encrypted, "and the one that is there goes on"
