"""
Tests of L{pnfs.mds.fences}.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import BackendError, BadConfiguration
from pnfs.mds.fences import FenceLog

A = b"a" * 16
B = b"b" * 16


class FenceLogTests(SynchronousTestCase):
    """
    Fences that wait outlive a restart.
    """

    def setUp(self) -> None:
        """
        An empty folder.
        """
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.log = FenceLog(self.folder)

    def again(self) -> dict[bytes, dict[bytes, int]]:
        """
        What the next start finds.
        """
        return FenceLog(self.folder).load()

    def bytes_(self) -> bytes:
        """
        The file.
        """
        with open(os.path.join(self.folder, "fences"), "rb") as stream:
            return stream.read()

    def write(self, data: bytes) -> None:
        """
        The file is so.
        """
        with open(os.path.join(self.folder, "fences"), "wb") as stream:
            stream.write(data)

    def test_empty(self) -> None:
        """
        At the first start there are none.
        """
        self.assertEqual(self.again(), {})

    def test_added(self) -> None:
        """
        Each that was added is there; of several for an object the highest counts.
        """
        self.log.add(A, b"f1", 3)
        self.log.add(B, b"f1", 2)
        self.log.add(A, b"f2", 1)
        self.log.add(A, b"f1", 2)
        self.assertEqual(self.again(), {A: {b"f1": 3, b"f2": 1}, B: {b"f1": 2}})

    def test_appended(self) -> None:
        """
        To add one does not write all the others again: thousands of files do not take
        thousands of times as long.
        """
        self.log.add(A, b"f1", 3)
        before = self.bytes_()
        inode = os.stat(os.path.join(self.folder, "fences")).st_ino
        self.log.add(A, b"f2", 1)
        self.assertTrue(self.bytes_().startswith(before))
        self.assertEqual(os.stat(os.path.join(self.folder, "fences")).st_ino, inode)

    def test_replaced(self) -> None:
        """
        Those carried out are gone.
        """
        self.log.add(A, b"f1", 3)
        self.log.add(B, b"f2", 4)
        self.log.replace({A: {}, B: {b"f2": 4}})
        self.assertEqual(self.again(), {B: {b"f2": 4}})

    def test_cutShort(self) -> None:
        """
        A crash in the middle of a line loses that line only, and what is added after
        it is not taken for its rest.
        """
        self.log.add(A, b"f1", 3)
        self.log.add(A, b"f2", 4)
        self.write(self.bytes_()[:-3])
        log = FenceLog(self.folder)
        self.assertEqual(log.load(), {A: {b"f1": 3}})
        log.add(B, b"f3", 5)
        self.assertEqual(self.again(), {A: {b"f1": 3}, B: {b"f3": 5}})

    def test_noRoom(self) -> None:
        """
        A full disk is told, and leaves nothing behind that the next line would be
        taken for a part of.
        """
        self.log.add(A, b"f1", 3)

        def short(fd: int, data: bytes) -> int:
            return write(fd, data[:5])

        write = os.write
        patched = self.patch(os, "write", short)
        self.assertRaises(BackendError, self.log.add, A, b"f2", 4)
        patched.restore()
        self.log.add(B, b"f3", 5)
        self.assertEqual(self.again(), {A: {b"f1": 3}, B: {b"f3": 5}})

    def test_damaged(self) -> None:
        """
        A damaged file is told in one line, and nothing is guessed.
        """
        for damage in (
            b"x\n",
            b"zz 1 f\n",
            b"61 one f\n",
            b"61 1 f g\n",
            b"\xff 1 f\n",
        ):
            self.write(damage)
            error = self.assertRaises(BadConfiguration, self.again)
            self.assertIn("is damaged", str(error))
            self.assertNotIn("\n", str(error))
