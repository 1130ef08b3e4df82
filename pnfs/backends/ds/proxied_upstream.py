# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
What a gateway asks of the server behind it, whatever version of NFS that speaks.
"""

from __future__ import annotations

from typing import Any

import attrs
from zope.interface import Attribute, Interface

from pnfs.values import FSStatistics, ReadResult, SetAttributes, WriteResult


@attrs.define
class UpstreamAttributes:
    """
    A file as the server upstream knows it. Times in nanoseconds.

    @ivar change: grows with every change, as finely as the server can tell.
    """

    size: int
    used: int
    atime: int
    mtime: int
    ctime: int
    change: int


class IUpstream(Interface):
    """
    A folder of an NFS server: files by name, and by the filehandles found so.

    Methods raise L{pnfs.backends.errors}, L{pnfs.rpc.errors.CallFailed},
    L{pnfs.xdr.errors.XDRError} and the protocol's own error with its C{status}
    (L{pnfs.backends.ds.remote} knows them all). C{until} is the moment of the clock
    to give up at.
    """

    readBytes = Attribute("The largest READ, once connected.")
    writeBytes = Attribute("The largest WRITE, once connected.")

    async def connect(until: float) -> None:
        """
        Find the folder, if that has not been done; it must allow us to make, write
        and remove files.

        @raise PermissionRefused: it does not.
        """

    async def close() -> None:
        """
        Give back what the server holds for us, as far as it answers.
        """

    async def lookup(name: bytes, until: float) -> bytes:
        """
        The filehandle of a file.
        """

    async def create(name: bytes, until: float) -> bytes:
        """
        Make an empty file for us alone; one that exists is left as it is.

        @return: its filehandle.
        """

    async def remove(name: bytes, until: float) -> None:
        """
        Delete a file.
        """

    async def getattr(fh: bytes, until: float) -> UpstreamAttributes:
        """
        Look at a file.
        """

    async def setattr(fh: bytes, changes: SetAttributes, until: float) -> None:
        """
        Set size and times; owner and mode are not the server's business.
        """

    async def extend(fh: bytes, size: int, until: float) -> None:
        """
        Grow with a hole to C{size} if smaller: the change is made only if the file
        is as it was when looked at. Not every server does that in one step.
        """

    async def read(fh: bytes, offset: int, count: int, until: float) -> ReadResult:
        """
        One READ; it may give less than wanted.
        """

    async def write(
        fh: bytes, offset: int, data: Any, stable: int, until: float
    ) -> WriteResult:
        """
        One WRITE; it may take less than given.
        """

    async def commit(fh: bytes, offset: int, count: int, until: float) -> bytes:
        """
        COMMIT. @return: the write verifier.
        """

    async def statfs(until: float) -> FSStatistics:
        """
        Space.
        """
