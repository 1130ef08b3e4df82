"""
The little of RPC and NFSv4.1 that a load generator says, and reads of the answers.

Requests are built here by hand and not by C{pnfs.nfs4}: a mistake there would
otherwise be made on both sides, and go unnoticed.
"""

from __future__ import annotations

import struct

ANONYMOUS = bytes(16)
RESULTS = 36
"""Where the first result is in the record of a reply to a COMPOUND without a tag."""

AFTER_SEQUENCE = RESULTS + 44
AFTER_PUTFH = AFTER_SEQUENCE + 8

_CREDENTIAL = struct.pack(">II", 1, 28) + struct.pack(
    ">II4sIIII8x", 0, 4, b"load", 0, 0, 1, 0
)


class BenchmarkError(Exception):
    """
    A server gave an answer that cannot be right.
    """


def opaque(data: bytes) -> bytes:
    """
    Variable-length data.
    """
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def record(xid: int, body: bytes, procedure: int = 1, more: int = 0) -> bytes:
    """
    A call with its record mark.

    @param more: bytes of the record that are sent from elsewhere.
    """
    head = struct.pack(">IIIIII", xid, 0, 2, 100003, 4, procedure) + _CREDENTIAL
    length = len(head) + len(body) + more
    return struct.pack(">I", 0x80000000 | length) + head + body


def compound(*operations: bytes) -> bytes:
    """
    The arguments of COMPOUND in minor version 1.
    """
    return struct.pack(">III", 0, 1, len(operations)) + b"".join(operations)


def sequence(sessionid: bytes, sequenceid: int, slot: int, highest: int) -> bytes:
    """
    SEQUENCE; the reply need not be kept.
    """
    return struct.pack(">I16sIIII", 53, sessionid, sequenceid, slot, highest, 0)


def exchangeId(owner: bytes, flags: int) -> bytes:
    """
    EXCHANGE_ID without state protection.
    """
    return (
        struct.pack(">I8s", 42, b"\1" * 8)
        + opaque(owner)
        + struct.pack(">III", flags, 0, 0)
    )


def createSession(clientid: int, sequenceid: int, slots: int, size: int) -> bytes:
    """
    CREATE_SESSION without a back channel.
    """
    fore = struct.pack(">7I", 0, size, size, 4096, 16, slots, 0)
    back = struct.pack(">7I", 0, 4096, 4096, 0, 2, 1, 0)
    head = struct.pack(">IQII", 43, clientid, sequenceid, 0)
    return head + fore + back + struct.pack(">III", 0x40000000, 1, 0)


def reclaimComplete() -> bytes:
    """
    RECLAIM_COMPLETE for everything.
    """
    return struct.pack(">II", 58, 0)


def putfh(fh: bytes) -> bytes:
    """
    PUTFH.
    """
    return struct.pack(">I", 22) + opaque(fh)


PUTROOTFH = struct.pack(">I", 24)
GETFH = struct.pack(">I", 10)
ACCESS = struct.pack(">II", 3, 0x3F)

_WANTED = (1, 3, 4, 8, 19, 20, 33, 35, 36, 37, 41, 45, 47, 52, 53, 55)
_WORDS = [sum(1 << bit % 32 for bit in _WANTED if bit // 32 == w) for w in (0, 1)]
GETATTR = struct.pack(">IIII", 9, 2, *_WORDS)
"""What a Linux client asks for."""


def lookup(name: bytes) -> bytes:
    """
    LOOKUP.
    """
    return struct.pack(">I", 15) + opaque(name)


def remove(name: bytes) -> bytes:
    """
    REMOVE.
    """
    return struct.pack(">I", 28) + opaque(name)


def makeDirectory(name: bytes) -> bytes:
    """
    CREATE of a directory anybody may use.
    """
    return (
        struct.pack(">II", 6, 2)
        + opaque(name)
        + struct.pack(">III", 2, 0, 2)
        + opaque(struct.pack(">I", 0o777))
    )


def readdir(size: int = 32768) -> bytes:
    """
    READDIR from the beginning, with attributes.
    """
    head = struct.pack(">IQ8sII", 26, 0, bytes(8), size // 4, size)
    return head + struct.pack(">III", 2, *_WORDS)


def open_(clientid: int, owner: bytes, name: bytes, create: bool) -> bytes:
    """
    OPEN of a name for reading and writing, without a delegation.
    """
    head = struct.pack(">IIIIQ", 18, 0, 3 | 0x400, 0, clientid) + opaque(owner)
    how = struct.pack(">IIII", 1, 0, 0, 0) if create else struct.pack(">I", 0)
    return head + how + struct.pack(">I", 0) + opaque(name)


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


def write(stateid: bytes, offset: int, count: int) -> bytes:
    """
    WRITE, unstable, up to its data.
    """
    return struct.pack(">I16sQII", 38, stateid, offset, 0, count)


COMMIT = struct.pack(">IQI", 5, 0, 0)


def layoutget(stateid: bytes, write: bool = True) -> bytes:
    """
    LAYOUTGET of a whole file in a files layout.

    @param write: to read and write, else only to read.
    """
    whole = (0, (1 << 64) - 1, 0)
    iomode = 2 if write else 1
    return struct.pack(">IIIIQQQ16sI", 50, 0, 1, iomode, *whole, stateid, 4096)


def layoutreturn(stateid: bytes) -> bytes:
    """
    LAYOUTRETURN of a whole file.
    """
    return struct.pack(">IIIIIQQ16sI", 51, 0, 1, 3, 1, 0, (1 << 64) - 1, stateid, 0)


def getdeviceinfo(deviceid: bytes) -> bytes:
    """
    GETDEVICEINFO of a files layout.
    """
    return struct.pack(">I16sIII", 47, deviceid, 1, 65536, 0)


class Results:
    """
    A reader over a reply's record.
    """

    def __init__(self, wire: bytes, pos: int = 0) -> None:
        self.wire = wire
        self.pos = pos

    def ints(self, count: int) -> tuple[int, ...]:
        """
        So many 32-bit numbers.
        """
        found = struct.unpack_from(f">{count}I", self.wire, self.pos)
        self.pos += 4 * count
        return found

    def fixed(self, count: int) -> bytes:
        """
        So many bytes.
        """
        self.pos += count
        return self.wire[self.pos - count : self.pos]

    def opaque(self) -> bytes:
        """
        Variable-length data.
        """
        (length,) = self.ints(1)
        data = self.fixed(length)
        self.pos += -length % 4
        return data

    def opened(self) -> bytes:
        """
        The result of OPEN, from its number on. @return: the stateid.
        """
        self.ints(2)
        stateid = self.fixed(16)
        self.pos += 20 + 4
        (words,) = self.ints(1)
        self.pos += 4 * words
        (delegation,) = self.ints(1)
        if delegation == 3:
            (why,) = self.ints(1)
            if why in (1, 2):
                self.pos += 4
        elif delegation:
            raise BenchmarkError("a delegation that was not wanted")
        return stateid

    def filehandle(self) -> bytes:
        """
        The result of GETFH, from its number on.
        """
        self.ints(2)
        return self.opaque()
