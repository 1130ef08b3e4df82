"""
Tests of L{pnfs.nfs4.dsops.capability}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.namespace.filehandles import READ, WRITE, CapabilityCodec
from pnfs.namespace.squash import Squash
from pnfs.nfs4 import requests
from pnfs.nfs4.dsops.capability import mayAccess
from pnfs.nfs4.status import nfsstat4
from pnfs.values import ANONYMOUS, ROOT, Credential, ObjectAttributes
from tests.nfs4.dsops.fixture import NAME, OWNER, STRANGER, DSFixture, read, write


class FilehandleTests(SynchronousTestCase):
    """
    Only handles that the metadata server has made are taken.
    """

    def setUp(self) -> None:
        """
        A data server with one object.
        """
        self.ds = DSFixture()

    def test_altered(self) -> None:
        """
        A handle with one byte altered, shortened, or of another cluster's key is
        BADHANDLE.
        """
        good = self.ds.codec.mint(READ, 3, NAME)
        bad = [
            good[:n] + bytes([good[n] ^ 4]) + good[n + 1 :] for n in range(len(good))
        ]
        bad += [good[:n] for n in range(len(good))]
        bad += [good + b"\0", CapabilityCodec(b"x" * 32).mint(READ, 3, NAME)]
        bad.append(CapabilityCodec(b"k" * 32, keyId=2).mint(READ, 3, NAME))
        for fh in bad:
            self.assertEqual(
                self.ds.status(requests.putfh(fh)), nfsstat4.NFS4ERR_BADHANDLE
            )
        self.assertEqual(self.ds.status(requests.putfh(good), read(0, 0)), 0)

    def test_tooLong(self) -> None:
        """
        More than 128 bytes, or than there are, is BADXDR.
        """
        for bad in (requests.putfh(bytes(129)), requests.putfh(bytes(40))[:-4]):
            self.assertEqual(self.ds.status(bad), nfsstat4.NFS4ERR_BADXDR)

    def test_getfh(self) -> None:
        """
        GETFH gives back what PUTFH took.
        """
        fh = self.ds.codec.mint(READ, 3, NAME)
        results = self.ds.results(requests.putfh(fh), requests.GETFH)
        results.operation(22)
        results.operation(10)
        self.assertEqual(results.opaque(128), fh)
        self.assertEqual(self.ds.status(requests.GETFH), nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_root(self) -> None:
        """
        A data server shows nothing at its root.
        """
        for op in (
            requests.readdir(0, bytes(8), 4096, 0),
            requests.lookup(NAME),
            requests.getattr_(1),
            requests.remove(NAME),
        ):
            self.assertEqual(
                self.ds.status(requests.PUTROOTFH, op), nfsstat4.NFS4ERR_ACCESS
            )

    def test_credential(self) -> None:
        """
        A layout does not help a user whom the mode shuts out.
        """
        ds = self.ds
        group = Credential(3000, 100, frozenset({100}))
        for who, op, status in (
            (OWNER, write(0, b"x"), 0),
            (group, read(0, 1), 0),
            (group, write(0, b"x"), nfsstat4.NFS4ERR_ACCESS),
            (STRANGER, read(0, 1), nfsstat4.NFS4ERR_ACCESS),
            (ROOT, write(0, b"x"), 0),
        ):
            self.assertEqual(ds.status(ds.handle(), op, credential=who), status)

    def test_squash(self) -> None:
        """
        Root of a client that is squashed reads no file that is only root's, and
        what belongs to the anonymous user is its own, whoever comes with it.
        """
        ds = self.ds
        rootSquash, allSquash = Squash(), Squash(all=True, uid=1000, gid=100)
        strange = Squash(all=True, uid=7, gid=7)
        owned = Squash(uid=1000)
        for squash, who, op, status in (
            (rootSquash, ROOT, read(0, 1), nfsstat4.NFS4ERR_ACCESS),
            (rootSquash, ROOT, write(0, b"x"), nfsstat4.NFS4ERR_ACCESS),
            (rootSquash, OWNER, write(0, b"x"), 0),
            (owned, ROOT, write(0, b"x"), 0),
            (allSquash, STRANGER, write(0, b"x"), 0),
            (allSquash, ANONYMOUS, read(0, 1), 0),
            (strange, OWNER, read(0, 1), nfsstat4.NFS4ERR_ACCESS),
            (strange, ROOT, read(0, 1), nfsstat4.NFS4ERR_ACCESS),
        ):
            put = requests.putfh(ds.codec.mint(READ | WRITE, 3, NAME, squash))
            self.assertEqual(ds.status(put, op, credential=who), status)


class ModeTests(SynchronousTestCase):
    """
    Owner and mode against a credential.
    """

    def test_bits(self) -> None:
        """
        Group bits for the group, others' bits for others; the owner and root are not
        held to them, since OPEN has checked (modes of backing files admit the synthetic
        user, or the client loops LAYOUTGET: chimera #645).
        """
        for mode, who, right, allowed in (
            (0o000, OWNER, WRITE, True),
            (0o000, ROOT, READ, True),
            (0o004, STRANGER, READ, True),
            (0o004, STRANGER, WRITE, False),
            (0o002, STRANGER, WRITE, True),
            (0o660, STRANGER, READ, False),
            (0o001, STRANGER, READ, True),
            (0o606, Credential(5, 5, frozenset({5, 100})), READ, False),
            (0o040, Credential(5, 5, frozenset({5, 100})), READ, True),
        ):
            attributes = ObjectAttributes(0, 0, 0, 0, 0, 0, 1000, 100, mode, 1)
            self.assertEqual(
                mayAccess(who, attributes, right), allowed, (oct(mode), who, right)
            )
