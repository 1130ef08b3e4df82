"""
Tests for L{pnfs.nfs4.ops.layoutcommit}.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import Unreachable
from pnfs.nfs4.ops.layoutcommit import (
    LAYOUTCOMMIT4args,
    LAYOUTCOMMIT4resok,
    layoutcommit,
    layoutupdate4,
)
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import nfstime4
from pnfs.values import FileType
from tests.nfs4.fixture import args
from tests.nfs4.layoutfixture import MAX, LayoutFixture
from tests.nfs4.ops.namespace import GETATTR

OK = nfsstat4.NFS4_OK


class LayoutCommitTests(SynchronousTestCase):
    """
    LAYOUTCOMMIT makes what was written to data servers visible.
    """

    def setUp(self) -> None:
        self.fixture = LayoutFixture()

    def commit(
        self,
        stateid: bytes,
        offset: int = 0,
        length: int = 100,
        reclaim: bool = False,
        last: Optional[int] = 99,
        layoutType: int = 1,
        inode: Any = None,
    ) -> tuple[nfsstat4, Optional[int]]:
        """
        LAYOUTCOMMIT as the Linux client sends it: status and new size.
        """
        wire = args(
            49,
            LAYOUTCOMMIT4args(
                offset,
                length,
                reclaim,
                stateid,
                last,
                nfstime4(1, 2),
                layoutupdate4(layoutType, b""),
            ),
        )
        reply = self.fixture.onFile(wire, inode=inode)
        status, found = reply.take(49, LAYOUTCOMMIT4resok)
        self.assertEqual(reply.rest, b"")
        if status:
            self.assertIn(status, layoutcommit.errors)
        return nfsstat4(status), None if found is None else found.locr_newsize

    def test_sizeFromDataServers(self) -> None:
        """
        The size is what the data servers say, whatever the client does (COMMIT and
        close bring the size to the metadata server: chimera #681).
        """
        held = self.fixture.hold()
        self.fixture.data.sizes[self.fixture.inode.handle] = 5000
        self.assertEqual(self.commit(held, last=99), (OK, 5000))
        self.assertEqual(self.fixture.inode.size, 5000)
        self.assertEqual(self.commit(held, last=None), (OK, None))

    def test_slowDataServers(self) -> None:
        """
        While the data servers are slow to answer a LAYOUTCOMMIT the client goes on
        writing. The GETATTR that Linux sends with it does not tell the size that was
        asked for so long ago, since Linux would append there: it is asked for again.
        """
        fixture = self.fixture
        held = fixture.hold()
        sizes = fixture.data.sizes
        sizes[fixture.inode.handle] = 24
        fixture.data.after = slow = Deferred()
        wire = args(
            49,
            LAYOUTCOMMIT4args(
                0, 24, False, held, 23, nfstime4(1, 2), layoutupdate4(1, b"")
            ),
        )
        committing = fixture.sendRun(fixture.putfh(), wire, GETATTR(4))
        self.assertEqual(committing, [])
        sizes[fixture.inode.handle] = 29
        fixture.clock.advance(0.5)
        slow.callback(None)
        (reply,) = committing
        self.assertEqual(reply.wire[-8:], struct.pack(">Q", 29))
        self.assertEqual(fixture.data.calls[-2:], ["refresh", "size"])

    def test_neverShrinks(self) -> None:
        """
        A commit of a range in the middle leaves the file as long as it is.
        """
        held = self.fixture.hold()
        self.fixture.inode.size = 10000
        self.assertEqual(self.commit(held, last=99), (OK, None))
        self.assertEqual(self.fixture.inode.size, 10000)

    def test_olderSeqid(self) -> None:
        """
        Any earlier seqid is accepted: Linux repeats OLD_STATEID without end.
        """
        held = self.fixture.hold()
        self.fixture.hold()
        self.assertEqual(self.commit(held)[0], OK)

    def test_noLayout(self) -> None:
        """
        Without a layout of the file there is nothing to commit (the stateid in
        LAYOUTCOMMIT is checked: chimera #970).
        """
        held = self.fixture.hold()
        with self.fixture.other() as opened:
            others = self.fixture.hold(stateid=opened.stateid)
        for stateid in (
            bytes(16),
            self.fixture.opened.stateid,
            others,
            b"\0\0\0\5" + held[4:],
        ):
            self.assertEqual(self.commit(stateid)[0], nfsstat4.NFS4ERR_BADLAYOUT)
        inode = self.fixture.make(b"untouched")
        found = self.commit(held, inode=inode)
        self.assertEqual(found[0], nfsstat4.NFS4ERR_BADLAYOUT)
        self.assertNotIn("refresh", self.fixture.data.calls)

    def test_layoutFromBefore(self) -> None:
        """
        What was written under a layout that the server does not know any more counts
        as well: Linux does not ask again, but tells fsync that all is well.
        """
        self.fixture.data.sizes[self.fixture.inode.handle] = 5000
        status, _ = self.commit(b"\0\0\0\1" + b"before------")
        self.assertEqual(status, nfsstat4.NFS4ERR_BADLAYOUT)
        self.assertEqual(self.fixture.inode.size, 5000)

    def test_readLayout(self) -> None:
        """
        A layout for reading has nothing to commit.
        """
        held = self.fixture.hold(iomode=1)
        self.assertEqual(self.commit(held)[0], nfsstat4.NFS4ERR_BADIOMODE)

    def test_badArguments(self) -> None:
        """
        Requests that make no sense are refused.
        """
        held = self.fixture.hold()
        for error, more in (
            (nfsstat4.NFS4ERR_INVAL, {"offset": 2, "length": MAX - 1}),
            (nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE, {"layoutType": 3}),
            (nfsstat4.NFS4ERR_BADLAYOUT, {"layoutType": 4}),
        ):
            self.assertEqual(self.commit(held, **more)[0], error)
        for number, (ftype, error) in enumerate(
            (
                (FileType.DIR, nfsstat4.NFS4ERR_ISDIR),
                (FileType.LNK, nfsstat4.NFS4ERR_SYMLINK),
                (FileType.FIFO, nfsstat4.NFS4ERR_INVAL),
            )
        ):
            made = self.fixture.make(b"%d" % number, ftype)
            self.assertEqual(self.commit(held, inode=made)[0], error)

    def test_dataServerDown(self) -> None:
        """
        If a data server does not answer, the client commits again.
        """
        held = self.fixture.hold()
        self.fixture.data.failure = Unreachable()
        self.assertEqual(self.commit(held)[0], nfsstat4.NFS4ERR_DELAY)

    def test_revoked(self) -> None:
        """
        A client whose layout was revoked is told, also when it has closed the file.
        """
        fixture = self.fixture
        held = fixture.hold()
        (layout,) = fixture.state.layouts.values()
        fixture.server.layouts.revoke(layout)
        self.assertEqual(self.commit(held)[0], nfsstat4.NFS4ERR_DELEG_REVOKED)
        fixture.server.opens.drop(fixture.opened)
        fixture.recaller.settle(fixture.state)
        self.assertIsNone(fixture.inode.state)
        self.assertEqual(self.commit(held)[0], nfsstat4.NFS4ERR_DELEG_REVOKED)

    def test_reclaim(self) -> None:
        """
        After a restart of the server, a client that may reclaim commits what it had
        written before; others may not.
        """
        anonymous = bytes(16)
        found = self.commit(anonymous, reclaim=True)
        self.assertEqual(found[0], nfsstat4.NFS4ERR_NO_GRACE)
        allowed: list[Any] = []
        self.fixture.server.recovery.checkReclaim = lambda *who: allowed.append(who)
        self.fixture.data.sizes[self.fixture.inode.handle] = 42
        self.assertEqual(self.commit(anonymous, reclaim=True), (OK, 42))
        self.assertEqual(allowed[0][0], self.fixture.client)
