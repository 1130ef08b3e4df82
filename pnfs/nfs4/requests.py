# -*- test-case-name: tests.nfs4.test_requests -*-
"""
Operations as a client sends them: each function gives the bytes of one
C{nfs_argop4}. The shapes are those of RFC 8881, section 18, and no more general
than our clients need.
"""

from __future__ import annotations

import struct
from typing import Any, Sequence

from pnfs.nfs4.copy_types import COPY4args
from pnfs.nfs4.types import ANONYMOUS_STATEID, encodeBitmap
from pnfs.xdr.codec import PAD, codecFor

_u32 = struct.Struct(">I").pack
_encodeCopy = codecFor(COPY4args).encode


def opaque(data: bytes) -> bytes:
    """
    Variable-length bytes.
    """
    return _u32(len(data)) + data + PAD[len(data) & 3]


def fattr(values: Sequence[tuple[int, bytes]]) -> bytes:
    """
    C{fattr4} of (attribute number, encoded value) pairs in ascending order.
    """
    mask = sum(1 << number for number, _ in values)
    return encodeBitmap(mask) + opaque(b"".join(value for _, value in values))


def modeAttribute(mode: int) -> tuple[int, bytes]:
    """
    C{mode} for L{fattr}.
    """
    return (33, _u32(mode))


def sizeAttribute(size: int) -> tuple[int, bytes]:
    """
    C{size} for L{fattr}.
    """
    return (4, struct.pack(">Q", size))


def ownerAttribute(uid: int) -> tuple[int, bytes]:
    """
    C{owner} as a decimal number, for L{fattr}.
    """
    return (36, opaque(b"%d" % uid))


def groupAttribute(gid: int) -> tuple[int, bytes]:
    """
    C{owner_group} as a decimal number, for L{fattr}.
    """
    return (37, opaque(b"%d" % gid))


def ownerAttributes(uid: int, gid: int) -> list[tuple[int, bytes]]:
    """
    C{owner} and C{owner_group} for L{fattr}.
    """
    return [ownerAttribute(uid), groupAttribute(gid)]


def _settime(nanoseconds: int | None) -> bytes:
    if nanoseconds is None:
        return _u32(0)
    return struct.pack(">IqI", 1, *divmod(nanoseconds, 1_000_000_000))


def accessTimeAttribute(nanoseconds: int | None) -> tuple[int, bytes]:
    """
    C{time_access_set} for L{fattr}; None: the server's time.
    """
    return (48, _settime(nanoseconds))


def modifyTimeAttribute(nanoseconds: int | None) -> tuple[int, bytes]:
    """
    C{time_modify_set} for L{fattr}; None: the server's time.
    """
    return (54, _settime(nanoseconds))


def putfh(fh: bytes) -> bytes:
    """
    PUTFH.
    """
    return _u32(22) + opaque(fh)


PUTROOTFH = _u32(24)
GETFH = _u32(10)
SAVEFH = _u32(32)


def lookup(name: bytes) -> bytes:
    """
    LOOKUP.
    """
    return _u32(15) + opaque(name)


def getattr_(mask: int) -> bytes:
    """
    GETATTR.
    """
    return _u32(9) + encodeBitmap(mask)


def setattr_(values: Sequence[tuple[int, bytes]], stateid: bytes) -> bytes:
    """
    SETATTR.
    """
    return _u32(34) + stateid + fattr(values)


def access(mask: int) -> bytes:
    """
    ACCESS.
    """
    return _u32(3) + _u32(mask)


def readdir(cookie: int, verifier: bytes, maxcount: int, mask: int) -> bytes:
    """
    READDIR.
    """
    return struct.pack(
        ">IQ8sII", 26, cookie, verifier, maxcount, maxcount
    ) + encodeBitmap(mask)


def remove(name: bytes) -> bytes:
    """
    REMOVE.
    """
    return _u32(28) + opaque(name)


def mkdir(name: bytes, mode: int) -> bytes:
    """
    CREATE of a directory.
    """
    return struct.pack(">II", 6, 2) + opaque(name) + fattr([modeAttribute(mode)])


READLINK = _u32(27)

SHARE_READ = 1
SHARE_WRITE = 2
SHARE_BOTH = 3
WANT_NO_DELEG = 0x400


def open_(
    clientid: int,
    owner: bytes,
    name: bytes,
    share: int,
    create: Sequence[tuple[int, bytes]] | None = None,
    guarded: bool = False,
) -> bytes:
    """
    OPEN by name in the current directory (CLAIM_NULL), without a delegation.

    @param create: attributes for a new file; None: it must exist.
    """
    how = _u32(0)
    if create is not None:
        how = struct.pack(">II", 1, 1 if guarded else 0) + fattr(create)
    return b"".join(
        (
            struct.pack(">IIIIQ", 18, 0, share | WANT_NO_DELEG, 0, clientid),
            opaque(owner),
            how,
            _u32(0),
            opaque(name),
        )
    )


def openAgain(owner: bytes, share: int) -> bytes:
    """
    OPEN of the current filehandle (CLAIM_FH), without a delegation.
    """
    return b"".join(
        (
            struct.pack(">IIIIQ", 18, 0, share | WANT_NO_DELEG, 0, 0),
            opaque(owner),
            struct.pack(">II", 0, 4),
        )
    )


def close(stateid: bytes) -> bytes:
    """
    CLOSE.
    """
    return struct.pack(">II16s", 4, 0, stateid)


def read(stateid: bytes, offset: int, count: int) -> bytes:
    """
    READ.
    """
    return struct.pack(">I16sQI", 25, stateid, offset, count)


def writeHead(stateid: bytes, offset: int, stable: int, length: int) -> bytes:
    """
    WRITE up to its data, which follows padded.
    """
    return struct.pack(">I16sQII", 38, stateid, offset, stable, length)


def commit(offset: int, count: int) -> bytes:
    """
    COMMIT.
    """
    return struct.pack(">IQI", 5, offset, count)


def setxattr(name: bytes, value: bytes) -> bytes:
    """
    SETXATTR, whether it exists or not.
    """
    return struct.pack(">II", 73, 0) + opaque(name) + opaque(value)


def getxattr(name: bytes) -> bytes:
    """
    GETXATTR.
    """
    return _u32(72) + opaque(name)


def seek(stateid: bytes, offset: int, what: int) -> bytes:
    """
    SEEK of data (0) or of a hole (1).
    """
    return struct.pack(">I16sQI", 69, stateid, offset, what)


def readPlus(stateid: bytes, offset: int, count: int) -> bytes:
    """
    READ_PLUS.
    """
    return struct.pack(">I16sQI", 68, stateid, offset, count)


def allocate(stateid: bytes, offset: int, length: int) -> bytes:
    """
    ALLOCATE.
    """
    return struct.pack(">I16sQQ", 59, stateid, offset, length)


def deallocate(stateid: bytes, offset: int, length: int) -> bytes:
    """
    DEALLOCATE.
    """
    return struct.pack(">I16sQQ", 62, stateid, offset, length)


def ioAdvise(stateid: bytes, offset: int, length: int, hints: int) -> bytes:
    """
    IO_ADVISE.
    """
    return struct.pack(">I16sQQ", 63, stateid, offset, length) + encodeBitmap(hints)


def copy(
    sourceOffset: int,
    offset: int,
    count: int,
    servers: Sequence[tuple[int, Any]] = (),
    stateids: tuple[bytes, bytes] = (ANONYMOUS_STATEID, ANONYMOUS_STATEID),
    synchronous: bool = True,
    consecutive: bool = True,
) -> bytes:
    """
    COPY from the saved filehandle to the current one.

    @param servers: C{netloc4}s of the server that has the source, if another.
    @param stateids: of source and destination.
    """
    return _u32(60) + _encodeCopy(
        COPY4args(
            *stateids,
            sourceOffset,
            offset,
            count,
            consecutive,
            synchronous,
            list(servers),
        )
    )


def clone(
    sourceOffset: int,
    offset: int,
    count: int,
    stateids: tuple[bytes, bytes] = (ANONYMOUS_STATEID, ANONYMOUS_STATEID),
) -> bytes:
    """
    CLONE from the saved filehandle to the current one.

    @param stateids: of source and destination.
    """
    return struct.pack(">I16s16sQQQ", 71, *stateids, sourceOffset, offset, count)


def layoutget(
    layoutType: int,
    iomode: int,
    stateid: bytes,
    maxcount: int = 65536,
    offset: int = 0,
    minlength: int = 0,
) -> bytes:
    """
    LAYOUTGET from an offset to the end of the file.
    """
    return struct.pack(
        ">IIIIQQQ16sI",
        50,
        0,
        layoutType,
        iomode,
        offset,
        0xFFFFFFFFFFFFFFFF,
        minlength,
        stateid,
        maxcount,
    )


def layoutcommit(
    stateid: bytes, length: int, lastWrite: int | None, layoutType: int
) -> bytes:
    """
    LAYOUTCOMMIT from offset 0.

    @param lastWrite: offset of the last byte written, if any.
    """
    return b"".join(
        (
            struct.pack(">IQQI16s", 49, 0, length, 0, stateid),
            _u32(0) if lastWrite is None else struct.pack(">IQ", 1, lastWrite),
            _u32(0),
            struct.pack(">II", layoutType, 0),
        )
    )


def layoutreturn(layoutType: int, stateid: bytes, body: bytes) -> bytes:
    """
    LAYOUTRETURN of a whole file.
    """
    return struct.pack(
        ">IIIIIQQ16s",
        51,
        0,
        layoutType,
        3,
        1,
        0,
        0xFFFFFFFFFFFFFFFF,
        stateid,
    ) + opaque(body)


def layoutreturnMany(layoutType: int, kind: int) -> bytes:
    """
    LAYOUTRETURN of all layouts in the current file system (2) or at all (3).
    """
    return struct.pack(">IIIII", 51, 0, layoutType, 3, kind)


def getdeviceinfo(deviceid: bytes, layoutType: int, maxcount: int) -> bytes:
    """
    GETDEVICEINFO, asking for notifications of change and deletion.
    """
    return struct.pack(">I16sII", 47, deviceid, layoutType, maxcount) + encodeBitmap(6)


def exchangeId(verifier: bytes, owner: bytes, flags: int) -> bytes:
    """
    EXCHANGE_ID without state protection.
    """
    return (
        struct.pack(">I8s", 42, verifier)
        + opaque(owner)
        + struct.pack(">III", flags, 0, 0)
    )


def createSession(
    clientid: int,
    sequence: int,
    back: bool,
    slots: int,
    writeBytes: int,
    readBytes: int,
    program: int,
) -> bytes:
    """
    CREATE_SESSION.

    @param back: ask for the connection to be the back channel too.
    @param writeBytes: the largest WRITE wanted; C{readBytes}: likewise.
    """
    return b"".join(
        (
            struct.pack(">IQII", 43, clientid, sequence, 2 if back else 0),
            struct.pack(
                ">IIIIIII",
                0,
                writeBytes + 4096,
                readBytes + 4096,
                4096,
                16,
                slots,
                0,
            ),
            struct.pack(">IIIIIII", 0, 65536, 4096, 0, 2, 1, 0),
            struct.pack(">III", program, 1, 0),
        )
    )


def reclaimComplete() -> bytes:
    """
    RECLAIM_COMPLETE for all file systems.
    """
    return struct.pack(">II", 58, 0)


def bindConnToSession(sessionid: bytes, direction: int) -> bytes:
    """
    BIND_CONN_TO_SESSION of the connection it comes over.

    @param direction: C{channel_dir_from_client4}.
    """
    return struct.pack(">I16sII", 41, sessionid, direction, 0)


def testStateid(stateids: Sequence[bytes]) -> bytes:
    """
    TEST_STATEID.
    """
    return struct.pack(">II", 55, len(stateids)) + b"".join(stateids)


def freeStateid(stateid: bytes) -> bytes:
    """
    FREE_STATEID: what the server has revoked, and we have understood that.
    """
    return struct.pack(">I16s", 45, stateid)


def destroySession(sessionid: bytes) -> bytes:
    """
    DESTROY_SESSION.
    """
    return _u32(44) + sessionid


def destroyClientid(clientid: int) -> bytes:
    """
    DESTROY_CLIENTID.
    """
    return struct.pack(">IQ", 57, clientid)


ANONYMOUS = ANONYMOUS_STATEID
