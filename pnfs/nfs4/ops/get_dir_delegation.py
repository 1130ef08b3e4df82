# -*- test-case-name: tests.nfs4.ops.test_get_dir_delegation -*-
"""
GET_DIR_DELEGATION (RFC 8881, section 18.39): delegations of directories, which are
recalled as soon as another client changes the directory. No notifications are sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Optional

import attrs

from pnfs.namespace.access import READ, permissions
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.errorlists import errorsOf
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import bitmap4, bool_t, nfstime4, stateid4, verifier4
from pnfs.state.files import FileState
from pnfs.values import FileType
from pnfs.xdr.codec import Union

GDD4_OK = 0
GDD4_UNAVAIL = 1

_COOKIE_VERIFIER = bytes(8)
"""As in READDIR (L{pnfs.nfs4.ops.readdir})."""


@attrs.define
class GET_DIR_DELEGATION4args:
    """
    @ivar gdda_signal_deleg_avail: the client would like to be told when there is one.
    @ivar gdda_notification_types: and the rest: what it would like to be told of
        changes, and how soon.
    """

    gdda_signal_deleg_avail: bool_t
    gdda_notification_types: bitmap4
    gdda_child_attr_delay: nfstime4
    gdda_dir_attr_delay: nfstime4
    gdda_child_attributes: bitmap4
    gdda_dir_attributes: bitmap4


@attrs.define
class GET_DIR_DELEGATION4resok:
    """
    @ivar gddr_notification: and the rest: what it will be told: nothing.
    """

    gddr_cookieverf: verifier4
    gddr_stateid: stateid4
    gddr_notification: bitmap4
    gddr_child_attributes: bitmap4
    gddr_dir_attributes: bitmap4


@attrs.define
class GET_DIR_DELEGATION4res_non_fatal:
    """
    @ivar gddrnf: GDD4_OK, or GDD4_UNAVAIL and whether the client will be told when
        there is one.
    """

    gddrnf: Annotated[
        tuple[int, Any],
        Union({GDD4_OK: GET_DIR_DELEGATION4resok, GDD4_UNAVAIL: bool_t}),
    ]


@operation(
    46,
    "GET_DIR_DELEGATION",
    args=GET_DIR_DELEGATION4args,
    resok=GET_DIR_DELEGATION4res_non_fatal,
    modifies=True,
    errors=errorsOf("ACCESS BADXDR GRACE INVAL IO NOTDIR NOTSUPP WRONG_TYPE"),
)
def get_dir_delegation(
    ctx: CompoundContext, args: GET_DIR_DELEGATION4args
) -> GET_DIR_DELEGATION4res_non_fatal:
    """
    Delegate the current directory, or say that this cannot be now. The current
    stateid stays as it is.
    """
    directory = ctx.requireInode()
    if directory.ftype != FileType.DIR:
        raise NFSError(nfsstat4.NFS4ERR_NOTDIR)
    server = ctx.server
    table = server.delegations
    client = ctx.client
    server.recovery.checkOrdinary(client, ctx.now)
    if not permissions(directory, ctx.export.effective(ctx.credential)) & READ:
        raise NFSError(nfsstat4.NFS4ERR_ACCESS)
    state: Optional[FileState] = directory.state
    if table is None or not ctx.export.delegations:
        return _unavailable()
    if not client.backProven:
        if not client.backDown:
            server.delegating.prove(client)
        return _unavailable()
    if state is None:
        state = FileState(ctx.requireFH(), directory, ctx.export.base)
    held = table.held(state, client)
    if held is None:
        if table.count >= table.maximum:
            server.delegating.press()
            return _unavailable()
        if not directory.nlink or not table.available(state, client, False, ctx.now):
            return _unavailable()
        held = table.grant(state, client, False, False, directory.change, ctx.slot)
        directory.state = state
    elif held.recall is not None:
        return _unavailable()
    return GET_DIR_DELEGATION4res_non_fatal(
        (
            GDD4_OK,
            GET_DIR_DELEGATION4resok(_COOKIE_VERIFIER, held.stateid, 0, 0, 0),
        )
    )


def _unavailable() -> GET_DIR_DELEGATION4res_non_fatal:
    """
    None now; nobody will be told when there is one.
    """
    return GET_DIR_DELEGATION4res_non_fatal((GDD4_UNAVAIL, False))
