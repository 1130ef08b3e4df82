# -*- test-case-name: tests.client.test_file -*-
"""
A data file on an NFSv3 server, as flexible file layouts with loosely coupled servers
need it (RFC 8435, section 2.2).
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, TypeVar

from twisted.internet.interfaces import IReactorTime

from pnfs.backends.errors import IOFailed, Unreachable
from pnfs.client.dataservers import DEADLINE, DataFile, DataServer, sleep
from pnfs.nfs3.client import NFS3Client
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.nfs4.status import NFSError
from pnfs.rpc.errors import CallFailed

_T = TypeVar("_T")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


class NFS3DataFile(DataFile):
    """
    As L{DataFile}, over NFSv3.
    """

    def __init__(
        self, clock: IReactorTime, server: DataServer, fh: bytes, credential: bytes
    ) -> None:
        """
        @param credential: as which user to do it.
        """
        super().__init__(clock, server, fh, b"")
        self._client = NFS3Client(server.rpc(), credential)

    async def _again(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """
        Call, repeatedly while the connection is lost or the server asks for it: all
        that we do may be done twice.

        @raise NFSError: the numbers that data servers answer with are the same.
        """
        until = self._clock.seconds() + DEADLINE
        pause = _FIRST_PAUSE
        while True:
            problem: Exception
            try:
                return await attempt()
            except NFS3Error as error:
                problem = NFSError(error.status.value)
                if error.status == nfsstat3.NFS3ERR_SERVERFAULT:
                    problem = IOFailed(str(error))
                if error.status != nfsstat3.NFS3ERR_JUKEBOX:
                    raise problem from error
            except CallFailed as error:
                problem = Unreachable(str(error))
            if self._clock.seconds() + pause > until:
                raise problem
            await sleep(self._clock, pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def read(self, offset: int, count: int) -> tuple[memoryview, bool]:
        """
        See L{DataFile.read}.
        """
        found = await self._again(lambda: self._client.read(self.fh, offset, count))
        piece: Any = found.pieces[0] if found.pieces else b""
        return memoryview(piece), found.eof

    async def _write(
        self, offset: int, data: memoryview, stable: int
    ) -> tuple[int, int, bytes]:
        found = await self._again(
            lambda: self._client.write(self.fh, offset, data, stable)
        )
        return found.count, found.committed, found.verifier

    async def commit(self) -> bytes:
        """
        See L{DataFile.commit}.
        """
        return await self._again(lambda: self._client.commit(self.fh, 0, 0))
