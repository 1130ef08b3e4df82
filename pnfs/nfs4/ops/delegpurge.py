# -*- test-case-name: tests.nfs4.ops.test_delegreturn -*-
"""
DELEGPURGE (RFC 8881, section 18.5).
"""

from __future__ import annotations

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import clientid4


@attrs.define
class DELEGPURGE4args:
    """
    @ivar clientid: means nothing in a session.
    """

    clientid: clientid4


@operation(
    7,
    "DELEGPURGE",
    args=DELEGPURGE4args,
    errors=errorsOf("BADXDR NOTSUPP WRONG_CRED"),
)
def delegpurge(ctx: CompoundContext, args: DELEGPURGE4args) -> None:
    """
    There is nothing to purge: no delegation is kept for a client that has restarted,
    and CLAIM_DELEGATE_PREV is refused in the same way.
    """
    raise NFSError(nfsstat4.NFS4ERR_NOTSUPP)
