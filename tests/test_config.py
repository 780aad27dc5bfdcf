"""mb9k.toml."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from appliance import cli
from appliance.config import Config, ConfigError, as_toml, load, sections, settings
from appliance.sections import Web


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mb9k.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_a_working_box(tmp_path: Path) -> None:
    config = load(written(tmp_path, ""))
    assert config.box == "box"
    assert config.vision.frames_per_second == 10
    assert config.run == config.state / "run"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = 'red'", "colour"),
        ("[web]\nport = 70000", r"\$.web.port"),
        ("box = 'Front Door'", "box"),
        ("[vision]\nframes_per_second = 0", "frames_per_second"),
        ("[vision]\ncpu_share = 0", "cpu_share"),
        ("[vision]\ncpu_share = 1.1", "cpu_share"),
        ("[media]\nengine = 'nginx'", "engine"),
        ("box = ", "Invalid value"),
        *(
            (f"[web]\nbase_url = '{wrong}'", "base_url")
            for wrong in (
                "masks.example",
                "https://masks.example/",
                "ftp://masks.example",
                "https://ann:pw@masks.example",
                "https://masks.example/box 3",
                "https://masks.example/box3?x=1",
                "https://masks.example:port",
            )
        ),
        ("[web]\nnames = ['http://masks.example']", "names"),
        ("[web]\nnames = ['masks.example:8000']", "names"),
        ("[web]\nproxies = ['nginx']", "proxies"),
        ("[web]\nproxies = ['10.0.0.1/8']", "proxies"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=complaint) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config"):
        load(tmp_path / "nowhere.toml")


EVERYTHING = r"""
box = "front-door"
state_dir = "C:\\odd \"folder\" \t é \u007f 😀"
run_dir = "/run/with\nline"
language = "de"
rtmp = {host = "10.0.0.1", port = 2, public_host = "box.example", tls_port = 3, tls_certificate = "c", tls_key = "k"}
update = {releases = "/r", authority = "/a.pem", health_s = 20, upload_mb = 3}
media = {engine = "embedded", binary = "/opt/m", gate_port = 4, api_port = 5, read_port = 7}
vision = {model = "mb9k-320", backend = "onnx", decoder = "ffmpeg", frames_per_second = 0.1, cpu_share = 1, lost_s = 30}
sources = {folders = ["/srv/films", "clips"], own_ports = [8555]}
images = {keep = false, pixelate_eyes = false, scene = false, keep_days = 3650, min_free_mb = 0}
backup = {keep = 0, every_h = 0.5, folder = "/mnt/backups"}
screen = {present = true, counts = true}
machine = {socket = "/run/room.sock", may = ["restart"], ssh_dir = "/s", reset_file = "/r/s"}
fleet = {join_code = "mb9k1-abc", stream_names = false, commands = false, allow_updates = true}

[web]
host = "::1"
port = 1
base_url = "https://b.example/box"
names = ["b.lan"]
proxies = ["10.0.0.0/8"]
https = true
http_port = 80
tls_certificate = "c"
tls_key = "k"

[slots]
loader = "grub"
grubenv = "/boot/grubenv"
autoboot = "/boot/autoboot.txt"
folder = "/srv/slots"

[mqtt]
host = "::1"
port = 8883
user = "u"
password_file = "/p"
tls = true
tls_authority = "a"
topic = "a/b"
discovery = ""
"""


def test_a_printed_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    config = load(written(tmp_path, EVERYTHING))
    defaults = dict(sections(Config()))
    for name, section in sections(config):
        for setting in settings(type(section)):
            assert getattr(section, setting) != getattr(defaults[name], setting), "this test leaves out no setting"
    assert load(written(tmp_path, as_toml(config))) == config
    assert load(written(tmp_path, as_toml(Config()))) == Config()


def test_every_setting_is_explained() -> None:
    for _, section in sections(Config()):
        fields = {field.name for field in msgspec.structs.fields(section)}
        parts = {name for name in fields if isinstance(getattr(section, name), msgspec.Struct)}
        assert settings(type(section)).keys() == fields - parts


def printed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mb9k", "--config", str(path), "config"])
    cli.main()


def test_the_command_prints_what_is_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(written(tmp_path, "[web]\nport = 8080"), monkeypatch)
    assert load(written(tmp_path, capsys.readouterr().out)) == Config(web=Web(port=8080))


@pytest.mark.parametrize("text", [None, "colour = 'red'"])
def test_the_command_says_in_one_line_what_is_wrong_with_the_file(
    tmp_path: Path, text: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mb9k.toml" if text is None else written(tmp_path, text)
    with pytest.raises(SystemExit) as ended:
        printed(path, monkeypatch)
    said = capsys.readouterr()
    assert (ended.value.code, said.out, len(said.err.splitlines())) == (1, "", 1)
    assert str(path) in said.err


@pytest.mark.parametrize(
    ("web", "words"),
    [
        ('tls_certificate = "c"', "tls_key: the certificate and its private key belong together"),
        ('tls_key = "k"', "tls_certificate: "),
        ('https = true\nbase_url = "http://box.example"', "https is on"),
        ("https = true\nport = 80\nhttp_port = 80", "http_port"),
    ],
)
def test_https_that_cannot_work_is_refused(tmp_path: Path, web: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(written(tmp_path, f"[web]\n{web}"))
