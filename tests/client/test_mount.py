"""
Tests of L{pnfs.client.mount}.
"""

from __future__ import annotations

from typing import Any

from pnfs.backends.errors import Unreachable
from pnfs.callbacks import ops
from pnfs.client.mount import SHARE_BOTH
from pnfs.nfs4.status import nfsstat4
from tests.client.site import ClientCase
from tests.mds.world import MDS


class MountTests(ClientCase):
    """
    The connection itself.
    """

    def test_lease(self) -> None:
        """
        An idle mount keeps its lease.
        """
        self.assertEqual(self.mount.leaseSeconds, 90)
        self.clock.pump([1.0] * 400)
        self.assertEqual(len(self.mds.context.clients), 1)

    def test_close(self) -> None:
        """
        Afterwards the server knows nothing of us, and no timer is left.
        """
        file = self.create()
        self.now(file.write(0, b"x"))
        self.now(file.close())
        self.now(self.mount.close())
        self.assertEqual(len(self.mds.context.clients), 0)

    def test_nobodyThere(self) -> None:
        """
        Connecting to nothing fails soon.
        """
        del self.wire.hosts[MDS]
        self.wire.hangUp(MDS)
        started = self.begin(self.lateMount().connect())
        self.clock.pump([0.1] * 60)
        self.failureResultOf(started, Unreachable)

    def lateMount(self) -> Any:
        """
        A mount that is not connected.
        """
        mount = type(self.mount)
        return mount(self.clock, *MDS, clock=self.clock, dial=self.dial)

    def test_newConnection(self) -> None:
        """
        After the connection was lost the server can call back over the new one.
        """
        file = self.create()
        self.now(file.write(0, b"hello"))
        self.wire.hangUp(MDS)
        started = self.begin(self.mount.getattr("/export/f"))
        self.after(1, started)
        other = self.makeMount()
        cut = self.begin(other.open("/export/f", SHARE_BOTH, truncate=True))
        self.after(5, cut)
        self.assertEqual(self.mds.context.layouts.count, 0)

    def test_recallAll(self) -> None:
        """
        A recall of everything gives everything back.
        """
        for name in "ab":
            file = self.create(f"/export/{name}")
            self.now(file.write(0, b"x"))
        self.assertEqual(self.mds.context.layouts.count, 2)
        arguments = ops.CB_LAYOUTRECALL4args(1, 3, False, (3, None))
        self.assertEqual(self.mount._layoutRecall(arguments), 0)
        self.assertEqual(self.mds.context.layouts.count, 0)
        self.assertEqual(
            self.mount._layoutRecall(arguments), nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
        )

    def test_recallUnknown(self) -> None:
        """
        A recall of a file that we do not know.
        """
        what = ops.layoutrecall_file4(b"unknown", 0, 1, bytes(16))
        arguments = ops.CB_LAYOUTRECALL4args(1, 3, False, (1, what))
        self.assertEqual(
            self.mount._layoutRecall(arguments), nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
        )

    def test_devicesForgotten(self) -> None:
        """
        A device is asked for once, and again after the server has said that it
        changed.
        """
        getdeviceinfo = 47
        for _ in range(2):
            file = self.create()
            self.now(file.write(0, b"x"))
            self.now(file.close())
        self.assertEqual(self.operations(getdeviceinfo), 1)
        assert self.mount._devices is not None
        self.mount._devicesChanged(list(self.mount._devices._known))
        self.now(self.create().write(0, b"x"))
        self.assertEqual(self.operations(getdeviceinfo), 2)
