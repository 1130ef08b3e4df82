# -*- test-case-name: tests.test_config -*-
"""
The part of a metadata server's configuration file that says how it is administered.
"""

from __future__ import annotations

from typing import Any, Optional

import attrs

from pnfs.configvalues import Address, Table, parseAddress, readableFile, socketPath


@attrs.frozen
class AdminTLSConfig:
    """
    Administration from elsewhere.

    @ivar listen: where.
    @ivar certificate: file of the server's certificate, and of those between it and
        its authority.
    @ivar key: file of its private key.
    @ivar clients: file of the authorities whose certificates clients must have.
    """

    listen: Address
    certificate: str
    key: str
    clients: str


@attrs.frozen
class AdminConfig:
    """
    How the server is administered.

    @ivar socket: path of the UNIX socket; empty: C{control.sock} in the state folder.
    @ivar tls: from elsewhere, too.
    """

    socket: str = ""
    tls: Optional[AdminTLSConfig] = None


def takeAdmin(file: str, values: Any) -> AdminConfig:
    """
    Read C{[admin]}.

    @raise BadConfiguration: one line that says what to mend.
    """
    if values is None:
        return AdminConfig()
    table = Table(file, "admin", values)
    socket = table.take("socket", socketPath, "")
    listen = table.take("listen", parseAddress, None)
    files = {
        key: table.take(key, readableFile, None)
        for key in ("certificate", "key", "clients")
    }
    table.finish()
    given = [key for key, path in files.items() if path is not None]
    if listen is None and not given:
        return AdminConfig(socket)
    if listen is None:
        raise table.refuse(
            "listen", f"is missing, and {given[0]} is for nothing else; add it"
        )
    for key, path in files.items():
        if path is None:
            raise table.refuse(
                key, "is missing: listen needs certificate, key and clients; add it"
            )
    return AdminConfig(socket, AdminTLSConfig(listen, **files))
