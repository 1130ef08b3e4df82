# -*- test-case-name: tests.nfs4.ops.test_backchannel_ctl -*-
"""
BACKCHANNEL_CTL (RFC 8881, section 18.33): other parameters for callbacks.
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.callback_security import callback_sec_parms, callbackCredential
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import uint32_t


@attrs.define
class BACKCHANNEL_CTL4args:
    """
    @ivar bca_cb_program: number of the callback program.
    @ivar bca_sec_parms: credentials the client accepts from us.
    """

    bca_cb_program: uint32_t
    bca_sec_parms: callback_sec_parms


@operation(
    40,
    "BACKCHANNEL_CTL",
    args=BACKCHANNEL_CTL4args,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_NOENT,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
        }
    ),
)
def backchannel_ctl(ctx: CompoundContext, args: BACKCHANNEL_CTL4args) -> None:
    """
    For the session of this COMPOUND. RPCSEC_GSS contexts we know none of: NOENT.
    Without any parameters the credential stays. What has waited because the client
    did not understand us goes out again.
    """
    session = ctx.session
    if args.bca_sec_parms:
        credential = callbackCredential(args.bca_sec_parms)
        if not credential:
            raise NFSError(nfsstat4.NFS4ERR_NOENT)
        session.credential = credential
    session.program = args.bca_cb_program
    if session.back and ctx.server.channels is not None:
        ctx.server.channels.bound(session)
