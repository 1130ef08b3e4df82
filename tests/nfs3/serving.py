"""
An NFSv3 data server on memory, asked with whole RPC records.
"""

from __future__ import annotations

import struct
from typing import Any, Coroutine, Optional

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.namespace.filehandles import CapabilityCodec
from pnfs.nfs3.dataserver import DataServer3
from pnfs.nfs3.server import PROCEDURES, dataServerProgram
from pnfs.nfs3.types import NFS_PROGRAM, NFS_V3
from pnfs.rpc.hub import Hub
from pnfs.rpc.peer import Peer
from pnfs.values import ReadResult, WriteResult
from tests.rpc import wire

NAME = b"00112233"
OWNER = 1000
GROUP = 100
KEY = b"k" * 32

NUMBERS = {name: number for number, name in PROCEDURES.items()}

SUCCESS = 0
GARBAGE_ARGS = 4


class SlowBackend(MemoryDataServerBackend):
    """
    Nothing is in memory: every call goes the long way.

    @ivar gate: if set, C{getattr} waits for it.
    """

    gate: Optional[Deferred[None]] = None

    def peek(self, name: bytes) -> None:
        """
        Not known.
        """

    def readNow(self, name: bytes, offset: int, count: int) -> None:
        """
        Not now.
        """

    def writeNow(self, name: bytes, offset: int, data: memoryview, stable: int) -> None:
        """
        Not now.
        """

    async def getattr(self, name: bytes) -> Any:
        """
        Wait first.
        """
        if self.gate is not None:
            await self.gate
        return await super().getattr(name)

    async def read(self, name: bytes, offset: int, count: int) -> ReadResult:
        """
        As memory does it.
        """
        self._find(name)
        result = MemoryDataServerBackend.readNow(self, name, offset, count)
        assert result is not None
        return result

    async def write(
        self, name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        As memory does it.
        """
        self._find(name)
        result = MemoryDataServerBackend.writeNow(self, name, offset, data, stable)
        assert result is not None
        return result


def opaque(data: bytes) -> bytes:
    """
    Variable-length opaque data.
    """
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


class DataServerTestCase(SynchronousTestCase):
    """
    A server with one object of 10 bytes, mode 0640.
    """

    backendClass: Any = MemoryDataServerBackend

    def setUp(self) -> None:
        """
        Start it.
        """
        self.backend = self.backendClass(b"boot-001", bytes(range(1, 17)))
        self.capabilities = CapabilityCodec(KEY)
        self.server = DataServer3(self.backend, self.capabilities, 65536, 65536)
        self.serve()
        self.run_(self.backend.create(NAME, OWNER, GROUP, 0o640, 5))
        self.run_(self.backend.write(NAME, 0, memoryview(b"0123456789"), 0))

    def serve(self) -> None:
        """
        Connect a peer.
        """
        self.output: list[bytes] = []
        self.hub = Hub([dataServerProgram(self.server)], Clock())
        self.peer = Peer(
            (),
            lambda pieces, size: self.output.append(b"".join(pieces)),
            Clock(),
            disconnect=lambda: None,
            hub=self.hub,
        )

    def run_(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """
        The result of what need not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def mint(self, rights: int, epoch: int = 5, name: bytes = NAME) -> bytes:
        """
        A filehandle, encoded.
        """
        return opaque(self.capabilities.mint(rights, epoch, name))

    def answer(self) -> tuple[int, bytes]:
        """
        Accept status and results of the one reply.
        """
        (record,) = self.output
        self.output.clear()
        head = struct.unpack_from(">7I", record)
        self.assertEqual(head[0], 0x80000000 | len(record) - 4)
        self.assertEqual(head[2:6], (1, 0, 0, 0))
        self.assertEqual(len(record) % 4, 0)
        return head[6], record[28:]

    def record(self, record: bytes) -> tuple[int, bytes]:
        """
        Send a whole call.
        """
        self.peer.recordReceived(record)
        return self.answer()

    def ask(
        self,
        name: str,
        arguments: bytes = b"",
        uid: int = OWNER,
        gid: int = GROUP,
        gids: tuple[int, ...] = (),
    ) -> bytes:
        """
        Results of a procedure.
        """
        stat, results = self.record(
            wire.call(
                NUMBERS[name],
                arguments,
                credential=wire.authSys(uid, gid, gids),
                program=NFS_PROGRAM,
                version=NFS_V3,
            )
        )
        self.assertEqual(stat, SUCCESS)
        return results

    def status(self, *args: Any, **kw: Any) -> int:
        """
        Status of a procedure.
        """
        found: int = struct.unpack_from(">I", self.ask(*args, **kw))[0]
        return found
