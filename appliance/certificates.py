"""Keys, certificates, authorities, signatures: the one file that knows `cryptography`. Boxes and the centre use it.

Everything is EC P-256 and PEM. What a centre and its boxes trust is the centre's own authority and nothing else: no
public authority could sign for a box in a cellar. Profile: RFC 5280. Who signs updates has an authority of their own.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.language import N_

BOX_DAYS = 365
SERVER_DAYS = 3650
"""Renewed long before, at a start of the centre; a box whose clock runs years ahead still accepts it."""
AUTHORITY_DAYS = 36_500
ALWAYS_S = 0.0
"""Since when the centre's own are valid: a board without a clock starts in the past, and must reach it from there."""
SIGNER_DAYS = 1100
EARLIER_S = 86_400
"""So long before it was made is a box's valid, for a broker whose clock is behind ours."""
MAX_REQUEST_BYTES = 4000
_Span: TypeAlias = tuple[float, float]
_KEY_FORM = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


class CertificateError(ValueError):
    """A key, certificate or signing request that cannot be used; says why, in words."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says. serial: hex. name: its common name, of a box its id. Valid from begins_utc on."""

    serial: str
    name: str
    begins_utc: float
    expires_utc: float

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to renew it: a third of its life is left, or less."""
        return self.expires_utc - now_s < (self.expires_utc - self.begins_utc) / 3


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate that the authority has just signed, PEM."""

    pem: str
    facts: Facts


def new_key() -> bytes:
    """A new private key, PEM (PKCS #8, not encrypted: it goes into a file that only its owner can read)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*_KEY_FORM)


def signing_request(key: bytes, name: str) -> str:
    """A PKCS #10 request, PEM, which shows that we have this key; the key itself is not in it."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(_key(key), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def facts(certificate: str) -> Facts:
    """What the first certificate of a PEM text says. Raises CertificateError."""
    return _facts(_certificate(certificate))


def belongs(certificate: str, key: bytes) -> bool:
    """Whether a certificate is that of this private key. Raises CertificateError."""
    return _public_bytes(_certificate(certificate).public_key()) == _public_bytes(_key(key).public_key())


def fingerprint(certificate: bytes) -> bytes:
    """The sha-256 of the public key of a certificate in DER, as TLS shows it: it stays when the certificate is renewed.

    Raises CertificateError. The same value as a pin of RFC 7469.
    """
    try:
        return hashlib.sha256(_public_bytes(x509.load_der_x509_certificate(certificate).public_key())).digest()
    except ValueError as error:
        raise CertificateError(N_("this is no certificate")) from error


def pem_fingerprint(certificate: str) -> bytes:
    """The fingerprint of the first certificate of a PEM text. Raises CertificateError."""
    return hashlib.sha256(_public_bytes(_certificate(certificate).public_key())).digest()


def sign(key: bytes, content: bytes) -> bytes:
    """A detached signature: ECDSA with SHA-256, the same each time (RFC 6979). Raises CertificateError."""
    return _key(key).sign(content, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def verify_signed(content: bytes, signature: bytes, certificate: str, authorities: str, now_s: float) -> Facts:
    """Who signed this: a signer for whom one of the authorities (PEM, one after the other) vouches.

    Raises CertificateError, which says what is wrong. A clock that is behind refuses nobody: many boards have none.
    """
    signer = _certificate(certificate)
    try:
        trusted = x509.load_pem_x509_certificates(authorities.encode())
    except ValueError as error:
        raise CertificateError(N_("the authority's file holds no certificate")) from error
    if not any(_vouches(authority, signer) for authority in trusted):
        raise CertificateError(N_("who signed it is not known to this box"))
    if not _may_sign_programs(signer):
        raise CertificateError(N_("who signed it may not sign programs"))
    public, told = signer.public_key(), _facts(signer)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise CertificateError(N_("the key is not of the kind EC P-256"))
    try:
        public.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise CertificateError(N_("it was changed after it was signed")) from error
    if now_s > told.expires_utc:
        day = _moment(told.expires_utc).date()
        raise CertificateError(N_("its signer's certificate ended on {day}").format(day=day))
    return told


def _vouches(authority: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        signer.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return constraints.ca


def _may_sign_programs(signer: x509.Certificate) -> bool:
    try:
        purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        constraints = signer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return ExtendedKeyUsageOID.CODE_SIGNING in purposes and not constraints.ca


def client_context(authority: str, certificate_path: str, key_path: str) -> ssl.SSLContext:
    """How a client that shows its certificate speaks TLS to the centre, whom only this authority (PEM) vouches for.

    Raises OSError (also ssl.SSLError): the files cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the certificate and the name in it
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=authority)
    context.load_cert_chain(certificate_path, key_path)
    return context


def self_signed(key: bytes, names: Sequence[str], now_s: float, days: float) -> str:
    """A server's certificate that only itself vouches for, PEM, under all these host names and addresses.

    Valid since a day ago, for browsers whose clock is behind ours. Raises CertificateError.
    """
    private, name = _key(key), _name(names[0][:64])
    valid = (now_s - EARLIER_S, now_s + days * 86_400)
    builder = _builder(name, name, private.public_key(), valid, is_authority=False)
    return _pem(_for_one(builder, ExtendedKeyUsageOID.SERVER_AUTH, names).sign(private, hashes.SHA256()))


def whole_fingerprint(certificate: str) -> str:
    """The sha-256 of the first certificate of a PEM text, as browsers show it: AB:CD:... Raises CertificateError."""
    return _certificate(certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def checked_chain(chain: str, key: str) -> str:
    """A chain and its private key, both PEM, of any kind, as one text: first the key, then the certificates.

    Whatever else stands there is left out. Raises CertificateError: one of them is unreadable, the first certificate is
    not that of the key, or the chain is not in order.
    """
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError as error:
        raise CertificateError(N_("the private key is protected by a password")) from error
    except Exception as error:  # of a kind that the library does not know, as its own kinds of errors
        raise CertificateError(N_("the private key cannot be read")) from error
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
        ours = [_plain(one.public_key()) == _plain(private.public_key()) for one in certificates]
    except Exception as error:
        raise CertificateError(N_("the certificate cannot be read")) from error
    if not ours[0]:
        other = N_("the certificate is not that of this private key; another one in the file is: put that first")
        raise CertificateError(other if any(ours) else N_("the certificate is not that of this private key"))
    for one, issuer in pairwise(certificates):
        try:
            one.verify_directly_issued_by(issuer)
        except Exception as error:
            words = N_("the chain is not in order: after each certificate stands who signed it")
            raise CertificateError(words) from error
    return private.private_bytes(*_KEY_FORM).decode() + "".join(map(_pem, certificates))


def is_self_signed(certificate: str) -> bool:
    """Whether nobody but itself vouches for the first certificate of a PEM text. Raises CertificateError."""
    parsed = _certificate(certificate)
    return parsed.issuer == parsed.subject


class Authority:
    """Signs who belongs to one centre. certificate: PEM, which all of them know."""

    def __init__(self, certificate: str, key: bytes) -> None:
        """Raises CertificateError: they are unusable, or do not belong together."""
        self.certificate = certificate
        self._certificate, self._key = _certificate(certificate), _key(key)
        if not belongs(certificate, key):
            raise CertificateError(N_("the authority's certificate and its key do not belong together"))

    @classmethod
    def make(cls, centre: str, now_s: float) -> tuple[Authority, bytes]:
        """A new one, and its private key."""
        key = new_key()
        name = _name(f"mb9k authority of {centre}"[:64])
        public = _key(key).public_key()
        builder = _builder(name, name, public, (ALWAYS_S, now_s + AUTHORITY_DAYS * 86_400), is_authority=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        certificate = builder.sign(_key(key), hashes.SHA256())
        return cls(_pem(certificate), key), key

    def sign_box(self, request: str, box: str, now_s: float, days: float = BOX_DAYS) -> Signed:
        """A certificate by which a box shows who it is. The name is ours to give: that of the request is not looked at.

        Raises CertificateError: the request is malformed, not signed by its own key, or its key is not EC P-256.
        """
        if len(request) > MAX_REQUEST_BYTES:
            raise CertificateError(N_("the signing request has more than {most} bytes").format(most=MAX_REQUEST_BYTES))
        try:
            parsed = x509.load_pem_x509_csr(request.encode())
            public, is_signed = parsed.public_key(), parsed.is_signature_valid
        except (ValueError, TypeError, InvalidSignature) as error:
            raise CertificateError(N_("this is no signing request")) from error
        except Exception as error:  # an algorithm that the library does not know, as its own kinds of errors
            raise CertificateError(N_("the signing request is of a kind that is not known here")) from error
        if not is_signed:
            raise CertificateError(N_("the signing request is not signed by its own key"))
        return self._sign(public, box, (now_s - EARLIER_S, now_s + days * 86_400), ExtendedKeyUsageOID.CLIENT_AUTH)

    def sign_client(self, key: bytes, name: str, now_s: float, days: float = SERVER_DAYS) -> Signed:
        """A certificate for a program of the centre, by which the broker knows it."""
        valid = (ALWAYS_S, now_s + days * 86_400)
        return self._sign(_key(key).public_key(), name, valid, ExtendedKeyUsageOID.CLIENT_AUTH)

    def sign_server(self, key: bytes, names: Sequence[str], now_s: float, days: float = SERVER_DAYS) -> Signed:
        """A certificate for the centre itself, under all these host names and addresses."""
        valid, purpose = (ALWAYS_S, now_s + days * 86_400), ExtendedKeyUsageOID.SERVER_AUTH
        return self._sign(_key(key).public_key(), names[0][:64], valid, purpose, names)

    def sign_signer(self, key: bytes, name: str, now_s: float, days: float = SIGNER_DAYS) -> Signed:
        """A certificate for who signs updates."""
        valid = (ALWAYS_S, now_s + days * 86_400)
        return self._sign(_key(key).public_key(), name, valid, ExtendedKeyUsageOID.CODE_SIGNING)

    def revocation_list(self, revoked: Iterable[tuple[str, float]], now_s: float) -> str:
        """The list of the certificates that are no longer valid, PEM. revoked: serial in hex, since when.

        It does not end before the authority does: a list that is out of date would lock out every box.
        """
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
        builder = builder.last_update(_moment(now_s) - timedelta(days=1))
        builder = builder.next_update(self._certificate.not_valid_after_utc)
        for serial, since_s in revoked:
            one = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(_moment(since_s))
            builder = builder.add_revoked_certificate(one.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def _sign(
        self, public: object, name: str, valid_utc: _Span, purpose: x509.ObjectIdentifier, names: Sequence[str] = ()
    ) -> Signed:
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise CertificateError(N_("the key is not of the kind EC P-256"))
        valid_utc = (valid_utc[0], min(valid_utc[1], self._certificate.not_valid_after_utc.timestamp()))
        builder = _builder(_name(name), self._certificate.subject, public, valid_utc, is_authority=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = _for_one(builder, purpose, names).add_extension(issuer, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Signed(_pem(certificate), _facts(certificate))


def server_names(certificate: str) -> list[str]:
    """The host names and addresses that a server's certificate is for. Raises CertificateError."""
    try:
        names = _certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, valid_utc: _Span, is_authority: bool
) -> x509.CertificateBuilder:
    path_length = 0 if is_authority else None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(valid_utc[0]))
        .not_valid_after(_moment(valid_utc[1]))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=path_length), critical=True)
        .add_extension(_usage(is_authority), critical=True)
    )


def _for_one(
    builder: x509.CertificateBuilder, purpose: x509.ObjectIdentifier, names: Sequence[str]
) -> x509.CertificateBuilder:
    """For one box, program or server. names: of a server, its host names and addresses."""
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), False)
    return builder


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _moment(utc: float) -> datetime:
    return datetime.fromtimestamp(int(utc), timezone.utc)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _plain(public: Any) -> bytes:
    return bytes(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def _public_bytes(public: object) -> bytes:
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise CertificateError(N_("the key is not of the kind EC P-256"))
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError(N_("this is no private key")) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(N_("the key is not of the kind EC P-256"))
    return key


def _certificate(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise CertificateError(N_("this is no certificate")) from error


def _facts(certificate: x509.Certificate) -> Facts:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Facts(
        f"{certificate.serial_number:x}",
        str(names[0].value) if names else "",
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )
