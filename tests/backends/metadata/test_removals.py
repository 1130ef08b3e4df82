"""
Tests of L{pnfs.backends.metadata.removals}.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import IOFailed
from pnfs.backends.metadata.removals import FileRemovals
from tests.contracts.metadata import placement


class FileRemovalsTests(SynchronousTestCase):
    """
    The log.
    """

    def setUp(self) -> None:
        os.mkdir(self.mktemp())
        self.path = os.path.abspath(os.path.join(self.mktemp(), "..", "removals"))

    def open(self, inThread: Any = None) -> FileRemovals:
        """
        The log as a new process reads it.
        """
        removals = FileRemovals(self.path, inThread)
        removals.open()
        self.addCleanup(removals.close)
        return removals

    def get(self, coroutine: Any) -> Any:
        """
        The result.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def names(self, removals: FileRemovals) -> list[bytes]:
        """
        What is due.
        """
        return [p.name for p in removals.due()]

    def test_torn(self) -> None:
        """
        A power cut in the middle of an entry loses that entry only.
        """
        removals = self.open()
        self.get(removals.add(placement(b"aa"), b"handle", False))
        whole = os.path.getsize(self.path)
        self.get(removals.add(placement(b"bb"), b"", True))
        with open(self.path, "rb") as stored:
            content = stored.read()
        for length in range(len(content)):
            with open(self.path, "wb") as stored:
                stored.write(content[:length])
            known = self.open()
            self.assertEqual(self.names(known), [b"aa"] if length >= whole else [])
        damaged = bytearray(content)
        damaged[whole + 20] ^= 1
        with open(self.path, "wb") as stored:
            stored.write(damaged)
        self.assertEqual(self.names(self.open()), [b"aa"])

    def test_handleIsKept(self) -> None:
        """
        Which object an entry came from survives.
        """
        self.get(self.open().add(placement(b"aa"), b"handle", False))
        self.assertEqual([e.handle for e in self.open().entries()], [b"handle"])

    def test_bounded(self) -> None:
        """
        Removing files for years does not fill the disk with the log, and what is
        queued is never lost by tidying up.
        """
        removals = self.open()
        self.get(removals.add(placement(b"ff"), b"", False))
        for number in range(1500):
            self.get(removals.add(placement(b"%04x" % number), b"", False))
            self.get(removals.forget(b"%04x" % number))
        self.assertLess(os.path.getsize(self.path), 70_000)
        self.get(removals.add(placement(b"aa"), b"", False))
        self.assertEqual(self.names(self.open()), [b"ff", b"aa"])

    def test_sharedFlush(self) -> None:
        """
        Many removals at once wait for two flushes, not for one each; none is
        acknowledged before its flush.
        """
        flushes: list[Deferred[None]] = []

        def inThread(*call: Any) -> Deferred[None]:
            flushes.append(Deferred())
            return flushes[-1]

        removals = self.open(inThread)
        waiting = [
            Deferred.fromCoroutine(removals.add(placement(b"%02x" % n), b"", False))
            for n in range(10)
        ]
        self.assertEqual(len(flushes), 1)
        flushes[0].callback(None)
        self.successResultOf(waiting[0])
        for each in waiting[1:]:
            self.assertNoResult(each)
        self.assertEqual(len(flushes), 2)
        flushes[1].callback(None)
        for each in waiting[1:]:
            self.successResultOf(each)
        self.assertEqual(len(flushes), 2)

    def test_flushFails(self) -> None:
        """
        A failing disk is reported to whoever waits, and the next attempt is made.
        """
        flushes: list[Deferred[None]] = []

        def inThread(*call: Any) -> Deferred[None]:
            flushes.append(Deferred())
            return flushes[-1]

        removals = self.open(inThread)
        first = Deferred.fromCoroutine(removals.add(placement(b"aa"), b"", False))
        flushes[0].errback(OSError(5, "I/O error"))
        self.failureResultOf(first, IOFailed)
        self.assertEqual(self.names(removals), [])
        second = Deferred.fromCoroutine(removals.add(placement(b"bb"), b"", False))
        flushes[1].callback(None)
        self.successResultOf(second)
