# -*- test-case-name: tests.backends.ds.test_memory -*-
"""
Checksums of pieces of data files, by which mirrors are compared without moving them.

They are the tags of GMAC with a key that everybody knows: not against who would make two
pieces alike, but against chance no worse than a hash, and at more than ten times the
speed, as processors have instructions for it.

A piece of zeros has none (the digest C{b""}), whether they were written, lie in a
hole, or lie behind the end: mirrors of a file may differ in that. So zeros count as
well where the end or a hole lies within a piece.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Awaitable, Callable, Optional, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from pnfs.backends.errors import InvalidArgument

DIGEST = 16
"""Bytes of a digest that is not empty."""

SMALLEST_UNIT = 512
LARGEST_UNIT = 64 << 20

UNIT = 256 << 10
"""Bytes of a piece, where mirrors are compared: all of them differ if one does."""

STEP = 64 << 20
"""Bytes of data in one step; of a piece that is larger, all."""

DIGESTS = 2048
"""In one step, and in one answer."""

_BLOCK = 1 << 20
_ZEROS = memoryview(bytes(_BLOCK))
_GMAC: Any = Cipher(AES(b"pnfs data digest"), GCM(bytes(12)))


class PieceDigest:
    """
    The digest of one piece, fed from its start to its end.
    """

    __slots__ = ("_context",)

    def __init__(self) -> None:
        self._context = _GMAC.encryptor()

    def data(self, data: Any) -> None:
        """
        Bytes follow.
        """
        self._context.authenticate_additional_data(data)

    def zeros(self, count: int) -> None:
        """
        Zeros follow.
        """
        while count:
            part = _ZEROS[:count]
            self.data(part)
            count -= len(part)

    def digest(self, count: int) -> bytes:
        """
        @param count: bytes of the piece: if all are zeros, the digest is empty.
        """
        tag = self._tag()
        return b"" if tag == _zeroTag(count) else tag

    def _tag(self) -> bytes:
        self._context.finalize()
        return bytes(self._context.tag)


class RangeDigests:
    """
    Digests of the pieces (L{UNIT}) of a range, told in whatever order.

    @ivar offset: where the range begins.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._digests: dict[int, bytes] = {}

    def add(self, offset: int, length: int, digests: Sequence[bytes]) -> None:
        """
        Something has been written.

        @param digests: of its pieces, the last of which may be a part if the range ends
            there; none: they are not known.
        """
        first, within = divmod(offset - self.offset, UNIT)
        for number in range(first, -(-(offset - self.offset + length) // UNIT)):
            self._digests.pop(number, None)
        if not within:
            self._digests.update(enumerate(digests, first))

    def known(self, count: int) -> list[bytes]:
        """
        Of so many bytes the digests, from the first on; fewer if one is not known.
        """
        found = []
        for number in range(-(-count // UNIT)):
            digest = self._digests.get(number)
            if digest is None:
                break
            found.append(digest)
        return found


def digestsOfPieces(data: memoryview) -> list[bytes]:
    """
    Of the pieces of some bytes.
    """
    found = []
    for start in range(0, len(data), UNIT):
        part = data[start : start + UNIT]
        piece = PieceDigest()
        piece.data(part)
        found.append(piece.digest(len(part)))
    return found


@lru_cache(1024)
def _zeroTag(count: int) -> bytes:
    piece = PieceDigest()
    piece.zeros(count)
    return piece._tag()


def requireUnit(unit: int) -> None:
    """
    @raise InvalidArgument: pieces cannot be so small, or so large.
    """
    if not SMALLEST_UNIT <= unit <= LARGEST_UNIT:
        raise InvalidArgument(f"pieces of {unit} bytes")


async def digestsOf(
    read: Callable[[int, int], Awaitable[bytes]],
    seek: Callable[[int], Awaitable[Optional[int]]],
    offset: int,
    count: int,
    unit: int,
) -> list[bytes]:
    """
    As L{pnfs.interfaces.IDataServerBackend.checksums}, by reading.

    @param read: gives bytes from an offset on, up to a count; fewer at the end.
    @param seek: where data begins at an offset or behind it; None: nowhere.
    """
    requireUnit(unit)
    found: list[bytes] = []
    end = offset + count
    done = 0
    data: Optional[int] = offset
    while offset < end and len(found) < DIGESTS and done < STEP:
        length = min(unit, end - offset)
        if data is not None and data <= offset:
            data = await seek(offset)
        if data is None or data >= offset + length:
            found.append(b"")
            offset += length
            continue
        piece = PieceDigest()
        for at in range(offset, offset + length, _BLOCK):
            want = min(_BLOCK, offset + length - at)
            some = await read(at, want)
            piece.data(memoryview(some))
            piece.zeros(want - len(some))
        found.append(piece.digest(length))
        offset += length
        done += length
    return found
