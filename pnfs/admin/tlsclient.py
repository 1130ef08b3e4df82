# -*- test-case-name: tests.admin.test_tls -*-
"""
The other end of the control channel over TLS.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import Mapping, Optional

import attrs

SCHEME = "tls://"
CONNECT_SECONDS = 10.0

FILES = {
    "certificate": "PNFS_CERTIFICATE",
    "key": "PNFS_KEY",
    "ca": "PNFS_CA",
}
"""Options that name a file, and where the environment has them."""

_ADDRESS = re.compile(r"(?:\[([^]/\s]+)\]|([^][:/\s]+)):([0-9]{1,5})/?")


class TLSFailed(Exception):
    """
    There is no connection; the text is one line.
    """


@attrs.frozen
class TLSServer:
    """
    A metadata server elsewhere.

    @ivar certificate: file of ours; key: of its private key.
    @ivar ca: file of the authority of the server's certificate.
    """

    host: str
    port: int
    certificate: str
    key: str
    ca: str


def tlsServer(
    address: str, named: Mapping[str, Optional[str]], environment: Mapping[str, str]
) -> TLSServer:
    """
    What options and environment say.

    @param address: C{tls://host:port}.
    @param named: the files that options name.
    @raise TLSFailed: something is missing.
    """
    found = _ADDRESS.fullmatch(address.removeprefix(SCHEME))
    if found is None or not 0 < int(found[3]) < 65536:
        raise TLSFailed(f"{address!r} is no address; write tls://host:port")
    files = {}
    for option, variable in FILES.items():
        path = named.get(option) or environment.get(variable, "")
        if not path:
            raise TLSFailed(
                f"{address}: which {option}? Name its file with --{option}, or in "
                f"{variable}"
            )
        files[option] = path
    return TLSServer(found[1] or found[2], int(found[3]), **files)


def connectTLS(server: TLSServer) -> ssl.SSLSocket:
    """
    Connect, and see that it is the right server.

    @raise TLSFailed: it is not, or it does not answer.
    """
    # No authority but the one that is named: the public ones have no say here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _load(context, server)
    where = f"{SCHEME}{server.host}:{server.port}"
    sock = None
    try:
        sock = socket.create_connection((server.host, server.port), CONNECT_SECONDS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return context.wrap_socket(sock, server_hostname=server.host)
    except ssl.SSLCertVerificationError as error:
        problem = (
            f"is not whom the certificate is for, or that is not of {server.ca}: "
            f"{error.verify_message}"
        )
    except ssl.SSLError as error:
        problem = f"speaks no TLS 1.3 with us: {error.reason or error}"
    except OSError as error:
        problem = f"{error.strerror or error}; does the metadata server listen there?"
    if sock is not None:
        sock.close()
    raise TLSFailed(f"{where}: {problem}")


def _load(context: ssl.SSLContext, server: TLSServer) -> None:
    """
    @raise TLSFailed: a file is no good.
    """
    path = server.ca
    try:
        context.load_verify_locations(server.ca)
        path = server.certificate
        with open(path, "rb"):
            pass
        path = server.key
        with open(path, "rb"):
            pass
        path = f"{server.certificate} and {server.key}"
        # A pass phrase would be asked for on the terminal.
        context.load_cert_chain(server.certificate, server.key, password="")
    except ssl.SSLError as error:
        raise TLSFailed(
            f"{path}: no good: {error.reason or 'not PEM'}; name a certificate in PEM, "
            "and its own key without a pass phrase"
        ) from None
    except OSError as error:
        raise TLSFailed(f"{path}: {error.strerror or error}") from None
