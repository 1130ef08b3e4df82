"""
Tests of L{pnfs.backends.metadata.recovery}.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import BadConfiguration
from pnfs.backends.metadata.recovery import FileRecoveryStore, MemoryRecoveryStore
from tests.contracts.metadata import RecoveryContract


class MemoryRecoveryTests(RecoveryContract, SynchronousTestCase):
    """
    The store in memory.
    """

    def makeStore(self) -> Any:
        return MemoryRecoveryStore()

    def again(self, store: Any) -> Any:
        return store


class FileRecoveryTests(RecoveryContract, SynchronousTestCase):
    """
    The store in a folder.
    """

    def makeStore(self) -> Any:
        self.path = self.mktemp()
        return self.open()

    def open(self) -> FileRecoveryStore:
        """
        The store, closed at the end.
        """
        store = FileRecoveryStore(self.path)
        self.addCleanup(store.close)
        return store

    def again(self, store: Any) -> Any:
        return self.open()

    def test_tornLine(self) -> None:
        """
        A line cut off by a crash does not stop the server, at any length.
        """
        self.store.addClient(b"one")
        self.store.addClient(b"two")
        path = os.path.join(self.path, "clients")
        with open(path, "rb") as stored:
            whole = stored.read()
        for length in range(len(whole)):
            with open(path, "wb") as stored:
                stored.write(whole[:length])
            known = set(self.open().clients())
            self.assertEqual(known, {b"one"} if length >= 8 else set())

    def test_bounded(self) -> None:
        """
        Clients that come and go do not make the file grow for ever.
        """
        for _ in range(100):
            self.store.addClient(b"one")
            self.store.removeClients([b"one"])
        self.store.beginEpoch()
        self.assertEqual(os.path.getsize(os.path.join(self.path, "clients")), 0)

    def test_damagedEpoch(self) -> None:
        """
        A damaged epoch is not guessed: two servers with one number would take
        each other's state for their own.
        """
        self.store.beginEpoch()
        with open(os.path.join(self.path, "epoch"), "w") as stored:
            stored.write("x")
        self.assertRaises(BadConfiguration, self.open().beginEpoch)
