"""
Tests of L{pnfs.nfs4.ops.getattr} and of the plans behind it.
"""

from __future__ import annotations

import struct

import attrs

from pnfs.backends.errors import Unreachable
from pnfs.nfs4 import fattr
from pnfs.nfs4.fattr_plan import entryPlanFor, statistics
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import decodeBitmap
from pnfs.values import FSStatistics, SetAttributes
from tests.nfs4.ops.namespace import GETATTR, PUTFH, PUTROOTFH, LOOKUP, NamespaceCase


class GetattrTests(NamespaceCase):
    """
    GETATTR tells attributes of the current object.
    """

    def test_linux(self) -> None:
        """
        What a Linux client asks for of a file comes in ascending order, decoded
        here by hand.
        """
        inode = self.make(b"f", mode=0o640, uid=1000, gid=77)
        bits = 0x0010011A | 0x00B0A23A << 32
        numbers = [n for n in range(64) if bits >> n & 1]
        bitmap, values = self.attributes(self.fh(inode), *numbers)
        self.assertEqual(bitmap, bits)
        second = inode.mtime // 10**9
        nano = inode.mtime % 10**9
        expected = struct.pack(
            ">IQQQQQII",
            1,
            inode.change,
            0,
            self.export.id,
            0,
            inode.fileid,
            0o640,
            1,
        )
        expected += b"\0\0\0\x041000" + b"\0\0\0\x0277\0\0"
        expected += struct.pack(">IIQ", 0, 0, 0)
        expected += struct.pack(">qI", second, nano) * 3
        expected += struct.pack(">Q", inode.fileid)
        self.assertEqual(values, expected)

    def test_everything(self) -> None:
        """
        Every attribute that C{supported_attrs} names can be asked for at once,
        write-only ones left out.
        """
        wanted = fattr.supported(1) & ~fattr.WRITE_ONLY
        numbers = [n for n in range(96) if wanted >> n & 1]
        bitmap, _ = self.attributes(self.fh(self.root), *numbers)
        self.assertEqual(bitmap, wanted)

    def test_unsupported(self) -> None:
        """
        Attributes nobody knows are left out, not an error (section 18.7.3).
        """
        bitmap, values = self.attributes(self.fh(self.root), 1, 59, 95, 400)
        self.assertEqual((bitmap, values), (2, b"\0\0\0\2"))

    def test_writeOnly(self) -> None:
        """
        C{time_modify_set} cannot be read: INVAL (write-only attributes are INVAL:
        chimera #265, #287).
        """
        status = self.status(PUTFH(self.fh(self.root)), GETATTR(54))
        self.assertEqual(status, nfsstat4.NFS4ERR_INVAL)

    def test_noFilehandle(self) -> None:
        """
        GETATTR needs a current filehandle.
        """
        self.assertEqual(self.status(GETATTR(1)), nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_malformed(self) -> None:
        """
        A bitmap cut short, or of hundreds of words, is BADXDR.
        """
        put = PUTFH(self.fh(self.root))
        for tail in (b"", b"\0\0", b"\0\0\0\2\0\0\0\1", b"\0\0\1\1\0\0\0\1"):
            status = self.status(put, b"\0\0\0\x09" + tail)
            self.assertEqual(status, nfsstat4.NFS4ERR_BADXDR, tail)

    def test_kept(self) -> None:
        """
        A change is seen by the next GETATTR, although encoded attributes are kept.
        """
        inode = self.make(b"f")
        fh = self.fh(inode)
        for mode in (0o600, 0o644, 0o400):
            self.wait(self.backend.setattr(inode, SetAttributes(mode=mode)))
            for _ in range(2):
                self.assertEqual(self.attributes(fh, 33)[1], struct.pack(">I", mode))

    def test_manyBitmaps(self) -> None:
        """
        A client that asks for ever different sets does not fill the memory.
        """
        inode = self.make(b"f")
        for wanted in range(1, 600):
            numbers = [n + 1 for n in range(12) if wanted >> n & 1]
            self.attributes(self.fh(inode), *numbers)
        self.assertLess(len(inode.encoded), 16)
        self.assertLess(len(self.export.plans[1]), 300)

    def test_minorVersions(self) -> None:
        """
        C{change_attr_type} exists in minor version 2 only, also in C{supported_attrs}
        (supported_attrs depends on minor version: chimera #288). It says that the
        change attribute is monotonic (chimera #420, #1484). There are no security
        labels (sec_label optional: chimera #421).
        """
        fh = self.fh(self.root)
        self.assertEqual(self.attributes(fh, 79)[0], 0)
        first, _ = decodeBitmap(self.attributes(fh, 0)[1], 0)
        self.fixture.minor = 2
        bitmap, values = self.attributes(fh, 79)
        self.assertEqual((bitmap, values), (1 << 79, bytes(4)))
        second, _ = decodeBitmap(self.attributes(fh, 0)[1], 0)
        # RFC 8881 ends with fs_charset_cap (76), before which NFSv4.2 adds nothing.
        self.assertEqual(second & ((1 << 77) - 1), first)
        self.assertEqual((second >> 79 & 1, second >> 80 & 1), (1, 0))

    def test_secondWord(self) -> None:
        """
        Those with the highest numbers are in the order of these, too (attributes in
        ascending order also in word 2: chimera c:7514354f).
        """
        self.fixture.minor = 2
        inode = self.make(b"f")
        inode.used = 12288
        inode.encoded.clear()
        wanted = (45, 78, 79, 82)
        bitmap, values = self.attributes(self.fh(inode), *wanted)
        self.assertEqual(bitmap, sum(1 << number for number in wanted))
        self.assertEqual(values, struct.pack(">QQII", 12288, 12288, 0, 1))

    def test_spaceFreed(self) -> None:
        """
        Removing a file gives back what it uses; asked for in minor version 2 only
        (space_freed: chimera #419).
        """
        inode = self.make(b"f")
        inode.used = 12288
        inode.encoded.clear()
        self.assertEqual(self.attributes(self.fh(inode), 78)[0], 0)
        self.fixture.minor = 2
        bitmap, values = self.attributes(self.fh(inode), 45, 78)
        self.assertEqual(bitmap, 1 << 45 | 1 << 78)
        self.assertEqual(values, struct.pack(">QQ", 12288, 12288))

    def test_layoutTypes(self) -> None:
        """
        C{fs_layout_types} lists the export's drivers, preferred first: without it
        Linux does no pNFS.
        """
        self.assertTrue(fattr.supported(1) >> 62 & 1)
        bitmap, values = self.attributes(self.fh(self.root), 62)
        self.assertEqual(values, struct.pack(">III", 2, 4, 1))

    def test_threshold(self) -> None:
        """
        Clients are told which files are small, if the export has such: one hint, as
        Linux wants it, the smallest size of files to read and to write through
        layouts.
        """
        self.assertFalse(fattr.supported(1, self.export) >> 68 & 1)
        self.assertEqual(self.attributes(self.fh(self.root), 68), (0, b""))
        self.export.threshold = 65536
        self.export.settle()
        self.assertTrue(fattr.supported(1, self.export) >> 68 & 1)
        bitmap, values = self.attributes(self.fh(self.make(b"f")), 1, 68)
        self.assertEqual(bitmap, 1 << 1 | 1 << 68)
        self.assertEqual(
            values, struct.pack(">IIIIIIQQ", 1, 1, 4, 1, 3, 16, 65536, 65536)
        )

    def test_thresholdWithoutLayouts(self) -> None:
        """
        Clients that get no layouts are told of no threshold.
        """
        self.export.threshold = 65536
        for changes in ({"pnfs": False}, {"drivers": {}}):
            export = attrs.evolve(self.export, **changes)
            self.assertFalse(fattr.supported(2, export) >> 68 & 1)

    def test_filehandle(self) -> None:
        """
        The filehandle attribute is what PUTFH takes.
        """
        fh = self.fh(self.root)
        _, values = self.attributes(fh, 19)
        self.assertEqual(values[4 : 4 + len(fh)], fh)

    def test_mountedOn(self) -> None:
        """
        C{mounted_on_fileid} of an export's root is that of the pseudo directory it
        covers; elsewhere it is the fileid.
        """
        assert self.export.covered is not None
        _, values = self.attributes(self.fh(self.root), 55)
        self.assertEqual(values, struct.pack(">Q", self.export.covered.fileid))
        inode = self.make(b"f")
        _, values = self.attributes(self.fh(inode), 55)
        self.assertEqual(values, struct.pack(">Q", inode.fileid))

    def test_pseudo(self) -> None:
        """
        Directories above the exports have attributes and an fsid of their own.
        """
        rest = self.last(PUTROOTFH, *LOOKUP(b"data"), GETATTR(1, 8, 33, 82))
        self.assertEqual(
            rest,
            struct.pack(">IIIIIQQI", 2, 1 << 1 | 1 << 8, 2, 24, 2, 0, 0, 0o555),
        )

    def test_space(self) -> None:
        """
        Space is asked for each time, and is that of the data servers if known.
        """
        fh = self.fh(self.root)
        _, first = self.attributes(fh, 42, 43, 44)
        self.assertEqual(first, struct.pack(">QQQ", *[1 << 50] * 3))
        answers = [FSStatistics(300, 200, 100, 0, 0, 0)]
        self.export.space = lambda: answers[0]
        self.assertEqual(
            self.attributes(fh, 42, 43, 44)[1], struct.pack(">QQQ", 100, 200, 300)
        )
        answers[0] = FSStatistics(300, 20, 10, 0, 0, 0)
        self.assertEqual(
            self.attributes(fh, 42, 43, 44)[1], struct.pack(">QQQ", 10, 20, 300)
        )

    def test_writtenElsewhere(self) -> None:
        """
        While another client may be writing to the data servers, these are asked
        for the size before it is told.
        """
        inode = self.make(b"f")
        self.attributes(self.fh(inode), 4)
        self.layoutFor(inode)

        async def grown() -> None:
            await self.backend.storeDataAttributes(inode, 4096, 4096, None, None)

        self.data.onRefresh = grown
        self.assertEqual(self.attributes(self.fh(inode), 4)[1], struct.pack(">Q", 4096))
        asked = len(self.data.calls)
        self.attributes(self.fh(inode), 33)
        self.assertEqual(len(self.data.calls), asked)

    def test_ownLayout(self) -> None:
        """
        The writer itself is told what has reached the data servers, too, for as
        long as it can write: Linux takes the size it is told for that of its file,
        though it sends no LAYOUTCOMMIT for what was written FILE_SYNC.
        """
        inode = self.make(b"f")
        opened = self.openFor(inode)
        self.layoutFor(inode, self.fixture.client)
        asked = [("refresh", inode.fileid)]
        for times in (1, 2):
            self.attributes(self.fh(inode), 4)
            self.assertEqual(self.data.calls, asked * times)
        self.fixture.server.opens.close(opened)
        self.attributes(self.fh(inode), 4)
        self.assertEqual(self.data.calls, asked * 2)

    def test_slowDataServers(self) -> None:
        """
        While data servers are slow to answer a writer goes on writing. It is not told
        what was so long ago: Linux would append there, over what it has written. They
        are asked again, for the size alone, until they are prompt.
        """
        inode = self.make(b"f")
        self.openFor(inode)
        self.layoutFor(inode, self.fixture.client)
        clock = self.fixture.clock
        sizes = iter([(29, 0.3), (30, 0.0), (31, 0.0)])

        async def slowly() -> None:
            await self.backend.storeDataAttributes(inode, 24, 24, None, None)
            clock.advance(0.3)

        async def size() -> int:
            size, seconds = next(sizes)
            clock.advance(seconds)
            return size

        self.data.onRefresh = slowly
        self.data.onSize = size
        self.assertEqual(self.attributes(self.fh(inode), 4)[1], struct.pack(">Q", 30))

    def test_slowForOthers(self) -> None:
        """
        Who does not write the file itself need not be told what is so this moment.
        """
        inode = self.make(b"f")
        self.layoutFor(inode)

        async def slowly() -> None:
            self.fixture.clock.advance(0.3)

        self.data.onRefresh = slowly
        self.attributes(self.fh(inode), 4)
        self.assertEqual(self.data.calls, [("refresh", inode.fileid)])

    def test_alwaysSlow(self) -> None:
        """
        Asking again has an end.
        """
        inode = self.make(b"f")
        self.openFor(inode)
        self.layoutFor(inode, self.fixture.client)

        async def slowly() -> int:
            self.fixture.clock.advance(0.3)
            return 24

        self.data.onRefresh = slowly
        self.data.onSize = slowly
        self.assertEqual(self.attributes(self.fh(inode), 4)[1], struct.pack(">Q", 24))
        self.assertEqual(len(self.data.calls), 5)

    def test_fallsSilent(self) -> None:
        """
        If they do not answer when they are asked again, the writer has to ask later.
        """
        inode = self.make(b"f")
        self.openFor(inode)
        self.layoutFor(inode, self.fixture.client)

        async def slowly() -> None:
            self.fixture.clock.advance(0.3)
            self.data.failure = Unreachable()

        self.data.onRefresh = slowly
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), GETATTR(4)), nfsstat4.NFS4ERR_DELAY
        )

    def test_notOpen(self) -> None:
        """
        After a grant they are asked once more, even though nobody has the file open
        any more; if that fails, again.
        """
        inode = self.make(b"f")
        self.layoutFor(inode)
        self.data.failure = Unreachable()
        self.attributes(self.fh(inode), 4)
        self.data.failure = None
        for _ in range(3):
            self.attributes(self.fh(inode), 4)
        self.assertEqual(self.data.calls, [("refresh", inode.fileid)] * 2)

    def test_deadDataServer(self) -> None:
        """
        A data server that is down does not hide the file.
        """
        inode = self.make(b"f")
        self.layoutFor(inode)
        self.data.failure = Unreachable()
        self.assertEqual(self.attributes(self.fh(inode), 4)[1], bytes(8))

    def test_deadDataServerWriter(self) -> None:
        """
        Who has opened the file for writing while its data servers were asked is not
        told a size that may be too small: it would append there, over bytes that it
        has written before a restart of the metadata server.
        """
        inode = self.make(b"f")
        self.place(inode)
        self.fixture.server.unsure = True

        async def openedMeanwhile() -> None:
            self.openFor(inode)
            raise Unreachable()

        self.data.onRefresh = openedMeanwhile
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), GETATTR(4)), nfsstat4.NFS4ERR_DELAY
        )


class PlanTests(NamespaceCase):
    """
    L{pnfs.nfs4.fattr_plan} in its own words.
    """

    def test_leastBytes(self) -> None:
        """
        READDIR may rely on the size it reckons with.
        """
        server = self.fixture.server
        for wanted in (0, 2, 1 << 36, 0x00B0A23A0018091A, fattr.supported(1)):
            plan = entryPlanFor(server, self.export, 1, wanted & ~fattr.WRITE_ONLY)
            encoded = plan.encode(self.root, FSStatistics(1, 1, 1, 1, 1, 1))
            self.assertGreaterEqual(len(encoded), plan.leastBytes)

    def test_statisticsEvolve(self) -> None:
        """
        Inodes are always the metadata backend's.
        """
        self.export.space = lambda: FSStatistics(3, 2, 1, 0, 0, 0)
        own = self.wait(self.backend.statfs())
        found = self.wait(statistics(self.export))
        self.assertEqual(
            found, attrs.evolve(own, spaceTotal=3, spaceFree=2, spaceAvailable=1)
        )
