"""
Tests of L{pnfs.mds.absent}: a client that does not come back after a restart of the
metadata server, but reaches the data servers.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.backends.errors import BackendError
from pnfs.nfs4 import requests
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID
from tests.layouts import linux
from tests.mds.faulty import pattern
from tests.mds.test_repairs import FLEX, RepairsCase
from tests.mds.test_service import ROOT, Mounted
from tests.nfs4.ops.files import lockNew

SIZE = 9000


class AbsentCase(RepairsCase):
    """
    A client has a layout to write a file with, of one data server.

    @ivar other: another client.
    """

    mirrors = 1

    def setUp(self) -> None:
        """
        Nothing has happened yet.
        """
        super().setUp()
        client = self.client(owner=b"other")
        self.now(client.connect())
        self.other = Mounted(self, client)
        self.fh, self.stateid = self.put(b"f", pattern(SIZE))
        _, body = self.mounted.layout(self.fh, self.stateid, FLEX)
        self.handle = linux.flexLayout(body)[0][3]
        (self.at,) = [self.number(u) for u in self.placement(b"f").columns[0]]

    def direct(self, data: bytes) -> int:
        """
        The client writes to the data server with its layout. @return: how it ends.
        """
        mount = Mounted(self, self.client(self.address(self.at)))
        self.now(mount.client.connect())
        op = requests.writeHead(ANONYMOUS_STATEID, 0, 2, len(data)) + data
        return mount.run(requests.putfh(self.handle), op).status  # type: ignore[no-any-return]

    def restart(self) -> None:
        """
        The metadata server is killed, and the other client comes back.
        """
        self.restartMetadataServer()
        self.assertEqual(self.other.run(ROOT).status, 0)

    def untilOver(self) -> None:
        """
        The grace period ends at this moment.
        """
        recovery = self.mds.context.recovery
        self.clock.advance(recovery.until - self.clock.seconds() - 0.05)
        self.assertTrue(recovery.inGrace(self.clock.seconds()))
        self.clock.advance(0.051)
        self.assertFalse(recovery.inGrace(self.clock.seconds()))

    def open(self) -> int:
        """
        The other client opens the file to write it. @return: how that ends.
        """
        client = self.other.client
        op = requests.open_(client.clientid, b"opener", b"f", requests.SHARE_BOTH, None)
        return self.status(ROOT, op)

    def status(self, *ops: Any) -> int:
        """
        How a COMPOUND of the other client ends.
        """
        return self.other.run(*ops).status  # type: ignore[no-any-return]


class AbsentTests(AbsentCase):
    """
    L{pnfs.mds.absent.Absentees}.
    """

    def test_cutOff(self) -> None:
        """
        When the grace period is over the file is fenced, before anybody else may open
        it; the client that is cut off cannot write any more.
        """
        self.restart()
        self.untilOver()
        self.assertEqual(self.open(), nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(self.direct(b"in time"), 0)
        self.rest(1)
        self.assertEqual(self.open(), 0)
        self.assertEqual(self.direct(b"late"), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)
        self.assertEqual(self.copies(b"f")[0][:7], b"in time")
        self.assertEqual(self.mds.upkeep.absentees.found, 1)

    def test_comesBack(self) -> None:
        """
        Of a client that has come back nothing is fenced: what it has under way goes on.
        """
        self.restart()
        self.assertEqual(self.mounted.run(ROOT).status, 0)
        self.rest(1)
        self.assertEqual(self.open(), 0)
        self.assertEqual(self.direct(b"going on"), 0)
        self.assertEqual(self.mds.upkeep.absentees.found, 0)

    def test_dataServerAway(self) -> None:
        """
        A data server that does not answer then is fenced when it does, before it
        serves that client.
        """
        self.restart()
        self.killDataServer(self.at)
        self.untilOver()
        self.rest(20)
        self.startDataServer(self.at)
        self.rest(20)
        self.assertEqual(self.direct(b"late"), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)

    def test_notStored(self) -> None:
        """
        If the new epoch cannot be stored others wait until it can.
        """
        self.restart()
        backend = self.export.backend

        async def fail(*args: Any) -> None:
            raise BackendError("disk full")

        patched = self.patch(backend, "storePlacement", fail)
        self.untilOver()
        self.rest(10)
        self.assertEqual(self.open(), nfsstat4.NFS4ERR_DELAY)
        patched.restore()
        self.rest(10)
        self.assertEqual(self.open(), 0)
        self.assertEqual(self.direct(b"late"), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)

    def test_killedAgain(self) -> None:
        """
        It is fenced off also if the metadata server is killed again meanwhile.
        """
        self.restart()
        self.rest(5)
        self.restart()
        self.untilOver()
        self.rest(1)
        self.assertEqual(self.direct(b"late"), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)

    def test_removed(self) -> None:
        """
        A file that is gone needs no fence.
        """
        self.restart()
        backend = self.export.backend
        self.now(backend.remove(backend.root, b"f", False))
        self.untilOver()
        self.rest(1)
        self.assertEqual(self.mds.context.layouts.writers.unfenced, set())

    def test_exportAway(self) -> None:
        """
        A file of an export that is not configured any more is fenced when it is again,
        also by a server that is started later.
        """
        self.restart()
        exports = self.mds.context.exports.byId
        export = exports.pop(self.export.id)
        self.untilOver()
        self.rest(20)
        self.restart()
        exports = self.mds.context.exports.byId
        exports.pop(export.id)
        self.rest(20)
        self.assertEqual(self.direct(b"nobody else has it"), 0)
        exports[export.id] = self.export
        self.assertEqual(self.open(), nfsstat4.NFS4ERR_DELAY)
        self.rest(10)
        self.assertEqual(self.open(), 0)
        self.assertEqual(self.direct(b"late"), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)

    def test_othersWait(self) -> None:
        """
        Nobody gets a lock or a delegation meanwhile, nor a layout, though it has the
        file open since before the restart.
        """
        self.restart()
        layouts = self.mds.context.layouts
        self.untilOver()
        # As if it had reclaimed this.
        unfenced = layouts.writers.unfenced
        layouts.writers.unfenced = set()
        fh, stateid = self.other.create(b"f")
        layouts.writers.unfenced = unfenced
        want = struct.pack(">III", 56, 0x0200, 4)
        locked = lockNew(stateid, 2, 0, 10)
        wanted = requests.layoutget(FLEX, 2, stateid)
        for op in (want, locked, wanted):
            self.assertEqual(
                self.status(requests.putfh(fh), op), nfsstat4.NFS4ERR_DELAY
            )
        self.rest(1)
        for op in (want, locked, wanted):
            self.assertEqual(self.status(requests.putfh(fh), op), 0)

    def test_returned(self) -> None:
        """
        Who has returned its layout before the restart is not waited for.
        """
        held, _ = self.mounted.layout(self.fh, self.stateid, FLEX)
        self.giveBack(self.fh, held)
        self.restart()
        self.untilOver()
        self.assertEqual(self.open(), 0)
