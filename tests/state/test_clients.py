"""
Tests for L{pnfs.state.clients}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.state.clients import Client, ClientTable
from pnfs.state.errors import (
    ClientidBusy,
    ClidInUse,
    Delay,
    NoSuchClient,
    NotSame,
    Perm,
    StaleClientid,
)
from pnfs.state.recovery import Grace
from tests.nfs4.fixture import entropy

ROOT = (1, 0)
OTHER = (1, 1000)


class ClientTableTests(SynchronousTestCase):
    """
    Who is known to a server.
    """

    def setUp(self) -> None:
        self.store = MemoryRecoveryStore()
        self.table = self.start(b"")
        self.dropped: list[Client] = []
        self.table.listeners.append(self.drop)

    def start(self, seed: bytes, **limits: Any) -> ClientTable:
        """
        The table of a server that starts now.
        """
        epoch = self.store.beginEpoch()
        grace = Grace(self.store, 0.0, 90.0)
        return ClientTable(epoch, entropy(seed), 90.0, grace, **limits)

    def drop(self, client: Client) -> None:
        """
        What the tables of opens, locks and layouts do.
        """
        self.dropped.append(client)
        client.opens.clear()
        client.sessions.clear()

    def confirmed(
        self, owner: bytes = b"a", verifier: bytes = b"1", now: float = 0.0
    ) -> Client:
        """
        A client that has made itself known.
        """
        client = self.table.exchange(owner, verifier, ROOT, False, now)
        self.table.confirm(client, now)
        return client

    def test_new(self) -> None:
        """
        A new owner gets an unconfirmed record, and another one each time it asks
        before it confirms.
        """
        first = self.table.exchange(b"a", b"1", ROOT, False, 0.0)
        self.assertFalse(first.confirmed)
        second = self.table.exchange(b"a", b"1", ROOT, False, 0.0)
        self.assertNotEqual(first.clientid, second.clientid)
        self.assertRaises(StaleClientid, self.table.find, first.clientid)
        self.assertIs(self.table.find(second.clientid), second)

    def test_again(self) -> None:
        """
        A confirmed client that asks again keeps its clientid and its state.
        """
        client = self.confirmed()
        self.assertIs(self.table.exchange(b"a", b"1", ROOT, False, 1.0), client)
        self.assertEqual(self.dropped, [])

    def test_restarted(self) -> None:
        """
        A client that has restarted loses the state of its earlier life when the
        new one confirms, and not before.
        """
        client = self.confirmed()
        again = self.table.exchange(b"a", b"2", ROOT, False, 1.0)
        self.assertIs(self.table.find(client.clientid), client)
        self.assertEqual(self.dropped, [])
        self.table.confirm(again, 1.0)
        self.assertEqual(self.dropped, [client])
        self.assertRaises(StaleClientid, self.table.find, client.clientid)
        self.assertEqual(list(self.store.clients()), [b"a"])

    def test_collision(self) -> None:
        """
        Another principal cannot take an owner that is in use; it can when nothing
        is held, or the lease is over.
        """
        client = self.confirmed()
        client.opens.add(object())
        for verifier in (b"1", b"2"):
            self.assertRaises(
                ClidInUse, self.table.exchange, b"a", verifier, OTHER, False, 1.0
            )
        late = self.table.exchange(b"a", b"2", OTHER, False, 91.0)
        self.assertFalse(late.confirmed)
        client.opens.clear()
        free = self.table.exchange(b"a", b"2", OTHER, False, 2.0)
        self.table.confirm(free, 2.0)
        self.assertEqual(self.dropped, [client])

    def test_update(self) -> None:
        """
        An update is for the confirmed record of the same verifier and principal.
        """
        self.assertRaises(
            NoSuchClient, self.table.exchange, b"a", b"1", ROOT, True, 0.0
        )
        self.table.exchange(b"a", b"1", ROOT, False, 0.0)
        self.assertRaises(
            NoSuchClient, self.table.exchange, b"a", b"1", ROOT, True, 0.0
        )
        client = self.confirmed()
        self.assertIs(self.table.exchange(b"a", b"1", ROOT, True, 0.0), client)
        self.assertRaises(NotSame, self.table.exchange, b"a", b"2", ROOT, True, 0.0)
        self.assertRaises(Perm, self.table.exchange, b"a", b"1", OTHER, True, 0.0)

    def test_neverAgain(self) -> None:
        """
        No clientid is given twice, not by the server's next start nor by another
        server.
        """
        starts = [self.start(b"")] + [self.start(b"") for _ in range(3)]
        elsewhere = ClientTable(1, entropy(b"elsewhere"), 90.0)
        found = [
            table.exchange(b"%d" % number, b"1", ROOT, False, 0.0).clientid
            for table in starts + [elsewhere]
            for number in range(100)
        ]
        self.assertEqual(len(set(found)), len(found))

    def test_unconfirmedBounded(self) -> None:
        """
        Somebody who only ever asks for client IDs does not fill the memory.
        """
        table = self.start(b"", maxUnconfirmed=3)
        found = [table.exchange(b"%d" % n, b"1", ROOT, False, 0.0) for n in range(5)]
        for client in found[:2]:
            self.assertRaises(StaleClientid, table.find, client.clientid)
        for client in found[2:]:
            self.assertIs(table.find(client.clientid), client)

    def test_confirmedBounded(self) -> None:
        """
        Clients beyond the limit are told to come later.
        """
        table = self.start(b"", maxClients=1)
        table.confirm(table.exchange(b"a", b"1", ROOT, False, 0.0), 0.0)
        other = table.exchange(b"b", b"1", ROOT, False, 0.0)
        self.assertRaises(Delay, table.confirm, other, 0.0)
        again = table.exchange(b"a", b"2", ROOT, False, 0.0)
        table.confirm(again, 0.0)

    def test_lease(self) -> None:
        """
        A client that is silent for the whole lease loses everything, also its
        right to reclaim; one that speaks does not.
        """
        silent = self.confirmed(b"silent")
        speaks = self.confirmed(b"speaks")
        speaks.renewed = 60.0
        self.assertEqual(self.table.expire(90.0), [])
        self.assertEqual(self.table.expire(90.5), [silent])
        self.assertEqual(self.dropped, [silent])
        self.assertRaises(StaleClientid, self.table.find, silent.clientid)
        self.assertEqual(list(self.store.clients()), [b"speaks"])
        self.assertEqual(list(self.table), [speaks])

    def test_busyIsNotSilent(self) -> None:
        """
        A client is not dropped while a request of it is being served.
        """
        client = self.confirmed()

        class Busy:
            busy = True

        client.sessions[b"s"] = Busy()
        self.assertEqual(self.table.expire(1000.0), [])
        Busy.busy = False
        self.assertEqual(self.table.expire(1000.0), [client])

    def test_restartedWhileBusy(self) -> None:
        """
        A restarted client is told to wait while a request of its earlier life is
        being served, so that this leaves nothing behind.
        """
        client = self.confirmed()

        class Busy:
            busy = True

        client.sessions[b"s"] = Busy()
        again = self.table.exchange(b"a", b"2", ROOT, False, 1.0)
        self.assertRaises(Delay, self.table.confirm, again, 1.0)
        self.assertRaises(Delay, self.table.revoke, client)
        self.assertEqual(self.dropped, [])
        Busy.busy = False
        self.table.confirm(again, 1.0)
        self.assertEqual(self.dropped, [client])

    def test_unconfirmedExpire(self) -> None:
        """
        An unconfirmed record goes plainly when its time is over.
        """
        client = self.table.exchange(b"a", b"1", ROOT, False, 0.0)
        self.assertEqual(self.table.expire(91.0), [])
        self.assertRaises(StaleClientid, self.table.find, client.clientid)
        self.assertEqual(self.dropped, [])

    def test_destroy(self) -> None:
        """
        A client goes only when it holds nothing; then it is not recorded either.
        """
        client = self.confirmed()
        client.opens.add(object())
        self.assertRaises(ClientidBusy, self.table.destroy, client)
        client.opens.clear()
        client.sessions[b"s"] = object()
        self.assertRaises(ClientidBusy, self.table.destroy, client)
        client.sessions.clear()
        self.table.destroy(client)
        self.assertEqual((len(self.table), dict(self.store.clients())), (0, {}))

    def test_destroyUnconfirmed(self) -> None:
        """
        Giving up an unconfirmed record leaves the confirmed one of the owner.
        """
        client = self.confirmed()
        other = self.table.exchange(b"a", b"2", ROOT, False, 0.0)
        self.table.destroy(other)
        self.assertIs(self.table.find(client.clientid), client)
        self.assertEqual(list(self.store.clients()), [b"a"])

    def test_revoke(self) -> None:
        """
        An administrator can throw a client out.
        """
        client = self.confirmed()
        self.table.revoke(client)
        self.assertEqual(self.dropped, [client])
        self.assertEqual(len(self.table), 0)
