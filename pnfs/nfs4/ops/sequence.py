# -*- test-case-name: tests.nfs4.ops.test_sequence -*-
"""
SEQUENCE (RFC 8881, section 18.46): the first operation of nearly every COMPOUND.

An error leaves the slot as it was, so everything is checked before the slot moves
on. A retry is answered from the slot, or with RETRY_UNCACHED_REP in the place of
the second operation if the client had not asked to keep the reply (RFC 8881,
section 2.10.6.1.3).
"""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

from pnfs.nfs4.context import CompoundContext, Replay
from pnfs.nfs4.operation import hotOperation
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.state.sessions import SEQUENCE_RESULT, digestOf
from pnfs.xdr.errors import XDRError

_unpack = struct.Struct(">16sIIII").unpack_from
_pack = struct.Struct(">II16sIIIII").pack
_unpackNumber = struct.Struct(">I").unpack_from
_packNumber = struct.Struct(">I").pack
_packTwo = struct.Struct(">II").pack

OP_SEQUENCE = 53
_SMALL = 512

NFS4ERR_BADSESSION = nfsstat4.NFS4ERR_BADSESSION
NFS4ERR_RETRY_UNCACHED_REP = nfsstat4.NFS4ERR_RETRY_UNCACHED_REP


@hotOperation(
    OP_SEQUENCE,
    "SEQUENCE",
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BADSESSION,
            nfsstat4.NFS4ERR_BADSLOT,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_BAD_HIGH_SLOT,
            nfsstat4.NFS4ERR_CONN_NOT_BOUND_TO_SESSION,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SEQUENCE_POS,
            nfsstat4.NFS4ERR_SEQ_FALSE_RETRY,
            nfsstat4.NFS4ERR_SEQ_MISORDERED,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
        }
    ),
)
def sequence(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    Take the next request of a slot. Arguments: C{sa_sessionid}, C{sa_sequenceid},
    C{sa_slotid}, C{sa_highest_slotid}, C{sa_cachethis}.
    """
    sessionid, sequenceid, slotid, highest, cacheThis = _unpack(buf, pos)
    sessions = ctx.server.sessions
    session = sessions.byId.get(sessionid)
    if session is None:
        raise NFSError(NFS4ERR_BADSESSION)
    slots = session.slots
    slot = slots[slotid] if slotid < len(slots) else session.slotAt(slotid)
    start = ctx.requestStart
    credential = ctx.credential
    if len(buf) - start <= _SMALL:
        # digestOf, without the call
        digest = crc32(buf[start:], credential.uid ^ credential.flavor << 31)
    else:
        digest = digestOf(buf, start, credential.uid, credential.flavor)
    if (sequenceid != slot.next or slot.busy) and not slot.restarts(sequenceid):
        _again(ctx, buf, pos, session, slot, sequenceid, digest)
    call = ctx.call
    if (
        highest > session.highest
        or ctx.count > session.maxOperations
        or call.received > session.maxRequest
        or cacheThis > 1
    ):
        _refuse(ctx, session, highest, cacheThis)
    if cacheThis:
        limit = session.cachedLimit - (pos - start)
        if limit < SEQUENCE_RESULT:
            raise NFSError(nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE)
    else:
        limit = session.limit - (pos - start)
        if limit < SEQUENCE_RESULT:
            raise NFSError(nfsstat4.NFS4ERR_REP_TOO_BIG)
    if call.connection not in session.fore:
        _bind(ctx, session)
    slot.next = sequenceid + 1 & 0xFFFFFFFF
    slot.busy = True
    slot.cacheThis = cacheThis
    slot.digest = digest
    client = session.client
    client.renewed = ctx.now
    ctx.limitBytes = limit
    ctx.session = session
    ctx.slot = slot
    ctx.client = client
    if (
        client.revoked
        or client.mayReclaim
        or (client.backDown and (client.layouts or client.delegations))
    ):
        flags = session.statusFlags()
    else:
        flags = 0
    if session.trimmed:
        session.adjust(slot, slotid, highest)
    ctx.out.append(
        _pack(
            53,
            0,
            sessionid,
            sequenceid,
            slotid,
            session.highest,
            session.target,
            flags,
        )
    )
    return pos + 32


def _bind(ctx: CompoundContext, session: Any) -> None:
    """
    With SP4_NONE a connection is bound by being used, else only by
    BIND_CONN_TO_SESSION (section 2.10.3.1).
    """
    if session.client.protection is not None:
        raise NFSError(nfsstat4.NFS4ERR_CONN_NOT_BOUND_TO_SESSION)
    ctx.server.sessions.bind(session, ctx.call.connection, True, False)


def _refuse(ctx: CompoundContext, session: Any, highest: int, cacheThis: int) -> None:
    """
    Say what is wrong with a request that goes beyond the session's limits.
    """
    if cacheThis > 1:
        raise XDRError("not a boolean")
    if highest > session.highest:
        raise NFSError(nfsstat4.NFS4ERR_BAD_HIGH_SLOT)
    if ctx.count > session.maxOperations:
        raise NFSError(nfsstat4.NFS4ERR_TOO_MANY_OPS)
    raise NFSError(nfsstat4.NFS4ERR_REQ_TOO_BIG)


def _again(
    ctx: CompoundContext,
    buf: Any,
    pos: int,
    session: Any,
    slot: Any,
    sequenceid: int,
    digest: int,
) -> None:
    """
    Not the sequence ID that the slot waits for: a retry, or a mistake.

    @raise Replay: with the answer to a retry.
    """
    if sequenceid != slot.next - 1 & 0xFFFFFFFF or not (slot.reply or slot.busy):
        raise NFSError(nfsstat4.NFS4ERR_SEQ_MISORDERED)
    if digest != slot.digest:
        raise NFSError(nfsstat4.NFS4ERR_SEQ_FALSE_RETRY)
    if slot.busy:
        raise NFSError(nfsstat4.NFS4ERR_DELAY)
    if ctx.call.connection not in session.fore:
        _bind(ctx, session)
    session.client.renewed = ctx.now
    if slot.kept:
        raise Replay([slot.reply])
    (second,) = _unpackNumber(buf, pos + 32)
    tag = bytes(buf[ctx.requestStart : pos - 12])
    raise Replay(
        [
            _packNumber(NFS4ERR_RETRY_UNCACHED_REP) + tag + _packNumber(2),
            slot.reply,
            _packTwo(second, NFS4ERR_RETRY_UNCACHED_REP),
        ]
    )
