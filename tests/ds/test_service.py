"""
Tests of L{pnfs.ds.service}.
"""

from __future__ import annotations

from pnfs.nfs4 import requests
from pnfs.nfs4.sessions import EXCHGID4_FLAG_USE_PNFS_DS
from pnfs.nfs4.types import ANONYMOUS_STATEID
from tests.mds.test_service import FILES, Mounted, filesHandle
from tests.mds.world import SiteCase


class DataServerServiceTests(SiteCase):
    """
    A data server within its site.
    """

    count = 2

    def test_role(self) -> None:
        """
        It says that it is a data server, and who it is.
        """
        client = self.client(self.address(0))
        self.now(client.connect())
        self.assertTrue(client.serverFlags & EXCHGID4_FLAG_USE_PNFS_DS)
        self.assertEqual(client.serverOwner, (b"\1" * 16).hex().encode())

    def test_lease(self) -> None:
        """
        Linux never asks a data server for its lease, and takes it to be that of
        the metadata server: a session must outlive any of those.
        """
        client = self.client(self.address(0))
        self.now(client.connect())
        session = client.sessionid
        self.clock.pump([30.0] * 60)
        self.now(client.compound([], 0))
        self.assertEqual(client.sessionid, session)
        self.clock.pump([30.0] * 130)
        self.assertEqual(len(self.ds[0].context.sessions), 1)

    def test_nfs3(self) -> None:
        """
        Both versions of NFS are spoken at one port.
        """
        (program,) = self.wire.hosts[self.address(0)].programs.values()
        self.assertEqual(set(program.versions), {3, 4})

    def test_afterRestart(self) -> None:
        """
        A client whose data server was restarted makes a new session and goes on
        under the same handle.
        """
        mount = Mounted(self, self.client())
        self.now(mount.client.connect())
        fh, stateid = mount.create(b"f")
        handle = filesHandle(mount.layout(fh, stateid, FILES)[1])
        direct = Mounted(self, self.client(self.address(0)))
        self.now(direct.client.connect())
        direct.write(handle, ANONYMOUS_STATEID, 0, b"bytes")
        self.killDataServer(0)
        self.startDataServer(0)
        results = direct.run(
            requests.putfh(handle), requests.read(ANONYMOUS_STATEID, 0, 5)
        )
        results.operation(22)
        results.operation(25)
        results.uint32()
        self.assertEqual(results.opaque(5), b"bytes")
