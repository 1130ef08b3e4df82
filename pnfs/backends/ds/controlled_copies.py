# -*- test-case-name: tests.backends.ds.test_controlled -*-
"""
Having a data server of ours copy: COPY and CLONE under control handles
(L{pnfs.nfs4.dsops.copy}).
"""

from __future__ import annotations

from typing import Any, Callable

from pnfs.backends import errors
from pnfs.backends.ds.remote import translating
from pnfs.nfs4 import requests
from pnfs.nfs4.copy_types import NL4_NAME, networkLocation
from pnfs.nfs4.dsops.contents import UNEQUAL_XATTR, VALUE_LIMIT, decodeUnequal
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.values import CheckedCopy, CopySource, WriteResult


class ControlledCopies:
    """
    A part of L{pnfs.backends.ds.controlled.ControlledDataServerBackend}.
    """

    verifier: bytes
    _client: Any
    _object: Callable[[bytes], bytes]

    @property
    def uuid(self) -> bytes:
        """
        See L{pnfs.interfaces.IDataServerBackend.uuid}.
        """
        raise NotImplementedError

    async def commit(self, name: bytes, offset: int, count: int) -> bytes:
        """
        See L{pnfs.interfaces.IDataServerBackend.commit}.
        """
        raise NotImplementedError

    @translating
    async def copy(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        COPY; from another data server if the source is there.
        """
        if not count:
            # For COPY this means to the end of the source.
            return WriteResult(0, 0, await self.commit(name, 0, 0))
        results = await self._copy(name, offset, source, sourceOffset, count)
        return self._copied(results, count)

    @translating
    async def copyChecked(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
    ) -> CheckedCopy:
        """
        COPY, and GETXATTR C{pnfs.unequal} if it is from another data server.
        """
        if not count or not source.uuid or source.uuid == self.uuid:
            copied = await self.copy(name, offset, source, sourceOffset, count)
            return CheckedCopy(copied)
        results = await self._copy(
            name,
            offset,
            source,
            sourceOffset,
            count,
            False,
            requests.getxattr(UNEQUAL_XATTR),
        )
        copied = self._copied(results, count)
        try:
            results.operation(72)
        except OperationFailed:
            return CheckedCopy(copied)
        compared, unequal = decodeUnequal(results.opaque(VALUE_LIMIT))
        if compared > copied.count:
            raise errors.IOFailed("a data server has compared more than it has copied")
        return CheckedCopy(copied, compared, unequal)

    async def _copy(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
        consecutive: bool = True,
        *more: bytes,
    ) -> Results:
        """
        @param consecutive: see L{pnfs.nfs4.dsops.copy}; more: further operations.
        """
        handle = self._object(name)
        if not source.uuid or source.uuid == self.uuid:
            origin, servers = self._object(source.name), []
        else:
            origin = requests.putfh(source.handle)
            servers = [
                *(networkLocation(*address) for address in source.addresses),
                (NL4_NAME, source.uuid.hex().encode("ascii")),
            ]
        results: Results = await self._client.compound(
            [
                origin,
                requests.SAVEFH,
                handle,
                requests.copy(
                    sourceOffset, offset, count, servers, consecutive=consecutive
                ),
                *more,
            ],
            4 + len(more),
        )
        return results

    def _copied(self, results: Results, count: int) -> WriteResult:
        """
        What COPY says.
        """
        for number in (22, 32, 22, 60):
            results.operation(number)
        _, done, committed, self.verifier = results.copied()
        if not 0 < done <= count:
            raise errors.IOFailed(f"a data server copies {done} of {count} bytes")
        return WriteResult(done, committed, self.verifier)

    @translating
    async def clone(
        self, name: bytes, offset: int, source: bytes, sourceOffset: int, count: int
    ) -> None:
        """
        CLONE.
        """
        origin, handle = self._object(source), self._object(name)
        results: Results = await self._client.compound(
            [
                origin,
                requests.SAVEFH,
                handle,
                requests.clone(sourceOffset, offset, count),
            ],
            4,
        )
        for number in (22, 32, 22, 71):
            results.operation(number)
