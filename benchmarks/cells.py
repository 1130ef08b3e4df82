"""
What is measured: the operations, as tasks of L{benchmarks.load}.
"""

from __future__ import annotations

import os
from itertools import count
from typing import Callable, Iterator

from benchmarks import wire
from benchmarks.load import Step, Task
from benchmarks.session import Session
from benchmarks.wire import AFTER_PUTFH, Results

FILES = 256
"""Files in the directory for LOOKUP and READDIR."""


class Metadata:
    """
    A directory of a server, and what is done in it.
    """

    def __init__(self, host: str, port: int, export: str) -> None:
        self.host = host
        self.port = port
        self._keeper = Session(host, port)
        root = self._keeper.find(export)
        self._root = root
        self._numbers = count()
        self._name = b"bench-" + os.urandom(6).hex().encode()
        self.fh = self._keeper.directory(root, self._name)
        self._full = b""

    def session(self, slots: int) -> Session:
        """
        A further client. Ours, which keeps the files, renews its lease by the way.
        """
        self._keeper.run()
        return Session(self.host, self.port, slots)

    @property
    def full(self) -> bytes:
        """
        A directory of L{FILES} files.
        """
        if not self._full:
            self._full = self._keeper.directory(self.fh, b"full")
            for number in range(FILES):
                fh, stateid = self._keeper.open(self._full, b"f%d" % number, b"maker")
                self._keeper.run(wire.putfh(fh), wire.close(stateid))
        return self._full

    def task(self, cell: str, session: Session, slot: int) -> Task:
        """
        The task of one slot for a cell of the matrix.
        """
        fixed: dict[str, Callable[[], tuple[bytes, ...]]] = {
            "null": lambda: (),
            "getattr": lambda: (wire.putfh(self.fh), wire.GETATTR),
            "access": lambda: (wire.putfh(self.fh), wire.ACCESS),
            "readdir": lambda: (wire.putfh(self.full), wire.readdir()),
        }
        if cell in fixed:
            return _forever(fixed[cell]())
        tasks: dict[str, Callable[[Session, int], Task]] = {
            "lookup": self._lookup,
            "openclose": self._openClose,
            "create": self._create,
            "remove": self._remove,
            "layout to read": self._layoutToRead,
            "layout to write": self._layoutToWrite,
        }
        return tasks[cell](session, slot)

    def _lookup(self, session: Session, slot: int) -> Task:
        directory = wire.putfh(self.full)
        for number in count(slot * 31):
            name = wire.lookup(b"f%d" % (number * 97 % FILES))
            yield Step((directory, name, wire.GETFH, wire.GETATTR))

    def _openClose(self, session: Session, slot: int) -> Task:
        name = b"open-%d" % next(self._numbers)
        fh, stateid = session.open(self.fh, name)
        session.run(wire.putfh(fh), wire.close(stateid))
        return self._opening(session, name, lambda: name)

    def _create(self, session: Session, slot: int) -> Task:
        name = b"owner-%d" % next(self._numbers)
        return self._opening(session, name, lambda: b"c%d" % next(self._numbers))

    def _opening(
        self, session: Session, owner: bytes, nextName: Callable[[], bytes]
    ) -> Task:
        directory = wire.putfh(self.fh)
        while True:
            name = nextName()
            operation = wire.open_(session.clientid, owner, name, name != owner)
            opening = (directory, operation, wire.GETFH, wire.GETATTR)
            found = Results((yield Step(opening, last=False)), AFTER_PUTFH)
            stateid = found.opened()
            fh = found.filehandle()
            yield Step((wire.putfh(fh), wire.close(stateid)))

    def _remove(self, session: Session, slot: int) -> Task:
        directory = wire.putfh(self.fh)
        names = [b"r%d" % next(self._numbers) for _ in range(200)]
        for name in names:
            fh, stateid = session.open(self.fh, name, b"maker")
            session.run(wire.putfh(fh), wire.close(stateid))
        return self._removing(directory, names)

    def _removing(self, directory: bytes, names: list[bytes]) -> Task:
        for name in names:
            yield Step((directory, wire.remove(name)))

    def _layoutToRead(self, session: Session, slot: int) -> Task:
        return self._layout(session, False)

    def _layoutToWrite(self, session: Session, slot: int) -> Task:
        return self._layout(session, True)

    def _layout(self, session: Session, write: bool) -> Task:
        fh, stateid = session.open(self.fh, b"layout-%d" % next(self._numbers))
        file = wire.putfh(fh)
        # The first layout has the data files made, which is not what counts here.
        given = session.run(file, wire.layoutget(stateid)).wire
        session.run(file, wire.layoutreturn(_layoutStateid(given)))
        return self._layouts(file, wire.layoutget(stateid, write))

    def _layouts(self, file: bytes, get: bytes) -> Task:
        while True:
            reply = yield Step((file, get), last=False)
            yield Step((file, wire.layoutreturn(_layoutStateid(reply))))

    def openWithLayout(self, session: Session, files: Iterator[int]) -> Task:
        """
        Open files and keep them open, with a layout each, until there are no more.
        """
        directory = wire.putfh(self.fh)
        for number in files:
            name = b"held-%d" % number
            operation = wire.open_(session.clientid, b"holder", name, True)
            opening = (directory, operation, wire.GETFH)
            found = Results((yield Step(opening, last=False)), AFTER_PUTFH)
            stateid = found.opened()
            file = wire.putfh(found.filehandle())
            yield Step((file, wire.layoutget(stateid)))

    def file(self, name: bytes) -> tuple[Session, bytes, bytes]:
        """
        A file held open: the session, filehandle and stateid.
        """
        return (self._keeper, *self._keeper.open(self._root, name, b"keeper"))


def _layoutStateid(reply: bytes) -> bytes:
    return reply[AFTER_PUTFH + 12 : AFTER_PUTFH + 28]


def _forever(operations: tuple[bytes, ...]) -> Task:
    while True:
        yield Step(operations)


def reading(fh: bytes, stateid: bytes, offsets: Iterator[int], size: int) -> Task:
    """
    READ, one piece after the other.
    """
    file = wire.putfh(fh)
    for offset in offsets:
        yield Step((file, wire.read(stateid, offset, size)))


def writing(fh: bytes, stateid: bytes, offsets: Iterator[int], size: int) -> Task:
    """
    WRITE, one piece after the other.
    """
    file = wire.putfh(fh)
    data = bytes(range(256)) * (size // 256)
    for offset in offsets:
        yield Step((file, wire.write(stateid, offset, size)), data)
