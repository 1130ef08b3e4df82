# -*- test-case-name: tests.nfs4.ops.test_copy -*-
"""
COPY (RFC 7862, section 15.2): within this server, from one file to another, also of
another export; the data servers do it.

A copy that has ended within L{ANSWER_SECONDS} is answered with what came of it.
Another one goes on behind its answer if the client permits that and can be called
back. If not, it ends after L{HOLD_SECONDS} and the answer tells how far it has come,
so that nobody occupies a slot for minutes.

There is no copying from other servers: COPY_NOTIFY is not supported.
"""

from __future__ import annotations

from typing import Any

from pnfs.backends.errors import BackendError
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.copy_types import (
    COPY4args,
    COPY4resok,
    copy_requirements4,
    write_response4,
)
from pnfs.nfs4.copyjob import CopyJob
from pnfs.nfs4.current import refreshWritten
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.conflicts import (
    clearSetuid,
    mayDoIO,
    requireIOState,
    requireNoLayouts,
    withdrawDelegations,
)
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.read import MAX_OFFSET
from pnfs.nfs4.ops.unlinked import settleFile
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import CURRENT_STATEID
from pnfs.state.files import fileState
from pnfs.state.opens import READ, WRITE
from pnfs.values import Credential, FileType, Inode, Stable, WriteResult

ANSWER_SECONDS = 1.0
HOLD_SECONDS = 5.0

WORTH_MOVING = 16 << 20
"""
Bytes from which on an empty file with a layout is placed anew for a copy: to have
the layout returned takes some hundred milliseconds.
"""


@operation(
    60,
    "COPY",
    args=COPY4args,
    resok=COPY4resok,
    modifies=True,
    minor=2,
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED BADXDR BAD_STATEID DELEG_REVOKED DQUOT EXPIRED FBIG GRACE "
        "INVAL IO ISDIR LOCKED NOSPC NOTSUPP OFFLOAD_DENIED OLD_STATEID OPENMODE "
        "PARTNER_NO_AUTH PARTNER_NOTSUPP PNFS_IO_HOLE PNFS_NO_LAYOUT ROFS SYMLINK "
        "WRONG_TYPE"
    ),
)
async def copy(ctx: CompoundContext, args: COPY4args) -> COPY4resok:
    """
    Copy a range, or the rest of a file, from the saved filehandle to the current
    one.
    """
    if args.ca_source_server:
        raise NFSError(nfsstat4.NFS4ERR_NOTSUPP)
    source, inode = requireFiles(ctx)
    if (ctx.savedExport.id, source.handle) == (ctx.export.id, inode.handle):
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    credential = requireCopyable(
        ctx, source, args.ca_src_stateid, inode, args.ca_dst_stateid
    )
    await refreshWritten(ctx.server, ctx.savedExport, source)
    requireCopyable(ctx, source, args.ca_src_stateid, inode, args.ca_dst_stateid)
    total = requireRange(source, args.ca_src_offset, args.ca_dst_offset, args.ca_count)
    if not total:
        return _answer(0, Stable.FILE_SYNC, bytes(8))
    if total >= WORTH_MOVING:
        await placeLike(ctx, source, inode)
        requireCopyable(ctx, source, args.ca_src_stateid, inode, args.ca_dst_stateid)
    job = _job(ctx, args, source, inode, credential, total)
    job.start()
    try:
        if not await job.endWithin(ANSWER_SECONDS):
            if not args.ca_synchronous and _canBeTold(ctx):
                return _goOn(ctx, job, source, inode)
            await job.endWithin(HOLD_SECONDS - ANSWER_SECONDS)
            job.stop()
            await job.end()
    except Exception:
        job.cancel()
        raise
    if job.error is not None and not job.done:
        raise job.error
    return _answer(job.done, job.committed, job.verifier)


def requireFiles(ctx: CompoundContext) -> tuple[Inode, Inode]:
    """
    The saved object and the current one.

    @raise NFSError: NOFILEHANDLE; WRONG_TYPE: one is not a regular file.
    """
    inode = ctx.requireInode()
    source = ctx.savedInode
    if source is None:
        raise NFSError(nfsstat4.NFS4ERR_NOFILEHANDLE)
    if source.ftype != FileType.REG or inode.ftype != FileType.REG:
        raise NFSError(nfsstat4.NFS4ERR_WRONG_TYPE)
    return source, inode


def requireCopyable(
    ctx: CompoundContext,
    source: Inode,
    sourceStateid: bytes,
    inode: Inode,
    stateid: bytes,
) -> Credential:
    """
    May the caller read the source and write the destination, with these stateids
    and by the permissions of both? The current stateid is for the source the one
    that was saved with it.

    @return: who it is in the destination's export.
    @raise NFSError: ROFS, ACCESS, or as L{requireIOState}.
    """
    if sourceStateid == CURRENT_STATEID:
        if ctx.savedStateid is None:
            raise NFSError(nfsstat4.NFS4ERR_BAD_STATEID)
        sourceStateid = ctx.savedStateid
    requireIOState(ctx, source, sourceStateid, READ)
    requireIOState(ctx, inode, stateid, WRITE)
    if ctx.export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    if ctx.credential.flavor not in ctx.savedExport.flavors:
        # Neither SAVEFH nor we may answer WRONGSEC (RFC 8881, section 2.6.3.1.1).
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    reader: Credential = ctx.savedExport.effective(ctx.credential)
    writer: Credential = ctx.export.effective(ctx.credential)
    for file, credential, access in ((source, reader, READ), (inode, writer, WRITE)):
        if not mayDoIO(file, credential, access):
            raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    return writer


def requireRange(source: Inode, sourceOffset: int, offset: int, count: int) -> int:
    """
    How many bytes are meant; 0 of C{count} means all to the end of the source.

    @raise NFSError: INVAL: the source ends before. FBIG: the destination cannot
        become that long.
    """
    if sourceOffset > source.size or count > source.size - sourceOffset:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    total = count or source.size - sourceOffset
    if offset > MAX_OFFSET or total > MAX_OFFSET - offset:
        raise NFSError(nfsstat4.NFS4ERR_FBIG)
    return total


async def placeLike(ctx: CompoundContext, source: Inode, inode: Inode) -> None:
    """
    Have an empty destination placed like its source, so that data servers need not
    copy from each other.

    @raise NFSError: DELAY until clients have given its layouts back: Linux gets one
        with the OPEN that makes a file.
    """
    data = ctx.server.data
    files = ctx.export, inode, ctx.savedExport, source
    if await data.misplaced(*files):
        requireNoLayouts(ctx, inode, None, "moved")
        await data.move(
            *files,
            lambda: inode.state is None
            or not (inode.state.layouts or inode.state.unlinked),
        )


def _job(
    ctx: CompoundContext,
    args: COPY4args,
    source: Inode,
    inode: Inode,
    credential: Credential,
    total: int,
) -> CopyJob:
    server, export, sourceExport = ctx.server, ctx.export, ctx.savedExport

    async def slice(done: int) -> WriteResult:
        return await server.data.copy(  # type: ignore[no-any-return]
            export,
            inode,
            args.ca_dst_offset + done,
            sourceExport,
            source,
            args.ca_src_offset + done,
            total - done,
        )

    async def finish() -> None:
        try:
            await server.data.refresh(export, inode)
        except BackendError:
            # The size is known anyway; who asks for it later asks them again.
            pass
        withdrawDelegations(ctx, inode)
        await clearSetuid(export, inode, credential)

    return CopyJob(server, slice, total, finish)


def _canBeTold(ctx: CompoundContext) -> bool:
    """
    Can the client have one more copy go on, and be told of its end?
    """
    client: Any = ctx.client
    return ctx.server.copies.hasRoom(client) and any(
        session.canCallBack and session.reachable
        for session in client.sessions.values()
    )


def _goOn(
    ctx: CompoundContext, job: CopyJob, source: Inode, inode: Inode
) -> COPY4resok:
    """
    Answer now. Both files are kept as they are until the copy has ended.
    """
    server = ctx.server
    files = [
        fileState(ctx.fh, inode, ctx.export.base),
        fileState(ctx.savedFH, source, ctx.savedExport.base),
    ]
    for file in files:
        file.copies += 1
    state = server.copies.add(ctx.client, files[0], job)
    state.grantedIn(ctx.slot)

    async def release() -> None:
        for file in files:
            file.copies -= 1
            await settleFile(server, file)

    job.goOn(state, release)
    return COPY4resok(
        write_response4([state.stateid], 0, Stable.UNSTABLE, job.verifier),
        copy_requirements4(True, False),
    )


def _answer(count: int, committed: int, verifier: bytes) -> COPY4resok:
    return COPY4resok(
        write_response4([], count, committed, verifier), copy_requirements4(True, True)
    )
