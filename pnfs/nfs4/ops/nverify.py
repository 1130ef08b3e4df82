# -*- test-case-name: tests.nfs4.ops.test_verify -*-
"""
NVERIFY (RFC 8881, section 18.15).
"""

from __future__ import annotations

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.ops.verify import VERIFY_ERRORS, VERIFY4args, holds
from pnfs.nfs4.status import NFSError, nfsstat4


@operation(17, "NVERIFY", args=VERIFY4args, errors=errorsOf(VERIFY_ERRORS + " SAME"))
async def nverify(ctx: CompoundContext, args: VERIFY4args) -> None:
    """
    Go on only if some attribute is not as the client believes.
    """
    if await holds(ctx, args.obj_attributes):
        raise NFSError(nfsstat4.NFS4ERR_SAME)
