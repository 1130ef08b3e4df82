"""
Tests of L{pnfs.client.held}: layouts are recalled, revoked, and lost.
"""

from __future__ import annotations

from typing import Any

from pnfs.client.mount import SHARE_BOTH
from pnfs.nfs4.status import nfsstat4
from tests.client.site import ClientCase, noise

UNIT = 65536
LAYOUTGET = 50
LAYOUTRETURN = 51


class HeldLayoutTests(ClientCase):
    """
    Two clients and a file.
    """

    def layouts(self) -> int:
        """
        How many layouts the metadata server thinks are held.
        """
        return int(self.mds.context.layouts.count)

    def held(self, file: Any) -> Any:
        """
        What the client holds of a file.
        """
        return self.mount._held[file.fh]

    def test_asNeeded(self) -> None:
        """
        A layout is asked for once, and goes back when the file is closed.
        """
        file = self.create()
        for offset in range(0, 10):
            self.now(file.write(offset, b"x"))
            self.read(file)
        self.assertEqual(self.operations(LAYOUTGET), 1)
        self.assertEqual(self.layouts(), 1)
        self.now(file.close())
        self.assertEqual(self.layouts(), 0)
        self.assertEqual(self.mount._held, {})

    def test_sharedByOpens(self) -> None:
        """
        Two opens of a file share its layout; it goes back with the second.
        """
        one = self.create()
        two = self.now(self.mount.open("/export/f", SHARE_BOTH))
        self.now(one.write(0, b"one"))
        self.now(two.write(3, b"two"))
        self.assertEqual(self.operations(LAYOUTGET), 1)
        self.now(one.close())
        self.assertEqual(self.layouts(), 1)
        self.assertEqual(self.read(two), b"onetwo")
        self.now(two.close())
        self.assertEqual(self.layouts(), 0)

    def test_upgraded(self) -> None:
        """
        Who has read and then writes gets a layout for writing.
        """
        self.now(self.create().close())
        file = self.now(self.mount.open("/export/f", SHARE_BOTH))
        self.assertEqual(self.read(file, 0, 10), b"")
        self.now(file.write(0, b"x"))
        self.assertEqual(self.read(file), b"x")
        self.assertEqual(file.proxied, (0, 0))
        self.now(file.close())
        self.assertEqual(self.layouts(), 0)

    def test_recalled(self) -> None:
        """
        Another client cuts the file off: we give the layout back, what was written
        before is committed, and go on with a new one.
        """
        file = self.create()
        self.now(file.write(0, noise(4 * UNIT)))
        other = self.makeMount()
        cut = self.begin(other.open("/export/f", SHARE_BOTH, truncate=True))
        theirs = self.after(5, cut)
        self.assertEqual(file.unstableBytes, 0)
        self.assertEqual(self.now(theirs.read(0, 100)), b"")
        again = self.begin(file.write(UNIT, b"new"))
        self.after(20, again)
        self.now(file.flush())
        self.now(theirs.refresh())
        self.assertEqual(bytes(self.now(theirs.read(0, 1 << 20))), bytes(UNIT) + b"new")

    def test_recallWaitsForWriting(self) -> None:
        """
        What is under way when the recall comes ends first.
        """
        file = self.create()
        self.now(file.write(0, b"x"))
        held = self.held(file)
        layout = self.now(held.acquire(2, file))
        self.assertEqual(held.recall(None, False), nfsstat4.NFS4_OK)
        self.assertEqual(self.operations(LAYOUTRETURN), 0)
        next = self.begin(file.write(1, b"y"))
        self.assertNoResult(next)
        layout.release()
        self.assertEqual(self.operations(LAYOUTRETURN), 1)
        self.successResultOf(next)
        self.assertEqual(self.operations(LAYOUTGET), 2)

    def test_recallOfAnother(self) -> None:
        """
        A recall of what we do not hold is answered so; one that comes before the
        answer to LAYOUTGET has to come again.
        """
        file = self.create()
        held = self.held(file)
        stateid = b"\0\0\0\2" + b"abcdefghijkl"
        none = nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
        self.assertEqual(held.recall(stateid, False), none)
        self.assertEqual(held.recall(None, False), none)
        held._getting = True
        self.assertEqual(held.recall(stateid, False), nfsstat4.NFS4ERR_DELAY)
        held._getting = False
        self.now(file.write(0, b"x"))
        self.assertEqual(held.recall(stateid, False), none)
        early = b"\0\0\0\5" + held.stateid[4:]
        self.assertEqual(held.recall(early, False), nfsstat4.NFS4ERR_DELAY)

    def test_fenced(self) -> None:
        """
        When the data servers no longer take our handle we get a new one, and what
        was not committed is written again.
        """
        data = noise(3 * UNIT)
        file = self.create()
        self.now(file.write(0, data))
        context = self.mds.context
        export = context.exports.byPath["/export"]
        inode = self.now(export.backend.lookup(export.backend.root, b"f"))
        self.now(self.mds._data.fence(export, inode))
        self.now(file.write(3 * UNIT, b"more"))
        self.now(file.flush())
        self.assertEqual(self.read(file), data + b"more")
        self.assertEqual(file.proxied, (0, 0))

    def test_noLayouts(self) -> None:
        """
        Where data servers are not all there, I/O goes on through the metadata
        server as far as it can, and layouts are used again later.
        """
        file = self.create()
        self.now(file.write(0, b"x"))
        held = self.held(file)
        held._withoutUntil[2] = self.clock.seconds() + 30
        held._layouts = []
        self.now(file.write(1, b"y"))
        self.assertEqual(file.proxied, (0, 1))
        self.clock.advance(31)
        self.now(file.write(2, b"z"))
        self.assertEqual(file.proxied, (0, 1))
        self.now(file.flush())
        self.assertEqual(self.read(file), b"xyz")
