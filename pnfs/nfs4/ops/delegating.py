# -*- test-case-name: tests.nfs4.ops.test_open_delegation -*-
"""
Who gets a delegation (RFC 8881, sections 10.2, 10.4 and 18.16.3).

A client that expresses no preference gets one to read if it opens to read, and one
to write if it opens to write. None is given to a client that is not known to answer
callbacks, nor beyond the table's maximum; what stands against it for the file is the
table's business (L{pnfs.state.delegations}).
"""

from __future__ import annotations

from typing import Any, Optional

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.delegation_types import (
    NO_DELEGATION,
    WANT_ANY_DELEG,
    OPEN_DELEGATE_READ_ATTRS_DELEG,
    OPEN_DELEGATE_WRITE,
    OPEN_DELEGATE_WRITE_ATTRS_DELEG,
    WANT_CANCEL,
    WANT_MASK,
    WANT_NO_DELEG,
    WANT_NO_PREFERENCE,
    WANT_PUSH_WHEN_UNCONTENDED,
    WANT_READ_DELEG,
    WANT_SIGNAL_WHEN_AVAILABLE,
    WANT_TIMESTAMPS,
    WANT_WRITE_DELEG,
    WND4_CANCELLED,
    WND4_CONTENTION,
    WND4_NOT_SUPP_DOWNGRADE,
    WND4_NOT_SUPP_UPGRADE,
    WND4_NOT_WANTED,
    WND4_RESOURCE,
    openDelegation,
    whyNone,
)
from pnfs.nfs4.ops.conflicts import mayAccess
from pnfs.state.delegations import DelegationState
from pnfs.state.files import FileState
from pnfs.state.opens import WRITE
from pnfs.values import Inode

PRESSURE = 0.9
"""The share of the maximum from which on clients are asked to give some back."""


def withoutDelegations(want: int) -> bytes:
    """
    C{open_delegation4} where no delegations are given at all. Only those who have
    expressed a want are told why.

    @param want: OPEN4_SHARE_ACCESS_WANT_* bits.
    """
    want &= WANT_MASK
    if want == WANT_NO_PREFERENCE:
        return NO_DELEGATION
    if want == WANT_NO_DELEG:
        return whyNone(WND4_NOT_WANTED)
    if want == WANT_CANCEL:
        return whyNone(WND4_CANCELLED)
    return whyNone(WND4_RESOURCE)


def pendingProof(ctx: CompoundContext, want: int) -> Any:
    """
    Who wants a delegation in so many words waits until it is known whether it answers
    callbacks, if that is being found out now.

    @param want: OPEN4_SHARE_ACCESS_WANT_* bits.
    @return: a Deferred to wait for, or None.
    """
    delegating = ctx.server.delegating
    if (
        delegating is None
        or ctx.client.backProven
        or not 0 < want & WANT_MASK <= WANT_ANY_DELEG
    ):
        return None
    return delegating.proof(ctx.client)


def delegate(
    ctx: CompoundContext, inode: Inode, file: FileState, access: int, want: int
) -> tuple[Optional[DelegationState], bytes]:
    """
    Give the caller a delegation of the file, if it may have one.

    @param access: READ and WRITE bits of its OPEN.
    @param want: OPEN4_SHARE_ACCESS_WANT_* bits.
    @return: what is given now, or None; C{open_delegation4}.
    """
    server = ctx.server
    table = server.delegations
    client = ctx.client
    wanted = want & WANT_MASK
    if table is None or not ctx.export.delegations or wanted == WANT_NO_DELEG:
        return None, withoutDelegations(want)
    if wanted == WANT_CANCEL:
        server.delegating.cancelWant(client, file)
        return None, whyNone(WND4_CANCELLED)
    write = bool(access & WRITE)
    if wanted == WANT_READ_DELEG:
        write = False
    elif wanted == WANT_WRITE_DELEG:
        write = True
    held = table.held(file, client)
    if held is not None:
        return None, _heldAlready(ctx, inode, held, wanted, write)
    if not client.backProven:
        if not client.backDown:
            server.delegating.prove(client)
        return None, withoutDelegations(want)
    credential = ctx.export.effective(ctx.credential)
    if write and (ctx.export.readOnly or not mayAccess(inode, credential, WRITE)):
        return None, withoutDelegations(want)
    timestamps = bool(want & WANT_TIMESTAMPS) and ctx.minor >= 2
    if not table.available(file, client, write, ctx.now):
        later = bool(want & WANT_PUSH_WHEN_UNCONTENDED) and server.delegating.push(
            client, file, credential, write, timestamps
        )
        if wanted == WANT_NO_PREFERENCE and not later:
            return None, NO_DELEGATION
        return None, whyNone(WND4_CONTENTION, later)
    if table.count >= PRESSURE * table.maximum:
        server.delegating.press()
        if table.count >= table.maximum:
            later = bool(
                want & WANT_SIGNAL_WHEN_AVAILABLE
            ) and server.delegating.signal(client)
            if wanted == WANT_NO_PREFERENCE and not later:
                return None, NO_DELEGATION
            return None, whyNone(WND4_RESOURCE, later)
    state = table.grant(
        file,
        client,
        write,
        timestamps,
        inode.change,
        ctx.slot,
    )
    inode.state = file
    return state, openDelegation(state, inode, credential)


def _heldAlready(
    ctx: CompoundContext,
    inode: Inode,
    held: DelegationState,
    wanted: int,
    write: bool,
) -> bytes:
    """
    The caller holds a delegation of the file. If that is what it wants it is told of
    it again; it is not changed into one of the other kind.
    """
    if wanted == WANT_NO_PREFERENCE:
        return NO_DELEGATION
    if held.recall is not None:
        return whyNone(WND4_CONTENTION)
    if wanted == WANT_WRITE_DELEG and not held.writes:
        return whyNone(WND4_NOT_SUPP_UPGRADE)
    if wanted == WANT_READ_DELEG and held.writes:
        return whyNone(WND4_NOT_SUPP_DOWNGRADE)
    return openDelegation(held, inode, ctx.export.effective(ctx.credential))


def reclaimDelegation(
    ctx: CompoundContext, inode: Inode, file: FileState, kind: int
) -> bytes:
    """
    Give back what a client held before the server's restart (CLAIM_PREVIOUS), unless
    another one has reclaimed what does not go with it. The back channel is
    proven later; until then a recall waits for it.

    @param kind: C{open_delegation_type4}.
    @return: C{open_delegation4}.
    """
    server = ctx.server
    table = server.delegations
    if table is None or not ctx.export.delegations or not kind:
        return NO_DELEGATION
    client = ctx.client
    write = kind in (OPEN_DELEGATE_WRITE, OPEN_DELEGATE_WRITE_ATTRS_DELEG)
    held: Any = table.held(file, client)
    if held is None:
        if not table.available(file, client, write, ctx.now):
            return NO_DELEGATION
        timestamps = kind in (
            OPEN_DELEGATE_READ_ATTRS_DELEG,
            OPEN_DELEGATE_WRITE_ATTRS_DELEG,
        )
        held = table.grant(file, client, write, timestamps, inode.change, ctx.slot)
        inode.state = file
        server.delegating.prove(client)
    return openDelegation(held, inode, ctx.export.effective(ctx.credential))
