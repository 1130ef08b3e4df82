"""
Tests of L{pnfs.state.copies}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.state.copies import KEPT_LIMIT, UNDER_WAY_LIMIT, CopyState, CopyTable
from pnfs.state.clients import Client
from pnfs.state.errors import BadStateid
from pnfs.state.files import FileState
from pnfs.state.stateids import StateidTable
from tests.nfs4.fixture import entropy


class Job:
    """
    Remembers how it was ended.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []

    def stop(self) -> None:
        """
        Soon.
        """
        self.calls.append("stop")

    def cancel(self) -> None:
        """
        Now.
        """
        self.calls.append("cancel")


class CopyTableTests(SynchronousTestCase):
    """
    Copies by stateid.
    """

    def setUp(self) -> None:
        """
        One client, one file.
        """
        self.stateids = StateidTable(1, entropy())
        self.table = CopyTable(self.stateids)
        self.client = self.makeClient(1)
        self.file = FileState(b"fh", None, None)

    def makeClient(self, number: int) -> Client:
        """
        A client.
        """
        return Client(number, b"owner", b"verifier", (1, 0), 0.0)

    def add(self) -> tuple[CopyState, Job]:
        """
        One more copy.
        """
        job = Job()
        return self.table.add(self.client, self.file, job), job

    def test_find(self) -> None:
        """
        A copy is found by who made it, with the file it goes to.
        """
        copy, _ = self.add()
        self.assertIs(self.table.find(copy.stateid, self.client, b"fh"), copy)
        for client, fh in ((self.client, b"other"), (self.makeClient(2), b"fh")):
            self.assertRaises(BadStateid, self.table.find, copy.stateid, client, fh)

    def test_drop(self) -> None:
        """
        What is dropped is stopped if it goes on, and is not found again.
        """
        copy, job = self.add()
        ended, other = self.add()
        ended.status = 0
        for each in (copy, ended, copy):
            self.table.drop(each)
            self.assertFalse(self.table.holds(each))
        self.assertEqual((job.calls, other.calls), (["stop"], []))
        self.assertEqual((self.table.count, len(self.stateids)), (0, 0))

    def test_dropClient(self) -> None:
        """
        A client that goes takes its copies along, nobody else's.
        """
        _, job = self.add()
        mine, self.client = self.client, self.makeClient(2)
        copy, other = self.add()
        self.table.dropClient(mine)
        self.assertEqual((job.calls, other.calls), (["stop"], []))
        self.assertEqual(mine.copies, {})
        self.assertTrue(self.table.holds(copy))

    def test_stop(self) -> None:
        """
        When the server ends nothing goes on.
        """
        _, job = self.add()
        self.table.stop([self.client])
        self.assertEqual(job.calls[0], "cancel")
        self.assertEqual(self.table.count, 0)

    def test_room(self) -> None:
        """
        The number that goes on is bounded, not counting those that have ended.
        """
        copies: list[Any] = []
        while self.table.hasRoom(self.client):
            copies.append(self.add()[0])
        self.assertEqual(len(copies), UNDER_WAY_LIMIT)
        copies[0].status = 0
        self.assertTrue(self.table.hasRoom(self.client))

    def test_kept(self) -> None:
        """
        Of those that have ended without the client hearing of it, the oldest are
        forgotten when there are very many.
        """
        going, _ = self.add()
        copies = []
        for _ in range(KEPT_LIMIT + 5):
            copy, _ = self.add()
            copy.status = 0
            copies.append(copy)
        self.assertEqual(self.table.count, KEPT_LIMIT)
        self.assertTrue(self.table.holds(going))
        self.assertFalse(self.table.holds(copies[5]))
        self.assertTrue(self.table.holds(copies[6]))
