"""Keys and certificates."""

from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from appliance import certificates
from appliance.certificates import Authority, CertificateError

NOW_S = 1_795_000_000.0
AUTHORITY, _ = Authority.make("head office", NOW_S)


def request_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mb9k-centre")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def test_a_box_gets_the_name_that_the_centre_gives_it_not_the_one_it_asks_for() -> None:
    key = certificates.new_key()
    signed = AUTHORITY.sign_box(certificates.signing_request(key, "mb9k-centre"), "door", NOW_S)
    assert signed.facts.name == "door"
    assert certificates.belongs(signed.pem, key)
    assert not certificates.belongs(signed.pem, certificates.new_key())


def test_a_box_s_certificate_is_good_for_a_year_and_due_when_a_third_of_it_is_left() -> None:
    facts = AUTHORITY.sign_box(certificates.signing_request(certificates.new_key(), "a"), "a", NOW_S).facts
    assert facts.expires_utc == NOW_S + 365 * 86_400
    assert not facts.is_due(NOW_S)
    assert not facts.is_due(NOW_S + 240 * 86_400)
    assert facts.is_due(NOW_S + 245 * 86_400)


def test_no_two_keys_and_no_two_serials_are_the_same() -> None:
    keys = {certificates.new_key() for _ in range(20)}
    signed = {AUTHORITY.sign_box(certificates.signing_request(key, "a"), "a", NOW_S).facts.serial for key in keys}
    assert len(keys) == len(signed) == 20


def test_the_request_does_not_hold_the_key() -> None:
    key = certificates.new_key()
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    number = private.private_numbers().private_value.to_bytes(32, "big")
    request = x509.load_pem_x509_csr(certificates.signing_request(key, "a").encode())
    assert number not in request.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("request_pem", "words"),
    [
        ("", "no signing request"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "no signing request"),
        (AUTHORITY.certificate, "no signing request"),
        ("x" * 100_000, "more than 4000 bytes"),
        (request_of(rsa.generate_private_key(65537, 2048)), "kind EC P-256"),
        (request_of(ec.generate_private_key(ec.SECP384R1())), "kind EC P-256"),
    ],
    ids=lambda value: str(value)[:12] if isinstance(value, str) and "BEGIN" not in value else "pem",
)
def test_a_request_that_cannot_be_signed_is_refused_in_words(request_pem: str, words: str) -> None:
    with pytest.raises(CertificateError, match=words):
        AUTHORITY.sign_box(request_pem, "a", NOW_S)


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    request = x509.load_pem_x509_csr(certificates.signing_request(certificates.new_key(), "a").encode())
    forged = bytearray(request.public_bytes(serialization.Encoding.DER))
    forged[-1] ^= 1
    pem = x509.load_der_x509_csr(bytes(forged)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(CertificateError, match="not signed by its own key"):
        AUTHORITY.sign_box(pem, "a", NOW_S)


def test_an_authority_and_another_s_key_are_refused() -> None:
    with pytest.raises(CertificateError, match="do not belong together"):
        Authority(AUTHORITY.certificate, certificates.new_key())


def test_the_fingerprint_stays_when_a_certificate_is_renewed() -> None:
    key = certificates.new_key()
    first, second = (AUTHORITY.sign_server(key, ["a"], now_s).pem for now_s in (NOW_S, NOW_S + 1000))
    assert first != second
    assert certificates.pem_fingerprint(first) == certificates.pem_fingerprint(second)
    assert certificates.fingerprint(ssl.PEM_cert_to_DER_cert(first)) == certificates.pem_fingerprint(first)
    with pytest.raises(CertificateError):
        certificates.fingerprint(b"garbage")


def test_a_server_has_all_its_names_and_addresses() -> None:
    names = ["centre.example.org", "192.168.1.20", "fd00::20", "centre.local"]
    assert set(certificates.server_names(AUTHORITY.sign_server(certificates.new_key(), names, NOW_S).pem)) == set(names)


def test_openssl_agrees(tmp_path: Path) -> None:
    """What another library says of what we sign, revoke, and of a board whose clock is in 1971."""
    key, now_s = certificates.new_key(), time.time()
    box = AUTHORITY.sign_box(certificates.signing_request(key, "a"), "a", now_s)
    other = AUTHORITY.sign_box(certificates.signing_request(key, "a"), "a", now_s)
    server = AUTHORITY.sign_server(key, ["localhost"], now_s)
    for name, text in (
        ("authority.pem", AUTHORITY.certificate),
        ("box.pem", box.pem),
        ("other.pem", other.pem),
        ("server.pem", server.pem),
        ("revoked.pem", AUTHORITY.revocation_list([(other.facts.serial, now_s)], now_s)),
    ):
        (tmp_path / name).write_text(text)

    def verifies(name: str, *options: str) -> bool:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "authority.pem", *options, name]
        return subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0

    revoked = ["-crl_check", "-CRLfile", "revoked.pem"]
    assert verifies("box.pem", "-purpose", "sslclient", *revoked)
    assert not verifies("other.pem", "-purpose", "sslclient", *revoked)
    assert not verifies("box.pem", "-purpose", "sslserver")
    assert verifies("server.pem", "-purpose", "sslserver", "-verify_hostname", "localhost")
    assert not verifies("server.pem", "-purpose", "sslclient")
    assert verifies("server.pem", "-attime", "40000000"), "a board without a clock begins in the past"
    assert verifies("box.pem", "-attime", str(int(now_s + 364 * 86_400)), *revoked)
    assert not verifies("box.pem", "-attime", str(int(now_s + 366 * 86_400)))
