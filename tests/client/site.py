"""
A whole site in one process, and mounts of it.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

from twisted.internet.defer import Deferred, fail

from pnfs.client.mount import SHARE_BOTH, Mount
from pnfs.rpc.coroutines import drive
from pnfs.rpc.errors import ConnectionClosed
from pnfs.rpc.hub import Hub
from pnfs.rpc.program import Program
from pnfs.rpc.protocol import RPCProtocol
from tests.mds.wire import MemoryRPCClient, Wire
from tests.mds.world import MDS, SiteCase
from tests.nfs4.fixture import entropy


class DialledClient(MemoryRPCClient):
    """
    Also serves programs, and has a hook for new connections.
    """

    def __init__(
        self,
        wire: Wire,
        address: tuple[str, int],
        clock: Any,
        programs: Sequence[Program] = (),
        onConnect: Optional[Callable[[Any], Any]] = None,
    ) -> None:
        super().__init__(wire, address, clock)
        self._programs = programs
        self._onConnect = onConnect

    @property
    def peer(self) -> Any:
        """
        As L{pnfs.rpc.client.RPCClient.peer}.
        """
        protocol = self._protocol
        return None if protocol is None or protocol.peer.closed else protocol.peer

    def call(self, *args: Any, **more: Any) -> Deferred[Any]:
        """
        As L{MemoryRPCClient.call}.
        """
        if self.peer is None:
            if self._address not in self._wire.hosts:
                return fail(ConnectionClosed("connection refused"))
            self._protocol = RPCProtocol(Hub(self._programs, self._clock))
            self._wire.connect(self._address, self._protocol)
            if self._onConnect is not None:
                drive(self._onConnect(self.peer), lambda _: None, self._failed)
        return super().call(*args, **more)

    def _failed(self, error: Exception) -> None:
        if self._protocol is not None:
            self._protocol.peer.close()


class ClientCase(SiteCase):
    """
    A site and a client.

    @ivar mount: of its metadata server.
    """

    minor = 1

    def setUp(self) -> None:
        """
        Mount it.
        """
        super().setUp()
        self.mounted = 0
        self.mount = self.makeMount()

    def makeMount(self, **more: Any) -> Mount:
        """
        A further client.
        """
        self.mounted += 1
        mount = Mount(
            self.clock,
            *MDS,
            minor=self.minor,
            uid=0,
            gid=0,
            gids=(),
            entropy=entropy(b"client%d" % self.mounted),
            clock=self.clock,
            dial=self.dial,
            **more,
        )
        self.now(mount.connect())
        return mount

    def dial(
        self,
        reactor: Any,
        host: str,
        port: int,
        programs: Sequence[Program] = (),
        onConnect: Optional[Callable[[Any], Any]] = None,
        **more: Any,
    ) -> DialledClient:
        """
        In the place of L{pnfs.rpc.client.RPCClient}.
        """
        return DialledClient(
            self.wire, (host, port), self.clock, tuple(programs), onConnect
        )

    def begin(self, coroutine: Any) -> Deferred[Any]:
        """
        Run a coroutine as far as it goes.
        """
        return Deferred.fromCoroutine(coroutine)

    def after(self, seconds: float, started: Deferred[Any]) -> Any:
        """
        The result of what is done after so many seconds.
        """
        self.clock.pump([0.05] * int(seconds * 20))
        return self.successResultOf(started)

    def create(self, path: str = "/export/f", mount: Optional[Mount] = None) -> Any:
        """
        A new file, open for reading and writing.
        """
        return self.now(
            (mount or self.mount).open(path, SHARE_BOTH, create=True, truncate=True)
        )

    def read(self, file: Any, offset: int = 0, count: int = 1 << 24) -> bytes:
        """
        What a file holds.
        """
        return bytes(self.now(file.read(offset, count)))

    def operations(self, number: int) -> int:
        """
        How often the metadata server has done an operation.
        """
        return int(self.mds.context.done[number])


def noise(size: int, seed: int = 1) -> bytes:
    """
    Bytes that are nowhere the same.
    """
    return entropy(b"%d" % seed)(size)  # type: ignore[no-any-return]
