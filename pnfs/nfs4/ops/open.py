# -*- test-case-name: tests.nfs4.ops.test_open -*-
"""
OPEN (RFC 8881, section 18.16).

An existing file that the backend has in memory is opened without waiting. A new
one is made before it is looked for, if the caller may write to the directory at
all: then nobody else can slip in between. While an OPEN waits its client is not
dropped (L{pnfs.state.clients.ClientTable}), so what it gets is never left behind.

A delegation may come with it (L{pnfs.nfs4.ops.delegating}), in the place of the open
if the client wants it so (RFC 9754, section 3). The open's stateid is the current one
afterwards; the delegation's only if there is no other.
"""

from __future__ import annotations

from typing import Any, Awaitable, Optional, Union

from pnfs.backends.errors import NameExists, NoSuchName
from pnfs.namespace.access import EXECUTE, WRITE as MAY_WRITE
from pnfs.namespace.access import permissions
from pnfs.namespace.names import checkName
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.fattr_lists import initial
from pnfs.nfs4.fattr_set import decodeSettable
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.ops.admission import requireFlavor
from pnfs.nfs4.ops.conflicts import (
    clearSetuid,
    mayAccess,
    requireNoDelegations,
    requireNoLayouts,
    withdrawDelegations,
)
from pnfs.nfs4.ops.courtesy import sharesGiveWay
from pnfs.nfs4.ops.delegating import pendingProof, reclaimDelegation
from pnfs.nfs4.ops.directories import findChild
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.open_args import (
    CLAIM_DELEG_CUR_FH,
    CLAIM_DELEGATE_CUR,
    CLAIM_FH,
    CLAIM_NULL,
    CLAIM_PREVIOUS,
    EXCLUSIVE4,
    GUARDED4,
    NOCREATE,
    OpenArgs,
    decodeOpen,
)
from pnfs.nfs4.ops.open_result import (
    answer,
    answerDelegating,
    plainTail,
    stateOf,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import encodeBitmap
from pnfs.state.delegations import DelegationState
from pnfs.state.errors import ShareDenied
from pnfs.state.files import RECLAIMED
from pnfs.state.opens import READ, WRITE, denied
from pnfs.values import (
    NOW,
    Credential,
    FileType,
    Inode,
    NewObject,
    SetAttributes,
)

DEFAULT_MODE = 0o600
"""Of a new file whose creator names none: it will set one."""

_SIZE = 1 << 4
_SETGID = 0o2000
_REG = FileType.REG
_NOT_REGULAR = {
    FileType.DIR: nfsstat4.NFS4ERR_ISDIR,
    FileType.LNK: nfsstat4.NFS4ERR_SYMLINK,
}
_NO_CHANGES = SetAttributes()


@hotOperation(
    18,
    "OPEN",
    modifies=True,
    errors=errorsOf(
        "ACCESS ADMIN_REVOKED ATTRNOTSUPP BADCHAR BADNAME BADOWNER BADXDR "
        "BAD_STATEID DELEG_ALREADY_WANTED DELEG_REVOKED DQUOT EXIST EXPIRED "
        "FBIG GRACE INVAL IO ISDIR NAMETOOLONG NOENT NOSPC NOTDIR NOTSUPP "
        "NO_GRACE OLD_STATEID PERM RECLAIM_BAD RECLAIM_CONFLICT ROFS "
        "SHARE_DENIED SYMLINK UNSAFE_COMPOUND WRONGSEC WRONG_TYPE"
    ),
)
def open_(ctx: CompoundContext, buf: Any, pos: int) -> Union[int, Awaitable[int]]:
    """
    Open, and make if wanted, a regular file: by its name in the current directory
    (CLAIM_NULL), or the current file itself (CLAIM_FH, CLAIM_PREVIOUS).
    """
    args, pos = decodeOpen(buf, pos)
    if args.want:
        proof = pendingProof(ctx, args.want)
        if proof is not None:
            return _openProven(ctx, args, pos, proof)
    return _open(ctx, args, pos)


async def _openProven(
    ctx: CompoundContext, args: OpenArgs, pos: int, proof: Any
) -> int:
    """
    Wait until it is known whether the client answers callbacks.
    """
    await proof
    after = _open(ctx, args, pos)
    return after if isinstance(after, int) else await after


def _open(ctx: CompoundContext, args: OpenArgs, pos: int) -> Union[int, Awaitable[int]]:
    """
    Do as the claim says.
    """
    claim = args.claim
    if claim == CLAIM_NULL:
        directory = ctx.requireDirectory()
        if ctx.export.picky:
            requireFlavor(ctx, ctx.export)
        ctx.server.recovery.checkOrdinary(ctx.client, ctx.now)
        if args.create == NOCREATE:
            inode = ctx.export.backend.cachedChild(directory, args.name)
            if inode is not None:
                credential = ctx.export.effective(ctx.credential)
                if not permissions(directory, credential) & EXECUTE:
                    raise NFSError(nfsstat4.NFS4ERR_ACCESS)
                _checkExisting(ctx, args, inode, credential)
                change = directory.change
                _finish(ctx, args, inode, 1, change, change, 0)
                return pos
            return _openName(ctx, args, directory, pos)
        return _createName(ctx, args, directory, pos)
    if args.create != NOCREATE:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if claim == CLAIM_FH:
        inode = ctx.requireInode()
        ctx.server.recovery.checkOrdinary(ctx.client, ctx.now)
        _checkExisting(ctx, args, inode, ctx.export.effective(ctx.credential))
        _finish(ctx, args, inode, 0, 0, 0, 0)
        return pos
    if claim == CLAIM_PREVIOUS:
        _reclaim(ctx, args)
        return pos
    if claim == CLAIM_DELEG_CUR_FH:
        _openDelegated(ctx, args, ctx.requireFile(), 0, 0)
        return pos
    if claim == CLAIM_DELEGATE_CUR:
        return _openDelegatedName(ctx, args, ctx.requireDirectory(), pos)
    # No delegation is kept for a client that has restarted (section 10.2.1).
    ctx.requireInode()
    raise NFSError(nfsstat4.NFS4ERR_NOTSUPP)


def _checkExisting(
    ctx: CompoundContext, args: OpenArgs, inode: Inode, credential: Credential
) -> None:
    """
    May the caller open what is there? Share reservations come later, so that a
    conflict tells nothing to those without permission.
    """
    if inode.ftype != _REG:
        raise NFSError(
            _NOT_REGULAR.get(FileType(inode.ftype), nfsstat4.NFS4ERR_WRONG_TYPE)
        )
    if args.access & WRITE and ctx.export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    if not mayAccess(inode, credential, args.access):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)


def _reclaim(ctx: CompoundContext, args: OpenArgs) -> None:
    """
    Open again what was open before the server's restart. The owner is not held to
    the mode: it may be that of a file it had created without permissions.
    """
    inode = ctx.requireFile()
    ctx.server.recovery.checkReclaim(ctx.client, ctx.now)
    if ctx.export.effective(ctx.credential).uid != inode.uid:
        _checkExisting(ctx, args, inode, ctx.export.effective(ctx.credential))
    elif args.access & WRITE and ctx.export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    file = stateOf(ctx, inode)
    if denied(file, args.access, args.deny):
        # Nothing is taken for it from others, silent or not.
        raise NFSError(nfsstat4.NFS4ERR_RECLAIM_CONFLICT)
    delegation = reclaimDelegation(ctx, inode, file, args.reclaims)
    answer(ctx, args, inode, file, (0, 0, 0), encodeBitmap(0) + delegation)
    if args.access & WRITE:
        inode.state.reclaimed = RECLAIMED


def _openDelegated(
    ctx: CompoundContext, args: OpenArgs, inode: Inode, atomic: int, change: int
) -> None:
    """
    Tell the server of an open that the client has granted under its delegation, which
    stays as it is. That is no conflict, not even during grace.

    The delegation may be one that is being recalled: such opens come before its
    return (RFC 8881, section 10.4.4).
    """
    file = inode.state
    stateids = ctx.server.stateids
    if file is None:
        raise stateids.whyNot(args.delegation, ctx.client, inode, DelegationState)
    held = stateids.find(args.delegation, ctx.client, file, DelegationState)
    _checkExisting(ctx, args, inode, ctx.export.effective(ctx.credential))
    if args.access & ~held.access:
        raise NFSError(nfsstat4.NFS4ERR_BAD_STATEID)
    if args.deny & READ:
        requireNoDelegations(ctx, inode, True)
    answer(ctx, args, inode, file, (atomic, change, change), plainTail(0, 0))


async def _openDelegatedName(
    ctx: CompoundContext, args: OpenArgs, directory: Inode, pos: int
) -> int:
    """
    As L{_openDelegated}, of a name in the current directory.
    """
    export = ctx.export
    if not permissions(directory, export.effective(ctx.credential)) & EXECUTE:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    inode = await findChild(export, directory, args.name)
    _openDelegated(ctx, args, inode, 1, directory.change)
    return pos


async def _openName(
    ctx: CompoundContext, args: OpenArgs, directory: Inode, pos: int
) -> int:
    """
    Open a file that the backend has to look for.
    """
    export = ctx.export
    checkName(args.name)
    credential = export.effective(ctx.credential)
    if not permissions(directory, credential) & EXECUTE:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    inode = await export.backend.lookup(directory, args.name)
    _checkExisting(ctx, args, inode, credential)
    change = directory.change
    _finish(ctx, args, inode, 1, change, change, 0)
    return pos


async def _createName(
    ctx: CompoundContext, args: OpenArgs, directory: Inode, pos: int
) -> int:
    """
    Open a file, and make it if it is not there.
    """
    export = ctx.export
    backend = export.backend
    name = args.name
    checkName(name)
    credential = export.effective(ctx.credential)
    changes, attrset = _NO_CHANGES, 0
    if args.createattrs is not None:
        changes, attrset = decodeSettable(
            args.createattrs, credential, export, ctx.minor
        )
    rights = permissions(directory, credential)
    if not rights & EXECUTE:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    inode: Optional[Inode] = backend.cachedChild(directory, name)
    if inode is None and (export.readOnly or not rights & MAY_WRITE):
        try:
            inode = await backend.lookup(directory, name)
        except NoSuchName:
            raise NFSError(
                nfsstat4.NFS4ERR_ROFS if export.readOnly else nfsstat4.NFS4ERR_ACCESS
            ) from None
    before = directory.change
    if inode is None:
        requireNoDelegations(ctx, directory, True)
        new = _newFile(args, changes, directory, credential)
        try:
            inode = await backend.create(directory, name, new)
        except NameExists:
            inode = await backend.lookup(directory, name)
            before = directory.change
        else:
            after = directory.change
            withdrawDelegations(ctx, directory)
            if changes.size:
                await ctx.server.data.truncate(export, inode, changes.size)
            _finish(ctx, args, inode, 1, before, after, attrset)
            return pos
    if args.create >= EXCLUSIVE4:
        await _requireRetry(ctx, args, inode)
    elif args.create == GUARDED4:
        raise NFSError(nfsstat4.NFS4ERR_EXIST)
    else:
        _checkExisting(ctx, args, inode, credential)
        attrset = 0
        if changes.size == 0:
            await _truncate(ctx, inode, credential)
            _checkExisting(ctx, args, inode, credential)
            attrset = _SIZE
    change = directory.change
    _finish(ctx, args, inode, 1, change, change, attrset)
    return pos


def _newFile(
    args: OpenArgs, changes: SetAttributes, directory: Inode, credential: Credential
) -> NewObject:
    """
    What to create for the caller. The setgid bit is not for those outside the
    group that the file gets.
    """
    if args.createattrs is None:
        # EXCLUSIVE4: its creator will set the attributes (RFC 8881, section 6.4.3).
        mode, acl = DEFAULT_MODE, None
    else:
        mode, acl = initial(directory, _REG, changes, DEFAULT_MODE)
    gid = credential.gid if changes.gid is None else changes.gid
    if credential.uid and mode & _SETGID:
        inherited = directory.gid if directory.mode & _SETGID else gid
        if inherited not in credential.groups:
            mode &= ~_SETGID
    return NewObject(
        _REG,
        mode,
        credential.uid if changes.uid is None else changes.uid,
        gid,
        verifier=args.verifier,
        atime=None if changes.atime == NOW else changes.atime,
        mtime=None if changes.mtime == NOW else changes.mtime,
        acl=acl,
    )


async def _requireRetry(ctx: CompoundContext, args: OpenArgs, inode: Inode) -> None:
    """
    An exclusive create of a name that exists succeeds only if it is the same
    create again, whose reply was lost.
    """
    if (
        inode.ftype != _REG
        or await ctx.export.backend.createVerifier(inode) != args.verifier
    ):
        raise NFSError(nfsstat4.NFS4ERR_EXIST)
    if args.access & WRITE and ctx.export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)


async def _truncate(ctx: CompoundContext, inode: Inode, credential: Credential) -> None:
    """
    UNCHECKED4 with a size of 0 empties a file that exists.

    The caller's own layouts stay: it has the file under control, and where its
    bytes are does not change.
    """
    if ctx.export.readOnly:
        raise NFSError(nfsstat4.NFS4ERR_ROFS)
    if not permissions(inode, credential) & MAY_WRITE:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    if denied(inode.state, WRITE) and not sharesGiveWay(ctx, inode.state, WRITE):
        raise ShareDenied()
    requireNoDelegations(ctx, inode, True)
    requireNoLayouts(ctx, inode, ctx.client, "truncate")
    await ctx.server.data.truncate(ctx.export, inode, 0)
    withdrawDelegations(ctx, inode)
    await clearSetuid(ctx.export, inode, credential)


def _finish(
    ctx: CompoundContext,
    args: OpenArgs,
    inode: Inode,
    atomic: int,
    before: int,
    after: int,
    attrset: int,
) -> None:
    """
    Register the open and answer; the file and the open's stateid become current.
    """
    access, deny = args.access, args.deny
    ctx.server.layouts.requireFenced(ctx.export, inode)
    file = stateOf(ctx, inode)
    if file.delegations is not None:
        requireNoDelegations(ctx, inode, bool(access & WRITE or deny & READ))
        file = stateOf(ctx, inode)
    if denied(file, access, deny):
        if not sharesGiveWay(ctx, file, access, deny):
            raise ShareDenied()
        # Maybe nothing is left of what was known of the file.
        file = stateOf(ctx, inode)
    changes = (atomic, before, after)
    if ctx.server.delegations is None:
        answer(ctx, args, inode, file, changes, plainTail(attrset, args.want))
        return
    answerDelegating(ctx, args, inode, file, changes, attrset)
