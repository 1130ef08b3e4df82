"""
Tests of L{pnfs.mds.answering}.
"""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.mds.answering import ANSWER_SECONDS, Answering
from pnfs.nfs3.types import NFS_PROGRAM
from pnfs.rpc.client import RPCClient
from pnfs.rpc.program import Program, null
from pnfs.rpc.server import RPCServer
from pnfs.values import DataServer
from tests.rpc.handreactor import HandReactor


class AnsweringTests(SynchronousTestCase):
    """
    A server on loopback, in a reactor turned by hand.
    """

    def setUp(self) -> None:
        """
        It serves NFSv3.
        """
        self.reactor = HandReactor()
        server = RPCServer(
            self.reactor,
            [Program(NFS_PROGRAM, {3: {0: null}})],
            clock=self.reactor,
        )
        self.port = server.listenTCP("127.0.0.1", 0).getHost().port
        self.addCleanup(server.drain, 0)

    def silent(self) -> int:
        """
        A port where connections are taken, and nothing is said.
        """
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        port: int = listening.getsockname()[1]
        return port

    def answers(self, *ports: int, version: tuple[int, int] = (3, 0)) -> bool:
        """
        Does a data server answer at some ports?
        """

        def connect(host: str, port: int) -> RPCClient:
            return RPCClient(self.reactor, host, port, clock=self.reactor)

        addresses = tuple(("127.0.0.1", port) for port in ports)
        server = DataServer(b"1" * 16, "ds1", addresses, version)
        asked = Deferred.fromCoroutine(Answering(connect)(server))
        self.reactor.settle()
        self.reactor.advance(ANSWER_SECONDS)
        self.reactor.settle()
        found: bool = self.successResultOf(asked)
        return found

    def test_answers(self) -> None:
        """
        It does, also if it says that it does not speak that version.
        """
        self.assertTrue(self.answers(self.port))
        self.assertTrue(self.answers(self.port, version=(4, 1)))

    def test_everywhere(self) -> None:
        """
        It does not, unless it does at every address: not where nobody listens, and not
        where only a connection is taken.
        """
        silent = self.silent()
        with socket.create_server(("127.0.0.1", 0)) as gone:
            nobody = gone.getsockname()[1]
        self.assertFalse(self.answers(nobody))
        self.assertFalse(self.answers(silent))
        self.assertFalse(self.answers(self.port, silent))
