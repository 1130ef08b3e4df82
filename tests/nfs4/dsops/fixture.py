"""
A data server in memory to speak bytes to.
"""

from __future__ import annotations

from typing import Any

from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.namespace.filehandles import CONTROL, READ, WRITE, CapabilityCodec
from pnfs.nfs4 import requests
from pnfs.nfs4.optable import dsTables
from pnfs.nfs4.results import Results
from pnfs.values import Credential
from pnfs.xdr.codec import PAD
from tests.nfs4.fixture import Fixture

NAME = b"00000001aabb"
OWNER = Credential(1000, 100, frozenset({100}))
STRANGER = Credential(2000, 200, frozenset({200}))


class DSFixture(Fixture):
    """
    With one object called L{NAME}, of uid 1000, gid 100, mode 0640, epoch 3.
    """

    def __init__(self) -> None:
        super().__init__(dsTables())
        self.data = MemoryDataServerBackend(b"verifier", b"u" * 16, 1 << 30)
        self.codec = CapabilityCodec(b"k" * 32)
        self.server.data = self.data
        self.server.filehandles = self.codec
        self.do(self.data.create(NAME, 1000, 100, 0o640, 3))
        self.credential = OWNER
        self.mount(minor=2)

    def do(self, coroutine: Any) -> Any:
        """
        The result of what does not wait.
        """
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("it waits")

    def handle(self, rights: int = READ | WRITE, epoch: int = 3) -> bytes:
        """
        PUTFH of a capability for the object.
        """
        return requests.putfh(self.codec.mint(rights, epoch, NAME))

    def control(self, name: bytes = b"") -> bytes:
        """
        PUTFH of a control handle.
        """
        return requests.putfh(self.codec.mint(CONTROL, 0, name))

    def results(self, *ops: bytes, **more: Any) -> Results:
        """
        Results of operations, after SEQUENCE's.
        """
        reply = self.run(*ops, **more)
        results = Results(reply.wire, 0)
        results.operation(53)
        results.fixed(36)
        return results

    def status(self, *ops: bytes, **more: Any) -> int:
        """
        How a COMPOUND ends.
        """
        return self.results(*ops, **more).status

    def content(self) -> bytes:
        """
        Of the object.
        """
        found = self.do(self.data.read(NAME, 0, 1 << 20))
        return b"".join(map(bytes, found.pieces))


def write(offset: int, data: bytes, stable: int = 0) -> bytes:
    """
    WRITE.
    """
    head = requests.writeHead(requests.ANONYMOUS, offset, stable, len(data))
    return head + data + PAD[len(data) & 3]


def read(offset: int, count: int) -> bytes:
    """
    READ.
    """
    return requests.read(requests.ANONYMOUS, offset, count)
