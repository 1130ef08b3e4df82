# -*- test-case-name: tests.mds.test_fileindex -*-
"""
What the index of files has been told and not yet taken into its tables, in files
that a killed process leaves behind: it goes on there when it starts again.

A record is its length, a CRC of the rest that begins with the number of the format, and
the rest. Not flushed: a power cut may
take some with it; then the index is made anew.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from typing import Iterator

from pnfs.mds.fileindex_store import Indexed

_head = struct.Struct("<II")
_fixed = struct.Struct("<I?BBHHH")
_FORMAT = 2
_FILE = re.compile(r"fileindex-(\d{1,18})\.log")


class Journal:
    """
    One file after the other.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._fd = -1
        self._number = max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        found = map(_FILE.fullmatch, os.listdir(self._folder))
        return sorted(int(match[1]) for match in found if match)

    def _path(self, number: int) -> str:
        return os.path.join(self._folder, f"fileindex-{number}.log")

    def records(self) -> Iterator[Indexed]:
        """
        What earlier processes have left.
        """
        for number in self._numbers():
            with open(self._path(number), "rb") as file:
                yield from decode(file.read())

    def append(self, record: Indexed) -> None:
        """
        @raise OSError: it is not noted.
        """
        if self._fd < 0:
            self._number += 1
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self._path(self._number), flags, 0o600)
        os.write(self._fd, encode(record))

    def turn(self) -> int:
        """
        Begin another file. @return: the number of the last one before it.
        """
        self.close()
        return self._number

    def discard(self, number: int) -> None:
        """
        Everything up to that file is in the tables.
        """
        for each in self._numbers():
            if each <= number:
                os.unlink(self._path(each))

    def close(self, sync: bool = False) -> None:
        """
        @param sync: bring all to stable storage.
        """
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if sync:
            for number in self._numbers():
                fd = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)


def encode(record: Indexed) -> bytes:
    """
    A record as it is in the file.
    """
    body = b"".join(
        (
            _fixed.pack(
                record.export,
                record.moving,
                len(record.name),
                len(record.handle),
                len(record.servers),
                len(record.stale),
                len(record.alone),
            ),
            record.name,
            record.handle,
            *record.servers,
            *record.stale,
            *record.alone,
        )
    )
    return _head.pack(len(body), zlib.crc32(body, _FORMAT)) + body


def decode(data: bytes) -> Iterator[Indexed]:
    """
    Records up to the first that is not whole: a killed process may leave part of one.
    """
    position = 0
    while position + _head.size <= len(data):
        length, crc = _head.unpack_from(data, position)
        position += _head.size
        body = data[position : position + length]
        position += length
        if (
            len(body) < length
            or length < _fixed.size
            or zlib.crc32(body, _FORMAT) != crc
        ):
            return
        export, moving, name, handle, servers, stale, alone = _fixed.unpack_from(body)
        at = _fixed.size
        parts = []
        for size in (name, handle, *[16] * (servers + stale + alone)):
            parts.append(body[at : at + size])
            at += size
        yield Indexed(
            parts[0],
            export,
            parts[1],
            tuple(parts[2 : 2 + servers]),
            tuple(parts[2 + servers : 2 + servers + stale]),
            moving,
            tuple(parts[2 + servers + stale :]),
        )
