# -*- test-case-name: tests.backends.ds.test_controlled -*-
"""
Asking a data server of ours for checksums and changes: GETXATTR under control
handles (L{pnfs.nfs4.dsops.contents}).
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from pnfs.backends.ds.remote import translating
from pnfs.nfs4 import requests
from pnfs.nfs4.dsops.contents import (
    TRACK_XATTR,
    VALUE_LIMIT,
    changesName,
    checksumsName,
    decodeChanges,
    decodeDigests,
)
from pnfs.nfs4.results import OperationFailed
from pnfs.nfs4.status import nfsstat4

_SIZE = 1 << 4


class ControlledDigests:
    """
    A part of L{pnfs.backends.ds.controlled.ControlledDataServerBackend}.
    """

    _do: Callable[..., Any]
    _object: Callable[[bytes], bytes]

    @translating
    async def checksums(
        self, name: bytes, offset: int, count: int, unit: int
    ) -> list[bytes]:
        """
        Of as many pieces as the data server tells in about a second.
        """
        key = checksumsName(offset, count, unit)
        return decodeDigests(await self._value(name, key), count, unit)

    @translating
    async def track(self, name: bytes) -> tuple[bytes, int]:
        """
        The data server's token, and GETATTR after it.
        """
        results = await self._do(
            self._object(name),
            [requests.getxattr(TRACK_XATTR), requests.getattr_(_SIZE)],
            72,
            count=3,
        )
        token = results.opaque(VALUE_LIMIT)
        results.operation(9)
        return token, results.attributes()[4]

    @translating
    async def changes(
        self, name: bytes, token: bytes
    ) -> Optional[list[tuple[int, int]]]:
        """
        What the data server knows.
        """
        try:
            return decodeChanges(await self._value(name, changesName(token)))
        except OperationFailed as failure:
            if failure.status == nfsstat4.NFS4ERR_NOXATTR:
                return None
            raise

    async def _value(self, name: bytes, key: bytes) -> bytes:
        results = await self._do(self._object(name), [requests.getxattr(key)], 72)
        value: bytes = results.opaque(VALUE_LIMIT)
        return value
