# -*- test-case-name: tests.nfs4.ops.test_open_delegation -*-
"""
The end of OPEN (RFC 8881, section 18.16.2): the open is registered, or a delegation
given in its place (RFC 9754, section 3), or both, and the client told.
"""

from __future__ import annotations

import struct
from typing import Optional

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.delegation_types import (
    WANT_MASK,
    WANT_OPEN_XOR_DELEGATION,
    WANT_READ_DELEG,
)
from pnfs.nfs4.ops.delegating import delegate, withoutDelegations
from pnfs.nfs4.ops.open_args import OpenArgs
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import encodeBitmap
from pnfs.state.files import FileState
from pnfs.state.opens import WRITE
from pnfs.values import Inode

OPEN4_RESULT_LOCKTYPE_POSIX = 4
OPEN4_RESULT_MAY_NOTIFY_LOCK = 0x20
OPEN4_RESULT_NO_OPEN_STATEID = 0x10
"""Other flags: PRESERVE_UNLINKED would promise to keep a removed file over a restart."""

_FLAGS = OPEN4_RESULT_LOCKTYPE_POSIX
_FLAGS_NOTIFY = _FLAGS | OPEN4_RESULT_MAY_NOTIFY_LOCK

_packResult = struct.Struct(">II16sIQQI").pack

_NOTHING_SET = encodeBitmap(0)
_tails: dict[int, bytes] = {}


def plainTail(attrset: int, want: int) -> bytes:
    """
    The end of the result without a delegation: C{attrset} and C{open_delegation4}.
    There are few of them, so each is made once.
    """
    want &= WANT_MASK
    key = attrset << 16 | want
    tail = _tails.get(key)
    if tail is None:
        tail = _tails[key] = encodeBitmap(attrset) + withoutDelegations(want)
    return tail


def stateOf(ctx: CompoundContext, inode: Inode) -> FileState:
    """
    The state of a file that is about to be opened; it is not the inode's yet if it
    had none.
    """
    file: Optional[FileState] = inode.state
    if file is None:
        if not inode.nlink:
            # Removed while we waited, when nobody had it open.
            raise NFSError(nfsstat4.NFS4ERR_STALE)
        fh = ctx.server.filehandles.encode(ctx.export, inode)
        file = FileState(fh, inode, ctx.export.base)
    return file


def answer(
    ctx: CompoundContext,
    args: OpenArgs,
    inode: Inode,
    file: FileState,
    changes: tuple[int, int, int],
    tail: bytes,
) -> None:
    """
    Register the open, whose stateid becomes the current one, and answer.

    @param changes: C{change_info4} of the directory.
    @param tail: C{attrset} and C{open_delegation4}.
    """
    client = ctx.client
    state = ctx.server.opens.open(file, client, args.owner, args.access, args.deny)
    inode.state = file
    stateid = state.stateid
    ctx.setCurrent(file.fh, inode, ctx.export)
    ctx.stateid = stateid
    ctx.out.append(
        _packResult(
            18,
            0,
            stateid,
            *changes,
            _FLAGS if client.backDown else _FLAGS_NOTIFY,
        )
        + tail
    )


def answerDelegating(
    ctx: CompoundContext,
    args: OpenArgs,
    inode: Inode,
    file: FileState,
    changes: tuple[int, int, int],
    attrset: int,
) -> None:
    """
    As L{answer}, with a delegation if the caller may have one; or, if it wants that,
    with the delegation alone.
    """
    server = ctx.server
    access = args.access
    if access & WRITE:
        server.delegations.noteWriter(file, ctx.client, ctx.now)
    want = args.want
    instead = want & WANT_OPEN_XOR_DELEGATION and ctx.minor >= 2
    if instead and (
        args.deny
        or (access & WRITE and want & WANT_MASK == WANT_READ_DELEG)
        or server.opens.find(file, ctx.client, args.owner) is not None
        or server.delegations.held(file, ctx.client) is not None
    ):
        # The open has to stay, or to be; then there is no delegation beside it.
        answer(ctx, args, inode, file, changes, plainTail(attrset, want))
        return
    given, delegation = delegate(ctx, inode, file, access, want)
    tail = (encodeBitmap(attrset) if attrset else _NOTHING_SET) + delegation
    if given is None or not instead:
        answer(ctx, args, inode, file, changes, tail)
        return
    ctx.setCurrent(file.fh, inode, ctx.export)
    ctx.stateid = given.stateid
    ctx.out.append(
        _packResult(
            18,
            0,
            bytes(16),
            *changes,
            _FLAGS_NOTIFY | OPEN4_RESULT_NO_OPEN_STATEID,
        )
        + tail
    )
