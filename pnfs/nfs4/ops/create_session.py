# -*- test-case-name: tests.nfs4.ops.test_create_session -*-
"""
CREATE_SESSION (RFC 8881, section 18.36): confirms a client, and gives it a session.

It has a one-slot reply cache per client: the reply, be it an error, is kept and
repeated. Errors that come before the sequence ID counts are not kept. A client that
was refused may mend its request and use the sequence ID again, or go on to the
next: a reply that is an error is for the very request only that has got it.
"""

from __future__ import annotations

from typing import Annotated, Any
from zlib import crc32

import attrs

from pnfs.nfs4.callback_security import callback_sec_parms, callbackCredential
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import hotOperation, okHeader
from pnfs.nfs4.ops.protection import principalOf, requireMachine
from pnfs.nfs4.status import NFSError, nfsstat4, statusOf
from pnfs.nfs4.types import clientid4, count4, sequenceid4, sessionid4, uint32_t
from pnfs.state.sessions import Channel, Session, negotiateBack, negotiateFore
from pnfs.xdr.codec import Array, codecFor

CREATE_SESSION4_FLAG_PERSIST = 0x1
CREATE_SESSION4_FLAG_CONN_BACK_CHAN = 0x2
CREATE_SESSION4_FLAG_CONN_RDMA = 0x4
_FLAGS = 0x7


@attrs.define
class channel_attrs4:
    """
    One direction of a session.

    @ivar ca_maxresponsesize_cached: the largest reply that is kept for a retry.
    @ivar ca_maxoperations: operations in a COMPOUND.
    @ivar ca_maxrequests: slots.
    """

    ca_headerpadsize: count4
    ca_maxrequestsize: count4
    ca_maxresponsesize: count4
    ca_maxresponsesize_cached: count4
    ca_maxoperations: count4
    ca_maxrequests: count4
    ca_rdma_ird: Annotated[list[int], Array(uint32_t, 1)]


@attrs.define
class CREATE_SESSION4args:
    """
    The arguments, as in the RFC.
    """

    csa_clientid: clientid4
    csa_sequence: sequenceid4
    csa_flags: uint32_t
    csa_fore_chan_attrs: channel_attrs4
    csa_back_chan_attrs: channel_attrs4
    csa_cb_program: uint32_t
    csa_sec_parms: callback_sec_parms


@attrs.define
class CREATE_SESSION4resok:
    """
    @ivar csr_sequence: as in the request.
    """

    csr_sessionid: sessionid4
    csr_sequence: sequenceid4
    csr_flags: uint32_t
    csr_fore_chan_attrs: channel_attrs4
    csr_back_chan_attrs: channel_attrs4


_decode = codecFor(CREATE_SESSION4args).decode
_encode = codecFor(CREATE_SESSION4resok).encode
_header = okHeader(43)


def _channel(asked: channel_attrs4) -> Channel:
    return Channel(
        asked.ca_maxrequestsize,
        asked.ca_maxresponsesize,
        asked.ca_maxresponsesize_cached,
        asked.ca_maxoperations,
        asked.ca_maxrequests,
    )


def _attributes(channel: Channel) -> channel_attrs4:
    return channel_attrs4(
        0,
        channel.maxRequest,
        channel.maxResponse,
        channel.maxCached,
        channel.maxOperations,
        channel.maxSlots,
        [],
    )


@hotOperation(
    43,
    "CREATE_SESSION",
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_CLID_INUSE,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_NOENT,
            nfsstat4.NFS4ERR_NOSPC,
            nfsstat4.NFS4ERR_NOT_ONLY_OP,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SEQ_MISORDERED,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE_CLIENTID,
            nfsstat4.NFS4ERR_TOOSMALL,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_WRONG_CRED,
        }
    ),
    modifies=True,
    sessionless=True,
)
def create_session(ctx: CompoundContext, buf: Any, pos: int) -> int:
    """
    The four phases of section 18.36.4: find the record, check the sequence ID,
    confirm, make the session.
    """
    start = pos
    args, pos = _decode(buf, pos)
    client = ctx.server.clients.find(args.csa_clientid)
    if not client.confirmed and client.principal != principalOf(ctx.credential):
        raise NFSError(nfsstat4.NFS4ERR_CLID_INUSE)
    requireMachine(client, ctx.credential)
    sequence = args.csa_sequence
    if sequence == client.sequence and client.createReply is not None:
        status, body = client.createReply
        if not status:
            ctx.out.append(_header + body)
            return pos
        if body == _digest(buf, start, pos):
            raise NFSError(status)
    elif sequence != client.sequence + 1 & 0xFFFFFFFF:
        raise NFSError(nfsstat4.NFS4ERR_SEQ_MISORDERED)
    try:
        body = _encode(_create(ctx, client, args))
    except Exception as error:
        failed = error.status if isinstance(error, NFSError) else statusOf(error)
        if failed is not None and failed != nfsstat4.NFS4ERR_DELAY:
            client.sequence = sequence
            client.createReply = (failed, _digest(buf, start, pos))
        raise
    client.sequence = sequence
    client.createReply = (0, body)
    ctx.out.append(_header + body)
    return pos


def _digest(buf: Any, start: int, end: int) -> bytes:
    return crc32(buf[start:end]).to_bytes(4, "big")


def _create(
    ctx: CompoundContext, client: Any, args: CREATE_SESSION4args
) -> CREATE_SESSION4resok:
    flags = args.csa_flags
    if flags & ~_FLAGS:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    server = ctx.server
    sessions = server.sessions
    credential = callbackCredential(args.csa_sec_parms)
    wanted = bool(
        flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN
        and server.channels is not None
        and credential
    )
    fore = negotiateFore(_channel(args.csa_fore_chan_attrs), sessions.limits)
    back = negotiateBack(_channel(args.csa_back_chan_attrs), wanted)
    server.clients.confirm(client, ctx.now)
    session: Session = sessions.create(
        client, ctx.minor, fore, back, args.csa_cb_program, credential
    )
    sessions.bind(session, ctx.call.connection, True, wanted)
    if wanted:
        server.channels.bound(session)
        if server.delegating is not None:
            server.delegating.prove(client)
    return CREATE_SESSION4resok(
        session.id,
        args.csa_sequence,
        CREATE_SESSION4_FLAG_CONN_BACK_CHAN if wanted else 0,
        _attributes(fore),
        _attributes(back),
    )
