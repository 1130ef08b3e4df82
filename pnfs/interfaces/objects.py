"""
The data files of a data server.
"""

from __future__ import annotations

from typing import Optional, Sequence

from zope.interface import Attribute, Interface

from pnfs.values import (
    CheckedCopy,
    CopySource,
    FSStatistics,
    ObjectAttributes,
    ReadResult,
    SegmentsResult,
    SetAttributes,
    WriteResult,
)


class IDataServerBackend(Interface):
    """
    Objects by name, flat: the data files of a data server. Names are
    C{[0-9a-f]{1,80}}. All methods may be called concurrently.
    """

    verifier = Attribute(
        "8 bytes that change with every start that may lose unstable writes."
    )
    uuid = Attribute(
        "16 bytes: this data server's identity, set once C{start} has finished."
    )

    async def start() -> None:
        """
        @raise BadConfiguration: the storage cannot be used; one clear line.
        """

    async def stop() -> None:
        """
        Flush and close.
        """

    def peek(name: bytes) -> Optional[ObjectAttributes]:
        """
        Attributes needed for access checks (C{epoch}, C{uid}, C{gid}, C{mode}), if in
        memory: never waits. C{size} and times may be stale.
        """

    def readNow(name: bytes, offset: int, count: int) -> Optional[ReadResult]:
        """
        As L{read}, if it can be answered without waiting for a device; else None.
        """

    def writeNow(
        name: bytes, offset: int, data: memoryview, stable: int
    ) -> Optional[WriteResult]:
        """
        As L{write}, if it can be answered without waiting for a device; else None.
        C{data} is only used during the call.
        """

    async def getattr(name: bytes) -> ObjectAttributes:
        """
        @raise NoSuchObject:
        """

    async def create(name: bytes, uid: int, gid: int, mode: int, epoch: int) -> None:
        """
        Make an empty object; if it exists, leave its bytes and set the rest.
        Durable when it returns.
        """

    async def provide(
        name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> ObjectAttributes:
        """
        As L{create}, for who wants to know whether it was there.

        @return: what it is like.
        """

    async def remove(name: bytes) -> None:
        """
        @raise NoSuchObject:
        """

    async def setattr(name: bytes, changes: SetAttributes) -> None:
        """
        Owner, mode, times, and size (truncates or grows with a hole).
        """

    async def extend(name: bytes, size: int) -> None:
        """
        Grow with a hole to C{size} if smaller; never shrinks, also not in a race
        with writes.
        """

    async def fence(name: bytes, epoch: int) -> None:
        """
        Raise the fence epoch (never lowers it). Durable when it returns; writes
        that were accepted with an older one have finished by then.
        """

    async def read(name: bytes, offset: int, count: int) -> ReadResult:
        """
        Up to C{count} bytes; fewer only at the end. Holes read as zeros.
        """

    async def write(
        name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        Write all of C{data}. The caller leaves C{data} unchanged until it returns.

        @raise NoSpace: @raise QuotaExceeded: @raise TooBig: @raise NoSuchObject:
        """

    async def writePast(
        name: bytes, offset: int, data: memoryview
    ) -> Optional[tuple[WriteResult, Sequence[bytes]]]:
        """
        As an unstable L{write}, past the memory in which what is used is kept: of what
        nobody reads soon. Some of it at least is read again from the storage.

        @return: also the digests of its pieces of 256 KiB (L{checksums}): as they are
            there, or as the storage has accepted them; none of them if less was
            written. None: it cannot be done so, nothing has been, and it is to be
            written.
        """

    async def commit(name: bytes, offset: int, count: int) -> bytes:
        """
        Bring written bytes to stable storage (C{count} 0: to the end).

        @return: the verifier, read after the flush.
        """

    async def settle(name: bytes) -> ObjectAttributes:
        """
        Bring all written bytes to stable storage.

        @return: what it is like after that.
        """

    async def seek(name: bytes, offset: int, hole: bool) -> Optional[int]:
        """
        Where the next data begins, or the next hole, at C{offset} or behind it. The
        end of the object is a hole; who does not know holes has no other one.

        @return: None if C{offset} is at the end or behind it, or no data follows.
        """

    async def readSegments(name: bytes, offset: int, count: int) -> SegmentsResult:
        """
        As L{read}, without the bytes of holes. A hole may be told as data.
        """

    async def allocate(name: bytes, ranges: Sequence[tuple[int, int]]) -> None:
        """
        Reserve space for ranges of (offset, length), none of them empty, also behind
        the end. Bytes that were there stay, others are zero; so does the size: what
        fails half-way must not leave a larger file. Durable after a C{commit}.

        @raise NoSpace: @raise QuotaExceeded: @raise TooBig: @raise Unsupported:
        """

    async def deallocate(name: bytes, offset: int, length: int) -> None:
        """
        Make a range zeros, and give back its space as far as the storage can. The
        size stays as it is, also if the range ends behind it. Durable when it
        returns.

        @raise Unsupported:
        """

    async def advise(name: bytes, offset: int, length: int, hints: int) -> int:
        """
        How a range will be used.

        @param length: 0 means to the end.
        @param hints: a bitmap of C{IO_ADVISE_type4} (RFC 7862, section 15.5).
        @return: those that make a difference here.
        """

    async def copy(
        name: bytes, offset: int, source: CopySource, sourceOffset: int, count: int
    ) -> WriteResult:
        """
        Make C{count} bytes of an object equal to those of another. What lies behind
        the end of the source counts as zeros; holes stay holes where that is cheap.
        It may end early, so that progress is seen and it can be stopped: the caller
        goes on after C{count} of the result, which is 0 only if nothing was asked
        for.

        @raise InvalidArgument: the ranges overlap in one object.
        @raise Unsupported: the source lies elsewhere, and cannot be fetched.
        @raise PartnerFailed: the data server that has it does not give it.
        """

    async def copyChecked(
        name: bytes, offset: int, source: CopySource, sourceOffset: int, count: int
    ) -> CheckedCopy:
        """
        As L{copy}, comparing with the source where that is cheap: best is who reads the
        bytes from another data server. To compare nothing is no error.
        """

    async def clone(
        name: bytes, offset: int, source: bytes, sourceOffset: int, count: int
    ) -> None:
        """
        As L{copy}, all of it, by sharing the bytes of an object here: takes no time
        and no space. Offsets are multiples of C{cloneBlock} (L{statfs}), and so is
        C{count} unless the source has no byte behind the range. Durable when it
        returns.

        @raise InvalidArgument: the ranges overlap in one object, or are not aligned.
        @raise Unsupported: the storage cannot.
        """

    async def checksums(
        name: bytes, offset: int, count: int, unit: int
    ) -> Sequence[bytes]:
        """
        Digests of the pieces of a range, by which mirrors are compared: 16 bytes
        each (L{pnfs.backends.ds.digests}); C{b""} for a piece of zeros. What lies in holes and behind the end
        counts as zeros. What is written meanwhile may count or not.

        @param unit: bytes of a piece, from 512 to 64 MiB; the last may be shorter.
        @return: of as many pieces, from the first on, as can be told at once: the
            caller goes on behind them. None only if C{count} is 0.
        @raise InvalidArgument: pieces cannot be so small or large.
        @raise Unsupported: it cannot tell.
        """

    async def track(name: bytes) -> tuple[bytes, int]:
        """
        Follow what is changed in an object from now on, in memory only, as long as
        it is asked about now and then.

        @return: a token for this moment, up to 32 bytes, empty if it cannot tell; and
            how many bytes the object has, not earlier than at that moment.
        """

    async def changes(name: bytes, token: bytes) -> Optional[list[tuple[int, int]]]:
        """
        What has been changed since a token was given, by whatever path: written,
        copied there, deallocated, cut off. The size is not part of it: to grow with
        a hole changes nothing.

        @return: ranges of (offset, length), in order, apart from each other,
            rounded to a megabyte or more, also behind the end; None: it is not
            known, as after a restart.
        """

    async def list(after: bytes, limit: int) -> Sequence[bytes]:
        """
        Up to C{limit} object names greater than C{after}, in order.
        """

    async def statfs() -> FSStatistics:
        """
        Space.
        """
