# -*- test-case-name: tests.nfs4.ops.test_bind_conn_to_session -*-
"""
BIND_CONN_TO_SESSION (RFC 8881, section 18.34): use this connection for a session.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.protection import requireMachine
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import bool_t, sessionid4, uint32_t
from pnfs.xdr.errors import XDRError

CDFC4_FORE = 0x1
CDFC4_BACK = 0x2
CDFC4_FORE_OR_BOTH = 0x3
CDFC4_BACK_OR_BOTH = 0x7

CDFS4_FORE = 0x1
CDFS4_BACK = 0x2
CDFS4_BOTH = 0x3


@attrs.define
class BIND_CONN_TO_SESSION4args:
    """
    @ivar bctsa_dir: one of C{CDFC4_*}.
    """

    bctsa_sessid: sessionid4
    bctsa_dir: uint32_t
    bctsa_use_conn_in_rdma_mode: bool_t


@attrs.define
class BIND_CONN_TO_SESSION4resok:
    """
    @ivar bctsr_dir: one of C{CDFS4_*}.
    """

    bctsr_sessid: sessionid4
    bctsr_dir: uint32_t
    bctsr_use_conn_in_rdma_mode: bool_t


@operation(
    41,
    "BIND_CONN_TO_SESSION",
    args=BIND_CONN_TO_SESSION4args,
    resok=BIND_CONN_TO_SESSION4resok,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BADSESSION,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_BAD_SESSION_DIGEST,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_NOT_ONLY_OP,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_WRONG_CRED,
        }
    ),
    sessionless=True,
)
def bind_conn_to_session(
    ctx: CompoundContext, args: BIND_CONN_TO_SESSION4args
) -> BIND_CONN_TO_SESSION4resok:
    """
    Bind, and let callbacks that wait for a connection go. Where the back channel
    is a wish it is granted if we make callbacks at all; where it is a demand that
    cannot be met, the answer is INVAL. WRONG_CRED is not on the RFC's list for this
    operation, but what section 2.10.8.3 asks for.
    """
    if ctx.slot is not None or ctx.count != 1:
        raise NFSError(nfsstat4.NFS4ERR_NOT_ONLY_OP)
    server = ctx.server
    asked = args.bctsa_dir
    if asked not in (CDFC4_FORE, CDFC4_BACK, CDFC4_FORE_OR_BOTH, CDFC4_BACK_OR_BOTH):
        raise XDRError("no such direction")
    session = server.sessions.find(args.bctsa_sessid)
    requireMachine(session.client, ctx.credential)
    possible = server.channels is not None and session.canCallBack
    if asked in (CDFC4_BACK, CDFC4_BACK_OR_BOTH) and not possible:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    if asked == CDFC4_BACK:
        given = CDFS4_BACK
    elif asked == CDFC4_FORE or not possible:
        given = CDFS4_FORE
    else:
        given = CDFS4_BOTH
    back = bool(given & CDFS4_BACK)
    server.sessions.bind(session, ctx.call.connection, bool(given & CDFS4_FORE), back)
    if back:
        server.channels.bound(session)
        if server.delegating is not None:
            server.delegating.prove(session.client)
    return BIND_CONN_TO_SESSION4resok(session.id, given, False)
