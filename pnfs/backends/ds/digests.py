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
from typing import Any, Awaitable, Callable, Optional

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from pnfs.backends.errors import InvalidArgument

DIGEST = 16
"""Bytes of a digest that is not empty."""

SMALLEST_UNIT = 512
LARGEST_UNIT = 64 << 20

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
