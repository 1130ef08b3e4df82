"""
Tests of L{pnfs.mds.resilver}: a writer dies between two mirrors, in a whole site.
"""

from __future__ import annotations

import struct
from typing import Any

import attrs

from pnfs.config import MDSConfig
from pnfs.layouts.flexfiles_xdr import LAYOUT4_FLEX_FILES
from pnfs.nfs4 import requests
from tests.mds.faulty import pattern
from tests.mds.test_repairs import FLEX, RepairsCase
from tests.mds.test_service import Mounted

SIZE = 9000


class ResilveringTests(RepairsCase):
    """
    L{pnfs.mds.resilver.Resilvering}.
    """

    def setUp(self) -> None:
        """
        A client has a layout to write with, and has written to one mirror only.
        """
        super().setUp()
        self.fh, self.stateid = self.put(b"f", pattern(SIZE))
        self.stateOf, _ = self.mounted.layout(self.fh, self.stateid, FLEX)
        placement = self.placement(b"f")
        self.numbers = [self.number(uuid) for uuid in placement.columns[0]]
        self.now(
            self.backends[self.numbers[1]].write(
                placement.name, 5000, memoryview(b"half"), 0
            )
        )

    def configuration(self) -> MDSConfig:
        """
        Silent clients are not kept.
        """
        return attrs.evolve(super().configuration(), courtesy=0.0)

    def assertSame(self) -> None:
        """
        All mirrors have the same, and count.
        """
        self.assertEqual(self.copies(b"f"), [pattern(SIZE)] * 2)
        self.assertEqual(self.placement(b"f").stale, ())

    def differ(self) -> bool:
        """
        The mirrors are different.
        """
        first, second = self.copies(b"f")
        return first != second

    def expire(self) -> None:
        """
        The client is not heard of any more.
        """
        self.rest(self.mds.context.leaseSeconds * 2 + 10)

    def test_gone(self) -> None:
        """
        The lease of a client that has died is over: the mirrors are made the same.
        """
        self.assertTrue(self.differ())
        self.expire()
        self.assertSame()
        self.assertEqual(self.mds.upkeep.resilvering.found, 1)

    def test_same(self) -> None:
        """
        Where they are the same nothing is copied, and nobody's layout is recalled.
        """
        placement = self.placement(b"f")
        self.now(
            self.backends[self.numbers[0]].write(
                placement.name, 5000, memoryview(b"half"), 0
            )
        )
        self.expire()
        self.assertFalse(self.differ())
        self.assertEqual(self.mds.upkeep.resilvering.found, 0)
        done = self.mds.repairs.found.values()
        self.assertEqual([each.files for each in done], [0] * len(done))

    def test_returned(self) -> None:
        """
        A client that returns its layout has written all mirrors, or said that it has
        not: nothing is compared.
        """
        self.giveBack(self.fh, self.stateOf)
        self.rest(5)
        self.assertTrue(self.differ())
        self.assertEqual(self.mds.upkeep.resilvering.found, 0)

    def test_startsAnew(self) -> None:
        """
        A client whose machine has restarted comes with another verifier.
        """
        client = self.client(owner=b"client")
        client._verifier = b"reverify"
        self.now(client.connect())
        self.rest(10)
        self.assertSame()

    def test_dataServerAway(self) -> None:
        """
        If a data server does not answer they are compared when it does.
        """
        self.mds.context.data.degrading.enabled = False
        self.killDataServer(self.numbers[1])
        self.expire()
        self.startDataServer(self.numbers[1])
        self.rest(60)
        self.assertSame()

    def test_exportAway(self) -> None:
        """
        They are made the same when their export is configured again.
        """
        exports = self.mds.context.exports.byId
        export = exports.pop(self.export.id)
        self.expire()
        exports[self.export.id] = export
        self.assertTrue(self.differ())
        self.rest(60)
        self.assertSame()

    def test_notDegraded(self) -> None:
        """
        Also where files do not go on without lost mirrors.
        """
        self.mds.context.data.degrading.enabled = False
        self.expire()
        self.assertSame()

    def test_crash(self) -> None:
        """
        A client dies, and the metadata server as well: the client does not come back,
        and when the grace period is over the mirrors are made the same.
        """
        self.restartMetadataServer()
        self.rest(60)
        self.assertTrue(self.differ())
        self.rest(60)
        self.assertSame()

    def test_comesBack(self) -> None:
        """
        A client that comes back after the crash writes again what it was not told is
        safe; nothing is done behind its back.
        """
        client = self.mounted.client
        self.restartMetadataServer()
        self.now(client.connect())
        self.mounted = Mounted(self, client)
        self.rest(10)
        self.assertTrue(self.differ())
        self.assertEqual(self.mds.upkeep.resilvering.found, 0)

    def test_tells(self) -> None:
        """
        It may also tell, as long as it can reclaim, that it could not write to one of
        them (RFC 9737).
        """
        self.now(self.client(owner=b"keeps the grace period going").connect())
        client = self.mounted.client
        self.restartMetadataServer()
        self.now(client.connect())
        error = struct.pack(">QQ16s", 0, SIZE, bytes(16)) + struct.pack(
            ">I16sII", 1, bytes(16), 5, 38
        )
        body = struct.pack(">I", 1) + error + struct.pack(">I", 0)
        results = Mounted(self, client).run(
            requests.putfh(self.fh),
            requests.layoutreturn(LAYOUT4_FLEX_FILES, bytes(16), body),
        )
        self.assertEqual(results.status, 0)
        self.rest(100)
        self.assertSame()

    def test_removed(self) -> None:
        """
        A file that is removed is not asked for.
        """
        backend = self.export.backend
        self.now(backend.remove(backend.root, b"f", False))
        self.expire()
        writers: Any = self.mds.context.layouts.writers
        self.assertEqual(writers.suspected, {})


class ProxiedTests(RepairsCase):
    """
    The metadata server is killed while it writes for a client without a layout.
    """

    def test_crash(self) -> None:
        """
        A write has reached one mirror, and the client does not come again: when the
        grace period is over they are made the same.
        """
        self.put(b"f", pattern(SIZE))
        placement = self.placement(b"f")
        numbers = [self.number(uuid) for uuid in placement.columns[0]]
        data = self.mds.context.data
        data.noted(self.export, self.inode(b"f"), placement).__enter__()
        self.now(
            self.backends[numbers[1]].write(
                placement.name, 5000, memoryview(b"half"), 0
            )
        )
        self.restartMetadataServer()
        self.rest(60)
        self.assertEqual(len(set(self.copies(b"f"))), 2)
        self.rest(60)
        self.assertEqual(len(set(self.copies(b"f"))), 1)
        self.assertEqual(self.placement(b"f").stale, ())
