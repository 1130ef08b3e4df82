# -*- test-case-name: tests.nfs4.ops.test_getdeviceinfo -*-
"""
GETDEVICEINFO (RFC 8881, section 18.40).
"""

from __future__ import annotations

from typing import Annotated

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import bitmap4, count4, deviceid4, encodeBitmap, uint32_t
from pnfs.xdr.codec import Opaque

NOTIFICATIONS = 0b110
"""NOTIFY_DEVICEID4_CHANGE and NOTIFY_DEVICEID4_DELETE (section 20.12)."""

_DELETE = 0b100

DEVICE_ADDR_LIMIT = 1 << 20


@attrs.define
class GETDEVICEINFO4args:
    """
    @ivar gdia_maxcount: the most bytes wanted of the result; 0: only
        C{gdia_notify_types} matter.
    """

    gdia_device_id: deviceid4
    gdia_layout_type: uint32_t
    gdia_maxcount: count4
    gdia_notify_types: bitmap4


@attrs.define
class device_addr4:
    """
    How to reach a device (section 3.3.14).
    """

    da_layout_type: uint32_t
    da_addr_body: Annotated[bytes, Opaque(DEVICE_ADDR_LIMIT)]


@attrs.define
class GETDEVICEINFO4resok:
    """
    @ivar gdir_notification: which of the notifications asked for are granted. A
        Linux client caches a device only if both are.
    """

    gdir_device_addr: device_addr4
    gdir_notification: bitmap4


@operation(
    47,
    "GETDEVICEINFO",
    args=GETDEVICEINFO4args,
    resok=GETDEVICEINFO4resok,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_NOENT,
            nfsstat4.NFS4ERR_NOTSUPP,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_TOOSMALL,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
            nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE,
        }
    ),
)
def getdeviceinfo(
    ctx: CompoundContext, args: GETDEVICEINFO4args
) -> GETDEVICEINFO4resok:
    """
    Say what a device ID means.

    A device ID keeps its meaning for ever, so a notification of change is never due.
    One that is not used any more is deleted when all layouts that name it have been
    recalled (L{pnfs.callbacks.devices}).
    """
    devices = ctx.server.devices
    layoutType = args.gdia_layout_type
    device = devices.lookup(args.gdia_device_id)
    if device is None or device.driver.layoutType != layoutType:
        raise NFSError(
            nfsstat4.NFS4ERR_NOENT
            if devices.knows(layoutType)
            else nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE
        )
    notification = args.gdia_notify_types & NOTIFICATIONS
    wanted = bool(notification & _DELETE)
    if not args.gdia_maxcount:
        ctx.client.wantsDeviceNews(device.deviceid, wanted)
        return GETDEVICEINFO4resok(device_addr4(layoutType, b""), notification)
    body = devices.body(device)
    size = 8 + len(body) + (-len(body) & 3) + len(encodeBitmap(notification))
    if size > args.gdia_maxcount:
        raise NFSError(nfsstat4.NFS4ERR_TOOSMALL, size.to_bytes(4, "big"))
    ctx.client.wantsDeviceNews(device.deviceid, wanted)
    return GETDEVICEINFO4resok(device_addr4(layoutType, body), notification)
