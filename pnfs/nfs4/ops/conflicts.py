# -*- test-case-name: tests.nfs4.ops.test_read -*-
"""
What stands against an operation because of state that clients hold: layouts to be
recalled, delegations to be recalled, share reservations, the stateid of an I/O.

Before a file's size changes, or its last name goes, no client may hold a layout of
it any more: it could go on writing to data files that mean something else by then.
Nobody waits for a recall: the operation starts it and answers NFS4ERR_DELAY; the
client asks again.
"""

from __future__ import annotations

from typing import Any

from pnfs.namespace.access import EXECUTE, mayAppend, permissions
from pnfs.namespace.access import READ as MAY_READ
from pnfs.namespace.access import WRITE as MAY_WRITE
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.ops.courtesy import sharesGiveWay
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID, READ_BYPASS_STATEID
from pnfs.state.delegations import DelegationState
from pnfs.state.errors import Locked, OpenMode
from pnfs.state.locks import LockState
from pnfs.state.opens import READ, WRITE, OpenState, denied
from pnfs.values import Credential, FileType, Inode, SetAttributes

OPEN_OR_LOCK = (OpenState, LockState)
FOR_IO = (OpenState, LockState, DelegationState)


def mayAccess(inode: Inode, credential: Credential, access: int) -> bool:
    """
    Do mode and owner of a regular file, or its access control list, allow to open
    it so?

    Who may only execute it may read it, as its kernel must (RFC 8881, section
    6.2.1.3.1); and who may only append may write, but see L{requireIOPermission}.

    @param credential: after root squash.
    @param access: L{pnfs.state.opens.READ} and C{WRITE} bits.
    """
    bits = permissions(inode, credential)
    if inode.acl is not None and mayAppend(inode, credential):
        bits |= MAY_WRITE
    return not (
        access & READ
        and not bits & (MAY_READ | EXECUTE)
        or access & WRITE
        and not bits & MAY_WRITE
    )


def mayDoIO(
    inode: Inode, credential: Credential, access: int, appends: bool = False
) -> bool:
    """
    May the caller read or write data now? The owner always may: who has created a
    file without permissions, or taken them away after opening it, goes on.

    @param credential: after root squash.
    @param appends: no byte that is there is to change, so the right to append is
        enough.
    """
    if credential.uid == inode.uid:
        return True
    if not mayAccess(inode, credential, access):
        return False
    if inode.acl is None or appends or not access & WRITE:
        return True
    return bool(permissions(inode, credential) & MAY_WRITE)


def requireIOPermission(
    ctx: CompoundContext, inode: Inode, access: int, appends: bool = False
) -> Credential:
    """
    The caller must be one that L{mayDoIO}.

    @return: the caller's credential after root squash.
    @raise NFSError: ACCESS.
    """
    credential: Credential = ctx.export.effective(ctx.credential)
    if not mayDoIO(inode, credential, access, appends):
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    return credential


async def clearSetuid(export: Any, inode: Inode, credential: Credential) -> None:
    """
    After a change of its bytes: what is in a file now was not meant to run as its
    owner, unless the superuser has put it there.
    """
    mode = inode.mode
    if not mode & 0o6000 or not credential.uid:
        return
    mode &= ~0o4000
    if mode & 0o010:
        mode &= ~0o2000
    if mode != inode.mode:
        await export.backend.setattr(inode, SetAttributes(mode=mode))


def requireNoLayouts(
    ctx: CompoundContext, inode: Inode, exclude: Any = None, reason: str = "conflict"
) -> None:
    """
    No client may hold a layout of a file: recall what is held.

    @param exclude: a client whose own layouts do not matter.
    @param reason: what for, told to the recaller.
    @raise NFSError: DELAY as long as a layout is out.
    """
    file = inode.state
    if file is None or not (file.layouts or file.recall):
        return
    recalled = ctx.server.recaller.recallLayouts(file, reason, exclude)
    if not recalled.called:
        raise NFSError(nfsstat4.NFS4ERR_DELAY)


def requireNoDelegations(ctx: CompoundContext, inode: Inode, write: bool) -> None:
    """
    No other client may hold a delegation that this access conflicts with: recall
    what is held (RFC 8881, section 10.4). To be called after permissions have been
    checked, and again after whatever was waited for.

    @param write: attributes, names or data are changed, or others are kept from
        reading: then delegations for reading are in the way too.
    @raise NFSError: DELAY as long as there is one.
    """
    file = inode.state
    if file is None or file.delegations is None:
        return
    if ctx.server.delegating.recallConflicting(file, ctx.client, write):
        raise NFSError(nfsstat4.NFS4ERR_DELAY)


def requireNoReclaims(ctx: CompoundContext, inode: Inode) -> None:
    """
    During grace nobody but its holder may change attributes or names of a file: others
    may still reclaim a delegation of it (RFC 8881, section 8.4.2.1).

    @raise NFSError: GRACE.
    """
    server = ctx.server
    if server.delegations is None or inode.ftype != FileType.REG:
        return
    if server.recovery.inGrace(ctx.now):
        file = inode.state
        if file is None or server.delegations.held(file, ctx.client) is None:
            raise NFSError(nfsstat4.NFS4ERR_GRACE)


def withdrawDelegations(ctx: CompoundContext, inode: Inode, own: bool = False) -> None:
    """
    To be called after a change that had to be waited for: who has been given a
    delegation meanwhile may believe what was there before.

    @param own: the caller's too: what has changed is not only what it has asked for,
        and Linux never asks again for a mode while it holds a delegation for writing.
    """
    file = inode.state
    if file is not None and file.delegations is not None:
        ctx.server.delegating.recallConflicting(file, None if own else ctx.client, True)


def requireState(
    ctx: CompoundContext, inode: Inode, stateid: bytes, kinds: Any = OPEN_OR_LOCK
) -> Any:
    """
    The caller's open or lock state on a file that a stateid names; the current
    stateid is put in.

    @param kinds: the classes it may be of.
    @raise StateError: OLD_STATEID, BAD_STATEID, or why it was revoked.
    """
    stateid = ctx.resolveStateid(stateid)
    stateids = ctx.server.stateids
    if inode.state is None:
        raise stateids.whyNot(stateid, ctx.client, inode, kinds)
    return stateids.find(stateid, ctx.client, inode.state, kinds)


def requireIOState(
    ctx: CompoundContext, inode: Inode, stateid: bytes, access: int
) -> Any:
    """
    A stateid under which data is read, or is written or cut off.

    @param access: L{pnfs.state.opens.READ} or C{WRITE}.
    @return: the open it belongs to, or the delegation; None for a special stateid.
    @raise NFSError: GRACE for a special one while others may reclaim what is in
        its way (RFC 8881, section 8.4.2.1); DELAY for one while a delegation is being
        recalled for it (section 10.4.1).
    @raise Locked: a special one, and a share reservation forbids the access.
    @raise OpenMode: the file was not opened for it.
    @raise StateError: the stateid is old, unknown, or revoked.
    """
    stateid = ctx.resolveStateid(stateid)
    if stateid == ANONYMOUS_STATEID or stateid == READ_BYPASS_STATEID:
        server = ctx.server
        if server.recovery is not None and server.recovery.inGrace(ctx.now):
            raise NFSError(nfsstat4.NFS4ERR_GRACE)
        bypasses = access == READ and stateid == READ_BYPASS_STATEID
        if not bypasses and denied(inode.state, access):
            if not sharesGiveWay(ctx, inode.state, access):
                raise Locked()
        requireNoDelegations(ctx, inode, access == WRITE)
        return None
    stateids = ctx.server.stateids
    if inode.state is None:
        raise stateids.whyNot(stateid, ctx.client, inode, FOR_IO)
    state = stateids.find(stateid, ctx.client, inode.state, FOR_IO)
    if state.__class__ is LockState:
        state = state.open
    if not state.access & access:
        raise OpenMode()
    return state
