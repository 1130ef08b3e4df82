"""
Tests for L{pnfs.namespace.filehandles}.
"""

from __future__ import annotations

from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from pnfs.namespace.squash import Squash
from pnfs.namespace.filehandles import (
    CONTROL,
    READ,
    WRITE,
    BadHandle,
    Capability,
    CapabilityCodec,
    FilehandleCodec,
    objectName,
)

KEY = bytes(range(32))
OTHER_KEY = bytes(32)


class FilehandleTests(SynchronousTestCase):
    """
    A metadata filehandle names one object of one export.
    """

    def test_roundTrip(self) -> None:
        """
        A handle names what it was made for, also for a codec made later.
        """
        fh = FilehandleCodec(KEY).encode(
            SimpleNamespace(id=7), SimpleNamespace(handle=b"object")
        )
        self.assertLessEqual(len(fh), 64)
        self.assertEqual(FilehandleCodec(KEY).decode(fh), (7, b"object"))

    def test_altered(self) -> None:
        """
        No bit of a handle can be changed, and no byte be missing or added.
        """
        codec = FilehandleCodec(KEY)
        fh = codec.encode(SimpleNamespace(id=7), SimpleNamespace(handle=b"object"))
        for bit in range(8 * len(fh)):
            forged = bytearray(fh)
            forged[bit // 8] ^= 1 << bit % 8
            self.assertRaises(BadHandle, codec.decode, bytes(forged))
        for forged_ in [fh[:n] for n in range(len(fh))] + [fh + b"x"]:
            self.assertRaises(BadHandle, codec.decode, forged_)

    def test_anotherCluster(self) -> None:
        """
        A handle of another cluster is refused.
        """
        fh = FilehandleCodec(OTHER_KEY).encode(
            SimpleNamespace(id=7), SimpleNamespace(handle=b"object")
        )
        self.assertRaises(BadHandle, FilehandleCodec(KEY).decode, fh)


class CapabilityTests(SynchronousTestCase):
    """
    A data server's filehandle says what may be done, and cannot be widened.
    """

    def test_roundTrip(self) -> None:
        """
        Rights, epoch and name arrive; 64 bytes suffice for the longest name.
        """
        name = b"0f" * 40
        fh = CapabilityCodec(KEY).mint(READ | WRITE, 9, name)
        self.assertEqual(len(fh), 64)
        self.assertEqual(
            CapabilityCodec(KEY).decode(fh), Capability(READ | WRITE, 9, name)
        )

    def test_squash(self) -> None:
        """
        It says whom its bearers are taken for; with an anonymous user of its own
        only where there is room, and never more than NFSv3 can carry.
        """
        codec = CapabilityCodec(KEY)
        for squash in (
            Squash(),
            Squash(root=False, all=True),
            Squash(uid=1, gid=2),
            Squash(root=False, gid=0),
        ):
            found = CapabilityCodec(KEY).decode(codec.mint(READ, 9, b"abcd", squash))
            self.assertEqual(found, Capability(READ, 9, b"abcd", squash))
        nobody = codec.mint(READ, 9, b"abcd", Squash(root=False))
        self.assertEqual(nobody, codec.mint(READ, 9, b"abcd"))
        name = b"0f" * 32
        self.assertEqual(len(codec.mint(READ, 9, name, Squash(uid=1))), 64)
        name = b"0f" * 40
        self.assertEqual(len(codec.mint(READ, 9, name, Squash(all=True))), 64)
        self.assertRaises(ValueError, codec.mint, READ, 9, name, Squash(uid=1))

    def test_altered(self) -> None:
        """
        A read handle cannot be made a write or control handle, nor anything else.
        """
        codec = CapabilityCodec(KEY)
        fh = codec.mint(READ, 1, b"abcd", Squash(uid=3))
        for bit in range(8 * len(fh)):
            forged = bytearray(fh)
            forged[bit // 8] ^= 1 << bit % 8
            self.assertRaises(BadHandle, codec.decode, bytes(forged))

    def test_kindsDiffer(self) -> None:
        """
        A metadata handle is no capability, and the other way round.
        """
        mds = FilehandleCodec(KEY).encode(
            SimpleNamespace(id=7), SimpleNamespace(handle=b"object")
        )
        ds = CapabilityCodec(KEY).mint(CONTROL, 1, b"")
        self.assertRaises(BadHandle, CapabilityCodec(KEY).decode, mds)
        self.assertRaises(BadHandle, FilehandleCodec(KEY).decode, ds)

    def test_objectName(self) -> None:
        """
        A file's identity in hex; a long one is shortened to fit a handle.
        """
        self.assertEqual(objectName(1, b"\xab"), b"00000001ab")
        self.assertLessEqual(len(objectName(1, bytes(40))), 80)
