"""
Tests for L{pnfs.nfs4.ops.layouterror}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.layouterror import LAYOUTERROR4args, device_error4, layouterror
from pnfs.nfs4.status import nfsstat4
from pnfs.values import DeviceError
from tests.nfs4.fixture import args
from tests.nfs4.layoutfixture import LayoutFixture

DEVICE = b"D" * 16


class LayoutErrorTests(SynchronousTestCase):
    """
    LAYOUTERROR tells the metadata server of a data server that does not work.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture()

    def error(self, stateid: bytes, inode: Any = None, minor: int = 2) -> int:
        """
        LAYOUTERROR of a WRITE that could not connect: its status.
        """
        wire = args(
            64, LAYOUTERROR4args(100, 200, stateid, [device_error4(DEVICE, 6, 38)])
        )
        reply = self.fixture.onFile(wire, inode=inode, minor=minor)
        status, _ = reply.take(64)
        self.assertEqual(reply.rest, b"")
        return status

    def test_counted(self) -> None:
        """
        The error is counted by device and passed on to whoever repairs (LAYOUTERROR
        must not be NOTSUPP: chimera #415, #645).
        """
        told: list[Any] = []
        self.fixture.server.layouts.listeners.append(lambda *said: told.append(said))
        held = self.fixture.hold()
        self.fixture.hold()
        self.assertEqual(self.error(held), 0)
        self.assertEqual(self.fixture.server.layouts.reports.errors, {(DEVICE, 6): 1})
        self.assertEqual(told[0][2].errors, (DeviceError(DEVICE, 100, 200, 6, 38),))

    def test_withoutLayout(self) -> None:
        """
        Only the holder of a layout is believed.
        """
        for inode in (None, self.fixture.make(b"untouched")):
            status = self.error(self.fixture.opened.stateid, inode)
            self.assertEqual(status, nfsstat4.NFS4ERR_BAD_STATEID)
            self.assertIn(status, layouterror.errors)
        self.assertEqual(self.fixture.server.layouts.reports.errors, {})

    def test_minorVersion(self) -> None:
        """
        NFSv4.1 does not know it.
        """
        held = self.fixture.hold()
        wire = args(64, LAYOUTERROR4args(0, 1, held, []))
        reply = self.fixture.onFile(wire, minor=1)
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_OP_ILLEGAL)
