"""The settings page, and the bundle for support: what is in it, and what never is."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.faces import Judging, State
from appliance.local import bundle
from appliance.notes import Notes
from appliance.rules import boxes
from appliance.screen.looking import Looker
from appliance.secrets import claim_code, digest, secret_from_file
from appliance.store import StoredImage
from tests.signers import Signer, pem
from tests.site import JPEG, Box

LOG = """
2026-11-27T13:35:11+0000 box mb9k[7]: watch INFO: rtsp://admin:Quench3r@camera-7.lan:554/h264?pw=Quench3r has no picture
2026-11-27T13:35:12+0000 box mb9k[7]: watch WARNING: camera-7.lan does not answer; 10.20.30.40:554, [2001:db8::17]:554
2026-11-27T13:35:13+0000 box mb9k[8]: ingest INFO: live/ZZZZKEYKEYKEYKEY2233 from 198.51.100.9:41234
2026-11-27T13:35:14+0000 box mb9k[8]: gate INFO: Marguerite publishes to Marguerite:Delivery Ramp; ZZZZKEYKEYKEYKEY2233
2026-11-27T13:35:15+0000 box mb9k[9]: serve INFO: marguerite signed in, mail m.durand@example.org, claim code ABCD-EFGH
2026-11-27T13:35:15+0000 sshd[11]: Accepted key for root: ED25519 SHA256:qH8baHrA5X0qCBovKCZyM02Q7TFtK4GMqVgOo4TZJAE
2026-11-27T13:35:15+0000 mb9k[12]: machine WARNING: refused: To wipe this box, type its name in the network: praxis-7.
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg
-----END PRIVATE KEY-----
2026-11-27T13:35:16+0000 box mb9k[9]: serve INFO: the site is on port 8000
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state", web={"https": True, "names": ["box.test", "masks.durand.example"]})
    yield made
    made.close()


def opened(answer: httpx.Response) -> dict[str, str]:
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_bundle_of_a_box_full_of_secrets_has_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password_file = tmp_path / "broker-password"
    password_file.write_text("Wickerwork\n")
    made = Box(
        tmp_path / "state",
        web={"https": True, "names": ["box.test", "masks.durand.example"], "proxies": ["172.30.0.1"]},
        rtmp={"public_host": "stream.durand.example"},
        fleet={"join_code": "mb9k1-abcdefghijklmnopqrstuvwxyz"},
        mqtt={
            "host": "broker.durand.example",
            "user": "wicker",
            "password_file": str(password_file),
            "topic": "durand",
        },
        box="durand-box",
    )
    at, store = made.clock.now.utc, made.store
    marguerite = store.people.add("Marguerite", "hash-of-marguerite", store.people.all()[0].role, at)
    store.people.add_token(marguerite, "Weekly Report", digest("token-secret"), at, at + 1000)
    store.streams.add_with_key(marguerite, "Delivery Ramp", digest("ZZZZKEYKEYKEYKEY2233"), at)
    source = "rtsp://admin:Quench3r@camera-7.lan:554/h264?pw=Quench3r"
    camera = store.streams.add_with_source(marguerite, "Roof", source, at)
    store.streams.set_watch(camera, "rtsp://viewer:Latchkey9@10.20.30.40/low")
    store.streams.set_live(camera, "203.0.113.77", at)
    store.streams.set_problem(camera, "camera-7.lan refuses admin")
    store.services.heartbeat("watch", 7, at, "Roof of Marguerite at camera-7.lan is dark", made.clock.now)
    place = made.images.append(JPEG, at)
    made.add_detection(camera, State.MASK, StoredImage(place.day, place.offset, place.size_bytes, "image-token-Xyz"))
    boxes.set_box_title(made.config, "Durand's front door")
    key = ec.generate_private_key(ec.SECP256R1())
    assert made.keeper
    made.keeper.give(Signer().sign(key), pem(key), time.time())
    monkeypatch.setattr("socket.gethostname", lambda: "praxis-7")
    monkeypatch.setattr(bundle, "journal", lambda: LOG)  # a stand-in: there is no systemd here

    files = opened(made.browser("ann").get("/settings/bundle.zip"))
    text = "\n".join(files.values())
    own = [path.read_text() for path in made.config.tls_dir.glob("*.pem")]
    key_lines = [line for one in own for line in one.splitlines() if len(line) > 40]
    secrets = [
        "Marguerite", "Weekly Report", "Delivery Ramp", "Roof", "ZZZZKEYKEYKEYKEY2233", "Quench3r", "Latchkey9",
        "camera-7", "10.20.30.40", "203.0.113.77", "198.51.100.9", "2001:db8::17", "viewer", "hash-of-marguerite",
        "mb9k1-abc", "wicker", "Wickerwork", "broker-password", "durand", "172.30.0.1", "image-token-Xyz", "ABCD-EFGH",
        "qH8baHrA5X0q", "praxis-7",
        "BEGIN PRIVATE", "MIGHAgEA", "\xff\xd8", digest("ZZZZKEYKEYKEYKEY2233"), digest("token-secret"), *key_lines,
        claim_code(made.config.claim_code_path), secret_from_file(made.config.local_secret_path),
    ]  # fmt: skip
    assert not [secret for secret in secrets if secret.lower() in text.lower()]
    for person in store.people.all():
        assert person.name not in text.split(), person.name
    assert "the site is on port 8000" in files["log.txt"] and "2026-11-27T13:35:16" in files["log.txt"]
    figures = json.loads(files["figures.json"])
    assert len(figures["streams"]) == 4 and figures["people"] == 4 and figures["services"][0]["name"] == "watch"
    assert "frames_per_second = 10.0" in files["configuration.toml"] and "https = true" in files["configuration.toml"]
    store.people.add("7", "x", store.people.all()[0].role, at)  # a name that stands in every number
    assert json.loads(opened(made.browser("ann").get("/settings/bundle.zip"))["figures.json"])["people"] == 5
    made.close()


def test_a_bundle_without_a_readable_log_says_how_to_read_it(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert "journalctl -u" in opened(box.browser("ann").get("/settings/bundle.zip"))["log.txt"]


def test_the_page_shows_the_certificate_and_the_machine_and_hands_out_no_key(box: Box) -> None:
    ann = box.browser("ann")
    page = ann.get("/settings").text
    assert box.keeper
    there = box.keeper.certificate(time.time())
    assert there.fingerprint.replace(":", " ") in page and "masks.durand.example" in page
    saved = ann.get("/settings/certificate.pem").text
    assert saved.startswith("-----BEGIN CERTIFICATE-----") and "KEY" not in saved
    assert "UTC" in page and "mb9k-" in page


def test_the_page_says_what_judges_why_since_when_and_what_is_being_built(box: Box) -> None:
    ann, at = box.browser("ann"), box.clock.now
    assert "nothing yet" in ann.get("/settings").text
    for progress in ("An engine is being built (INT8), for 2 min.", None):
        judging = Judging("onnx", "ONNX Runtime on the CPU", "It <fails>.", "2026-11-27T16:00:00Z", progress)
        box.store.services.heartbeat("watch", 1, 0.0, None, at, judging)
        page = ann.get("/settings").text
        assert "ONNX Runtime on the CPU" in page and "It &lt;fails&gt;." in page
        assert '<time datetime="2026-11-27T16:00:00Z">' in page
        assert ("An engine is being built" in page) == (progress is not None)
    figures = json.loads(opened(ann.get("/settings/bundle.zip"))["figures.json"])
    assert figures["services"][0]["judging"]["backend"] == "onnx"


def test_the_name_on_the_pages_is_changed_and_given_back(box: Box) -> None:
    ann = box.browser("ann")
    assert ann.post("/settings/title", title="Front <door>").status_code == 303
    assert "Front &lt;door&gt;" in ann.get("/").text and "<title>Home · Front &lt;door&gt;" in ann.get("/").text
    assert box.browser().get("/sign-in").text.count("Front &lt;door&gt;") > 1
    for refused in ("x" * 41, "a\u202eb", "a\x00b"):
        answer = ann.post("/settings/title", title=refused)
        assert answer.status_code == 400 and "A name" in answer.text
    ann.post("/settings/title", title="")
    assert "Front" not in ann.get("/").text and not box.config.title_path.exists()


def test_the_screen_of_a_box_shows_counts_when_an_admin_says_so(tmp_path: Path) -> None:
    box = Box(tmp_path / "with-a-screen", screen={"present": True})
    looker = Looker(box.config, Notes(tmp_path / "notes"))
    ann = box.browser("ann")
    assert looker.look(box.clock.now).counts is None and "Show today&#039;s counts" in ann.get("/settings").text
    assert ann.post("/settings/screen", counts="yes").status_code == 303
    shown = looker.look(box.clock.now)
    assert shown.counts is not None and shown.counts.mask == 1 and "Show no counts" in ann.get("/settings").text
    ann.post("/settings/screen", counts="no")
    assert looker.look(box.clock.now).counts is None
    looker.close()
    box.close()


def test_who_set_the_screen_in_the_file_changes_it_there(tmp_path: Path) -> None:
    box = Box(tmp_path / "with-a-screen", screen={"present": True, "counts": True})
    ann = box.browser("ann")
    assert "as mb9k.toml says" in ann.get("/settings").text and "/settings/screen" not in ann.get("/settings").text
    answer = ann.post("/settings/screen", counts="no")
    assert answer.status_code == 400 and "screen.counts" in answer.text
    box.close()


def test_a_box_without_a_screen_of_ours_has_no_switch_for_it(box: Box) -> None:
    assert "/settings/screen" not in box.browser("ann").get("/settings").text


def test_a_wrong_certificate_is_refused_in_a_line_and_its_key_is_not_repeated(box: Box) -> None:
    ann = box.browser("ann")
    key = pem(ec.generate_private_key(ec.SECP256R1()))
    chain = Signer().sign(ec.generate_private_key(ec.SECP256R1()))
    answer = ann.post("/settings/certificate", chain=chain, key=key)
    assert answer.status_code == 400 and "not that of this private key" in answer.text
    assert key.splitlines()[1] not in answer.text
    assert box.keeper and box.keeper.certificate(time.time()).is_self_signed


def test_without_https_there_is_no_certificate_to_set(tmp_path: Path) -> None:
    plain = Box(tmp_path / "state")
    ann = plain.browser("ann")
    assert "https = true" in ann.get("/settings").text
    assert ann.post("/settings/certificate", chain="x", key="x").status_code == 404
    assert ann.get("/settings/certificate.pem").status_code == 404
    plain.close()


def test_what_cannot_be_kept_is_said_in_a_line(box: Box) -> None:
    ann = box.browser("ann")
    box.config.title_path.mkdir()  # nothing can be put in its place, not even by root
    answer = ann.post("/settings/title", title="Door")
    assert answer.status_code == 503 and "could not be kept" in answer.text


def test_only_a_service_that_runs_here_is_ended(box: Box) -> None:
    ann = box.browser("ann")
    assert ann.post("/settings/restart", service="sshd").status_code == 400
    box.store.services.heartbeat("watch", os.getpid(), 0.0, None, box.clock.now)  # not a watcher, but this test
    for service in ("watch", "serve"):
        answer = ann.post("/settings/restart", service=service)
        assert answer.status_code == 503 and "not running here" in answer.text


def test_over_https_a_page_that_plain_http_brought_changes_nothing(box: Box) -> None:
    ann = box.browser("ann")
    sent = {"csrf": ann.csrf(), "title": "stolen"}
    for origin in ("http://box.test", "https://evil.example", "null"):
        assert ann.client.post("/settings/title", data=sent, headers={"Origin": origin}).status_code == 403
    assert ann.client.post("/settings/title", data=sent, headers={"Origin": "https://box.test"}).status_code == 303


def key_page(box: Box, name: str) -> str:
    """The page after a stream was made."""
    ann = box.browser("ann")
    return ann.get(ann.post("/streams", name=name, kind="key").headers["location"]).text


def test_publishers_are_told_what_obs_says_to_the_boxs_own_certificate(box: Box, tmp_path: Path) -> None:
    mediamtx = tmp_path / "mediamtx"
    mediamtx.write_text("#!/bin/sh\n")
    mediamtx.chmod(0o755)
    encrypted = Box(
        tmp_path / "encrypted",
        web={"https": True, "names": ["box.test"]},
        media={"engine": "auto", "binary": str(mediamtx)},
    )
    page = key_page(encrypted, "yard")
    assert "rtmps://box.test:1936/live" in page and "sent an invalid SSL certificate" in page
    assert encrypted.keeper
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted.keeper.give(Signer().sign(key), pem(key), time.time())
    page = key_page(encrypted, "roof")
    assert "rtmps://box.test:1936/live" in page and "invalid SSL" not in page
    encrypted.close()
