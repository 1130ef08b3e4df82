# -*- test-case-name: tests.nfs4.ops.test_free_stateid -*-
"""
TEST_STATEID (RFC 8881, section 18.48).
"""

from __future__ import annotations

from typing import Annotated

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import nfsstat4, statusOf
from pnfs.nfs4.types import stateid4, uint32_t
from pnfs.state.errors import StateError
from pnfs.xdr.codec import Array

STATEID_LIMIT = 1024
"""The most stateids in one request; their results must fit the slot's cache."""


@attrs.define
class TEST_STATEID4args:
    """
    @ivar ts_stateids: of any kind.
    """

    ts_stateids: Annotated[list[bytes], Array(stateid4, STATEID_LIMIT)]


@attrs.define
class TEST_STATEID4resok:
    """
    @ivar tsr_status_codes: a status for each.
    """

    tsr_status_codes: Annotated[list[int], Array(uint32_t, STATEID_LIMIT)]


@operation(
    55,
    "TEST_STATEID",
    args=TEST_STATEID4args,
    resok=TEST_STATEID4resok,
    errors=errorsOf("BADXDR"),
)
def test_stateid(ctx: CompoundContext, args: TEST_STATEID4args) -> TEST_STATEID4resok:
    """
    What would become of requests with these stateids? Special ones name no state.
    """
    statuses: list[int] = []
    for stateid in args.ts_stateids:
        try:
            ctx.server.stateids.find(stateid, ctx.client, None)
            statuses.append(nfsstat4.NFS4_OK)
        except StateError as error:
            statuses.append(statusOf(error) or nfsstat4.NFS4ERR_BAD_STATEID)
    return TEST_STATEID4resok(statuses)
