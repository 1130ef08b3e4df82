# -*- test-case-name: tests.nfs4.ops.test_destroy_clientid -*-
"""
DESTROY_CLIENTID (RFC 8881, section 18.50): the client says good-bye.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.protection import requireMachine
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import clientid4


@attrs.define
class DESTROY_CLIENTID4args:
    """
    @ivar dca_clientid: confirmed or not.
    """

    dca_clientid: clientid4


@operation(
    57,
    "DESTROY_CLIENTID",
    args=DESTROY_CLIENTID4args,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_CLIENTID_BUSY,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_NOT_ONLY_OP,
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
def destroy_clientid(ctx: CompoundContext, args: DESTROY_CLIENTID4args) -> None:
    """
    Only a client without sessions and state can go.
    """
    clients = ctx.server.clients
    client = clients.find(args.dca_clientid)
    requireMachine(client, ctx.credential)
    clients.destroy(client)
