"""
Tests for L{pnfs.state.clients}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import pnfs.state.clients
from pnfs.backends.errors import IOFailed
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


class ClientTableCase(SynchronousTestCase):
    """
    A server's clients.
    """

    limits: dict[str, Any] = {}

    def setUp(self) -> None:
        self.store = MemoryRecoveryStore()
        self.table = self.start(b"", **self.limits)
        self.dropped: list[Client] = []
        self.table.listeners.append(self.drop)

    def start(self, seed: bytes, **limits: Any) -> ClientTable:
        """
        The table of a server that starts now.
        """
        epoch = self.store.beginEpoch()
        self.grace = Grace(self.store, 0.0, 90.0)
        return ClientTable(epoch, entropy(seed), 90.0, self.grace, **limits)

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
        A client that has made itself known, and has nothing to reclaim.
        """
        client = self.table.exchange(owner, verifier, ROOT, False, now)
        self.table.confirm(client, now)
        self.grace.complete(client, now)
        return client


class ClientTableTests(ClientTableCase):
    """
    Who is known to a server.
    """

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
        new one confirms, and not before. It is recorded again when it may hold new
        state.
        """
        client = self.confirmed()
        again = self.table.exchange(b"a", b"2", ROOT, False, 1.0)
        self.assertIs(self.table.find(client.clientid), client)
        self.assertEqual(self.dropped, [])
        self.table.confirm(again, 1.0)
        self.assertEqual(self.dropped, [client])
        self.assertRaises(StaleClientid, self.table.find, client.clientid)
        self.assertEqual(list(self.store.clients()), [])
        self.grace.complete(again, 1.0)
        self.assertEqual(list(self.store.clients()), [b"a"])

    def test_collision(self) -> None:
        """
        Another principal cannot take an owner that is in use (RFC 8881, section
        18.35.5, case 3).
        """
        client = self.confirmed()
        client.opens[object()] = None
        for verifier in (b"1", b"2"):
            self.assertRaises(
                ClidInUse, self.table.exchange, b"a", verifier, OTHER, False, 90.0
            )
        self.assertEqual(self.dropped, [])

    def test_collisionWithNothing(self) -> None:
        """
        It can when nothing is held, or the lease is over; the earlier client is
        gone then, whether the new one confirms or not.
        """
        client = self.confirmed()
        free = self.table.exchange(b"a", b"2", OTHER, False, 1.0)
        self.assertFalse(free.confirmed)
        self.assertRaises(StaleClientid, self.table.find, client.clientid)
        self.assertEqual((len(self.table), dict(self.store.clients())), (0, {}))
        client = self.confirmed(b"late")
        client.opens[object()] = None
        self.table.exchange(b"late", b"2", OTHER, False, 90.5)
        self.assertEqual(self.dropped[1:], [client])
        self.assertRaises(StaleClientid, self.table.find, client.clientid)

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
        No clientid is given twice, not by the server's next start nor by another server
        (client ids must never repeat across restarts: chimera #1377).
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

    def test_manyExpire(self) -> None:
        """
        When very many clients have vanished at once, others do not wait until all
        are cleared away: some go in each sweep.
        """
        self.patch(pnfs.state.clients, "PER_SWEEP", 3)
        clients = [self.confirmed(b"%d" % number) for number in range(7)]
        gone = [self.table.expire(91.0) for _ in range(4)]
        self.assertEqual([len(each) for each in gone], [3, 3, 1, 0])
        self.assertEqual(self.dropped, clients)

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
        An unconfirmed record goes plainly when its time is over (unconfirmed clients
        expire plainly: chimera #552).
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
        client.opens[object()] = None
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

    def test_failingStore(self) -> None:
        """
        If it cannot be noted that a client has lost its state, it has not: after the
        next restart it would take back what others have got.
        """
        client = self.confirmed()
        client.opens[object()] = None

        def fail(owners: Any) -> None:
            raise IOFailed()

        self.patch(self.store, "removeClients", fail)
        again = self.table.exchange(b"a", b"2", ROOT, False, 1.0)
        self.assertRaises(Delay, self.table.confirm, again, 1.0)
        self.assertRaises(Delay, self.table.giveWay, [client], 91.0)
        self.assertEqual(self.table.expire(91.0), [])
        self.assertEqual((self.dropped, list(self.table)), ([], [client]))


class CourtesyTests(ClientTableCase):
    """
    What becomes of clients whose lease is over.
    """

    limits = {"courtesySeconds": 1000.0, "maxCourtesy": 3}

    def holding(self, owner: bytes, now: float = 0.0) -> Client:
        """
        A client with something open.
        """
        client = self.confirmed(owner, now=now)
        client.opens[object()] = None
        return client

    def test_kept(self) -> None:
        """
        A silent client keeps everything, its right to reclaim too, as long as
        nobody minds ("Courteous: keep until conflict", chimera #549); for a day,
        say, and no longer.
        """
        client = self.holding(b"a")
        self.assertEqual(self.table.expire(1000.0), [])
        self.assertIs(self.table.find(client.clientid), client)
        self.assertEqual(list(self.store.clients()), [b"a"])
        self.assertEqual(self.table.expire(1000.5), [client])
        self.assertEqual((self.dropped, dict(self.store.clients())), ([client], {}))

    def test_comesBack(self) -> None:
        """
        A client that was away and comes back is like any other.
        """
        client = self.holding(b"a")
        self.table.expire(900.0)
        client.renewed = 900.0
        self.assertFalse(self.table.silent(client, 990.0))
        self.assertEqual(self.table.expire(1800.0), [])
        self.assertIs(self.table.exchange(b"a", b"1", ROOT, False, 1900.0), client)
        self.assertEqual(self.dropped, [])

    def test_giveWay(self) -> None:
        """
        Clients away lose what they hold to whoever wants it, unless one that is not
        away is in the way too: then nobody needs to lose anything.
        """
        away, also, here = (self.holding(owner) for owner in (b"1", b"2", b"3"))
        here.renewed = 50.0
        self.assertFalse(self.table.giveWay([away], 90.0))
        self.assertFalse(self.table.giveWay([away, here], 100.0))
        self.assertEqual(self.dropped, [])
        self.assertTrue(self.table.giveWay([away, also], 100.0))
        self.assertEqual(self.dropped, [away, also])
        self.assertEqual(list(self.store.clients()), [b"3"])

    def test_nothingToKeep(self) -> None:
        """
        A silent client without a session and without state is forgotten; one with a
        session keeps it, so that a retry of its last request is known as one.
        """
        empty = self.confirmed(b"empty")
        session = self.confirmed(b"session")

        class Idle:
            busy = False

        session.sessions[b"s"] = Idle()
        self.assertEqual(self.table.expire(91.0), [empty])

    def test_unfinished(self) -> None:
        """
        A client that has fallen silent in the midst of reclaiming is not kept
        beyond the grace period: others get what it had not reclaimed.
        """
        for owner in (b"1", b"2"):
            self.store.addClient(owner)
        self.table = self.start(b"", **self.limits)
        self.table.listeners.append(self.drop)
        clients = [self.table.exchange(o, b"1", ROOT, False, 0.0) for o in (b"1", b"2")]
        for client in clients:
            self.table.confirm(client, 0.0)
            client.opens[object()] = None
        self.grace.setGrace(200.0)
        self.grace.complete(clients[0], 1.0)
        self.assertEqual(self.table.expire(199.0), [])
        self.assertEqual(self.table.expire(200.0), [clients[1]])
        self.assertEqual(list(self.store.clients()), [b"1"])

    def test_tooMany(self) -> None:
        """
        Of too many silent clients those go that have been away for longest.
        """
        clients = [self.holding(b"%d" % n, float(n)) for n in range(5)]
        self.assertEqual(self.table.expire(500.0), clients[:2])

    def test_makeRoom(self) -> None:
        """
        A new client does not wait because of clients that are away.
        """
        self.table = self.start(b"", maxClients=2, courtesySeconds=1000.0)
        clients = [self.holding(b"1", 0.0), self.holding(b"2", 50.0)]
        new = self.table.exchange(b"3", b"1", ROOT, False, 90.0)
        self.assertRaises(Delay, self.table.confirm, new, 90.0)
        self.table.confirm(new, 100.0)
        self.assertEqual(list(self.table), [clients[1], new])

    def test_shorterLease(self) -> None:
        """
        A client keeps the lease that it was promised when it came; a longer one is
        everybody's.
        """
        before = self.holding(b"1", 0.0)
        self.table.leaseSeconds = 10.0
        after = self.holding(b"2", 0.0)
        self.assertTrue(self.table.silent(after, 10.5))
        self.assertFalse(self.table.silent(before, 90.0))
        self.assertTrue(self.table.silent(before, 90.5))
        self.table.leaseSeconds = 200.0
        self.assertFalse(self.table.silent(after, 200.0))
        self.assertFalse(self.table.silent(before, 200.0))
