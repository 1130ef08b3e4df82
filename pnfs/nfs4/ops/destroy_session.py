# -*- test-case-name: tests.nfs4.ops.test_destroy_session -*-
"""
DESTROY_SESSION (RFC 8881, section 18.37): the client gives up a session.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.protection import requireMachine
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import sessionid4


@attrs.define
class DESTROY_SESSION4args:
    """
    @ivar dsa_sessionid: may be of another session than SEQUENCE's.
    """

    dsa_sessionid: sessionid4


@operation(
    44,
    "DESTROY_SESSION",
    args=DESTROY_SESSION4args,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BACK_CHAN_BUSY,
            nfsstat4.NFS4ERR_BADSESSION,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_CB_PATH_DOWN,
            nfsstat4.NFS4ERR_CONN_NOT_BOUND_TO_SESSION,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_NOT_ONLY_OP,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_STALE_CLIENTID,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_WRONG_CRED,
        }
    ),
    modifies=True,
    sessionless=True,
)
def destroy_session(ctx: CompoundContext, args: DESTROY_SESSION4args) -> None:
    """
    Opens, locks and layouts stay with the client. Callbacks under way over the
    session are repeated over another.
    """
    sessions = ctx.server.sessions
    session = sessions.find(args.dsa_sessionid)
    requireMachine(session.client, ctx.credential)
    own = session is ctx.session
    if own and ctx.index + 1 != ctx.count:
        raise NFSError(nfsstat4.NFS4ERR_NOT_ONLY_OP)
    connection = ctx.call.connection
    if connection not in session.fore and connection not in session.back:
        raise NFSError(nfsstat4.NFS4ERR_CONN_NOT_BOUND_TO_SESSION)
    if sum(slot.busy for slot in session.slots) > own:
        raise NFSError(nfsstat4.NFS4ERR_DELAY)
    sessions.destroy(session)
