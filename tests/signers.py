"""An authority as people know them, which signs certificates for tests, and keys of every kind."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


class Signer:
    """An authority as people know them, and what it signs."""

    def __init__(self, name: str = "An authority") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.name, self.key.public_key(), (-10, 1000), True)

    def _signed(self, name: x509.Name, public: object, days: tuple[float, float], is_authority: bool) -> str:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(public)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("masks.example")]), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, days: tuple[float, float] = (-1, 90)) -> str:
        """A certificate and its chain."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "masks.example")])
        return self._signed(name, key.public_key(), days, False) + self.certificate


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> str:
    kind = serialization.PrivateFormat.TraditionalOpenSSL  # as many programs write it
    cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, cipher).decode()
