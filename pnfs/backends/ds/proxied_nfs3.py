# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
A folder of an NFSv3 server.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Optional, TypeVar

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from pnfs.backends.ds.proxied_upstream import IUpstream, UpstreamAttributes
from pnfs.backends.errors import IOFailed, PermissionRefused, Unreachable
from pnfs.nfs3.client import NFS3Client
from pnfs.nfs3.mount import MOUNT_PROGRAM, MOUNT_V3, PORTMAP_PORT, mount, portOf
from pnfs.nfs3.results import nanoseconds
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.nfs3.types import (
    ACCESS3_EXTEND,
    ACCESS3_LOOKUP,
    ACCESS3_MODIFY,
)
from pnfs.values import FSStatistics, ReadResult, SetAttributes, WriteResult

_T = TypeVar("_T")

_NEEDED = ACCESS3_LOOKUP | ACCESS3_MODIFY | ACCESS3_EXTEND
_LOST = (nfsstat3.NFS3ERR_STALE, nfsstat3.NFS3ERR_BADHANDLE)
_LEAST_SECONDS = 0.05


@implementer(IUpstream)
class NFS3Upstream:
    """
    L{IUpstream} by NFSv3 and MOUNT.
    """

    def __init__(
        self,
        connect: Callable[[int], Any],
        clock: IReactorTime,
        credential: bytes,
        path: str,
        port: int,
        mountPort: int,
        ioBytes: int,
    ) -> None:
        """
        @param connect: makes the L{pnfs.rpc.client.RPCClient} of a port of the server.
        @param credential: as on the wire, for every call.
        @param path: as the server's MOUNT knows it.
        @param mountPort: where MOUNT is spoken; 0: the port mapper knows.
        @param ioBytes: the largest READ and WRITE we want.
        """
        self._makeRPC = connect
        self._clock = clock
        self._credential = credential
        self._path = path.encode("utf-8")
        self._mountPort = mountPort
        self._rpc = connect(port)
        self._nfs = NFS3Client(self._rpc, credential)
        self._folder: Optional[bytes] = None
        self.readBytes = self.writeBytes = ioBytes

    def _left(self, until: float) -> float:
        """
        Seconds for one call.
        """
        return max(_LEAST_SECONDS, until - self._clock.seconds())

    # -- the folder ----------------------------------------------------------------

    async def connect(self, until: float) -> None:
        """
        See L{IUpstream.connect}.
        """
        await self._root(until)

    async def _root(self, until: float) -> bytes:
        if self._folder is None:
            fh = await self._mount(until)
            granted = await self._nfs.access(fh, _NEEDED, self._left(until))
            if granted != _NEEDED:
                raise PermissionRefused("the server does not let us write there")
            info = await self._nfs.fsinfo(fh, self._left(until))
            if not info.rtmax or not info.wtmax:
                raise IOFailed("the server offers READs or WRITEs of no bytes")
            self.readBytes = min(self.readBytes, info.rtmax)
            self.writeBytes = min(self.writeBytes, info.wtmax)
            self._folder = fh
        return self._folder

    async def _mount(self, until: float) -> bytes:
        port = self._mountPort
        if not port:
            mapper = self._makeRPC(PORTMAP_PORT)
            try:
                port = await portOf(mapper, MOUNT_PROGRAM, MOUNT_V3, self._left(until))
            finally:
                mapper.close()
            if not port:
                raise Unreachable("the server's port mapper does not know MOUNT")
        mounting = self._makeRPC(port)
        try:
            found = await mount(
                mounting, self._path, self._credential, self._left(until)
            )
        finally:
            mounting.close()
        return found.fhandle

    async def _inFolder(
        self, operation: Callable[[bytes], Awaitable[_T]], until: float
    ) -> _T:
        """
        Do something with the folder, which may have got another handle.
        """
        folder = await self._root(until)
        try:
            return await operation(folder)
        except NFS3Error as error:
            if error.status not in _LOST:
                raise
        self._folder = None
        return await operation(await self._root(until))

    async def close(self) -> None:
        """
        See L{IUpstream.close}.
        """
        await self._rpc.close()

    # -- files ---------------------------------------------------------------------

    async def lookup(self, name: bytes, until: float) -> bytes:
        """
        See L{IUpstream.lookup}.
        """
        found = await self._inFolder(
            lambda folder: self._nfs.lookup(folder, name, self._left(until)), until
        )
        return found.object

    async def create(self, name: bytes, until: float) -> bytes:
        """
        See L{IUpstream.create}.
        """
        wanted = SetAttributes(mode=0o600)
        return await self._inFolder(
            lambda folder: self._nfs.create(
                folder, name, wanted, timeout=self._left(until)
            ),
            until,
        )

    async def remove(self, name: bytes, until: float) -> None:
        """
        See L{IUpstream.remove}.
        """
        await self._inFolder(
            lambda folder: self._nfs.remove(folder, name, self._left(until)), until
        )

    async def getattr(self, fh: bytes, until: float) -> UpstreamAttributes:
        """
        NFSv3 has no change attribute: ctime stands for it.
        """
        found = await self._nfs.getattr(fh, self._left(until))
        ctime = nanoseconds(found.ctime)
        return UpstreamAttributes(
            found.size,
            found.used,
            nanoseconds(found.atime),
            nanoseconds(found.mtime),
            ctime,
            ctime,
        )

    async def setattr(self, fh: bytes, changes: SetAttributes, until: float) -> None:
        """
        See L{IUpstream.setattr}.
        """
        wanted = SetAttributes(
            size=changes.size, atime=changes.atime, mtime=changes.mtime
        )
        await self._nfs.setattr(fh, wanted, timeout=self._left(until))

    async def extend(self, fh: bytes, size: int, until: float) -> None:
        """
        SETATTR guarded by the ctime.
        """
        while True:
            found = await self._nfs.getattr(fh, self._left(until))
            if found.size >= size:
                return
            try:
                await self._nfs.setattr(
                    fh, SetAttributes(size=size), found.ctime, self._left(until)
                )
                return
            except NFS3Error as error:
                if error.status != nfsstat3.NFS3ERR_NOT_SYNC:
                    raise
            if self._clock.seconds() >= until:
                raise Unreachable("the file changes all the time")

    async def read(
        self, fh: bytes, offset: int, count: int, until: float
    ) -> ReadResult:
        """
        See L{IUpstream.read}.
        """
        count = min(count, self.readBytes)
        return await self._nfs.read(fh, offset, count, self._left(until))

    async def write(
        self, fh: bytes, offset: int, data: Any, stable: int, until: float
    ) -> WriteResult:
        """
        See L{IUpstream.write}.
        """
        part = data[: self.writeBytes]
        return await self._nfs.write(fh, offset, part, stable, self._left(until))

    async def commit(self, fh: bytes, offset: int, count: int, until: float) -> bytes:
        """
        See L{IUpstream.commit}.
        """
        return await self._nfs.commit(fh, offset, count, self._left(until))

    async def statfs(self, until: float) -> FSStatistics:
        """
        See L{IUpstream.statfs}.
        """
        return await self._inFolder(
            lambda folder: self._nfs.fsstat(folder, self._left(until)), until
        )
