"""
Tests of L{pnfs.nfs4.dsops.contents}; what its client makes of it is tested in
L{tests.backends.ds.test_controlled}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4 import requests
from pnfs.nfs4.dsops import contents
from pnfs.nfs4.status import nfsstat4
from pnfs.xdr.errors import XDRError
from tests.contracts.digests import digest
from tests.nfs4.dsops.fixture import NAME, DSFixture, write

MIB = 1 << 20


class ContentsTests(SynchronousTestCase):
    """
    What a metadata server asks about the contents of data files.
    """

    def setUp(self) -> None:
        """
        A data server with one object.
        """
        self.ds = DSFixture()

    def ask(self, key: bytes) -> bytes:
        """
        The value of an attribute.
        """
        results = self.ds.results(self.ds.control(NAME), requests.getxattr(key))
        results.operation(22)
        results.operation(72)
        return results.opaque(contents.VALUE_LIMIT)

    def status(self, key: bytes) -> int:
        """
        How asking ends.
        """
        return self.ds.status(self.ds.control(NAME), requests.getxattr(key))

    def test_clientsCannot(self) -> None:
        """
        A client's handle tells nothing about contents: it would tell about bytes that
        the client may not read.
        """
        for key in (contents.TRACK_XATTR, b"pnfs.checksums:0:10:512"):
            op = requests.getxattr(key)
            self.assertEqual(
                self.ds.status(self.ds.handle(), op), nfsstat4.NFS4ERR_ACCESS
            )
            self.assertEqual(
                self.ds.status(self.ds.control(), op), nfsstat4.NFS4ERR_ISDIR
            )
            self.assertEqual(self.ds.status(op), nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_checksums(self) -> None:
        """
        Digests of pieces, with nothing for one of zeros.
        """
        self.ds.run(self.ds.handle(), write(1024, b"x" * 512))
        value = self.ask(contents.checksumsName(0, 2048, 1024))
        self.assertEqual(value, b"\0\x10" + digest(b"x" * 512 + bytes(512)))

    def test_checksumsBounded(self) -> None:
        """
        However much is asked for, an answer has its limits.
        """
        value = self.ask(contents.checksumsName(0, 1 << 62, 512))
        self.assertLessEqual(len(value), contents.VALUE_LIMIT)
        self.assertGreater(len(value), 1000)

    def test_checksumsInTime(self) -> None:
        """
        An answer comes after a second also where more was asked for: the metadata
        server sees that there is progress.
        """
        clock = self.ds.server.clock
        asked = []
        inner = self.ds.data.checksums

        async def slow(name: bytes, offset: int, count: int, unit: int) -> list[bytes]:
            asked.append(offset)
            clock.advance(0.4)
            return (await inner(name, offset, count, unit))[:1]

        self.ds.data.checksums = slow  # type: ignore[method-assign]
        value = self.ask(contents.checksumsName(0, 100 * MIB, MIB))
        self.assertEqual((value, asked), (bytes(3), [0, MIB, 2 * MIB]))

    def test_changes(self) -> None:
        """
        What a client writes after a token is told to the metadata server.
        """
        token = self.ask(contents.TRACK_XATTR)
        key = contents.changesName(token)
        self.assertEqual(self.ask(key), b"")
        self.ds.run(self.ds.handle(), write(MIB, b"x"))
        self.assertEqual(contents.decodeChanges(self.ask(key)), [(MIB, MIB)])

    def test_unknown(self) -> None:
        """
        A token that means nothing, and a name that is none, get NOXATTR; ranges and
        pieces that cannot be get INVAL.
        """
        for key in (
            b"pnfs.changes:",
            b"pnfs.changes:" + b"00" * 16,
            b"pnfs.changes:0",
            b"pnfs.epoch",
            b"pnfs.checksums:1:2",
            b"pnfs.checksums:-1:2:512",
            b"pnfs.checksums:1:2:3:4",
        ):
            self.assertEqual(self.status(key), nfsstat4.NFS4ERR_NOXATTR, key)
        for key in (
            b"pnfs.checksums:0:10:0",
            b"pnfs.checksums:0:10:511",
            b"pnfs.checksums:0:10:9999999999",
            b"pnfs.checksums:9223372036854775807:2:512",
            b"pnfs.checksums:9999999999999999999:2:512",
        ):
            self.assertEqual(self.status(key), nfsstat4.NFS4ERR_INVAL, key)

    def test_removed(self) -> None:
        """
        Nothing is told of an object that is not there.
        """
        for key in (contents.TRACK_XATTR, b"pnfs.checksums:0:10:512"):
            op = requests.getxattr(key)
            self.assertEqual(
                self.ds.status(self.ds.control(b"beef"), op), nfsstat4.NFS4ERR_STALE
            )


class DecodeTests(SynchronousTestCase):
    """
    Answers as the metadata server reads them.
    """

    @given(st.lists(st.sampled_from((b"", b"d" * 16)), max_size=20))
    def test_digests(self, digests: list[bytes]) -> None:
        """
        They come back; cut off or too many they are refused.
        """
        value = b"".join(bytes((len(each),)) + each for each in digests)
        count = len(digests) * 512
        self.assertEqual(contents.decodeDigests(value, count, 512), digests)
        if digests:
            self.assertRaises(XDRError, contents.decodeDigests, value, count - 512, 512)
            self.assertRaises(XDRError, contents.decodeDigests, b"", count, 512)
        if digests and digests[-1]:
            for cut in range(1, 16):
                self.assertRaises(
                    XDRError, contents.decodeDigests, value[:-cut], count, 512
                )

    def test_badDigest(self) -> None:
        """
        A digest of another length is no digest.
        """
        value = b"\x05ddddd"
        self.assertRaises(XDRError, contents.decodeDigests, value, 512, 512)

    def test_badChanges(self) -> None:
        """
        A part of a range is refused.
        """
        for length in range(1, 16):
            self.assertRaises(XDRError, contents.decodeChanges, bytes(length))
