# -*- test-case-name: tests.mds.test_fences -*-
"""
Fences that wait until their data servers answer.

They must outlive a restart, and there are many of them when a data server is lost
while clients write thousands of files on it. So each is a line added to a file, and
the file is written anew only when some of them have been carried out.
"""

from __future__ import annotations

import errno
import os
from typing import Mapping

from pnfs.backends.errors import BackendError, BadConfiguration
from pnfs.backends.metadata.recovery import syncFolder, writeDurably

Fences = dict[bytes, dict[bytes, int]]
"""By UUID of the data server: object name to epoch."""


class FenceLog:
    """
    The file C{fences} in the state folder: lines of UUID, epoch and object name.
    """

    def __init__(self, folder: str) -> None:
        self._file = os.path.join(folder, "fences")

    def load(self) -> Fences:
        """
        All that are waiting. A line that a crash has cut short was not promised to
        anybody yet.

        @raise BadConfiguration: the file is damaged.
        """
        try:
            with open(self._file, "rb") as stream:
                lines = stream.read().split(b"\n")
        except FileNotFoundError:
            return {}
        found: Fences = {}
        try:
            for line in lines[:-1]:
                uuid, epoch, name = line.split(b" ")
                names = found.setdefault(bytes.fromhex(uuid.decode("ascii")), {})
                names[name] = max(int(epoch), names.get(name, 0))
        except ValueError as error:
            raise BadConfiguration(
                f"{self._file}: is damaged: {error}; restore it, or remove it while "
                "all data servers answer"
            ) from None
        if lines[-1]:
            self.replace(found)
        return found

    def add(self, uuid: bytes, name: bytes, epoch: int) -> None:
        """
        One more; it is durable when this returns.

        @raise BackendError: that is not possible.
        """
        try:
            new = not os.path.exists(self._file)
            with open(self._file, "ab", buffering=0) as stream:
                self._append(stream.fileno(), _line(uuid, name, epoch))
            if new:
                syncFolder(os.path.dirname(self._file))
        except OSError as error:
            raise BackendError(f"{self._file}: {error.strerror}") from error

    def replace(self, fences: Mapping[bytes, Mapping[bytes, int]]) -> None:
        """
        These and no others are waiting.

        @raise BackendError: it cannot be made durable.
        """
        text = b"".join(
            [_line(uuid, *each) for uuid in fences for each in fences[uuid].items()]
        )
        try:
            writeDurably(self._file, text)
        except OSError as error:
            raise BackendError(f"{self._file}: {error.strerror}") from error

    def _append(self, fd: int, line: bytes) -> None:
        """
        All of a line, or nothing: the next one must not be taken for its rest.
        """
        size = os.fstat(fd).st_size
        try:
            if os.write(fd, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise


def _line(uuid: bytes, name: bytes, epoch: int) -> bytes:
    return b"%b %d %b\n" % (uuid.hex().encode("ascii"), epoch, name)
