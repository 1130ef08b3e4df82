# -*- test-case-name: tests.test_config -*-
"""
The part of a data server's configuration file that says how it registers itself.
"""

from __future__ import annotations

from typing import Optional

import attrs

from pnfs.configvalues import (
    Address,
    Table,
    choice,
    label,
    listOf,
    parseNumericAddress,
    parseReachableAddress,
)

ADDRESSES = 16
"""Of a data server, at the most."""


@attrs.frozen
class RegistrationConfig:
    """
    What a data server tells metadata servers of itself.

    @ivar servers: the metadata servers.
    @ivar advertise: where clients reach it; a host that is empty: where it comes from
        when it calls the metadata server.
    """

    servers: tuple[Address, ...]
    advertise: tuple[Address, ...]
    protocol: str = "nfs4.1"
    label: str = ""


def takeRegistration(
    table: Table, listen: tuple[Address, ...]
) -> Optional[RegistrationConfig]:
    """
    Take what a data server's file says of that.

    @param listen: where it listens.
    @return: None if it does not register itself.
    @raise BadConfiguration: one line that says what to mend.
    """
    servers = table.take("metadata_servers", listOf(parseReachableAddress), None)
    advertise = table.take("advertise", listOf(parseNumericAddress), None)
    protocol = table.take("protocol", choice("nfs4.1", "nfs3"), None)
    text = table.take("class", label, None)
    if servers is None:
        for key, value in (
            ("advertise", advertise),
            ("protocol", protocol),
            ("class", text),
        ):
            if value is not None:
                raise table.refuse(
                    key,
                    "is said to metadata servers only; name them in metadata_servers, "
                    "or say it there",
                )
        return None
    if advertise is None:
        try:
            advertise = tuple(_advertised(*each) for each in listen)
        except ValueError as error:
            raise table.refuse("advertise", f"is missing, and {error}") from None
    if len(advertise) > ADDRESSES:
        raise table.refuse("advertise", f"write at most {ADDRESSES} addresses")
    return RegistrationConfig(servers, advertise, protocol or "nfs4.1", text or "")


def _advertised(host: str, port: int) -> Address:
    """
    Where clients reach who listens there; no host if at every address.
    """
    if not port:
        raise ValueError("listen has no port; write where clients reach it")
    if host in ("0.0.0.0", "::"):
        return "", port
    return parseNumericAddress(f"[{host}]:{port}")
