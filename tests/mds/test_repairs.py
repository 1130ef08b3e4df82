"""
Tests of L{pnfs.mds.repairs}: a data server returns to a whole site.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred

import pnfs.mds.repairs
import pnfs.mds.transfer
from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.errors import NoSpace
from pnfs.config import MDSConfig
from pnfs.nfs4 import requests
from pnfs.nfs4.status import nfsstat4
from tests.contracts.data import readBytes
from tests.mds.faulty import pattern
from tests.mds.test_service import RW, Mounted
from tests.mds.world import SiteCase

FLEX = 4


class RepairsCase(SiteCase):
    """
    Files with two mirrors on three data servers.
    """

    layout = "flexfiles"
    mirrors = 2

    def setUp(self) -> None:
        """
        A client mounts.
        """
        super().setUp()
        self.mount()

    def configuration(self) -> MDSConfig:
        """
        Files go on without lost mirrors.
        """
        return attrs.evolve(super().configuration(), degrade=True)

    def mount(self) -> None:
        """
        A client comes, or comes again.
        """
        client = self.client(owner=b"client")
        self.now(client.connect())
        self.mounted = Mounted(self, client)

    @property
    def export(self) -> Any:
        """
        As the metadata server has it.
        """
        return self.mds.context.exports.byPath["/export"]

    def inode(self, name: bytes) -> Any:
        """
        A file.
        """
        backend = self.export.backend
        return self.now(backend.lookup(backend.root, name))

    def placement(self, name: bytes) -> Any:
        """
        Where it is.
        """
        return self.now(self.export.backend.loadPlacement(self.inode(name)))

    def put(self, name: bytes, data: bytes) -> tuple[bytes, bytes]:
        """
        Make a file, and leave it open. @return: filehandle and stateid.
        """
        fh, stateid = self.mounted.create(name)
        self.assertEqual(self.mounted.write(fh, stateid, 0, data, 2), len(data))
        return fh, stateid

    def askedForChanges(self) -> list[bytes]:
        """
        From now on: the names of data files of which a data server was asked what has
        changed.
        """
        asked: list[bytes] = []
        changes = MemoryDataServerBackend.changes

        async def counting(ds: Any, name: bytes, token: bytes) -> Any:
            asked.append(name)
            return await changes(ds, name, token)

        self.patch(MemoryDataServerBackend, "changes", counting)
        return asked

    def closed(self, fh: bytes, stateid: bytes) -> None:
        """
        Close a file.
        """
        self.mounted.run(requests.putfh(fh), requests.close(stateid))

    def lose(self, name: bytes, uuid: bytes) -> None:
        """
        A mirror is away: the file goes on without it.
        """

        def change(old: Any) -> Any:
            return attrs.evolve(old, stale=(uuid,), epoch=old.epoch + 1)

        data = self.mds.context.data
        self.now(data._placing.change(self.export, self.inode(name), change))

    def copies(self, name: bytes) -> list[bytes]:
        """
        What the file's data servers have of it.
        """
        placement = self.placement(name)
        return [
            readBytes(self.now(ds.read(placement.name, 0, 1 << 30)))
            for ds in self.backends
            if ds.uuid in placement.dataServers
        ]

    def giveBack(self, fh: bytes, layout: bytes) -> None:
        """
        LAYOUTRETURN.
        """
        self.mounted.run(
            requests.putfh(fh), requests.layoutreturn(FLEX, layout, bytes(8))
        )

    def number(self, uuid: bytes) -> int:
        """
        Of a data server.
        """
        return [ds.uuid for ds in self.backends].index(uuid)

    def rest(self, seconds: float = 5) -> None:
        """
        Time passes.
        """
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)


class RepairsTests(RepairsCase):
    """
    L{pnfs.mds.repairs.Repairs}.
    """

    def setUp(self) -> None:
        """
        A file was written while one of its mirrors was away.
        """
        super().setUp()
        self.data = pattern(200_000)
        self.fh, self.stateid = self.put(b"f", self.data)
        self.uuid = self.placement(b"f").columns[0][1]
        self.killDataServer(self.number(self.uuid))
        self.rest(12)
        self.mounted.write(self.fh, self.stateid, 1000, b"without", 2)
        self.data = self.data[:1000] + b"without" + self.data[1007:]

    def returns(self) -> None:
        """
        It is back.
        """
        self.startDataServer(self.number(self.uuid))
        self.rest(10)

    def assertRepaired(self) -> None:
        """
        Every mirror has everything, and counts.
        """
        self.assertEqual(self.placement(b"f").stale, ())
        self.assertEqual(self.copies(b"f"), [self.data, self.data])
        self.assertFalse(self.mds.repairs.running)

    def test_returns(self) -> None:
        """
        A data server that returns catches up by itself; then the other mirror may go.
        """
        self.returns()
        self.assertRepaired()
        done = self.mds.repairs.found[self.uuid]
        self.assertEqual((done.files, done.failed), (1, 0))
        other = self.placement(b"f").columns[0][0]
        self.killDataServer(self.number(other))
        self.rest(12)
        self.assertEqual(
            self.mounted.read(self.fh, self.stateid, 0, 200_000), self.data
        )

    def test_notAutomatic(self) -> None:
        """
        With C{auto_repair = false} nothing is copied until somebody says so.
        """
        self.mds.repairs.automatic = False
        self.returns()
        self.assertEqual(self.placement(b"f").stale, (self.uuid,))
        self.mds.repairs.begin(self.uuid)
        self.rest()
        self.assertRepaired()

    def ask(self) -> int:
        """
        LAYOUTGET. @return: the status.
        """
        ops = [requests.putfh(self.fh), requests.layoutget(FLEX, RW, self.stateid)]
        results = self.now(self.mounted.client.compound(ops, 2))
        return results.status  # type: ignore[no-any-return]

    def test_layouts(self) -> None:
        """
        A layout that is out is recalled, no other is given until the mirror is
        repaired, and the one given then has it. What was granted before is worth
        nothing.
        """
        layout, _ = self.mounted.layout(self.fh, self.stateid, FLEX)
        before = self.placement(b"f")
        self.returns()
        self.assertEqual(self.placement(b"f").stale, (self.uuid,))
        self.assertEqual(self.ask(), nfsstat4.NFS4ERR_RECALLCONFLICT)
        self.giveBack(self.fh, layout)
        self.rest()
        self.assertRepaired()
        after = self.placement(b"f")
        self.assertGreater(after.epoch, before.epoch)
        for ds in self.backends:
            if ds.uuid in after.dataServers:
                found = ds.peek(after.name)
                assert found is not None
                self.assertEqual(found.epoch, after.epoch)
        self.assertEqual(self.ask(), 0)

    def test_keepsLayout(self) -> None:
        """
        A client that never returns its layout does not stop the repair: it is fenced
        at the recall's deadline.
        """
        self.mounted.layout(self.fh, self.stateid, FLEX)
        self.mds.context.recaller.deadlineSeconds = 20
        self.returns()
        self.assertEqual(self.placement(b"f").stale, (self.uuid,))
        self.rest(20)
        self.assertRepaired()
        self.assertEqual(self.mds.context.recaller.counts["revoked"], 1)

    def test_others(self) -> None:
        """
        While a layout is waited for, everybody reads and writes through the metadata
        server; what is written is on both mirrors in the end.
        """
        layout, _ = self.mounted.layout(self.fh, self.stateid, FLEX)
        self.returns()
        self.mounted.write(self.fh, self.stateid, 5, b"during", 2)
        self.data = self.data[:5] + b"during" + self.data[11:]
        self.assertEqual(
            self.mounted.read(self.fh, self.stateid, 0, 200_000), self.data
        )
        self.giveBack(self.fh, layout)
        self.rest()
        self.assertRepaired()

    def test_removed(self) -> None:
        """
        A file that is removed while it is repaired leaves nothing behind.
        """
        layout, _ = self.mounted.layout(self.fh, self.stateid, FLEX)
        self.returns()
        name = self.placement(b"f").name
        backend = self.export.backend
        inode = self.inode(b"f")
        self.giveBack(self.fh, layout)
        held: Deferred[None] = Deferred()
        finish = self.mds.context.data.repair.finish

        async def slowly(*args: Any) -> Any:
            await held
            return await finish(*args)

        self.patch(self.mds.context.data.repair, "finish", slowly)
        self.rest(3)
        self.mounted.run(requests.putfh(self.fh), requests.close(self.stateid))
        root = [requests.PUTROOTFH, requests.lookup(b"export")]
        results = self.mounted.run(root, requests.remove(b"f"))
        self.assertEqual(results.status, 0)
        held.callback(None)
        self.rest(20)
        self.assertEqual([ds.peek(name) for ds in self.backends], [None] * 3)
        self.assertEqual(self.now(backend.pendingRemovals()), [])
        self.assertIsNone(inode.state)

    def test_dies(self) -> None:
        """
        A data server that dies again in the middle of its repair is repaired when it
        comes back.
        """
        self.patch(pnfs.mds.transfer, "SMALL", 1000)
        self.patch(self.mds.repairs, "limit", 10_000)
        self.startDataServer(self.number(self.uuid))
        self.rest(3)
        self.killDataServer(self.number(self.uuid))
        self.rest(30)
        self.assertEqual(self.placement(b"f").stale, (self.uuid,))
        self.mds.repairs.limit = 0
        self.returns()
        self.assertRepaired()

    def test_asksOnceOfClosed(self) -> None:
        """
        Of a file that no client has open it is asked once what has changed while it was
        copied, of another one also before clients have to wait.
        """
        self.patch(pnfs.mds.transfer, "SMALL", 1000)
        asked = self.askedForChanges()
        self.returns()
        self.assertRepaired()
        self.assertEqual(len(asked), 2)
        self.closed(self.fh, self.stateid)
        self.killDataServer(self.number(self.uuid))
        self.rest(12)
        self.lose(b"f", self.uuid)
        asked.clear()
        self.returns()
        self.assertRepaired()
        self.assertEqual(len(asked), 1)

    def test_sourceDies(self) -> None:
        """
        So is one whose source dies; until then nothing of what it has is believed.
        """
        source = self.number(self.placement(b"f").columns[0][0])
        self.killDataServer(source)
        self.returns()
        self.assertEqual(self.placement(b"f").stale, (self.uuid,))
        self.assertEqual(self.mds.repairs.found[self.uuid].failed, 1)
        self.startDataServer(source)
        self.rest(20)
        self.assertRepaired()

    def test_saidOnce(self) -> None:
        """
        Why files cannot be repaired is logged once, however many there are and however
        often it is tried.
        """
        for name in (b"g", b"h", b"i", b"j"):
            self.put(name, name)
            if self.uuid in self.placement(name).dataServers:
                self.lose(name, self.uuid)

        async def refuse(*args: Any) -> Any:
            raise NoSpace("it is full")

        self.patch(self.mds.context.data.repair, "finish", refuse)
        said: list[Any] = []
        self.patch(pnfs.mds.repairs._log, "warn", lambda *a, **k: said.append(k))
        self.returns()
        self.rest(20)
        done = self.mds.repairs.found[self.uuid]
        self.assertGreater(done.failures, 3)
        self.assertEqual([each["reason"] for each in said], ["it is full"])
        self.mds.repairs.stop()

    def test_limit(self) -> None:
        """
        C{repair_limit} is kept: 200 kB at 50 kB/s take four seconds.
        """
        self.mds.repairs.limit = 50_000
        self.startDataServer(self.number(self.uuid))
        self.rest(3.5)
        self.assertTrue(self.mds.repairs.running)
        self.rest(10)
        self.assertRepaired()

    def test_many(self) -> None:
        """
        Files in folders, more than fit a page, hard links and files of other data
        servers: each mirror is copied once.
        """
        backend = self.export.backend
        self.returns()
        names = [b"n%03d" % number for number in range(300)]
        for name in names:
            self.put(name, name)
        stale = [n for n in names if self.uuid in self.placement(n).dataServers]
        self.now(backend.link(self.inode(stale[0]), backend.root, b"again"))
        for name in stale:
            self.lose(name, self.uuid)
            fh = self.mds.context.filehandles.encode(self.export, self.inode(name))
            stateid = bytes(16)
            self.mounted.write(fh, stateid, 0, b"N", 2)
        self.mds.repairs.begin(self.uuid)
        self.rest(20)
        for name in names:
            self.assertEqual(self.placement(name).stale, ())
            (content,) = set(self.copies(name))
            self.assertEqual(content[1:], name[1:])
            self.assertEqual(content[:1] == b"N", name in stale)
        done = self.mds.repairs.found[self.uuid]
        self.assertEqual(done.files, len(stale))
        self.assertEqual(done.bytes, 4 * len(stale))

    def test_manyIndexed(self) -> None:
        """
        With an index nobody walks through the tree.
        """
        self.assertIn(self.export.id, self.mds.index.whole)
        self.patch(pnfs.mds.repairs, "placedFiles", None)
        self.test_many()
        self.assertEqual(self.now(self.mds.repairs.count()).get(self.uuid, 0), 0)

    def test_manyWalked(self) -> None:
        """
        Without one somebody does.
        """
        self.mds.repairs.index = None
        self.test_many()
        counting = Deferred.fromCoroutine(self.mds.repairs.count())
        self.rest(1)
        self.assertEqual(self.successResultOf(counting), {})

    def test_again(self) -> None:
        """
        A file that cannot be repaired now is tried again.
        """
        repair = self.mds.context.data.repair
        finish = repair.finish
        refused = []

        async def once(export: Any, inode: Any, *args: Any) -> Any:
            if not refused:
                refused.append(inode)
                raise NoSpace("it is full")
            return await finish(export, inode, *args)

        self.patch(repair, "finish", once)
        self.returns()
        self.rest(10)
        self.assertRepaired()
        self.assertEqual(len(refused), 1)

    def test_stop(self) -> None:
        """
        The metadata server stops in the middle of a repair, and goes on with it when it
        starts again.
        """
        self.patch(pnfs.mds.transfer, "SMALL", 1000)
        self.mds.repairs.limit = 10_000
        self.startDataServer(self.number(self.uuid))
        self.rest(3)
        self.assertTrue(self.mds.repairs.running)
        self.mds.repairs.stop()
        self.rest(1)
        self.assertFalse(self.mds.repairs.running)
        self.assertEqual(self.placement(b"f").stale, (self.uuid,))
        self.assertEqual(len(self.mds.context.data._turns), 0)
        self.mds.repairs.limit = 0
        self.mds.repairs.begin(self.uuid)
        self.rest()
        self.assertRepaired()
