"""
An authority for tests, and certificates of it.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from typing import Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """
    Signs certificates, and keeps all files in a folder.

    @ivar folder: where they are; C{file}: the authority's own certificate.
    """

    def __init__(self, folder: str, name: str = "authority") -> None:
        self.folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = self._builder(self._name, self._key, 1).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file = self._certificate(name, own)

    def make(
        self,
        name: str,
        host: Optional[str] = None,
        days: int = 1,
        password: Optional[bytes] = None,
    ) -> tuple[str, str]:
        """
        Make a certificate.

        @param host: numeric address that it is for; None: for a client.
        @param days: it is valid for; not any more if negative.
        @return: file of the certificate, file of its key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(subject, key, days)
        if host is not None:
            names = [x509.IPAddress(ip_address(host))]
            made = made.add_extension(
                x509.SubjectAlternativeName(names), critical=False
            )
        encryption: serialization.KeySerializationEncryption = (
            serialization.NoEncryption()
            if password is None
            else serialization.BestAvailableEncryption(password)
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            encryption,
        )
        return self._certificate(name, made), self._write(f"{name}.key", pem)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + days * DAY)
        )

    def _certificate(self, name: str, made: x509.CertificateBuilder) -> str:
        signed = made.sign(self._key, hashes.SHA256())
        pem = signed.public_bytes(serialization.Encoding.PEM)
        return self._write(f"{name}.pem", pem)

    def _write(self, name: str, content: bytes) -> str:
        path = os.path.join(self.folder, name)
        with open(path, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as stream:
            stream.write(content)
        return path
