"""The certificate in force: made by the box, given by people, or in files that something else renews."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance import https
from appliance.config import Config
from appliance.errors import InputError
from appliance.https import Keeper, Source, names_of
from appliance.interfaces import addresses
from appliance.sections import Rtmp, Web
from tests.signers import Signer, pem

DAY_S = 86_400.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(box="lobby", state_dir=str(tmp_path / "state"), web=Web(https=True))


def kept(config: Config, now_s: float | None = None) -> Keeper:
    keeper = Keeper(config)
    keeper.refresh(now_s or time.time())
    return keeper


def test_the_first_start_makes_a_certificate_for_every_name_and_address(config: Config) -> None:
    there = kept(config).certificate(time.time())
    assert there.source is Source.OWN and there.is_self_signed and not there.problem
    assert {"lobby.local", "lobby", "localhost", "127.0.0.1", "::1", *addresses()} <= set(there.names)
    machine = socket.gethostname().lower().partition(".")[0]
    assert there.names[0] == f"{machine}.local", "the name that people are told is the one that is announced by mDNS"
    parsed = x509.load_pem_x509_certificate(config.served_certificate_path.read_bytes().split(b"KEY-----\n")[-1])
    key = parsed.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    assert parsed.not_valid_after_utc - parsed.not_valid_before_utc < timedelta(days=825)
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_openssl_shows_the_same_fingerprint(config: Config) -> None:
    there = kept(config).certificate(time.time())
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(config.served_certificate_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert said.partition("=")[2] == there.fingerprint == https.fingerprint(config, time.time())


def test_nobody_else_can_read_the_key(config: Config) -> None:
    before = os.umask(0)
    try:
        kept(config)
    finally:
        os.umask(before)
    for path in config.tls_dir.glob("*.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.tls_dir.stat().st_mode) == 0o700


def test_it_stays_as_it_is_from_start_to_start(config: Config) -> None:
    first = kept(config).certificate(time.time()).fingerprint
    assert not Keeper(config).refresh(time.time() + 300 * DAY_S)
    assert kept(config).certificate(time.time()).fingerprint == first


@pytest.mark.parametrize("later_s", [367 * DAY_S, 5000 * DAY_S, -3 * DAY_S])
def test_it_is_made_again_a_month_before_its_end_and_when_the_clock_was_set(config: Config, later_s: float) -> None:
    first = kept(config).certificate(time.time())
    assert Keeper(config).refresh(time.time() + later_s)
    second = Keeper(config).certificate(time.time() + later_s)
    assert second.fingerprint != first.fingerprint and second.before == first.fingerprint


def test_another_name_makes_it_again_with_the_same_key_and_one_less_does_not(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    first = kept(config).certificate(time.time())
    key = config.served_certificate_path.read_text().partition("-----END")[0]
    named = Config(box="lobby", state_dir=config.state_dir, web=Web(https=True, names=("masks.example",)))
    keeper = kept(named)
    second = keeper.certificate(time.time())
    assert "masks.example" in second.names and second.before == first.fingerprint
    assert first.fingerprint in caplog.text and second.fingerprint in caplog.text
    assert config.served_certificate_path.read_text().startswith(key)
    assert not Keeper(config).refresh(time.time()), "a name too many is no reason"


def test_a_damaged_file_is_made_again(config: Config) -> None:
    kept(config)
    for damaged in ("", "rubbish", "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n"):
        (config.tls_dir / "own.pem").write_text(damaged)
        assert kept(config).certificate(time.time()).source is Source.OWN


def test_names_that_no_certificate_can_hold_are_left_out(tmp_path: Path) -> None:
    web, rtmp = Web(https=True, names=("a..b", ".c", "x" * 253, "d.example")), Rtmp(public_host="")
    odd = Config(state_dir=str(tmp_path), web=web, rtmp=rtmp)
    assert "d.example" in names_of(odd) and "a..b" not in names_of(odd)
    assert kept(odd).certificate(time.time()).names


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_certificate_of_ones_own_is_shown_and_taken_back(config: Config, kind: str) -> None:
    keeper, signer = kept(config), Signer()
    own = keeper.certificate(time.time())
    key = ec.generate_private_key(ec.SECP384R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    keeper.give(signer.sign(key), pem(key), time.time())
    given = keeper.certificate(time.time())
    assert given.source is Source.GIVEN and not given.is_self_signed and given.names == ("masks.example",)
    assert not Keeper(config).refresh(time.time()), "also after the next start"
    keeper.go_back(time.time())
    assert keeper.certificate(time.time()) == own


def test_what_cannot_be_used_is_refused_in_one_line_and_changes_nothing(config: Config) -> None:
    keeper, signer = kept(config), Signer()
    own = keeper.certificate(time.time())
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505
    chain = signer.sign(key)
    leaf, authority = chain.removesuffix(signer.certificate), signer.certificate
    for given_chain, given_key, words in (
        (chain, "", "Give both"),
        ("", pem(key), "Give both"),
        (chain, pem(other), "not that of this private key. Give the key"),
        (authority + leaf, pem(key), "put that first"),
        (leaf + Signer("Another").certificate, pem(key), "not in order"),
        (signer.sign(key, (-90, -1)), pem(key), "ended on"),
        (signer.sign(key, (5, 90)), pem(key), "begins on"),
        (chain, pem(key, b"secret"), "protected by a password"),
        ("rubbish", pem(key), "cannot be read"),
        (chain, "rubbish", "cannot be read"),
        (chain.replace("A", "B", 5), pem(key), "."),
        (signer.sign(weak), pem(weak), "TLS cannot use"),
        (chain + "x" * 70_000, pem(key), "too long"),
        ("-----BEGIN CERTIFICATE-----\u2028", pem(key), "cannot be read"),
    ):
        with pytest.raises(InputError) as refused:
            keeper.give(given_chain, given_key, time.time())
        assert words in str(refused.value) and "\n" not in str(refused.value)
        assert "BEGIN" not in str(refused.value).replace("-----BEGIN.", "")
    assert keeper.certificate(time.time()) == own and not (config.tls_dir / "given.pem").exists()
    assert {path.name for path in config.tls_dir.iterdir()} == {"own.pem", "served.pem", "lock"}


def test_renewed_files_are_taken_up_and_half_renewed_ones_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain_path, key_path = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    web = Web(https=True, tls_certificate=str(chain_path), tls_key=str(key_path))
    config, signer = Config(state_dir=str(tmp_path / "state"), web=web), Signer()
    keeper = kept(config)
    without = keeper.certificate(time.time())
    assert without.source is Source.OWN and "No such file" in without.problem

    key, next_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain_path.write_text(signer.sign(key))
    key_path.write_text(pem(key))
    assert keeper.refresh(time.time())
    first, context = keeper.certificate(time.time()), keeper.context()
    assert first.source is Source.FILES and not first.problem

    chain_path.write_text(signer.sign(next_key))
    assert not keeper.refresh(time.time()), "the key is not there yet"
    assert keeper.certificate(time.time()).fingerprint == first.fingerprint
    assert "stays" in keeper.certificate(time.time()).problem
    key_path.write_text(pem(next_key))
    assert keeper.refresh(time.time())
    assert keeper.certificate(time.time()).fingerprint != first.fingerprint
    assert keeper.context() is not context

    with pytest.raises(InputError, match=r"web\.tls_certificate"):
        keeper.give(signer.sign(key), pem(key), time.time())


def test_a_given_certificate_that_ends_makes_room_for_the_boxs_own(config: Config) -> None:
    keeper, key = kept(config), ec.generate_private_key(ec.SECP256R1())
    keeper.give(Signer().sign(key, (-1, 2)), pem(key), time.time())
    keeper.refresh(time.time() + 3 * DAY_S)
    there = keeper.certificate(time.time() + 3 * DAY_S)
    assert there.source is Source.OWN and "ended on" in there.problem


def test_what_stands_beside_the_claim_code_names_page_and_fingerprint(config: Config) -> None:
    words = https.https_words(config, time.time())
    assert f"https://{names_of(config)[0]}:8000" in words and https.fingerprint(config, time.time()) in words


def test_it_speaks_no_tls_older_than_1_2(config: Config) -> None:
    assert kept(config).context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_addresses_are_those_of_this_machine() -> None:
    assert "127.0.0.1" not in addresses() and len(set(addresses())) == len(addresses())
    for address in addresses():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as ours:
            ours.bind((address, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, suppress(OSError):  # without a network: none
        asking.connect(("192.0.2.99", 9))  # sends nothing
        assert asking.getsockname()[0] in addresses()
