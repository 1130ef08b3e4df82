"""
The bytes of files, as the metadata server gets at them.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from zope.interface import Interface

from pnfs.values import (
    Inode,
    Placement,
    ReadResult,
    SegmentsResult,
    WriteResult,
)


class IFileData(Interface):
    """
    The bytes of the files of a metadata server, wherever their data servers keep
    them. What clients without layouts read and write passes here; so does
    everything the metadata server itself does to data files.
    """

    def mint(placement: Placement, iomode: int, squash: Any = None) -> bytes:
        """
        The capability filehandle for the data servers.

        @param iomode: an L{pnfs.values.IOMode}.
        @param squash: L{pnfs.namespace.squash.Squash}: whom these are to take its
            bearers for; None: for whom they say they are.
        @raise ValueError: the handle would be too long.
        """

    async def ensure(
        export: Any, inode: Inode, write: bool = False, end: int = 0
    ) -> Placement:
        """
        The file's placement; makes the data files if there are none yet.

        @param write: something of it is to be written: mirrors that are lost are
            stale in it.
        @param end: that will be before here; a file in chunks is given those it takes.
        @raise Unreachable: a data server needed for it does not answer.
        @raise NoSpace: no data server can take it.
        """

    def usable(placement: Placement, write: bool = False) -> Placement:
        """
        What clients may be told of a placement: without stale mirrors, and those at
        data servers that are lost, as far as there are others.

        @param write: they are going to write there.
        @raise Unreachable: a data server has been lost since L{ensure} gave the
            placement, so its mirror is not stale in it.
        """

    def roomFor(placement: Placement, offset: int = 0) -> bool:
        """
        As far as is known, do all data servers of a file have any room left? Of one in
        chunks, those of the chunk at an offset.
        """

    async def misplaced(
        export: Any, inode: Inode, sourceExport: Any, source: Inode
    ) -> bool:
        """
        Is a file empty that would better be placed like another one, and can be?
        Linux asks for the layout of a new file before it says what to copy there.
        """

    async def move(
        export: Any,
        inode: Inode,
        sourceExport: Any,
        source: Inode,
        free: Callable[[], bool],
    ) -> None:
        """
        Place an empty file like another one, if it is empty still. Handles minted
        until now are worthless then.

        @param free: no client holds a layout of it.
        """

    async def refresh(export: Any, inode: Inode) -> None:
        """
        Ask the data servers for size and times, store them with the inode, and
        grow data files that are shorter than the file. Concurrent calls for one
        file share one round of questions.
        """

    async def size(export: Any, inode: Inode) -> int:
        """
        Ask the data servers for the size alone, which is neither recorded nor made
        that of shorter data files. Never less than the inode's.

        @return: bytes.
        """

    async def truncate(export: Any, inode: Inode, size: int) -> None:
        """
        Set the size of the file's data files, if there are any, and of the inode.
        """

    async def read(export: Any, inode: Inode, offset: int, count: int) -> ReadResult:
        """
        As L{IDataServerBackend.read}, from the stripes or any one mirror.
        """

    async def write(
        export: Any, inode: Inode, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        As L{IDataServerBackend.write}, to the stripes and to all mirrors. The
        verifier combines those of all data servers of the file. The inode's size
        and times are brought up to date.
        """

    async def commit(export: Any, inode: Inode, offset: int, count: int) -> bytes:
        """
        As L{IDataServerBackend.commit}, on all data servers of the file.
        """

    async def seek(export: Any, inode: Inode, offset: int, hole: bool) -> Optional[int]:
        """
        As L{IDataServerBackend.seek}, in the file as a whole.
        """

    async def readSegments(
        export: Any, inode: Inode, offset: int, count: int
    ) -> SegmentsResult:
        """
        As L{read}, without the bytes of holes.
        """

    async def allocate(export: Any, inode: Inode, offset: int, length: int) -> None:
        """
        Reserve space on all data servers concerned, and grow the file to the end of
        the range if it is smaller. Durable when it returns; if it fails the size is
        as it was.
        """

    async def deallocate(export: Any, inode: Inode, offset: int, length: int) -> None:
        """
        As L{IDataServerBackend.deallocate}, on all data servers of the file.
        """

    async def advise(
        export: Any, inode: Inode, offset: int, length: int, hints: int
    ) -> int:
        """
        As L{IDataServerBackend.advise}: what makes a difference on all data servers
        of the file.
        """

    async def copy(
        export: Any,
        inode: Inode,
        offset: int,
        sourceExport: Any,
        source: Inode,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        Make a range of a file equal to one of another file, which ends before that
        file does. The data servers do it among themselves. It may end early, at a
        place from which on the caller goes on; verifier and size as for L{write}.
        """

    async def clone(
        export: Any,
        inode: Inode,
        offset: int,
        sourceExport: Any,
        source: Inode,
        sourceOffset: int,
        count: int,
    ) -> None:
        """
        As L{IDataServerBackend.clone}, on all data servers of the file.

        @raise CrossDevice: the bytes are on other data servers than they are to be
            on, or in another order.
        """

    async def applyOwner(export: Any, inode: Inode) -> None:
        """
        Bring owner and mode of the data files in line with the inode.
        """

    async def applyTimes(export: Any, inode: Inode) -> None:
        """
        Give the data files the inode's modification time, which a client has set:
        else L{refresh} would bring back the time of the last write.
        """

    async def fence(export: Any, inode: Inode) -> None:
        """
        Make every handle minted until now worthless: raises the epoch on the data
        servers and in the placement. A data server that does not answer is fenced
        as soon as it does, before anything else is done there.
        """

    def forget(export: Any, placement: Placement) -> None:
        """
        Delete data files in the background; they are in the durable queue already.
        """
