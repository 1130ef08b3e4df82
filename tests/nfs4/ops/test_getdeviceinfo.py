"""
Tests for L{pnfs.nfs4.ops.getdeviceinfo}.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.ops.getdeviceinfo import (
    GETDEVICEINFO4args,
    GETDEVICEINFO4resok,
    getdeviceinfo,
)
from pnfs.nfs4.status import nfsstat4
from tests.layouts import linux
from tests.nfs4.fixture import Reply, args
from tests.nfs4.layoutfixture import LayoutFixture

OK = nfsstat4.NFS4_OK
ONE, TWO = b"\1" * 16, b"\2" * 16


class GetDeviceInfoTests(SynchronousTestCase):
    """
    GETDEVICEINFO says what a device ID in a layout means.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture()
        devices = self.fixture.server.devices
        self.files = devices.deviceid(self.fixture.files, (ONE, TWO))
        self.flex = devices.deviceid(self.fixture.flex, (TWO,))

    def ask(
        self, deviceid: bytes, layoutType: int, maxcount: int = 65536, notify: int = 6
    ) -> Reply:
        """
        GETDEVICEINFO.
        """
        wire = args(47, GETDEVICEINFO4args(deviceid, layoutType, maxcount, notify))
        return self.fixture.run(wire)

    def info(self, *asked: Any, **more: Any) -> GETDEVICEINFO4resok:
        """
        A successful GETDEVICEINFO.
        """
        status, found = self.ask(*asked, **more).take(47, GETDEVICEINFO4resok)
        self.assertEqual(status, OK)
        return found  # type: ignore[no-any-return]

    def assertStatus(self, expected: nfsstat4, *asked: Any) -> None:
        """
        It fails so.
        """
        reply = self.ask(*asked)
        self.assertEqual(reply.take(47), (expected, None))
        self.assertIn(expected, getdeviceinfo.errors)
        self.assertEqual(reply.rest, b"")

    def test_files(self) -> None:
        """
        A Linux client finds the data servers of a striped file.
        """
        found = self.info(self.files, 1).gdir_device_addr
        self.assertEqual(found.da_layout_type, 1)
        indices, lists = linux.filesDevice(found.da_addr_body)
        self.assertEqual(indices, [0, 1])
        self.assertEqual(lists[1][0], ("10.0.0.2", 2049))

    def test_flexfiles(self) -> None:
        """
        A Linux client finds the data server of a mirror.
        """
        found = self.info(self.flex, 4).gdir_device_addr
        hosts, _ = linux.flexDevice(found.da_addr_body)
        self.assertEqual(hosts[0], ("10.0.0.2", 2049))

    def test_notifications(self) -> None:
        """
        Of the notifications asked for, change and delete are promised: with both, a
        Linux client keeps the device. The bitmap has one word, or none (an empty
        notification bitmap when there are none: chimera #405).
        """
        for asked, wire in (
            (0b110, struct.pack(">II", 1, 0b110)),
            (0b111 | 1 << 40, struct.pack(">II", 1, 0b110)),
            (0b010, struct.pack(">II", 1, 0b010)),
            (0, struct.pack(">I", 0)),
        ):
            reply = self.ask(self.files, 1, notify=asked)
            self.assertEqual(reply.wire[-len(wire) :], wire)
            self.assertEqual(
                self.info(self.files, 1, notify=asked).gdir_notification, asked & 0b110
            )

    def test_onlyNotifications(self) -> None:
        """
        A maxcount of 0 asks for notifications only, and is no error (maxcount 0 is OK
        with an empty body: chimera #1091).
        """
        found = self.info(self.files, 1, maxcount=0)
        self.assertEqual(found.gdir_device_addr.da_addr_body, b"")
        self.assertEqual(found.gdir_notification, 6)

    def test_tooSmall(self) -> None:
        """
        A client that takes too few bytes is told how many are needed, everything
        counted (TOOSMALL counts all overhead and gives mincount: chimera #1171).
        """
        whole = len(self.ask(self.files, 1).rest) - 8
        reply = self.ask(self.files, 1, whole - 1)
        self.assertEqual(reply.take(47)[0], nfsstat4.NFS4ERR_TOOSMALL)
        self.assertEqual(reply.rest, struct.pack(">I", whole))
        self.info(self.files, 1, maxcount=whole)

    def test_unknown(self) -> None:
        """
        An unknown device, one of another layout type, and an unknown layout type are
        told apart (an unknown id is NOENT: chimera #1170).
        """
        self.assertStatus(nfsstat4.NFS4ERR_NOENT, bytes(16), 1)
        self.assertStatus(nfsstat4.NFS4ERR_NOENT, self.files, 4)
        self.assertStatus(nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE, self.files, 7)
