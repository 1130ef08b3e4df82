# -*- test-case-name: tests.nfs4.ops.test_readdir -*-
"""
READDIR (RFC 8881, section 18.23).

Cookies come from the backend and stay good whatever happens to the directory, so
the cookie verifier is always the same: a client may go on after any change.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

import attrs
from twisted.internet.defer import Deferred, DeferredList

from pnfs.backends.errors import BackendError
from pnfs.namespace.access import READ, mayReadACL, permissions
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.current import heldAttributes, promptSize, refreshWritten
from pnfs.nfs4.fattr import FATTR4_RDATTR_ERROR
from pnfs.nfs4.fattr_plan import Plan, entryPlanFor, statistics
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.admission import seen, visible
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import decodeBitmap, encodeBitmap
from pnfs.state.errors import StateError
from pnfs.state.layouts import mayBeWritten
from pnfs.values import DirectoryEntry, FileType, FSStatistics
from pnfs.xdr.codec import PAD

_VERIFIER = bytes(8)
_OK = okHeader(26)
_unpack = struct.Struct(">Q8sII").unpack_from
_packEntry = struct.Struct(">IQI").pack
_END = struct.Struct(">II").pack
_ARGUMENTS = 24

_ENVELOPE = 16
"""Bytes of a reply without entries: verifier, end of the list, eof."""
_ENTRY = 16
"""Bytes of an entry without name and attributes."""
_COUNTED = 12
"""Bytes of an entry without name that C{dircount} is about."""

_RDATTR_ERROR = 1 << FATTR4_RDATTR_ERROR


def _unreadable(status: int) -> bytes:
    return encodeBitmap(_RDATTR_ERROR) + struct.pack(">II", 4, status)


_UNREADABLE = _unreadable(nfsstat4.NFS4ERR_IO)
_FORBIDDEN = _unreadable(nfsstat4.NFS4ERR_ACCESS)
_WRONGSEC = _unreadable(nfsstat4.NFS4ERR_WRONGSEC)


@hotOperation(
    26,
    "READDIR",
    errors=errorsOf("ACCESS BADXDR BAD_COOKIE INVAL IO NOTDIR NOT_SAME TOOSMALL"),
)
async def readdir(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    List a part of the current directory.
    """
    cookie, verifier, dircount, maxcount = _unpack(buf, pos)
    bitmap, pos = decodeBitmap(buf, pos + _ARGUMENTS)
    directory = ctx.requireInode()
    export = ctx.export
    if directory.ftype != FileType.DIR:
        raise NFSError(nfsstat4.NFS4ERR_NOTDIR)
    if cookie in (1, 2):
        raise NFSError(nfsstat4.NFS4ERR_BAD_COOKIE)
    if cookie and verifier != _VERIFIER:
        raise NFSError(nfsstat4.NFS4ERR_NOT_SAME)
    plan = entryPlanFor(ctx.server, export, ctx.minor, bitmap)
    if not permissions(directory, export.effective(ctx.credential)) & READ:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if maxcount < _ENVELOPE:
        raise NFSError(nfsstat4.NFS4ERR_TOOSMALL)
    fs = await statistics(export) if plan.volatile else None
    room = min(maxcount, ctx.limitBytes - ctx.size - len(_OK)) - _ENVELOPE
    page = _Page(ctx, plan, fs, room, dircount or maxcount)
    least = _ENTRY + 4 + plan.leastBytes
    while True:
        entries, last = await export.backend.readdir(
            directory, cookie, max(2, page.room // least + 1)
        )
        if plan.fromData:
            entries = await _refreshWritten(ctx, plan, entries)
            entries = await _askHolders(ctx, entries)
        if export.mounts:
            full = page.addCrossing(entries, bitmap)
        else:
            full = page.add(entries)
        if full or last or not entries:
            break
        cookie = entries[-1].cookie
    if full and page.empty:
        raise NFSError(nfsstat4.NFS4ERR_TOOSMALL)
    ctx.out.append(b"".join((_OK, _VERIFIER, *page.pieces, _END(0, 0 if full else 1))))
    return pos


async def _refreshWritten(ctx: CompoundContext, plan: Plan, entries: Any) -> Any:
    """
    Ask the data servers about those that are being written: a client takes the
    sizes in a listing for those of its own open files, too.

    @return: the entries, with what was said. One that the client itself writes has
        no attributes, if it can be told so, when a data server does not answer.
    """
    written = [
        index
        for index, entry in enumerate(entries)
        if entry.inode is not None
        and entry.inode.state is not None
        and mayBeWritten(entry.inode.state)
    ]
    if not written:
        return entries
    entries = list(entries)
    results = await DeferredList(
        [
            Deferred.fromCoroutine(_refreshed(ctx, entries[index].inode))
            for index in written
        ],
        consumeErrors=True,
    )
    for index, (done, result) in zip(written, results):
        if done:
            entries[index] = attrs.evolve(entries[index], inode=result)
            continue
        result.trap(BackendError)
        if plan.bitmap & _RDATTR_ERROR:
            entries[index] = attrs.evolve(entries[index], inode=None)
    return entries


async def _refreshed(ctx: CompoundContext, inode: Any) -> Any:
    asked = ctx.server.clock.seconds()
    await refreshWritten(ctx.server, ctx.export, inode, ctx.client)
    return await promptSize(ctx.server, ctx.export, inode, ctx.client, asked)


async def _askHolders(ctx: CompoundContext, entries: Any) -> Any:
    """
    Ask those who hold write delegations, all at once.

    @return: the entries, with what was said. Where nothing was said in time it is
        what is known; the delegation is being recalled.
    """
    asked = [
        index
        for index, entry in enumerate(entries)
        if entry.inode is not None
        and entry.inode.state is not None
        and entry.inode.state.writer is not None
    ]
    if not asked:
        return entries
    server, client = ctx.server, ctx.client
    entries = list(entries)
    results = await DeferredList(
        [
            Deferred.fromCoroutine(heldAttributes(server, entries[index].inode, client))
            for index in asked
        ],
        consumeErrors=True,
    )
    for index, (done, result) in zip(asked, results):
        if done:
            entries[index] = attrs.evolve(entries[index], inode=result)
        else:
            result.trap(BackendError, StateError)  # type: ignore[attr-defined]
    return entries


class _Page:
    """
    The entries of one reply.

    @ivar room: bytes left; dircount: bytes left for cookies and names.
    """

    def __init__(
        self,
        ctx: CompoundContext,
        plan: Plan,
        fs: Optional[FSStatistics],
        room: int,
        dircount: int,
    ) -> None:
        self.room = room
        self.dircount = dircount
        self.pieces: list[Any] = []
        self._ctx = ctx
        self._plan = plan
        self._fs = fs
        self._problem = _UNREADABLE
        self._credential = ctx.export.effective(ctx.credential)

    @property
    def empty(self) -> bool:
        """
        There is no entry yet.
        """
        return not self.pieces

    def add(self, entries: Any) -> bool:
        """
        Take entries as long as there is room.

        @return: there was no room for one of them.
        """
        plan = self._plan
        of = plan.of
        fs = self._fs
        pieces = self.pieces
        room = self.room
        dircount = self.dircount
        for entry in entries:
            inode = entry.inode
            if inode is None:
                if not plan.bitmap & _RDATTR_ERROR:
                    continue
                fattr: Any = self._problem
            elif plan.guarded and not mayReadACL(inode, self._credential):
                if not plan.bitmap & _RDATTR_ERROR:
                    raise NFSError(nfsstat4.NFS4ERR_ACCESS)
                fattr = _FORBIDDEN
            else:
                fattr = inode.encoded.get(plan)
                if fattr is None:
                    fattr = of(inode, fs)
            name = entry.name
            length = len(name)
            pad = PAD[length & 3]
            room -= _ENTRY + length + len(pad) + len(fattr)
            dircount -= _COUNTED + length + len(pad)
            if room < 0 or (dircount < 0 and pieces):
                self.room = room
                return True
            pieces += (_packEntry(1, entry.cookie, length), name, pad, fattr)
        self.room = room
        self.dircount = dircount
        return False

    def addCrossing(self, entries: Any, bitmap: int) -> bool:
        """
        As L{add}, where entries may be covered by other exports: then the
        attributes are those of that export's root. One that cannot be reached now
        is shown as the directory it covers, so that the others can be seen. So is
        one that is not for the caller's flavour, unless the client has asked to be
        told; one that is not for this client at all is left out.
        """
        ctx = self._ctx
        outer = self._plan
        try:
            for entry in entries:
                covered = entry.inode
                if not visible(ctx, ctx.export, covered):
                    continue
                self._plan = outer
                self._problem = _UNREADABLE
                inner = ctx.export.mounts.get(covered.handle)
                if inner is not None:
                    entry = self._crossed(entry, seen(ctx, inner), bitmap)
                if self.add((entry,)):
                    return True
            return False
        finally:
            self._plan = outer
            self._problem = _UNREADABLE

    def _crossed(
        self, entry: DirectoryEntry, inner: Any, bitmap: int
    ) -> DirectoryEntry:
        """
        How an entry that an export covers is shown.
        """
        ctx = self._ctx
        if ctx.credential.flavor not in inner.flavors:
            if not self._plan.bitmap & _RDATTR_ERROR:
                return entry
            self._problem = _WRONGSEC
            return DirectoryEntry(entry.cookie, entry.name, None)
        try:
            root = inner.root()
        except BackendError:
            return entry
        self._plan = entryPlanFor(ctx.server, inner, ctx.minor, bitmap)
        return DirectoryEntry(entry.cookie, entry.name, root)
