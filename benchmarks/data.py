"""
READ and WRITE: at our data servers by the layout, at another server plainly.
"""

from __future__ import annotations

from itertools import count, islice
from typing import Iterator, Protocol, Sequence

from benchmarks.cells import Metadata, reading, writing
from benchmarks.layout import Column, columns
from benchmarks.load import Outcome, Task, run
from benchmarks.session import USE_PNFS_DS, Session

MIB = 1 << 20
FILE_SIZE = 96 * MIB
"""Of the file that is read and written, over all its stripes."""


class _Place(Protocol):
    """
    Where a part of the file is served.
    """

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def fh(self) -> bytes: ...

    def offsets(self, size: int, fileSize: int, start: int) -> Iterator[int]:
        """
        As L{Column.offsets}.
        """


class _Whole:
    """
    A file that one server has whole.
    """

    def __init__(self, host: str, port: int, fh: bytes) -> None:
        self.host = host
        self.port = port
        self.fh = fh

    def offsets(self, size: int, fileSize: int, start: int) -> Iterator[int]:
        """
        As L{Column.offsets}.
        """
        pieces = fileSize // size
        return (number % pieces * size for number in count(start))


class DataLoad:
    """
    A file of a server, filled.
    """

    def __init__(self, server: Metadata, pids: Sequence[int], pnfs: bool) -> None:
        self._pids = pids
        keeper, fh, self._stateid = server.file(b"bench-data")
        self._places: Sequence[_Place] = (
            columns(keeper, fh, self._stateid)
            if pnfs
            else [_Whole(server.host, server.port, fh)]
        )
        self._plain = None if pnfs else keeper
        self.measure("write", MIB, 1, 0.0)

    def measure(self, operation: str, size: int, slots: int, seconds: float) -> Outcome:
        """
        Load every server with C{slots} requests at a time.

        @param seconds: 0: once over the whole file.
        """
        make = reading if operation == "read" else writing
        pairs: list[tuple[Session, list[Task]]] = []
        opened = []
        for place in self._places:
            # A plain server knows the stateid only of the client that opened.
            session = (
                Session(place.host, place.port, slots, USE_PNFS_DS)
                if self._plain is None
                else self._plain.another(slots)
            )
            opened.append(session)
            tasks = []
            share = FILE_SIZE // len(self._places) // size
            for slot in range(slots):
                start = share // slots * slot
                offsets = place.offsets(size, FILE_SIZE, start)
                if not seconds:
                    offsets = islice(offsets, share // slots)
                tasks.append(make(place.fh, self._stateid, offsets, size))
            pairs.append((session, tasks))
        outcome = run(pairs, self._pids, seconds)
        for session in opened:
            session.disconnect()
        return outcome


__all__ = ["Column", "DataLoad", "FILE_SIZE", "MIB"]
