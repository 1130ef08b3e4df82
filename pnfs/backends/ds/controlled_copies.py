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
from pnfs.nfs4.results import Results
from pnfs.values import CopySource, WriteResult


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
        handle = self._object(name)
        if not source.uuid or source.uuid == self.uuid:
            origin, servers = self._object(source.name), []
        else:
            origin = requests.putfh(source.handle)
            servers = [
                *(networkLocation(*address) for address in source.addresses),
                (NL4_NAME, source.uuid.hex().encode("ascii")),
            ]
        if not count:
            # For COPY this means to the end of the source.
            return WriteResult(0, 0, await self.commit(name, 0, 0))
        results: Results = await self._client.compound(
            [
                origin,
                requests.SAVEFH,
                handle,
                requests.copy(sourceOffset, offset, count, servers),
            ],
            4,
        )
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
