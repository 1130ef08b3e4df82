# -*- test-case-name: tests.client.test_file -*-
"""
An open file: reading and writing at the data servers.

Every range is cut into requests for one column each, which run at the same time;
writes go to all mirrors of their column. What was written unstably is kept until
COMMIT has told the verifier of the WRITEs, and written again if it tells another
one, so a data server may restart at any time.

A request that fails is tried under a new layout, and at last through the metadata
server. Data servers that did not answer are not asked again for a while.
"""

from __future__ import annotations

from typing import Any, Optional

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from pnfs.backends.ds.remote import gather, gatherOutcomes
from pnfs.backends.errors import IOFailed, Unreachable
from pnfs.client.attributes import Attributes
from pnfs.client.dataservers import Address, DataFile
from pnfs.client.errors import FAILURES, STATE_LOST
from pnfs.client.held import IMPATIENCE, READ, RW, HeldLayout
from pnfs.client.layout import Layout
from pnfs.client.reading import LAYOUTS_TRIED, Reading, suspected
from pnfs.client.unstable import Range, UnstableWrite, UnstableWrites, remains
from pnfs.nfs4 import requests
from pnfs.nfs4.status import NFSError, nfsstat4

UNSTABLE_LIMIT = 64 << 20
"""Bytes kept for COMMIT, after which it is sent."""

SHOWN_LIMIT = 256
"""Segments of a layout that are looked at."""

_COMMITS_TRIED = 5


class File(Reading):
    """
    An open regular file.

    @ivar size: as far as known, own writes included.
    @ivar traffic: bytes (read, written) at each data server.
    @ivar proxied: bytes (read, written) through the metadata server.
    """

    def __init__(
        self,
        mount: Any,
        held: HeldLayout,
        fh: bytes,
        owner: bytes,
        stateid: bytes,
        share: int,
        attributes: Attributes,
    ) -> None:
        """
        @param mount: L{pnfs.client.mount.Mount}, whose C{open} makes files.
        """
        super().__init__(mount, fh, owner, stateid, share)
        self.clock: IReactorTime = mount.clock
        self._held = held
        held.files.add(self)
        self.attributes = attributes
        self.size = attributes.size
        self.traffic: dict[Address, tuple[int, int]] = {}
        self.proxied = (0, 0)
        self._mds: DataFile = mount.throughMDS(self)
        self._unstable = UnstableWrites(self._commitAt)
        self._dirtyEnd = 0
        self._committing = DeferredLock()
        self._writing: list[Range] = []
        self._rewriting: list[Range] = []
        self._waiting: list[Deferred[None]] = []
        self._relieving: Optional[list[Deferred[None]]] = None
        self._closed = False

    @property
    def ioBytes(self) -> int:
        """
        A good size for one request.
        """
        return self._mount.session.ioBytes  # type: ignore[no-any-return]

    # -- writing -----------------------------------------------------------------

    async def write(self, offset: int, data: Any) -> None:
        """
        Write. The bytes may be kept for a while, and must not be changed until
        L{flush}.

        @param data: bytes, or a view of them.
        @raise NFSError: @raise BackendError: it cannot be written.
        """
        view = memoryview(data)
        if not view:
            return
        end = offset + len(view)
        if end > self._dirtyEnd:
            self._dirtyEnd = end
        while any(first < end and offset < last for first, last in self._rewriting):
            # It must not be overtaken by what was there before.
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            await waiter
        range = (offset, end)
        self._writing.append(range)
        try:
            await self._writeRange(offset, view, 0)
        finally:
            self._writing.remove(range)
        if end > self.size:
            self.size = end
        if self._unstable.size >= UNSTABLE_LIMIT:
            await self._relieve()

    async def _relieve(self) -> None:
        """
        Commit, since much has come together: one for all who write at the moment.
        If it fails they all fail, and do not try one after the other.
        """
        if self._relieving is not None:
            waiter: Deferred[None] = Deferred()
            self._relieving.append(waiter)
            await waiter
            return
        waiting: list[Deferred[None]] = []
        self._relieving = waiting
        failure: Optional[Exception] = None
        try:
            await self.commit()
        except Exception as error:
            failure = error
            raise
        finally:
            self._relieving = None
            for each in waiting:
                if each.called:
                    continue
                if failure is None:
                    each.callback(None)
                else:
                    each.errback(failure)

    async def _writeRange(self, offset: int, view: memoryview, tried: int) -> None:
        layout = None
        if tried < LAYOUTS_TRIED:
            layout = await self._held.acquire(RW, self, offset)
        if layout is None:
            await self._writeThroughMDS(offset, view)
            return
        try:
            covered = layout.covered(offset, len(view))
            if not covered:
                await self._writeThroughMDS(offset, view)
                return
            pieces = layout.pieces(offset, covered)
            if len(pieces) == 1:
                written = [await self._writePiece(layout, *pieces[0], view[:covered])]
            else:
                written = await gather(
                    [
                        self._writePiece(
                            layout,
                            *piece,
                            view[piece[1] - offset : piece[1] - offset + piece[3]],
                        )
                        for piece in pieces
                    ]
                )
        finally:
            layout.release()
        for (_, start, _, length), done in zip(pieces, written):
            if not done:
                part = view[start - offset : start - offset + length]
                await self._writeRange(start, part, tried + 1)
        if covered < len(view):
            await self._writeRange(offset + covered, view[covered:], tried)

    async def _writePiece(
        self,
        layout: Layout,
        column: int,
        offset: int,
        place: int,
        length: int,
        data: memoryview,
    ) -> bool:
        """
        Write to all mirrors. @return: whether all have it.
        """
        mirrors = layout.columns[column]
        for target in mirrors:
            if suspected(target):
                return False
        if len(mirrors) == 1:
            (target,) = mirrors
            try:
                outcomes: list[Any] = [await target.write(place, data)]
            except FAILURES as error:
                outcomes = [error]
        else:
            outcomes = await gatherOutcomes(
                [each.write(place, data) for each in mirrors]
            )
        copies = []
        complete = True
        for target, outcome in zip(mirrors, outcomes):
            if isinstance(outcome, Exception):
                if not isinstance(outcome, FAILURES):
                    raise outcome
                self._failed(layout, target, offset, length, outcome, 38)
                complete = False
                continue
            self._count(target, 0, length)
            if outcome is not None:
                copies.append(
                    (self._mds if layout.commitThroughMDS else target, outcome)
                )
        if complete:
            self._held.wrote(offset + length)
            self._unstable.keep(offset, data, copies)
        return complete

    async def _writeThroughMDS(self, offset: int, view: memoryview) -> None:
        most = self.ioBytes
        for start in range(0, len(view), most):
            part = view[start : start + most]
            place = offset + start
            verifier = await self.withStateid(lambda: self._mds.write(place, part))
            self.proxied = (self.proxied[0], self.proxied[1] + len(part))
            if verifier is not None:
                self._unstable.keep(place, part, [(self._mds, verifier)])

    # -- stable storage ----------------------------------------------------------

    async def commit(self) -> None:
        """
        Bring everything written to stable storage; what a data server has lost is
        written again.

        @raise NFSError: @raise BackendError: it does not work. It may be tried again.
        """
        async with self._committing:
            for _ in range(_COMMITS_TRIED):
                lost = await self._unstable.commit()
                if not lost:
                    return
                for position, record in enumerate(lost):
                    try:
                        await self._rewrite(record)
                    except FAILURES:
                        self._unstable.restore(lost[position:])
                        raise
            raise IOFailed("the data servers lose what is written")

    async def _rewrite(self, record: UnstableWrite) -> None:
        """
        Write again what was lost, but not over what has been written since.
        """
        for part in remains(record, self._unstable.ranges() + self._writing):
            range = (part.offset, part.offset + len(part.data))
            self._rewriting.append(range)
            try:
                await self._writeRange(part.offset, part.data, 0)
            finally:
                self._rewriting.remove(range)
                waiting, self._waiting = self._waiting, []
                for waiter in waiting:
                    if not waiter.called:
                        waiter.callback(None)

    async def commitEarly(self) -> None:
        """
        The layout is about to be returned: commit what can be committed under it.
        Whatever fails stays for L{commit}.
        """
        # One that is under way may have to write again, under a new layout: it
        # cannot be waited for.
        if not self._committing.locked:
            await self._unstable.commitEarly()

    @property
    def unstableBytes(self) -> int:
        """
        Bytes kept until they are committed.
        """
        return self._unstable.size

    async def _commitAt(self, target: DataFile) -> bytes:
        """
        COMMIT at one server. @return: the verifier.
        """
        if target.server is None:
            verifier: bytes = await self.withStateid(target.commit)
            return verifier
        try:
            return await target.commit()
        except Unreachable:
            target.server.suspect()
            raise

    async def flush(self) -> None:
        """
        All that was written is on stable storage, and others can see it.
        """
        await self.commit()
        await self._held.layoutCommit()
        self._dirtyEnd = 0

    async def close(self, flush: bool = True) -> None:
        """
        Flush, give the layout back, close. The file is closed even if that fails.

        @param flush: False after a failure: what is not on stable storage yet is
            given up.
        """
        if self._closed:
            return
        self._closed = True
        if not flush:
            self._unstable.forget()
            if self._held.files == {self}:
                self._held.lastWrite = None
        try:
            await self.flush()
        finally:
            try:
                await self._mount.closed(self, self._held, flush)
            finally:
                results = await self._mount.compound(
                    [requests.putfh(self.fh), requests.close(self.stateid)],
                    2,
                    cache=True,
                    patience=None if flush else IMPATIENCE,
                )
        try:
            results.operation(22)
            results.operation(4)
        except NFSError as error:
            if flush and error.status not in STATE_LOST:
                raise

    async def truncate(self, size: int) -> None:
        """
        Set the size.
        """
        await self.commit()

        async def attempt() -> None:
            results = await self._mount.compound(
                [
                    requests.putfh(self.fh),
                    requests.setattr_([requests.sizeAttribute(size)], self.stateid),
                ],
                2,
            )
            results.operation(22)
            results.operation(34)

        await self.withStateid(attempt)
        self.size = size
        self._dirtyEnd = 0

    # -- accounts --------------------------------------------------------------------

    def _count(self, target: DataFile, read: int, written: int) -> None:
        address = target.address
        assert address is not None
        before = self.traffic.get(address, (0, 0))
        self.traffic[address] = (before[0] + read, before[1] + written)

    def _failed(
        self,
        layout: Layout,
        target: DataFile,
        offset: int,
        length: int,
        error: Exception,
        op: int,
    ) -> None:
        """
        A data server did not do what was asked.
        """
        status = nfsstat4.NFS4ERR_NXIO.value
        if isinstance(error, NFSError):
            status = error.status
        elif target.server is not None:
            target.server.suspect()
        self._held.failed(layout, target.deviceid, offset, length, status, op)

    async def placement(self) -> list[Layout]:
        """
        Where the bytes are, as far as the server tells. For looking at.
        """
        found: list[Layout] = []
        offset = 0
        while len(found) < SHOWN_LIMIT:
            layout = await self._held.acquire(READ, self, offset)
            if layout is None:
                break
            layout.release()
            found.append(layout)
            if not offset < layout.end < self.size:
                break
            offset = layout.end
        return found
