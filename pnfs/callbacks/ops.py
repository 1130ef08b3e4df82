# -*- test-case-name: tests.callbacks.test_ops -*-
"""
The callback program (RFC 8881, section 20): what we send to clients.

Every C{cb…} function encodes one C{nfs_cb_argop4}. L{decodeResult} reads what comes
back.
"""

from __future__ import annotations

import struct
from typing import Annotated, Any, Optional, Sequence

import attrs

from pnfs.nfs4.copy_types import write_response4
from pnfs.nfs4.types import (
    bitmap4,
    bool_t,
    deviceid4,
    length4,
    nfs_fh4,
    offset4,
    sequenceid4,
    sessionid4,
    slotid4,
    state_owner4,
    stateid4,
    uint32_t,
    uint64_t,
)
from pnfs.xdr.codec import PAD, Array, Opaque, Union, codecFor
from pnfs.xdr.errors import XDRError

NFS_CB_VERSION = 1
CB_NULL = 0
CB_COMPOUND = 1

OP_CB_GETATTR = 3
OP_CB_RECALL = 4
OP_CB_LAYOUTRECALL = 5
OP_CB_PUSH_DELEG = 7
OP_CB_RECALL_ANY = 8
OP_CB_RECALLABLE_OBJ_AVAIL = 9
OP_CB_SEQUENCE = 11
OP_CB_NOTIFY_LOCK = 13
OP_CB_NOTIFY_DEVICEID = 14
OP_CB_OFFLOAD = 15

LAYOUTRECALL4_FILE = 1
LAYOUTRECALL4_FSID = 2
LAYOUTRECALL4_ALL = 3

NOTIFY_DEVICEID4_CHANGE = 1
NOTIFY_DEVICEID4_DELETE = 2

_TWO = struct.Struct(">II")
_unpackTwo = _TWO.unpack_from
_unpackNumber = struct.Struct(">I").unpack_from


# -- CB_SEQUENCE (section 20.9) --------------------------------------------------


@attrs.define
class referring_call4:
    """
    A request of the client that a callback follows from.
    """

    rc_sequenceid: sequenceid4
    rc_slotid: slotid4


@attrs.define
class referring_call_list4:
    """
    Such requests of one session.
    """

    rcl_sessionid: sessionid4
    rcl_referring_calls: Annotated[list[referring_call4], Array(referring_call4, 64)]


@attrs.define
class CB_SEQUENCE4args:
    """
    @ivar csa_cachethis: always False; Linux refuses anything else.
    """

    csa_sessionid: sessionid4
    csa_sequenceid: sequenceid4
    csa_slotid: slotid4
    csa_highest_slotid: slotid4
    csa_cachethis: bool_t
    csa_referring_call_lists: Annotated[
        list[referring_call_list4], Array(referring_call_list4, 64)
    ]


@attrs.define
class CB_SEQUENCE4resok:
    """
    The client's answer, as in the RFC.
    """

    csr_sessionid: sessionid4
    csr_sequenceid: sequenceid4
    csr_slotid: slotid4
    csr_highest_slotid: slotid4
    csr_target_highest_slotid: slotid4


# -- CB_LAYOUTRECALL (section 20.3) ----------------------------------------------


@attrs.define
class layoutrecall_file4:
    """
    @ivar lor_fh: byte for byte as GETFH gave it.
    @ivar lor_stateid: the layout's, its seqid one more than the client knows.
    """

    lor_fh: nfs_fh4
    lor_offset: offset4
    lor_length: length4
    lor_stateid: stateid4


@attrs.define
class fsid4:
    """
    A file system (section 3.3.6).
    """

    major: uint64_t
    minor: uint64_t


layoutrecall4 = Annotated[
    tuple[int, Any],
    Union(
        {
            LAYOUTRECALL4_FILE: layoutrecall_file4,
            LAYOUTRECALL4_FSID: fsid4,
            LAYOUTRECALL4_ALL: None,
        }
    ),
]


@attrs.define
class CB_LAYOUTRECALL4args:
    """
    @ivar clora_changed: the layout will not be the same again.
    """

    clora_type: uint32_t
    clora_iomode: uint32_t
    clora_changed: bool_t
    clora_recall: layoutrecall4


# -- the others ------------------------------------------------------------------


@attrs.define
class CB_RECALL4args:
    """
    Give a delegation back (section 20.2).
    """

    stateid: stateid4
    truncate: bool_t
    fh: nfs_fh4


@attrs.define
class CB_RECALL_ANY4args:
    """
    Give some recallable objects back, the client's choice (section 20.6).
    """

    craa_objects_to_keep: uint32_t
    craa_type_mask: bitmap4


@attrs.define
class CB_NOTIFY_LOCK4args:
    """
    A lock that was denied may be had now (section 20.11).

    @ivar cnla_lock_owner: whose LOCK it was.
    """

    cnla_fh: nfs_fh4
    cnla_lock_owner: state_owner4


@attrs.define
class notify4:
    """
    @ivar notify_mask: a bitmap of one bit; notify_vals: what it says.
    """

    notify_mask: bitmap4
    notify_vals: Annotated[bytes, Opaque(1024)]


@attrs.define
class CB_NOTIFY_DEVICEID4args:
    """
    Devices have changed or gone (section 20.12).
    """

    cnda_changes: Annotated[list[notify4], Array(notify4, 64)]


@attrs.define
class notify_deviceid_delete4:
    """
    This device is gone.
    """

    ndd_layouttype: uint32_t
    ndd_deviceid: deviceid4


@attrs.define
class notify_deviceid_change4:
    """
    @ivar ndc_immediate: at once, not when the layouts that use it are gone.
    """

    ndc_layouttype: uint32_t
    ndc_deviceid: deviceid4
    ndc_immediate: bool_t


@attrs.define
class CB_OFFLOAD4args:
    """
    A copy has ended (RFC 7862, section 16.1).

    @ivar coa_offload_info: by status: what has been written, or with an error how
        many bytes have.
    """

    coa_fh: nfs_fh4
    coa_stateid: stateid4
    coa_offload_info: Annotated[
        tuple[int, Any], Union({0: write_response4}, default=length4)
    ]


def encodeOp(number: int, value: Any) -> bytes:
    """
    An C{nfs_cb_argop4} from its number and arguments.
    """
    return number.to_bytes(4, "big") + codecFor(type(value)).encode(value)


def cbSequence(
    sessionid: bytes,
    sequenceid: int,
    slotid: int,
    highest: int,
    referring: Sequence[referring_call_list4] = (),
) -> bytes:
    """
    CB_SEQUENCE; the reply is not to be cached.
    """
    return encodeOp(
        OP_CB_SEQUENCE,
        CB_SEQUENCE4args(
            sessionid, sequenceid, slotid, highest, False, list(referring)
        ),
    )


def cbLayoutRecallFile(
    layoutType: int,
    iomode: int,
    changed: bool,
    fh: bytes,
    offset: int,
    length: int,
    stateid: bytes,
) -> bytes:
    """
    CB_LAYOUTRECALL of a range of one file.
    """
    what = layoutrecall_file4(fh, offset, length, stateid)
    return encodeOp(
        OP_CB_LAYOUTRECALL,
        CB_LAYOUTRECALL4args(layoutType, iomode, changed, (LAYOUTRECALL4_FILE, what)),
    )


def cbLayoutRecallFSID(
    layoutType: int, iomode: int, changed: bool, fsid: tuple[int, int]
) -> bytes:
    """
    CB_LAYOUTRECALL of everything in one file system.
    """
    return encodeOp(
        OP_CB_LAYOUTRECALL,
        CB_LAYOUTRECALL4args(
            layoutType, iomode, changed, (LAYOUTRECALL4_FSID, fsid4(*fsid))
        ),
    )


def cbLayoutRecallAll(layoutType: int, iomode: int, changed: bool) -> bytes:
    """
    CB_LAYOUTRECALL of everything the client holds.
    """
    return encodeOp(
        OP_CB_LAYOUTRECALL,
        CB_LAYOUTRECALL4args(layoutType, iomode, changed, (LAYOUTRECALL4_ALL, None)),
    )


def cbRecallAny(keep: int, typeMask: int) -> bytes:
    """
    CB_RECALL_ANY.

    @param typeMask: a bit per kind of object (C{RCA4_TYPE_MASK_*}).
    """
    return encodeOp(OP_CB_RECALL_ANY, CB_RECALL_ANY4args(keep, typeMask))


def cbNotifyLock(fh: bytes, clientid: int, owner: bytes) -> bytes:
    """
    CB_NOTIFY_LOCK.

    @param owner: the lock owner, without its clientid.
    """
    return encodeOp(
        OP_CB_NOTIFY_LOCK, CB_NOTIFY_LOCK4args(fh, state_owner4(clientid, owner))
    )


def cbOffload(
    fh: bytes, stateid: bytes, status: int, count: int, committed: int, verifier: bytes
) -> bytes:
    """
    CB_OFFLOAD.

    @param fh: of the destination.
    """
    info = count if status else write_response4([], count, committed, verifier)
    return encodeOp(OP_CB_OFFLOAD, CB_OFFLOAD4args(fh, stateid, (status, info)))


def cbNotifyDeviceid(
    deleted: Sequence[tuple[int, bytes]] = (),
    changed: Sequence[tuple[int, bytes, bool]] = (),
) -> bytes:
    """
    CB_NOTIFY_DEVICEID.

    @param deleted: (layout type, deviceid) of each that is gone.
    @param changed: likewise, and whether it is so at once.
    """
    changes = []
    for kind, values in (
        (NOTIFY_DEVICEID4_DELETE, [notify_deviceid_delete4(*each) for each in deleted]),
        (NOTIFY_DEVICEID4_CHANGE, [notify_deviceid_change4(*each) for each in changed]),
    ):
        for value in values:
            body = codecFor(type(value)).encode(value)
            changes.append(notify4(1 << kind, body))
    return encodeOp(OP_CB_NOTIFY_DEVICEID, CB_NOTIFY_DEVICEID4args(changes))


# -- CB_COMPOUND (section 20.1) --------------------------------------------------


def encodeCompound(minor: int, *ops: bytes) -> bytes:
    """
    C{CB_COMPOUND4args}, without a tag.
    """
    return b"".join((struct.pack(">IIII", 0, minor, 0, len(ops)), *ops))


@attrs.frozen
class CallbackResult:
    """
    What a CB_COMPOUND of CB_SEQUENCE and at most one other operation came to.

    @ivar sequenceStatus: of CB_SEQUENCE.
    @ivar number: of the other operation, or None if there is no result of it.
    @ivar status: of it.
    @ivar pos: where the result of it goes on after the status.
    @ivar target: C{csr_target_highest_slotid}, if CB_SEQUENCE has succeeded.
    """

    sequenceStatus: int
    number: Optional[int] = None
    status: int = 0
    pos: int = 0
    target: Optional[int] = None


_decodeSequence = codecFor(CB_SEQUENCE4resok).decode


def decodeResult(
    buf: Any, pos: int, sessionid: bytes, sequenceid: int, slotid: int
) -> CallbackResult:
    """
    Read a C{CB_COMPOUND4res} up to the body of the second operation, if any.

    @raise XDRError: it is malformed, or answers something else.
    """
    try:
        status, length = _unpackTwo(buf, pos)
        if length > 1024:
            raise XDRError("tag")
        pos += 8 + length + len(PAD[length & 3])
        (count,) = _unpackNumber(buf, pos)
        pos += 4
        if not count:
            if not status:
                raise XDRError("no results")
            return CallbackResult(status)
        number, sequenceStatus = _unpackTwo(buf, pos)
        pos += 8
        if number != OP_CB_SEQUENCE:
            raise XDRError("the first result is not CB_SEQUENCE's")
        if sequenceStatus:
            return CallbackResult(sequenceStatus)
        found, pos = _decodeSequence(buf, pos)
        if (
            found.csr_sessionid != sessionid
            or found.csr_sequenceid != sequenceid
            or found.csr_slotid != slotid
        ):
            raise XDRError("the result of another CB_SEQUENCE")
        target = found.csr_target_highest_slotid
        if count < 2:
            return CallbackResult(0, target=target)
        number, status = _unpackTwo(buf, pos)
        return CallbackResult(0, number, status, pos + 8, target)
    except struct.error:
        raise XDRError("truncated") from None
