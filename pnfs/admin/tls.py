# -*- test-case-name: tests.admin.test_tls -*-
"""
The control channel for callers elsewhere: over TLS 1.3, for those that have a
certificate of the right authority.

Who has such a certificate may do everything, as who may open the UNIX socket: so the
authority is to be one for this purpose. The server speaks first, one line, when it
has accepted the certificate: until then a caller cannot know, since in TLS 1.3 its own
part of the handshake is over before.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Optional, Sequence

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate as X509Certificate
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.protocol import Factory
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    trustRootFromCertificates,
)
from twisted.logger import Logger
from zope.interface import implementer

from pnfs.admin.control import Commands, ControlProtocol
from pnfs.backends.errors import BadConfiguration
from pnfs.configadmin import AdminTLSConfig

HANDSHAKE_SECONDS = 10.0
"""Until a caller has shown its certificate."""

CONNECTIONS = 64
"""At a time; further ones are closed."""

GREETING = {"server": "pnfs-mds"}
"""What the server says first."""

_log = Logger()


def loadOptions(file: str, config: AdminTLSConfig) -> CertificateOptions:
    """
    What connections are made with, from the files that are named.

    @param file: the configuration file, to name in messages.
    @raise BadConfiguration: they are no good; one line.
    """
    chain = _certificates(file, "certificate", config.certificate)
    key = _privateKey(file, config.key)
    if _public(chain[0].public_key()) != _public(key.public_key()):
        raise BadConfiguration(
            f"{file}: admin.key: {config.key} does not belong to the first certificate "
            f"in {config.certificate}; name the one that it was made with"
        )
    authorities = _wrapped(_certificates(file, "clients", config.clients))
    wrapped = _wrapped(chain)
    return CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(key),
        certificate=wrapped[0],
        extraCertChain=wrapped[1:],
        trustRoot=trustRootFromCertificates(  # type: ignore[no-untyped-call]
            [Certificate(each) for each in authorities]  # type: ignore[no-untyped-call]
        ),
        raiseMinimumTo=TLSVersion.TLSv1_3,
    )


def _read(file: str, key: str, path: str, private: bool = False) -> bytes:
    try:
        with open(path, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read()
    except OSError as error:
        raise BadConfiguration(
            f"{file}: admin.{key}: {path}: {error.strerror}; name a file that this "
            "user can read"
        ) from None
    if private and stat.S_IMODE(mode) & 0o077:
        raise BadConfiguration(
            f"{file}: admin.{key}: {path} can be used by others; 'chmod 600 {path}'"
        )
    return content


def _certificates(file: str, key: str, path: str) -> list[X509Certificate]:
    try:
        found = load_pem_x509_certificates(_read(file, key, path))
    except ValueError:
        raise BadConfiguration(
            f"{file}: admin.{key}: {path} holds no certificate in PEM; make one, for "
            "example with openssl"
        ) from None
    return found


def _wrapped(certificates: Sequence[X509Certificate]) -> list[crypto.X509]:
    return [crypto.X509.from_cryptography(each) for each in certificates]


def _privateKey(file: str, path: str) -> Any:
    try:
        return load_pem_private_key(_read(file, "key", path, True), None)
    except TypeError:
        problem = "has a pass phrase, which nobody can type here; write it without one"
    except ValueError:
        problem = "holds no private key in PEM; name the one of the certificate"
    raise BadConfiguration(f"{file}: admin.key: {path} {problem}")


def _public(key: Any) -> Any:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@implementer(IOpenSSLServerConnectionCreator)
class Renewable:
    """
    Makes connections with options that may change: a certificate does not live as long
    as a server runs.

    @ivar options: for connections from now on.
    """

    def __init__(self, options: CertificateOptions) -> None:
        self.options = options

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """
        See C{IOpenSSLServerConnectionCreator}.
        """
        return SSL.Connection(self.options.getContext(), None)


@implementer(IHandshakeListener)
class TLSControlProtocol(ControlProtocol):
    """
    One connection from elsewhere.

    @ivar transport: a C{twisted.protocols.tls.TLSMemoryBIOProtocol}.
    """

    transport: Any

    def __init__(self, factory: "TLSControlFactory") -> None:
        super().__init__(factory.commands)
        self._factory = factory
        self._timer: Optional[IDelayedCall] = None

    def connectionMade(self) -> None:
        """
        See C{Protocol.connectionMade}: nobody has shown anything yet.
        """
        open_ = self._factory.open
        if len(open_) >= CONNECTIONS:
            self.transport.abortConnection()
            return
        open_.add(self)
        self._timer = self._factory.clock.callLater(
            HANDSHAKE_SECONDS, self.transport.abortConnection
        )

    def handshakeCompleted(self) -> None:
        """
        See C{IHandshakeListener}: the certificate is accepted.
        """
        self._stop()
        shown = self.transport.getPeerCertificate()
        _log.info(
            "{subject} from {host} administers",
            subject=shown.to_cryptography().subject.rfc4514_string(),
            host=self.transport.getPeer().host,
        )
        self._say(GREETING)

    def connectionLost(self, reason: Any = None) -> None:
        """
        See C{Protocol.connectionLost}.
        """
        self._stop()
        self._factory.open.discard(self)
        super().connectionLost(reason)

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


class TLSControlFactory(Factory):
    """
    Makes L{TLSControlProtocol}s.

    @ivar open: those that are connected.
    """

    noisy = False

    def __init__(self, commands: Commands, clock: IReactorTime) -> None:
        self.commands = commands
        self.clock = clock
        self.open: set[TLSControlProtocol] = set()

    def buildProtocol(self, addr: Any) -> TLSControlProtocol:
        """
        See C{Factory.buildProtocol}.
        """
        return TLSControlProtocol(self)

    def close(self) -> None:
        """
        Hang up on everybody, whether or not they say goodbye.
        """
        for each in list(self.open):
            each.transport.abortConnection()
