"""
Tests of L{pnfs.nfs4.dsops.control}; what its client makes of it is tested in
L{tests.backends.ds.test_controlled}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4 import requests
from pnfs.nfs4.dsops import control
from pnfs.nfs4.status import nfsstat4
from tests.nfs4.dsops.fixture import NAME, DSFixture

ATTRIBUTES = [requests.modeAttribute(0o600), *requests.ownerAttributes(7, 8)]


def create(name: bytes, attributes: object = ATTRIBUTES) -> bytes:
    """
    OPEN that makes an object.
    """
    return requests.open_(0, b"mds", name, 3, attributes)  # type: ignore[arg-type]


class ControlTests(SynchronousTestCase):
    """
    What a metadata server does to data files.
    """

    def setUp(self) -> None:
        """
        A data server with one object.
        """
        self.ds = DSFixture()

    def test_clientsCannot(self) -> None:
        """
        None of it works with a client's handle, or with none.
        """
        ops = (
            create(b"00"),
            requests.remove(NAME),
            requests.lookup(NAME),
            requests.readdir(0, bytes(8), 4096, 0),
            requests.getattr_(1 << 4),
            requests.setattr_([requests.sizeAttribute(0)], requests.ANONYMOUS),
            requests.setxattr(b"pnfs.epoch", bytes(4)),
        )
        for op in ops:
            self.assertEqual(
                self.ds.status(self.ds.handle(), op), nfsstat4.NFS4ERR_ACCESS
            )
            self.assertEqual(self.ds.status(op), nfsstat4.NFS4ERR_NOFILEHANDLE)
        self.assertEqual(list(self.ds.do(self.ds.data.list(b"", 9))), [NAME])

    def test_create(self) -> None:
        """
        OPEN makes an object with owner, mode and size, and makes it current.
        """
        op = create(b"beef", [requests.sizeAttribute(10), *ATTRIBUTES])
        results = self.ds.results(self.ds.control(), op, requests.getattr_(1 << 4))
        for number in (22, 18):
            results.operation(number)
        results.opened()
        results.operation(9)
        self.assertEqual(results.attributes(), {4: 10})
        found = self.ds.data.peek(b"beef")
        assert found is not None
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.epoch), (7, 8, 0o600, 1)
        )

    def test_createBad(self) -> None:
        """
        Names that are none, guarded and exclusive creation of what could be there,
        and opening without creation are refused.
        """
        ds = self.ds
        for name in (b"xyz", b"abc", b"a" * 82, b"AB", b"../uuid0"):
            self.assertEqual(
                ds.status(ds.control(), create(name)), nfsstat4.NFS4ERR_BADNAME
            )
        self.assertEqual(
            ds.status(ds.control(), requests.open_(0, b"mds", NAME, 3)),
            nfsstat4.NFS4ERR_INVAL,
        )
        self.assertEqual(
            ds.status(ds.control(NAME), create(b"00")), nfsstat4.NFS4ERR_NOTDIR
        )

    def test_removeAndLookup(self) -> None:
        """
        REMOVE deletes by name; LOOKUP finds what is there.
        """
        ds = self.ds
        self.assertEqual(ds.status(ds.control(), requests.lookup(NAME)), 0)
        self.assertEqual(ds.status(ds.control(), requests.remove(NAME)), 0)
        for op in (requests.lookup(NAME), requests.remove(NAME)):
            self.assertIn(
                ds.status(ds.control(), op),
                (nfsstat4.NFS4ERR_NOENT, nfsstat4.NFS4ERR_STALE),
            )

    def test_xattrs(self) -> None:
        """
        The two attributes fence and extend; all others are refused.
        """
        ds = self.ds
        ds.status(ds.control(NAME), requests.setxattr(b"pnfs.epoch", b"\0\0\0\x09"))
        ds.status(
            ds.control(NAME), requests.setxattr(b"pnfs.extend", struct.pack(">Q", 77))
        )
        found = ds.data.peek(NAME)
        assert found is not None
        self.assertEqual((found.epoch, found.size), (9, 77))
        for name, value in (
            (b"user.x", b""),
            (b"pnfs.epoch", b"\1"),
            (b"pnfs.extend", bytes(4)),
        ):
            self.assertEqual(
                ds.status(ds.control(NAME), requests.setxattr(name, value)),
                nfsstat4.NFS4ERR_INVAL,
            )
        self.assertEqual(
            ds.status(
                ds.control(NAME),
                requests.setxattr(b"pnfs.extend", b"\xff" * 8),
            ),
            nfsstat4.NFS4ERR_FBIG,
        )

    def test_minor(self) -> None:
        """
        SETXATTR is of NFSv4.2: before that it is no operation at all.
        """
        op = requests.setxattr(b"pnfs.epoch", bytes(4))
        self.assertEqual(
            self.ds.status(self.ds.control(NAME), op, minor=1),
            nfsstat4.NFS4ERR_OP_ILLEGAL,
        )

    def test_readdir(self) -> None:
        """
        A walk sees each name once, whatever comes and goes meanwhile.
        """
        ds = self.ds
        names = [b"%04x" % n for n in range(100)]
        for name in names:
            ds.do(ds.data.create(name, 0, 0, 0o600, 1))
        seen = []
        cookie, verifier, end = 0, bytes(8), False
        while not end:
            results = ds.results(
                ds.control(), requests.readdir(cookie, verifier, 600, 0)
            )
            results.operation(22)
            results.operation(26)
            verifier, entries, end = results.entries()
            seen += [name for _, name, _ in entries]
            cookie = entries[-1][0]
            ds.do(ds.data.create(b"ffff", 0, 0, 0o600, 1))
        self.assertEqual(seen, sorted([*names, NAME]))
        self.assertEqual(ds.server.walks, {})

    def test_readdirBad(self) -> None:
        """
        A walk that is not known any more begins anew; no room is TOOSMALL.
        """
        ds = self.ds
        for op, status in (
            (requests.readdir(9, b"whatever", 4096, 0), nfsstat4.NFS4ERR_NOT_SAME),
            (requests.readdir(0, bytes(8), 0, 0), nfsstat4.NFS4ERR_TOOSMALL),
        ):
            self.assertEqual(ds.status(ds.control(), op), status)
            self.assertIn(status, control.readdir.errors)

    def test_walksAreBounded(self) -> None:
        """
        Walks that nobody finishes do not add up.
        """
        ds = self.ds
        for number in range(50):
            ds.do(ds.data.create(b"%04x" % number, 0, 0, 0o600, 1))
        for _ in range(50):
            ds.status(ds.control(), requests.readdir(0, bytes(8), 300, 0))
        self.assertLessEqual(len(ds.server.walks), 16)
