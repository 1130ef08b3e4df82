"""
Tests of L{pnfs.nfs4.ops.readdir}.
"""

from __future__ import annotations

import struct
from typing import Any

from pnfs.backends.errors import Unreachable
from pnfs.namespace.exports import Export, ExportTable
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import decodeBitmap, encodeBitmap
from pnfs.values import DirectoryEntry, FileType
from tests.nfs4.ops.namespace import (
    BOB,
    GETFH,
    LOOKUP,
    PUTFH,
    PUTROOTFH,
    NamespaceCase,
)

LINUX = 0x0018091A | 0x00B0A23A << 32


def READDIR(
    cookie: int = 0,
    maxcount: int = 32768,
    attributes: int = 2,
    dircount: int = 32768,
    verifier: bytes = bytes(8),
) -> bytes:
    """
    READDIR.
    """
    return struct.pack(
        ">IQ8sII", 26, cookie, verifier, dircount, maxcount
    ) + encodeBitmap(attributes)


def decode(rest: bytes) -> tuple[list[tuple[int, bytes, int, bytes]], int]:
    """
    The entries (cookie, name, bitmap, values) of a C{READDIR4resok}, and eof.
    """
    pos = 8
    entries = []
    while struct.unpack_from(">I", rest, pos)[0]:
        cookie, length = struct.unpack_from(">QI", rest, pos + 4)
        pos += 16
        name = rest[pos : pos + length]
        pos += length + (-length & 3)
        bitmap, pos = decodeBitmap(rest, pos)
        (size,) = struct.unpack_from(">I", rest, pos)
        entries.append((cookie, name, bitmap, rest[pos + 4 : pos + 4 + size]))
        pos += 4 + size
    (eof,) = struct.unpack_from(">I", rest, pos + 4)
    assert len(rest) == pos + 8
    return entries, eof


class ReaddirTests(NamespaceCase):
    """
    READDIR lists a directory in pieces.
    """

    def listing(self, *ops: bytes, **more: Any) -> tuple[list[Any], int]:
        """
        One READDIR of the export's root.
        """
        rest = self.last(PUTFH(self.fh(self.root)), READDIR(**more))
        return decode(rest)

    def test_empty(self) -> None:
        """
        An empty directory has no entries, not even C{.} and C{..}.
        """
        self.assertEqual(self.listing(), ([], 1))

    def test_beingWritten(self) -> None:
        """
        The size of a file that is being written through a layout is asked for, as
        with GETATTR: Linux takes the one it is told. A dead data server does not
        keep the directory from being listed.
        """
        inode = self.make(b"f")
        self.openFor(inode)
        self.layoutFor(inode, self.fixture.client)

        async def grown() -> None:
            await self.backend.storeDataAttributes(inode, 4096, 4096, None, None)

        self.data.onRefresh = grown
        for failure in (None, Unreachable()):
            self.data.failure = failure
            entries, _ = self.listing(attributes=1 << 4)
            self.assertEqual(entries[0][3], struct.pack(">Q", 4096))
        asked = len(self.data.calls)
        self.listing(attributes=1 << 33)
        self.assertEqual(len(self.data.calls), asked)

    def test_ownFile(self) -> None:
        """
        Who writes a file itself is told its size as it is now, when the data servers
        were slow; if one does not answer any more, none: Linux would append there.
        """
        inode = self.make(b"f")
        self.openFor(inode)
        self.layoutFor(inode, self.fixture.client)

        async def slowly() -> None:
            self.fixture.clock.advance(0.3)

        async def now() -> int:
            return 29

        self.data.onRefresh = slowly
        self.data.onSize = now
        wanted = 1 << 4 | 1 << 11
        entries, _ = self.listing(attributes=wanted)
        self.assertEqual(entries[0][3][:8], struct.pack(">Q", 29))
        self.data.failure = Unreachable()
        entries, _ = self.listing(attributes=wanted)
        self.assertEqual(entries[0][1:3], (b"f", 1 << 11))

    def test_all(self) -> None:
        """
        Every entry with the attributes asked for.
        """
        made = {b"n%d" % i: self.make(b"n%d" % i) for i in range(20)}
        entries, eof = self.listing(attributes=1 << 20 | 1 << 36)
        self.assertEqual(eof, 1)
        self.assertEqual({e[1] for e in entries}, set(made))
        for _, name, bitmap, values in entries:
            self.assertEqual(bitmap, 1 << 20 | 1 << 36)
            self.assertEqual(
                values, struct.pack(">QI4s", made[name].fileid, 4, b"1000")
            )

    def test_walk(self) -> None:
        """
        A walk in small pieces gives each entry once, whatever else comes and goes,
        and never more bytes than asked for.
        """
        stay = {b"stay%03d" % i for i in range(100)}
        for name in stay:
            self.make(name)
        seen: list[bytes] = []
        cookie = 0
        step = 0
        while True:
            rest = self.last(
                PUTFH(self.fh(self.root)),
                READDIR(cookie=cookie, maxcount=512, attributes=LINUX),
            )
            self.assertLessEqual(len(rest), 512)
            entries, eof = decode(rest)
            seen += [e[1] for e in entries]
            if eof:
                break
            cookie = entries[-1][0]
            self.make(b"come%d" % step)
            if step:
                self.wait(self.backend.remove(self.root, b"come%d" % (step - 1), False))
            step += 1
        self.assertGreater(step, 10)
        kept = [name for name in seen if name in stay]
        self.assertEqual(sorted(kept), sorted(stay))

    def test_dircount(self) -> None:
        """
        C{dircount} bounds cookies and names alone, but one entry always comes.
        """
        for i in range(10):
            self.make(b"name%04d" % i)
        self.assertEqual(len(self.listing(dircount=60)[0]), 3)
        self.assertEqual(len(self.listing(dircount=1)[0]), 1)
        self.assertEqual(len(self.listing(dircount=0)[0]), 10)

    def test_tooSmall(self) -> None:
        """
        Room for not even one entry is TOOSMALL, never an empty list without eof
        (maxcount below minimum is TOOSMALL: chimera #294).
        """
        self.make(b"name")
        put = PUTFH(self.fh(self.root))
        for maxcount in (0, 15, 16, 40):
            status = self.status(put, READDIR(maxcount=maxcount))
            self.assertEqual(status, nfsstat4.NFS4ERR_TOOSMALL)
        self.assertEqual(self.status(put, READDIR(maxcount=16 + 20 + 16)), 0)

    def test_badCookies(self) -> None:
        """
        Cookies 1 and 2 are reserved; a verifier we never gave is NOT_SAME (cookies 1
        and 2 are BAD_COOKIE: chimera #287).
        """
        put = PUTFH(self.fh(self.root))
        for cookie in (1, 2):
            status = self.status(put, READDIR(cookie=cookie))
            self.assertEqual(status, nfsstat4.NFS4ERR_BAD_COOKIE)
        status = self.status(put, READDIR(cookie=5, verifier=b"whatever"))
        self.assertEqual(status, nfsstat4.NFS4ERR_NOT_SAME)

    def test_refused(self) -> None:
        """
        Of a file, without the right to read, or with a write-only attribute (write-only
        attributes are INVAL: chimera #265, #287).
        """
        inode = self.make(b"f")
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), READDIR()), nfsstat4.NFS4ERR_NOTDIR
        )
        inode = self.make(b"d", FileType.DIR, mode=0o711)
        self.assertEqual(
            self.status(PUTFH(self.fh(inode)), READDIR(), as_=BOB),
            nfsstat4.NFS4ERR_ACCESS,
        )
        self.assertEqual(
            self.status(PUTFH(self.fh(self.root)), READDIR(attributes=1 << 54)),
            nfsstat4.NFS4ERR_INVAL,
        )

    def test_unreadable(self) -> None:
        """
        An entry that cannot be read says so if the client can be told
        (C{rdattr_error}); else it is left out, and the others come (per-entry
        rdattr_error: chimera #394).
        """
        good = self.make(b"good")

        async def readdir(directory: Any, cookie: int, limit: int) -> Any:
            return [
                DirectoryEntry(3, b"bad", None),
                DirectoryEntry(4, b"good", good),
            ], True

        self.backend.readdir = readdir
        entries, _ = self.listing(attributes=1 << 11 | 1 << 20)
        self.assertEqual(entries[0], (3, b"bad", 1 << 11, struct.pack(">I", 5)))
        self.assertEqual(entries[1][2:], (1 << 11 | 1 << 20, self._fine(good)))
        entries, eof = self.listing(attributes=1 << 20)
        self.assertEqual(([e[1] for e in entries], eof), ([b"good"], 1))

    def _fine(self, inode: Any) -> bytes:
        return struct.pack(">IQ", 0, inode.fileid)

    def test_statistics(self) -> None:
        """
        Attributes of the file system may be asked for here, too.
        """
        self.make(b"f")
        entries, _ = self.listing(attributes=1 << 44)
        self.assertEqual(entries[0][3], struct.pack(">Q", 1 << 50))


class PseudoTests(NamespaceCase):
    """
    READDIR of the directories above the exports.
    """

    def setUp(self) -> None:
        super().setUp()
        self.broken = Export("/data/broken", object())
        self.other = Export("/data/other", self.backend)
        server = self.fixture.server
        server.exports = ExportTable([self.export, self.other, self.broken], 7)
        self.data = LOOKUP(b"data")

    def entries(self, **more: Any) -> dict[bytes, tuple[int, bytes]]:
        """
        Names to attributes.
        """
        rest = self.last(PUTROOTFH, *self.data, READDIR(**more))
        found, eof = decode(rest)
        self.assertEqual(eof, 1)
        return {name: (bitmap, values) for _, name, bitmap, values in found}

    def test_exports(self) -> None:
        """
        Each export shows as its root: filehandle, fsid, and the fileid it is mounted
        on. One that cannot be resolved does not hide the others (one unresolvable
        export must not break READDIR: chimera #942; fsid required: chimera #1407).
        """
        wanted = 1 << 8 | 1 << 19 | 1 << 55
        entries = self.entries(attributes=wanted)
        self.assertEqual(set(entries), {b"export", b"other", b"broken"})
        for export in (self.export, self.other):
            name = export.path.rsplit("/", 1)[1].encode()
            fh = self.fixture.server.filehandles.encode(export, self.root)
            assert export.covered is not None
            expected = struct.pack(">QQI", export.id, 0, len(fh)) + fh
            expected += bytes(-len(fh) & 3) + struct.pack(">Q", export.covered.fileid)
            self.assertEqual(entries[name], (wanted, expected))
        self.assertEqual(entries[b"broken"][1][:16], bytes(16))

    def test_walk(self) -> None:
        """
        In pieces, with the cookie of the last entry seen.
        """
        names = []
        cookie, eof = 0, 0
        while not eof:
            rest = self.last(PUTROOTFH, *self.data, READDIR(cookie=cookie, maxcount=64))
            found, eof = decode(rest)
            names += [entry[1] for entry in found]
            cookie = found[-1][0] if found else cookie
        self.assertEqual(names, [b"broken", b"export", b"other"])

    def test_behind(self) -> None:
        """
        Behind the last entry there is the end, however large the cookie is (cookies
        bounded: chimera #1497).
        """
        for cookie in (100, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1):
            rest = self.last(PUTROOTFH, *self.data, READDIR(cookie=cookie))
            self.assertEqual(decode(rest), ([], 1))

    def test_sameTreeTwice(self) -> None:
        """
        One tree exported twice has two fsids, whatever was asked before.
        """
        fhs = [
            self.last(PUTROOTFH, *self.data, *LOOKUP(name), GETFH)[4:]
            for name in (b"export", b"other")
        ]
        seen = {
            self.attributes(self.fixture.server.filehandles.encode(e, self.root), 8)
            for e in (self.export, self.other)
        }
        self.assertEqual(len(seen), 2)
        self.assertNotEqual(fhs[0], fhs[1])
