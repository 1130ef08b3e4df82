# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
Calls to the server upstream, again and again until they are done or too late, and
the filehandles found by name.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Awaitable, Callable, TypeVar

from twisted.internet.interfaces import IReactorTime

from pnfs.backends.ds.proxied_turns import Flow
from pnfs.backends.errors import Unreachable
from pnfs.nfs3.status import NFS3Error
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.errors import ConnectionClosed

_T = TypeVar("_T")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0
# NFSv3 has the same numbers for those it has.
_LATER = (nfsstat4.NFS4ERR_DELAY, nfsstat4.NFS4ERR_GRACE)
_LOST = (
    nfsstat4.NFS4ERR_STALE,
    nfsstat4.NFS4ERR_BADHANDLE,
    nfsstat4.NFS4ERR_FHEXPIRED,
)


class UpstreamFile:
    """
    A file upstream.

    @ivar change: the last change attribute told; C{written}: since that was told.
    """

    __slots__ = ("fh", "change", "written")

    def __init__(self, fh: bytes) -> None:
        self.fh = fh
        self.change = 0
        self.written = False


class UpstreamFiles:
    """
    The files of the folder upstream, as far as they are known.
    """

    def __init__(
        self,
        lookup: Callable[[bytes, float], Awaitable[bytes]],
        flow: Flow,
        clock: IReactorTime,
        limit: int,
    ) -> None:
        """
        @param lookup: finds a filehandle by name, until a moment.
        @param flow: what the calls go through.
        @param limit: filehandles remembered.
        """
        self._lookup = lookup
        self._flow = flow
        self._clock = clock
        self._limit = limit
        self._files: OrderedDict[bytes, UpstreamFile] = OrderedDict()

    async def persist(
        self, call: Callable[[], Awaitable[_T]], until: float, size: int = 0
    ) -> _T:
        """
        Do something upstream, which may be done twice.

        @param until: moment of the clock to give up at.
        @param size: payload in bytes.
        @raise Unreachable: it is too late.
        """
        pause = _FIRST_PAUSE
        flow = self._flow
        while True:
            await flow.take(size, until)
            problem: Exception
            try:
                return await call()
            except (NFSError, NFS3Error) as error:
                if error.status not in _LATER:
                    raise
                problem = error
            except ConnectionClosed as error:
                problem = error
            finally:
                flow.give(size)
            if self._clock.seconds() + pause >= until:
                raise Unreachable(f"upstream: {problem}") from problem
            await flow.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def find(self, name: bytes, until: float) -> UpstreamFile:
        """
        A file, which is looked up if it is not known.
        """
        file = self._files.get(name)
        if file is not None:
            self._files.move_to_end(name)
            return file
        fh = await self.persist(lambda: self._lookup(name, until), until)
        return self.remember(name, fh)

    def remember(self, name: bytes, fh: bytes) -> UpstreamFile:
        """
        A filehandle has been told.
        """
        file = self._files.get(name)
        if file is None or file.fh != fh:
            file = self._files[name] = UpstreamFile(fh)
            if len(self._files) > self._limit:
                self._files.popitem(last=False)
        return file

    def forget(self, name: bytes) -> None:
        """
        The file is gone.
        """
        self._files.pop(name, None)

    def wrote(self, name: bytes) -> None:
        """
        The file has been written to.
        """
        file = self._files.get(name)
        if file is not None:
            file.written = True

    async def on(
        self,
        name: bytes,
        call: Callable[[bytes], Awaitable[_T]],
        until: float,
        size: int = 0,
    ) -> _T:
        """
        Do something with a file, whose handle may have changed.

        @param call: takes the filehandle.
        """
        file = await self.find(name, until)
        try:
            return await self.persist(lambda: call(file.fh), until, size)
        except (NFSError, NFS3Error) as error:
            if error.status not in _LOST:
                raise
        if self._files.get(name) is file:
            del self._files[name]
        file = await self.find(name, until)
        return await self.persist(lambda: call(file.fh), until, size)
