# -*- test-case-name: tests.nfs4.ops.test_io_advise -*-
"""
IO_ADVISE at the metadata server (RFC 7862, section 15.5): how a client is going to
use a file.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.allocate import requireSparseFile
from pnfs.nfs4.ops.conflicts import mayAccess, requireIOState
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import bitmap4, length4, offset4, stateid4
from pnfs.state.opens import READ, WRITE
from pnfs.values import NFS4_UINT64_MAX

HINTS = (1 << 11) - 1
"""Those that RFC 7862 knows."""

ADVISE_ERRORS = errorsOf(
    "ACCESS ADMIN_REVOKED BADXDR BAD_STATEID DELEG_REVOKED EXPIRED GRACE INVAL IO "
    "LOCKED NOTSUPP OLD_STATEID OPENMODE WRONG_TYPE"
)


@attrs.define
class IO_ADVISE4args:
    """
    @ivar iaa_count: bytes; 0 means to the end of the file.
    @ivar iaa_hints: a bitmap of C{IO_ADVISE_type4}.
    """

    iaa_stateid: stateid4
    iaa_offset: offset4
    iaa_count: length4
    iaa_hints: bitmap4


@attrs.define
class IO_ADVISE4resok:
    """
    @ivar ior_hints: those that make a difference.
    """

    ior_hints: bitmap4


def requireAdvice(args: IO_ADVISE4args) -> int:
    """
    The hints that are known; others are of no interest.

    @raise NFSError: INVAL, if the range does not end.
    """
    if args.iaa_offset > NFS4_UINT64_MAX - args.iaa_count:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    return args.iaa_hints & HINTS


@operation(
    63,
    "IO_ADVISE",
    args=IO_ADVISE4args,
    resok=IO_ADVISE4resok,
    minor=2,
    errors=ADVISE_ERRORS,
)
async def io_advise(ctx: CompoundContext, args: IO_ADVISE4args) -> IO_ADVISE4resok:
    """
    Pass on to the data servers what the client says. It may be going to read the
    file, or to write it.
    """
    hints = requireAdvice(args)
    inode = requireSparseFile(ctx)
    requireIOState(ctx, inode, args.iaa_stateid, READ | WRITE)
    credential = ctx.export.effective(ctx.credential)
    if credential.uid != inode.uid and not (
        mayAccess(inode, credential, READ) or mayAccess(inode, credential, WRITE)
    ):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if hints:
        hints = await ctx.server.data.advise(
            ctx.export, inode, args.iaa_offset, args.iaa_count, hints
        )
    return IO_ADVISE4resok(hints)
