# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
Data files on a foreign NFS server: a data server of ours in front of it is a
gateway, with our capability handles, fences and owners, which that server need
not know.

Objects are files in one folder upstream, which nobody else may write to. Owner,
mode and fence epoch are records in the state folder (L{proxied_records}); a file
without a record is no object. Users' credentials go no further than the gateway:
upstream it is one user, its files are for that user alone.

Order
=====

Writes of one object share a turn that fences, growth, creation and removal have
alone (L{Turns}). So a fence comes after the writes that were accepted before it
(what the server upstream has not answered in time it may yet do, as any NFS server
may), and C{extend}, which upstream is a look and a change, cannot undo a write that came
through this gateway; one that came another way it may.

Deadlines
=========

Every call has one, after which L{Unreachable} is raised; the users' clients then
come again. Up to it what the server asks to repeat, and what a lost connection
interrupted, is tried again: all of it may be done twice. At most
C{calls} calls with C{limitBytes} bytes are under way at a time, the others wait.
"""

from __future__ import annotations

import re
from typing import Any, Awaitable, Callable, Optional, Sequence, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from pnfs.backends.ds.local_record import ObjectRecord
from pnfs.backends.ds.proxied_copies import ProxiedCopies
from pnfs.backends.ds.proxied_digests import ProxiedDigests
from pnfs.backends.ds.proxied_files import UpstreamFile, UpstreamFiles
from pnfs.backends.ds.proxied_holes import ProxiedHoles
from pnfs.backends.ds.proxied_records import ObjectRecords
from pnfs.backends.ds.proxied_turns import Flow, Turns
from pnfs.backends.ds.proxied_upstream import UpstreamAttributes
from pnfs.backends.ds.remote import backendError, translating
from pnfs.backends.ds.settling import Settling
from pnfs.backends.errors import (
    BackendError,
    BadConfiguration,
    InvalidName,
    IOFailed,
    NoSpace,
    NoSuchObject,
    QuotaExceeded,
    TooBig,
    Unreachable,
)
from pnfs.interfaces import IDataServerBackend
from pnfs.nfs3.status import NFS3Error
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.errors import CallFailed
from pnfs.values import (
    FSStatistics,
    ObjectAttributes,
    ReadResult,
    SetAttributes,
    Stable,
    WriteResult,
)
from pnfs.xdr.errors import XDRError

DEADLINE = 5.0
"""Seconds for an operation."""

SYNC_DEADLINE = 20.0
"""Seconds for one that waits for the upstream's disks."""

_T = TypeVar("_T")

_NAME = re.compile(rb"[0-9a-f]{1,80}")
_LARGEST = (1 << 63) - 1
_log = Logger()


@implementer(IDataServerBackend)
class ProxiedDataServerBackend(ProxiedHoles, ProxiedCopies, ProxiedDigests, Settling):
    """
    L{IDataServerBackend} on top of a folder of another NFS server.

    @ivar verifier: the last write verifier heard of from upstream; zeros before.
    @ivar uuid: of this gateway, kept in its state folder.
    """

    def __init__(
        self,
        makeUpstream: Callable[[bytes], Any],
        records: ObjectRecords,
        clock: IReactorTime,
        *,
        deadline: float = DEADLINE,
        syncDeadline: float = SYNC_DEADLINE,
        calls: int = 32,
        limitBytes: int = 32 << 20,
        files: int = 65536,
    ) -> None:
        """
        @param makeUpstream: takes the gateway's UUID and gives an
            L{IUpstream<pnfs.backends.ds.proxied_upstream.IUpstream>}.
        @param calls: under way upstream at the same time; C{limitBytes}: their
            payload.
        @param files: filehandles remembered.
        """
        self._makeUpstream = makeUpstream
        self._records = records
        self._clock = clock
        self._deadline = deadline
        self._syncDeadline = syncDeadline
        self._flow = Flow(clock, calls, limitBytes)
        self._turns = Turns()
        self._limitFiles = files
        self._files: Any = None
        self._upstream: Any = None
        self.verifier = bytes(8)
        self.uuid = b""

    # -- life ------------------------------------------------------------------

    async def start(self) -> None:
        """
        Look for the upstream. If it does not answer that is no reason not to start:
        it is looked for again with each call.
        """
        self._records.open()
        self.uuid = self._records.uuid
        upstream = self._upstream = self._makeUpstream(self.uuid)
        self._files = UpstreamFiles(
            upstream.lookup, self._flow, self._clock, self._limitFiles
        )
        until = self._until()
        try:
            await self._files.persist(lambda: upstream.connect(until), until)
        except (NFSError, NFS3Error, CallFailed, XDRError, BackendError) as error:
            reason = backendError(error)
            if not isinstance(reason, Unreachable):
                await self.stop()
                raise BadConfiguration(
                    f"upstream.path: cannot be used: {reason}; "
                    "name a folder that the server exports to this gateway"
                ) from error
            _log.warn("the server upstream does not answer: {reason}", reason=reason)

    async def stop(self) -> None:
        """
        Let go of the upstream and of the records. What was written unstably is
        upstream and stays there.
        """
        self._flow.close()
        if self._upstream is not None:
            await self._upstream.close()
        self._records.close()

    # -- calls -----------------------------------------------------------------

    def _until(self, stable: bool = False) -> float:
        seconds = self._syncDeadline if stable else self._deadline
        return self._clock.seconds() + seconds

    def _record(self, name: bytes) -> ObjectRecord:
        """
        @raise NoSuchObject:
        """
        record = self._records.get(name)
        if record is None:
            raise NoSuchObject(repr(name))
        return record

    async def _find(self, name: bytes, until: float) -> UpstreamFile:
        """
        The file of an object.
        """
        self._record(name)
        file: UpstreamFile = await self._files.find(name, until)
        return file

    async def _on(
        self,
        name: bytes,
        call: Callable[[bytes], Awaitable[_T]],
        until: float,
        size: int = 0,
    ) -> _T:
        """
        Do something with the file of an object.
        """
        self._record(name)
        result: _T = await self._files.on(name, call, until, size)
        return result

    # -- attributes ------------------------------------------------------------

    def peek(self, name: bytes) -> Optional[ObjectAttributes]:
        """
        What the record says; size and times are not known without asking.
        """
        record = self._records.peek(name)
        if record is None:
            return None
        return ObjectAttributes(
            0, 0, 0, 0, 0, 0, record.uid, record.gid, record.mode, record.epoch
        )

    async def _look(self, name: bytes, until: float) -> UpstreamAttributes:
        """
        Attributes from upstream. Where the change attribute is a time of coarse
        steps, it grows by one if anything was written within a step.
        """
        file = await self._find(name, until)
        written, file.written = file.written, False
        upstream = self._upstream
        try:
            found: UpstreamAttributes = await self._on(
                name, lambda fh: upstream.getattr(fh, until), until
            )
        except BaseException:
            file.written = file.written or written
            raise
        file.change = max(found.change, file.change + written)
        found.change = file.change
        return found

    @translating
    async def getattr(self, name: bytes) -> ObjectAttributes:
        """
        The file's attributes, with the record's owner, mode and epoch.
        """
        found = await self._look(name, self._until())
        record = self._record(name)
        return ObjectAttributes(
            size=found.size,
            used=found.used,
            atime=found.atime,
            mtime=found.mtime,
            ctime=found.ctime,
            change=found.change,
            uid=record.uid,
            gid=record.gid,
            mode=record.mode,
            epoch=record.epoch,
        )

    @translating
    async def setattr(self, name: bytes, changes: SetAttributes) -> None:
        """
        Size and times upstream, owner and mode in the record.
        """
        if changes.size is not None and changes.size > _LARGEST:
            raise TooBig(f"{changes.size} bytes")
        until = self._until(True)
        upstream = self._upstream
        await self._turns.share(name)
        try:
            file = await self._find(name, until)
            if not (changes.size is changes.atime is changes.mtime is None):
                await self._on(
                    name, lambda fh: upstream.setattr(fh, changes, until), until
                )
                file.written = True
            if not (changes.uid is changes.gid is changes.mode is None):
                mode = None if changes.mode is None else changes.mode & 0o7777
                await self._records.change(name, changes.uid, changes.gid, mode)
        finally:
            self._turns.done(name)

    @translating
    async def extend(self, name: bytes, size: int) -> None:
        """
        Grow only (see the module's text for how far that holds).
        """
        if size > _LARGEST:
            raise TooBig(f"{size} bytes")
        until = self._until(True)
        upstream = self._upstream
        await self._turns.alone(name)
        try:
            file = await self._find(name, until)
            await self._on(name, lambda fh: upstream.extend(fh, size, until), until)
            file.written = True
        finally:
            self._turns.done(name)

    @translating
    async def fence(self, name: bytes, epoch: int) -> None:
        """
        From the moment the record is made no older handle is good; then come the
        ends of the writes that were accepted before.
        """
        await self._records.fence(name, epoch)
        await self._turns.alone(name)
        self._turns.done(name)

    # -- names -----------------------------------------------------------------

    @translating
    async def create(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> None:
        """
        The file first, then the record: without one it is no object yet.
        """
        if not _NAME.fullmatch(name):
            raise InvalidName(repr(name))
        until = self._until(True)
        upstream = self._upstream
        await self._turns.alone(name)
        try:
            fh = await self._files.persist(lambda: upstream.create(name, until), until)
            await self._records.put(name, ObjectRecord(uid, gid, mode & 0o7777, epoch))
            self._files.remember(name, fh)
        finally:
            self._turns.done(name)

    @translating
    async def remove(self, name: bytes) -> None:
        """
        The file first, then the record.
        """
        until = self._until(True)
        upstream = self._upstream
        await self._turns.alone(name)
        try:
            self._record(name)
            gone: Optional[Exception] = None
            try:
                await self._files.persist(lambda: upstream.remove(name, until), until)
            except (NFSError, NFS3Error) as error:
                if error.status != nfsstat4.NFS4ERR_NOENT:
                    raise
                gone = error
            self._files.forget(name)
            await self._records.remove(name)
            if gone is not None:
                raise gone
        finally:
            self._turns.done(name)

    async def list(self, after: bytes, limit: int) -> Sequence[bytes]:
        """
        Names of the records, in order.
        """
        return self._records.names(after, limit)

    @translating
    async def statfs(self) -> FSStatistics:
        """
        Space of the file system that the folder upstream is on.
        """
        until = self._until()
        upstream = self._upstream
        found: FSStatistics = await self._files.persist(
            lambda: upstream.statfs(until), until
        )
        return found

    # -- data ------------------------------------------------------------------

    def readNow(self, name: bytes, offset: int, count: int) -> Optional[ReadResult]:
        """
        Nothing is known without asking upstream.
        """
        return None

    def writeNow(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> Optional[WriteResult]:
        """
        Nothing can be done without waiting.
        """
        return None

    @translating
    async def read(self, name: bytes, offset: int, count: int) -> ReadResult:
        """
        READs of what the upstream gives at a time; the pieces are views of its
        replies.
        """
        until = self._until()
        if count == 0 or offset >= _LARGEST:
            found = await self._look(name, until)
            return ReadResult((), 0, offset >= found.size)
        count = min(count, _LARGEST - offset)
        upstream = self._upstream
        pieces: list[Any] = []
        got = 0
        while True:
            at, left = offset + got, count - got
            result: ReadResult = await self._on(
                name, lambda fh: upstream.read(fh, at, left, until), until, left
            )
            pieces += result.pieces
            got += result.count
            if result.eof or got == count:
                return ReadResult(pieces, got, result.eof)
            if not result.count:
                raise IOFailed("the server upstream reads nothing, but no end either")

    @translating
    async def write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        WRITEs of what the upstream takes at a time, the view sent as it is.
        """
        if offset + len(data) > _LARGEST:
            raise TooBig(f"offset {offset}")
        # First of all: a fence must not overtake what has been accepted.
        await self._turns.share(name)
        try:
            return await self._write(name, offset, data, stable)
        finally:
            self._turns.done(name)

    async def _write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        until = self._until(stable != Stable.UNSTABLE)
        upstream = self._upstream
        done = 0
        committed = int(Stable.FILE_SYNC)
        verifier: Optional[bytes] = None
        while verifier is None or done < len(data):
            at, part = offset + done, data[done:]
            try:
                result: WriteResult = await self._on(
                    name,
                    lambda fh: upstream.write(fh, at, part, stable, until),
                    until,
                    len(part),
                )
            except (NFSError, NFS3Error) as error:
                if done and isinstance(backendError(error), (NoSpace, QuotaExceeded)):
                    # What was written counts; the client meets the error when it
                    # sends the rest.
                    break
                raise
            self.verifier = result.verifier
            if verifier is not None and result.verifier != verifier:
                # It restarted between two parts: what came before may be lost.
                done, committed, verifier = 0, int(Stable.FILE_SYNC), None
                continue
            if not result.count and part:
                raise IOFailed("the server upstream writes nothing")
            verifier = result.verifier
            committed = min(committed, result.committed)
            done += result.count
        self._files.wrote(name)
        return WriteResult(done, committed, verifier or self.verifier)

    async def writePast(
        self, name: bytes, offset: int, data: memoryview
    ) -> Optional[tuple[WriteResult, Sequence[bytes]]]:
        """
        What is kept in memory is up to the server.
        """
        return None

    @translating
    async def commit(self, name: bytes, offset: int, count: int) -> bytes:
        """
        COMMIT of the range, or of all of it.
        """
        if offset + count > _LARGEST:
            offset = count = 0
        until = self._until(True)
        upstream = self._upstream
        self.verifier = await self._on(
            name, lambda fh: upstream.commit(fh, offset, count, until), until
        )
        return self.verifier
