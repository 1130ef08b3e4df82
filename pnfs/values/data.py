"""
The contents of files and data files.
"""

from __future__ import annotations

import enum
from typing import Any, Optional, Sequence, Union

import attrs


class Stable(enum.IntEnum):
    """
    C{stable_how4} (RFC 8881, section 18.32): how durable a write is.
    """

    UNSTABLE = 0
    DATA_SYNC = 1
    FILE_SYNC = 2


@attrs.define(slots=True, eq=False)
class FileSlice:
    """
    A piece of a reply that the transport sends from a file without copying.

    @ivar fd: open for reading and kept so until C{release} has been called.
    @ivar count: bytes; if the file has become shorter, zeros are sent instead.
    @ivar release: called once when the bytes are sent or the connection is gone.
    """

    fd: int
    offset: int
    count: int
    release: Any

    def __len__(self) -> int:
        return self.count


Piece = Union[bytes, memoryview, FileSlice]
"""A part of a reply. Views must stay unchanged until sent."""


@attrs.define(slots=True)
class ReadResult:
    """
    @ivar pieces: the bytes read; together C{count}.
    @ivar eof: the range reached the end of the object.
    """

    pieces: Sequence[Piece]
    count: int
    eof: bool


@attrs.define(slots=True)
class Segment:
    """
    A part of a file that is all data or all hole (RFC 7862, section 15.10).

    @ivar pieces: the bytes, together C{count}; None for a hole.
    """

    offset: int
    count: int
    pieces: Optional[Sequence[Piece]]


@attrs.define(slots=True)
class SegmentsResult:
    """
    @ivar segments: in order and without gaps, from the start of the range on.
    @ivar count: bytes of the range that they tell of.
    @ivar eof: the range reached the end of the object.
    """

    segments: Sequence[Segment]
    count: int
    eof: bool


@attrs.define(slots=True)
class WriteResult:
    """
    @ivar count: bytes written, from the start of the range.
    @ivar committed: a L{Stable}: never less than what was asked.
    @ivar verifier: 8 bytes; another one than before means that unstable writes
        since then may be lost.
    """

    count: int
    committed: int
    verifier: bytes


@attrs.define(slots=True)
class CheckedCopy:
    """
    Bytes copied, and compared with what the source had after that.

    @ivar written: what has been copied, of which
    @ivar compared: so many bytes, from the start on, have been compared, by checksums of
        what was written; nobody else may write there meanwhile.
    @ivar unequal: ranges of (offset, length) of these that differ: the source has been
        changed.
    """

    written: WriteResult
    compared: int = 0
    unequal: Sequence[tuple[int, int]] = ()


@attrs.define(slots=True)
class ObjectAttributes:
    """
    A data file. Times in nanoseconds.
    """

    size: int
    used: int
    atime: int
    mtime: int
    ctime: int
    change: int
    uid: int
    gid: int
    mode: int
    epoch: int


@attrs.frozen
class CopySource:
    """
    What a data server shall copy from.

    @ivar name: the object.
    @ivar uuid: the data server that has it; empty: the one that copies.
    @ivar addresses: (numeric host, port) pairs where that one may be reached.
    @ivar handle: a capability filehandle that may read it there.
    """

    name: bytes
    uuid: bytes = b""
    addresses: tuple[tuple[str, int], ...] = ()
    handle: bytes = b""
