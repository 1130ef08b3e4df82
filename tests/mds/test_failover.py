"""
Tests of L{pnfs.mds.failover}: what clients with layouts notice of a lost data server.
"""

from __future__ import annotations

import struct
from typing import Any

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet.defer import Deferred

from pnfs.backends.errors import IOFailed
from pnfs.config import MDSConfig
from pnfs.nfs4 import requests
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID
from pnfs.values import Placement
from tests.layouts import linux
from tests.mds.faulty import pattern
from tests.mds.test_service import ROOT, Mounted
from tests.mds.world import SiteCase

FLEX = 4
READ = 1
RW = 2
CONFLICT = nfsstat4.NFS4ERR_RECALLCONFLICT


class FailoverCase(SiteCase):
    """
    Two mirrors on three data servers, and a client with a file.
    """

    layout = "flexfiles"
    mirrors = 2
    degrade = True

    def setUp(self) -> None:
        """
        Mount.
        """
        super().setUp()
        self.mount = self.mounted(b"me")
        self.fh, self.stateid = self.mount.create(b"file")
        self.data = pattern(50_000)
        self.mount.write(self.fh, self.stateid, 0, self.data)
        self.first, self.second = [uuid[0] - 1 for uuid in self.placement().columns[0]]

    def mounted(self, owner: bytes) -> Mounted:
        """
        A client of the site.
        """
        mount = Mounted(self, self.client(owner=owner, minor=2))
        self.now(mount.client.connect())
        return mount

    def configuration(self) -> MDSConfig:
        """
        Files go on without lost mirrors.
        """
        return attrs.evolve(super().configuration(), degrade=self.degrade)

    def inode(self, fh: bytes) -> Any:
        """
        The file.
        """
        server = self.mds.context
        exportId, handle = server.filehandles.decode(fh)
        return self.now(server.exports.byId[exportId].backend.byHandle(handle))

    def placement(self) -> Placement:
        """
        Where the file is.
        """
        backend = self.mds._backends[0]
        found: Placement = self.now(backend.loadPlacement(self.inode(self.fh)))
        return found

    def uuid(self, number: int) -> bytes:
        """
        Of a data server.
        """
        return self.backends[number].uuid

    def pass_(self, seconds: float) -> None:
        """
        Time goes by.
        """
        self.clock.pump([0.25] * round(4 * seconds))

    def lose(self, number: int) -> None:
        """
        A data server dies and is found to be lost.
        """
        self.killDataServer(number)
        self.pass_(9)
        self.assertIn(self.uuid(number), self.mds._servers.condemned)

    def askFor(self, iomode: int, mount: Any = None, stateid: bytes = b"") -> int:
        """
        How LAYOUTGET ends.
        """
        return (
            (mount or self.mount)
            .run(  # type: ignore[no-any-return]
                requests.putfh(self.fh),
                requests.layoutget(FLEX, iomode, stateid or self.stateid),
            )
            .status
        )

    def mirrorsOf(self, body: bytes) -> set[bytes]:
        """
        The data servers that a layout names.
        """
        devices = self.mds.context.devices
        return {
            server.uuid
            for mirror in linux.flexLayout(body)
            for server in devices.lookup(mirror[0]).servers
        }

    def layout_(self) -> tuple[bytes, set[bytes], bytes]:
        """
        Get the layout for writing: stateid, data servers, filehandle for them.
        """
        held, body = self.mount.layout(self.fh, self.stateid, FLEX)
        return held, self.mirrorsOf(body), linux.flexLayout(body)[0][3]

    def giveBack(self, held: bytes) -> None:
        """
        Return it.
        """
        results = self.mount.run(
            requests.putfh(self.fh), requests.layoutreturn(FLEX, held, b"")
        )
        self.assertEqual(results.status, 0)

    def direct(self, number: int, handle: bytes, data: bytes) -> int:
        """
        Write to a data server. @return: how it ends.
        """
        mount = Mounted(self, self.client(self.address(number)))
        self.now(mount.client.connect())
        op = requests.writeHead(ANONYMOUS_STATEID, 0, 2, len(data)) + data
        return mount.run(requests.putfh(handle), op).status  # type: ignore[no-any-return]

    def complain(self, held: bytes, number: int, status: int) -> None:
        """
        LAYOUTERROR.
        """
        devices = self.mds.context.devices
        (deviceid,) = [
            deviceid
            for deviceid, device in devices._devices.items()
            if [server.uuid for server in device.servers] == [self.uuid(number)]
        ]
        results = self.mount.run(
            requests.putfh(self.fh),
            struct.pack(">I", 64)
            + struct.pack(">QQ", 0, (1 << 64) - 1)
            + held
            + struct.pack(">I", 1)
            + struct.pack(">16sII", deviceid, status, 38),
        )
        self.assertEqual(results.status, 0)


class LostTests(FailoverCase):
    """
    A data server of a mirrored file dies.
    """

    def test_writer(self) -> None:
        """
        A client with a layout for writing is asked for it; the next one is without
        the lost mirror, and with it the client goes on. No handle of before writes
        anywhere any more.
        """
        held, mirrors, old = self.layout_()
        self.assertEqual(mirrors, {self.uuid(self.first), self.uuid(self.second)})
        self.lose(self.first)
        self.assertEqual(self.placement().stale, (self.uuid(self.first),))
        self.assertEqual(self.askFor(RW), CONFLICT)
        self.assertEqual(
            self.direct(self.second, old, b"x"), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT
        )
        self.giveBack(held)
        self.pass_(12)
        held, mirrors, new = self.layout_()
        self.assertEqual(mirrors, {self.uuid(self.second)})
        self.assertEqual(self.direct(self.second, new, b"data"), 0)
        self.assertEqual(self.mount.read(self.fh, self.stateid, 0, 4), b"data")

    def test_oldHandle(self) -> None:
        """
        When the data server is back a writer that has not heard of all this cannot
        write to the stale mirror, and new layouts do not name it.
        """
        _, _, old = self.layout_()
        self.lose(self.first)
        self.startDataServer(self.first)
        self.pass_(3)
        self.assertEqual(self.mds._servers.condemned, frozenset())
        self.assertEqual(
            self.direct(self.first, old, b"x"), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT
        )
        self.assertEqual(
            self.mds.context.data.usable(self.placement()).dataServers,
            (self.uuid(self.second),),
        )

    def test_proxied(self) -> None:
        """
        Who writes and reads through the metadata server goes on without it, and asks
        for the size and sets it without being put off.
        """
        self.lose(self.second)
        self.assertEqual(self.mount.write(self.fh, self.stateid, 0, b"more"), 4)
        self.assertEqual(self.mount.read(self.fh, self.stateid, 0, 4), b"more")
        self.assertEqual(self.mount.attributes(self.fh, 4), {4: 50_000})
        results = self.mount.run(
            requests.putfh(self.fh),
            requests.setattr_([requests.sizeAttribute(100)], self.stateid),
        )
        self.assertEqual(results.status, 0)
        self.assertEqual(self.placement().stale, (self.uuid(self.second),))

    def test_commit(self) -> None:
        """
        LAYOUTCOMMIT and LAYOUTRETURN of a file with a dead mirror ask the other one.
        """
        held, _, handle = self.layout_()
        self.lose(self.first)
        results = self.mount.run(
            requests.putfh(self.fh),
            requests.layoutcommit(held, 60_000, 59_999, FLEX),
        )
        self.assertEqual(results.status, 0)
        self.giveBack(held)

    def test_readers(self) -> None:
        """
        Reading only marks nothing: layouts for reading are without the lost data
        server while it is away, and with it when it is back.
        """
        self.lose(self.first)
        results = self.mount.run(
            requests.putfh(self.fh), requests.layoutget(FLEX, READ, self.stateid)
        )
        results.operation(22)
        results.operation(50)
        held, segments = results.layouts()
        self.assertEqual(self.mirrorsOf(segments[0][4]), {self.uuid(self.second)})
        self.assertEqual(self.placement().stale, ())
        self.giveBack(held)
        self.startDataServer(self.first)
        self.pass_(3)
        _, mirrors, _ = self.layout_()
        self.assertEqual(len(mirrors), 2)
        self.assertEqual(self.placement().epoch, 1)

    def test_readersRecalled(self) -> None:
        """
        A layout for reading that names it is recalled, and the file not marked.
        """
        other = self.mounted(b"reader")
        results = other.run(ROOT, requests.lookup(b"file"))
        self.assertEqual(results.status, 0)
        results = self.mount.run(
            requests.putfh(self.fh), requests.layoutget(FLEX, READ, self.stateid)
        )
        self.assertEqual(results.status, 0)
        self.lose(self.first)
        self.assertEqual(self.askFor(READ), CONFLICT)
        self.assertEqual(self.placement().stale, ())

    def test_metrics(self) -> None:
        """
        An operator can be alarmed of it.
        """
        self.lose(self.first)
        registry = CollectorRegistry()
        for collector in self.collectors:
            registry.register(collector)
        told = generate_latest(registry).decode()
        for number in range(3):
            self.assertIn(
                f'pnfs_data_server_lost{{data_server="ds{number}"}} '
                f"{1.0 if number == self.first else 0.0}",
                told,
            )

    def test_others(self) -> None:
        """
        Layouts of files elsewhere stay.
        """
        (third,) = {0, 1, 2}.difference((self.first, self.second))
        held, _, handle = self.layout_()
        self.lose(third)
        self.assertEqual(self.askFor(RW, stateid=held), 0)
        self.assertEqual(self.direct(self.first, handle, b"x"), 0)
        self.assertEqual(self.placement().stale, ())

    def test_lastCopy(self) -> None:
        """
        With the other mirror stale already the layout is not recalled: there is
        nothing better to be had.
        """
        self.mds.repairs.automatic = False
        self.lose(self.first)
        self.mount.write(self.fh, self.stateid, 0, b"x")
        held, _, _ = self.layout_()
        self.startDataServer(self.first)
        self.pass_(3)
        self.lose(self.second)
        self.assertEqual(self.placement().stale, (self.uuid(self.first),))
        self.assertEqual(self.askFor(RW, stateid=held), 0)

    def test_reclaimed(self) -> None:
        """
        Of a file that a client had open for writing before the metadata server's
        restart it is not known who may write to it: it is marked.
        """
        file = self.inode(self.fh).state
        file.reclaimed = True
        self.lose(self.first)
        self.assertEqual(self.placement().stale, (self.uuid(self.first),))

    def test_reclaimedElsewhere(self) -> None:
        """
        That is so for the data servers that it is on: the loss of another one makes
        nothing stale, which nobody could repair.
        """
        (third,) = {0, 1, 2}.difference([self.first, self.second])
        self.inode(self.fh).state.reclaimed = True
        before = self.placement()
        self.lose(third)
        self.assertEqual(self.placement(), before)


class OffTests(FailoverCase):
    """
    Files are not to go on without their mirrors.
    """

    degrade = False

    def test_waits(self) -> None:
        """
        Then writers wait until the data server is back, and no mirror is stale.
        """
        self.killDataServer(self.first)
        self.pass_(20)
        op = requests.writeHead(self.stateid, 0, 0, 4) + b"more"
        results = self.mount.run(requests.putfh(self.fh), op)
        self.assertEqual(results.status, nfsstat4.NFS4ERR_DELAY)
        self.startDataServer(self.first)
        self.pass_(3)
        self.assertEqual(self.mount.write(self.fh, self.stateid, 0, b"more"), 4)
        self.assertEqual(self.placement().stale, ())


class ReportTests(FailoverCase):
    """
    A client reports errors.
    """

    def test_liar(self) -> None:
        """
        What works is not given up because a client says that it does not.
        """
        held, _, _ = self.layout_()
        for status in (nfsstat4.NFS4ERR_IO, nfsstat4.NFS4ERR_NXIO):
            self.complain(held, self.first, status)
        self.pass_(10)
        self.assertEqual(self.mds._servers.condemned, frozenset())
        self.assertEqual(self.placement().stale, ())

    def test_disk(self) -> None:
        """
        If the metadata server cannot use the file there either the file goes on
        without that mirror; other files keep theirs.
        """
        held, _, _ = self.layout_()

        async def broken(*args: Any) -> Any:
            raise IOFailed("disk")

        self.patch(self.backends[self.first], "commit", broken)
        for status in (nfsstat4.NFS4ERR_ACCESS, nfsstat4.NFS4ERR_STALE):
            self.complain(held, self.first, status)
            self.assertEqual(self.placement().stale, ())
        self.complain(held, self.first, nfsstat4.NFS4ERR_IO)
        self.assertEqual(self.placement().stale, (self.uuid(self.first),))
        self.assertEqual(self.mds._servers.condemned, frozenset())
        self.assertEqual(self.askFor(RW), CONFLICT)

    def test_dead(self) -> None:
        """
        One that does not answer the metadata server either is lost after its five
        seconds, and whoever waits for it then waits no longer.
        """
        held, _, _ = self.layout_()
        self.killDataServer(self.first)
        self.complain(held, self.first, nfsstat4.NFS4ERR_NXIO)
        waiting = Deferred.fromCoroutine(
            self.mds.context.data.refresh(
                self.mds.context.exports.byPath["/export"], self.inode(self.fh)
            )
        )
        self.pass_(2)
        self.assertNoResult(waiting)
        self.pass_(4)
        self.assertIn(self.uuid(self.first), self.mds._servers.condemned)
        self.assertIsNone(self.successResultOf(waiting))
