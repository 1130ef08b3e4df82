"""
Tests of REMOVE and RENAME, and of what they do about the file behind the name.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import Deferred

from pnfs.backends.errors import IOFailed
from pnfs.namespace.exports import Export, ExportTable
from pnfs.nfs4.ops.unlinked import settleFile
from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType, SetAttributes
from tests.nfs4.ops.namespace import (
    ALICE,
    BOB,
    GETFH,
    LOOKUP,
    PUTFH,
    PUTROOTFH,
    SAVEFH,
    NamespaceCase,
    named,
    opaque,
)


class RemovalCase(NamespaceCase):
    """
    What the cases below have in common.
    """

    def remove(self, name: bytes, as_: Any = ALICE, parent: Any = None) -> int:
        """
        REMOVE: the status.
        """
        put = PUTFH(self.fh(parent or self.root))
        return self.status(put, named(28, name), as_=as_)

    def renameOps(
        self, old: bytes, new: bytes, source: Any = None, target: Any = None
    ) -> tuple[bytes, ...]:
        """
        The operations of a RENAME.
        """
        return (
            PUTFH(self.fh(source or self.root)),
            SAVEFH,
            PUTFH(self.fh(target or self.root)),
            named(29, old, new),
        )

    def rename(self, *arguments: Any, as_: Any = ALICE) -> int:
        """
        RENAME: the status.
        """
        return self.status(*self.renameOps(*arguments), as_=as_)

    def names(self, directory: Any = None) -> set[bytes]:
        """
        What is in a directory.
        """
        entries, _ = self.wait(self.backend.readdir(directory or self.root, 0, 99))
        return {entry.name for entry in entries}

    def pending(self) -> list[bytes]:
        """
        Data files that are due to be deleted.
        """
        return [p.name for p in self.wait(self.backend.pendingRemovals())]


class RemoveTests(RemovalCase):
    """
    REMOVE takes names away.
    """

    def test_file(self) -> None:
        """
        The name goes, with C{change_info4} from the change attribute; a file without
        data files leaves nothing behind (change_info4 from the same counter as the
        change attribute: chimera #1507).
        """
        self.make(b"f")
        before = self.root.change
        rest = self.last(PUTFH(self.fh(self.root)), named(28, b"f"))
        self.assertEqual(rest, struct.pack(">IQQ", 1, before, self.root.change))
        self.assertEqual(self.names(), set())
        self.assertEqual((self.data.calls, self.pending()), ([], []))

    def test_directory(self) -> None:
        """
        An empty directory goes, another one stays.
        """
        inode = self.make(b"d", FileType.DIR, mode=0o755)
        self.make(b"f", parent=inode)
        self.assertEqual(self.remove(b"d"), nfsstat4.NFS4ERR_NOTEMPTY)
        self.assertEqual(self.remove(b"f", parent=inode), 0)
        self.assertEqual(self.remove(b"d"), 0)

    def test_refused(self) -> None:
        """
        Each mistake has its status.
        """
        inode = self.make(b"f")
        self.assertEqual(self.remove(b"g"), nfsstat4.NFS4ERR_NOENT)
        self.assertEqual(self.remove(b"."), nfsstat4.NFS4ERR_BADNAME)
        self.assertEqual(self.remove(b""), nfsstat4.NFS4ERR_INVAL)
        self.assertEqual(self.remove(b"x", parent=inode), nfsstat4.NFS4ERR_NOTDIR)
        self.assertEqual(
            self.status(PUTROOTFH, named(28, b"data")), nfsstat4.NFS4ERR_ROFS
        )
        self.wait(self.backend.setattr(self.root, SetAttributes(mode=0o755)))
        self.assertEqual(self.remove(b"f"), nfsstat4.NFS4ERR_ACCESS)

    def test_sticky(self) -> None:
        """
        In a sticky directory only the owner of the file removes it.
        """
        self.wait(self.backend.setattr(self.root, SetAttributes(mode=0o1777)))
        self.make(b"f")
        self.assertEqual(self.remove(b"f", BOB), nfsstat4.NFS4ERR_ACCESS)
        self.assertEqual(self.remove(b"f"), 0)

    def test_dataFiles(self) -> None:
        """
        Data files are in the durable queue before the name goes, then deleted in
        the background.
        """
        inode = self.make(b"f")
        placement = self.place(inode)
        order = []
        remove = self.backend.remove

        async def removing(*arguments: Any) -> Any:
            order.append(self.pending())
            return await remove(*arguments)

        self.backend.remove = removing
        self.assertEqual(self.remove(b"f"), 0)
        self.assertEqual(order, [[placement.name]])
        self.assertEqual(self.data.calls, [("forget", placement.name)])

    def test_otherName(self) -> None:
        """
        As long as the file has another name, its data files stay, and no layout
        is recalled.
        """
        inode = self.make(b"f")
        self.place(inode)
        self.layoutFor(inode)
        self.wait(self.backend.link(inode, self.root, b"g"))
        self.assertEqual(self.remove(b"f"), 0)
        self.assertEqual((self.data.calls, self.pending()), ([], []))
        self.assertEqual(self.recaller.recalls, [])

    def test_failed(self) -> None:
        """
        If the name could not be removed, the queue forgets the data files.
        """
        self.place(self.make(b"f"))

        async def remove(*arguments: Any) -> Any:
            raise IOFailed()

        self.backend.remove = remove
        self.assertEqual(self.remove(b"f"), nfsstat4.NFS4ERR_IO)
        self.assertEqual((self.data.calls, self.pending()), ([], []))

    def test_open(self) -> None:
        """
        An open file stays reachable by its handle, with its data files, until the last
        close, for other clients and connections too (a removed-but-open file stays
        valid from any connection: chimera c:7435481c).
        """
        inode = self.make(b"f")
        placement = self.place(inode)
        state = self.openFor(inode)
        fh = self.fh(inode)
        self.assertEqual(self.remove(b"f"), 0)
        self.assertEqual((self.data.calls, self.pending()), ([], []))
        self.assertEqual(self.attributes(fh, 35)[1], bytes(4))
        self.fixture.connection = self.fixture.connect()
        self.fixture.mount(owner=b"other")
        self.assertEqual(self.attributes(fh, 35)[1], bytes(4))
        server = self.fixture.server
        server.opens.close(state)
        self.wait(settleFile(server, state.file))
        self.assertEqual(self.data.calls, [("forget", placement.name)])
        self.assertEqual(self.pending(), [placement.name])
        self.assertEqual(self.status(PUTFH(fh)), nfsstat4.NFS4ERR_STALE)

    def test_recall(self) -> None:
        """
        Layouts of others are recalled before the last name goes (recall before REMOVE:
        chimera #945, #1425).
        """
        inode = self.make(b"f")
        self.place(inode)
        layout = self.layoutFor(inode)
        self.assertEqual(self.remove(b"f"), nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(self.names(), {b"f"})
        self.assertEqual((self.data.calls, self.pending()), ([], []))
        self.fixture.server.layouts.drop(layout)
        self.assertEqual(self.remove(b"f"), 0)

    def test_ownLayout(self) -> None:
        """
        The remover's own layout ends with the file.
        """
        inode = self.make(b"f")
        placement = self.place(inode)
        self.layoutFor(inode, self.fixture.client)
        self.assertEqual(self.remove(b"f"), 0)
        self.assertIdentical(inode.state, None)
        self.assertEqual(len(self.fixture.server.layouts), 0)
        self.assertEqual(self.data.calls, [("forget", placement.name)])

    def _slowQueue(self) -> Deferred[None]:
        """
        Make the durable queue wait until the L{Deferred} fires.
        """
        gate: Deferred[None] = Deferred()
        enqueue = self.backend.enqueueRemoval

        async def enqueueRemoval(placement: Any, orphan: bool) -> None:
            await enqueue(placement, orphan)
            await gate

        self.backend.enqueueRemoval = enqueueRemoval
        return gate

    def test_openedMeanwhile(self) -> None:
        """
        Opened while the queue was written: the removal starts anew.
        """
        inode = self.make(b"f")
        self.place(inode)
        gate = self._slowQueue()
        outcome = self.fixture.sendRun(
            PUTFH(self.fh(self.root)), named(28, b"f"), credential=ALICE
        )
        self.assertEqual(outcome, [])
        self.openFor(inode)
        gate.callback(None)
        self.assertEqual(outcome[0].status, nfsstat4.NFS4ERR_DELAY)
        self.assertEqual((self.names(), self.pending()), ({b"f"}, []))

    def test_replacedMeanwhile(self) -> None:
        """
        Another file under that name meanwhile: that one is not touched.
        """
        self.place(self.make(b"f"))
        gate = self._slowQueue()
        outcome = self.fixture.sendRun(
            PUTFH(self.fh(self.root)), named(28, b"f"), credential=ALICE
        )
        self.wait(self.backend.remove(self.root, b"f", False))
        self.make(b"f")
        gate.callback(None)
        self.assertEqual(outcome[0].status, nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(self.names(), {b"f"})


class RenameTests(RemovalCase):
    """
    RENAME moves names.
    """

    def test_move(self) -> None:
        """
        Into another directory, with the change counters of both.
        """
        inode = self.make(b"f")
        target = self.make(b"d", FileType.DIR, mode=0o755)
        before = self.root.change, target.change
        rest = self.last(*self.renameOps(b"f", b"g", None, target))
        self.assertEqual(
            rest,
            struct.pack(">IQQ", 1, before[0], self.root.change)
            + struct.pack(">IQQ", 1, before[1], target.change),
        )
        found = self.last(PUTFH(self.fh(target)), *LOOKUP(b"g"), GETFH)
        self.assertEqual(found, opaque(self.fh(inode)))

    def test_replace(self) -> None:
        """
        What is replaced goes as by REMOVE: recall first, then its data files (recall
        before RENAME-over: chimera #945).
        """
        self.make(b"new")
        victim = self.make(b"old")
        placement = self.place(victim)
        layout = self.layoutFor(victim)
        self.assertEqual(self.rename(b"new", b"old"), nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(self.names(), {b"new", b"old"})
        self.fixture.server.layouts.drop(layout)
        self.assertEqual(self.rename(b"new", b"old"), 0)
        self.assertEqual(self.names(), {b"old"})
        self.assertEqual(self.data.calls, [("forget", placement.name)])

    def test_replaceLinked(self) -> None:
        """
        What is replaced and has another name shows by its ctime that it has one name
        less (RENAME over a file bumps the victim's ctime: chimera c:6ffd78a6).
        """
        self.make(b"new")
        victim = self.make(b"old")
        self.wait(self.backend.link(victim, self.root, b"other"))
        _, before = self.attributes(self.fh(victim), 3, 35, 52)
        self.fixture.clock.advance(1)
        self.assertEqual(self.rename(b"new", b"old"), 0)
        _, after = self.attributes(self.fh(victim), 3, 35, 52)
        form = struct.Struct(">QIqI")
        (change, links, second, nano), now = form.unpack(before), form.unpack(after)
        self.assertGreater(now[0], change)
        self.assertEqual((links, now[1:]), (2, (1, second + 1, nano)))

    def test_replaceOpen(self) -> None:
        """
        What is replaced while it is open stays until it is closed.
        """
        self.make(b"new")
        victim = self.make(b"old")
        placement = self.place(victim)
        self.openFor(victim)
        self.assertEqual(self.rename(b"new", b"old"), 0)
        self.assertTrue(victim.state.unlinked)
        self.assertEqual(victim.state.placement, placement)
        self.assertEqual(self.data.calls, [])

    def test_sameObject(self) -> None:
        """
        Onto itself, or onto another name of the same file, nothing happens.
        """
        inode = self.make(b"f")
        self.place(inode)
        self.assertEqual(self.rename(b"f", b"f"), 0)
        self.wait(self.backend.link(inode, self.root, b"g"))
        self.assertEqual(self.rename(b"f", b"g"), 0)
        self.assertEqual(self.names(), {b"f", b"g"})
        self.assertEqual((self.data.calls, self.pending()), ([], []))

    def test_refused(self) -> None:
        """
        Each mistake has its status, and everything stays.
        """
        inode = self.make(b"f")
        directory = self.make(b"d", FileType.DIR, mode=0o755)
        self.make(b"x", parent=directory)
        self.make(b"e", FileType.DIR, mode=0o755)
        for arguments, status in (
            ((b"absent", b"y"), nfsstat4.NFS4ERR_NOENT),
            ((b"f", b".."), nfsstat4.NFS4ERR_BADNAME),
            ((b"", b"y"), nfsstat4.NFS4ERR_INVAL),
            ((b"f", b"d"), nfsstat4.NFS4ERR_EXIST),
            ((b"e", b"f"), nfsstat4.NFS4ERR_EXIST),
            ((b"e", b"d"), nfsstat4.NFS4ERR_NOTEMPTY),
            ((b"d", b"y", None, directory), nfsstat4.NFS4ERR_INVAL),
            ((b"f", b"y", None, inode), nfsstat4.NFS4ERR_NOTDIR),
            ((b"f", b"y", inode), nfsstat4.NFS4ERR_NOTDIR),
        ):
            self.assertEqual(self.rename(*arguments), status, arguments)
        self.assertEqual(self.names(), {b"f", b"d", b"e"})
        self.assertEqual(
            self.status(PUTFH(self.fh(self.root)), named(29, b"f", b"g")),
            nfsstat4.NFS4ERR_NOFILEHANDLE,
        )

    def test_permission(self) -> None:
        """
        Both directories must be writable, stickiness holds for both ends, and a
        directory that moves must be writable itself.
        """
        target = self.make(b"d", FileType.DIR, mode=0o755)
        self.make(b"f", uid=1001)
        self.assertEqual(
            self.rename(b"f", b"f", None, target, as_=BOB), nfsstat4.NFS4ERR_ACCESS
        )
        self.make(b"e", FileType.DIR, mode=0o755)
        self.wait(self.backend.setattr(target, SetAttributes(mode=0o777)))
        self.assertEqual(
            self.rename(b"e", b"e", None, target, as_=BOB), nfsstat4.NFS4ERR_ACCESS
        )
        self.assertEqual(self.rename(b"e", b"e2", as_=BOB), 0)
        self.wait(self.backend.setattr(self.root, SetAttributes(mode=0o1777)))
        self.make(b"mine")
        self.assertEqual(self.rename(b"f", b"mine", as_=BOB), nfsstat4.NFS4ERR_ACCESS)
        self.assertEqual(self.rename(b"mine", b"y", as_=BOB), nfsstat4.NFS4ERR_ACCESS)

    def test_otherExport(self) -> None:
        """
        Not from one export into another (cross-mount is XDEV: chimera
        c:00238bec).
        """
        self.make(b"f")
        other = Export("/data/other", self.backend)
        server = self.fixture.server
        server.exports = ExportTable([self.export, other])
        there = server.filehandles.encode(other, self.root)
        status = self.status(
            PUTFH(self.fh(self.root)), SAVEFH, PUTFH(there), named(29, b"f", b"g")
        )
        self.assertEqual(status, nfsstat4.NFS4ERR_XDEV)

    def test_readOnly(self) -> None:
        """
        Not in a read-only export.
        """
        self.make(b"f")
        self.export.readOnly = True
        self.assertEqual(self.rename(b"f", b"g"), nfsstat4.NFS4ERR_ROFS)
