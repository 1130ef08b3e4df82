"""
Tests of L{pnfs.server}: what starting and stopping have in common.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from typing import Any, Sequence

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

import pnfs.server
from pnfs.backends.errors import BadConfiguration, Unreachable
from pnfs.config import LimitsConfig
from pnfs.rpc.program import Program, null
from pnfs.server import NFSService, options
from tests.rpc.handreactor import HandReactor


class Service(NFSService):
    """
    A service whose preparation can be made to fail or wait.
    """

    def __init__(self, reactor: Any, port: int = 0) -> None:
        super().__init__(
            reactor, [("127.0.0.1", port)], None, LimitsConfig(), "/etc/x.toml"
        )
        self.gate: Any = None
        self.error: Any = None
        self.finished = 0
        self.configs: list[Any] = []

    async def apply(self, config: Any) -> None:
        """
        Wait or fail; else it counts.
        """
        if self.gate is not None:
            await self.gate
        if isinstance(config, Exception):
            raise config
        self.configs.append(config)

    def inThread(self, function: Any, *args: Any) -> Any:
        """
        At once.
        """
        return maybeDeferred(function, *args)

    async def prepare(self) -> tuple[Sequence[Program], Sequence[Any]]:
        """
        Wait or fail.
        """
        if self.gate is not None:
            await self.gate
        if self.error is not None:
            raise self.error
        return [Program(9, {1: {0: null}})], []

    async def finish(self) -> None:
        """
        Count.
        """
        self.finished += 1


class ServiceTests(SynchronousTestCase):
    """
    A service starts, or says why not and ends the program.
    """

    def setUp(self) -> None:
        """
        Nothing of this process is changed for good.
        """
        self.reactor: Any = HandReactor()
        self.triggers: list[Any] = []
        self.stopped = 0
        self.reactor.addSystemEventTrigger = lambda *args: self.triggers.append(args)
        self.reactor.stop = self.stop
        self.patch(pnfs.server.gc, "freeze", lambda: None)
        threshold = gc.get_threshold()
        self.addCleanup(gc.set_threshold, *threshold)
        self.said = io.StringIO()
        self.patch(sys, "__stderr__", self.said)
        self.service = Service(self.reactor)

    def stop(self) -> None:
        """
        The reactor is stopped.
        """
        self.stopped += 1

    def test_start(self) -> None:
        """
        It listens, and lets go of everything when stopped.
        """
        self.service.startService()
        self.assertEqual(len(self.service.rpc._ports), 1)
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.service.finished, 1)
        self.assertEqual(self.said.getvalue(), "")

    def test_refused(self) -> None:
        """
        A bad configuration or a dead backend is one line and status 1.
        """
        for error in (BadConfiguration("x.toml: no"), Unreachable("gone")):
            self.service.error = error
            self.said.truncate(0)
            ended = self.assertRaises(SystemExit, self.service.startService)
            self.assertEqual(ended.code, 1)
            self.assertIn(f"{error}\n", self.said.getvalue())

    def test_defect(self) -> None:
        """
        A defect is not hidden in one line.
        """
        self.service.error = ZeroDivisionError()
        self.assertRaises(ZeroDivisionError, self.service.startService)

    def test_taken(self) -> None:
        """
        A port that is in use is named, with the file and the key.
        """
        self.service.startService()
        port = self.service.rpc._ports[0].getHost().port
        other = Service(self.reactor, port)
        self.assertRaises(SystemExit, other.startService)
        for word in ("/etc/x.toml: listen: ", f"127.0.0.1:{port}", "another"):
            self.assertIn(word, self.said.getvalue())
        self.successResultOf(self.service.stopService())

    def test_refusedLater(self) -> None:
        """
        What turns out when the reactor runs already ends it, with status 1 and the
        same one line.
        """
        self.service.gate = Deferred()
        self.service.error = BadConfiguration("x.toml: no")
        self.service.startService()
        self.assertEqual((self.stopped, self.said.getvalue()), (0, ""))
        self.service.gate.callback(None)
        self.assertEqual((self.stopped, self.said.getvalue()), (1, "x.toml: no\n"))
        ((when, event, _, status),) = self.triggers
        self.assertEqual((when, event, status), ("after", "shutdown", 1))

    def test_stoppedWhileStarting(self) -> None:
        """
        SIGTERM while it still prepares is no error.
        """
        self.service.gate = Deferred()
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertTrue(self.service.gate.called)
        self.assertEqual((self.stopped, self.said.getvalue()), (0, ""))
        self.assertEqual(self.service.finished, 1)

    def hangUp(self) -> None:
        """
        What C{systemctl reload} does.
        """
        os.kill(os.getpid(), signal.SIGHUP)

    def reloadable(self, configs: list[Any]) -> list[str]:
        """
        Start it with what it will read. @return: what it will log.
        """
        said: list[str] = []

        def hear(event: Any) -> None:
            said.append(formatEvent(event))

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)
        self.reactor.callFromThread = lambda function: function()
        self.service.load = lambda: configs.pop(0)
        self.service.startService()
        return said

    def test_hangup(self) -> None:
        """
        SIGHUP has the configuration read again; one that is no good is one line in
        the log, and the one before goes on counting. Once stopped, SIGHUP is what
        it was.
        """
        before = signal.getsignal(signal.SIGHUP)
        said = self.reloadable(["one", BadConfiguration("x.toml: no"), "two"])
        for expected in (["one"], ["one"], ["one", "two"]):
            self.hangUp()
            self.assertEqual(self.service.configs, expected)
        self.assertIn("the configuration stays as it was: x.toml: no", said)
        self.assertIn("/etc/x.toml has been read again", said)
        self.successResultOf(self.service.stopService())
        self.assertEqual(signal.getsignal(signal.SIGHUP), before)

    def test_hangupTwice(self) -> None:
        """
        One reload after the other, and no more than one waits.
        """
        self.reloadable(["one", "two"])
        self.service.gate = Deferred()
        for _ in range(4):
            self.hangUp()
        self.assertEqual(self.service.configs, [])
        self.service.gate.callback(None)
        self.assertEqual(self.service.configs, ["one", "two"])
        self.successResultOf(self.service.stopService())

    def test_hangupDefect(self) -> None:
        """
        A defect is in the log with its traceback, and the next reload is done.
        """
        self.reloadable([ZeroDivisionError(), "two"])
        self.hangUp()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.hangUp()
        self.assertEqual(self.service.configs, ["two"])
        self.successResultOf(self.service.stopService())

    def test_options(self) -> None:
        """
        A file that cannot be loaded is one line and status 1, too.
        """

        def load(file: str, overrides: Any) -> None:
            raise BadConfiguration(f"{file}: bad")

        ended = self.assertRaises(SystemExit, options, load, "f", {})
        self.assertEqual((ended.code, self.said.getvalue()), (1, "f: bad\n"))
        self.assertEqual(options(lambda f, o: (f, o), "f", {}), ("f", {}))
