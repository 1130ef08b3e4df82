"""
Tests of L{pnfs.backends.metadata.xattr_handles}.
"""

from __future__ import annotations

import os
import random
import time

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import NoSuchObject
from pnfs.backends.metadata.xattr_handles import (
    IndexedHandles,
    KernelHandles,
    birthTime,
    kernelHandlesWork,
)


class KernelHandleTests(SynchronousTestCase):
    """
    Handles of the kernel.
    """

    def setUp(self) -> None:
        self.fd = os.open(".", os.O_RDONLY)
        self.addCleanup(os.close, self.fd)
        exist, refusal = kernelHandlesWork(self.fd)
        if not exist or refusal:
            self.skipTest(f"no kernel handles here: {refusal}")
        self.handles = KernelHandles(self.fd)

    def test_forged(self) -> None:
        """
        Whatever a client makes up as a handle, the answer is that there is none.
        """
        chance = random.Random(5)
        for size in (0, 1, 2, 5, 9, 13, 40, 41, 128):
            for _ in range(20):
                self.assertRaises(
                    NoSuchObject, self.handles.open, chance.randbytes(size), os.O_PATH
                )

    def test_birth(self) -> None:
        """
        C{stat} shows when a file was created, where the file system knows (time_create
        if known: chimera #1408, #1483).
        """
        path = self.mktemp()
        before = time.time_ns() - 50_000_000
        with open(path, "w") as made:
            os.utime(path, ns=(5, 5))
            birth = birthTime(made.fileno(), 1)
        self.assertTrue(birth == 1 or before <= birth <= time.time_ns() + 50_000_000)


class IndexedHandleTests(SynchronousTestCase):
    """
    Where the file system has no handles at all.
    """

    def setUp(self) -> None:
        self.path = self.mktemp()
        self.handles = self.open()

    def open(self) -> IndexedHandles:
        """
        The index, closed at the end.
        """
        chance = random.Random(os.path.exists(self.path))
        handles = IndexedHandles(self.path, chance.randbytes, False)
        self.addCleanup(handles.close)
        return handles

    def identity(self, handles: IndexedHandles) -> bytes:
        """
        That of this folder.
        """
        fd = os.open(".", os.O_PATH)
        try:
            return handles.identify(fd, os.stat(fd))
        finally:
            os.close(fd)

    def test_stable(self) -> None:
        """
        An identity stays over restarts, until the object is gone; then a new
        object with the same inode number is another one.
        """
        first = self.identity(self.handles)
        self.assertEqual(self.identity(self.handles), first)
        self.handles.close()
        again = self.open()
        self.assertEqual(self.identity(again), first)
        again.gone(first)
        self.assertNotEqual(self.identity(again), first)

    def test_names(self) -> None:
        """
        All names of an object lead to it, as long as they are there.
        """
        with self.handles.batch():
            self.handles.named(b"h", b"d", b"a")
            self.handles.named(b"h", b"d", b"b")
            self.handles.named(b"h", b"d", b"b")
        self.assertEqual(sorted(self.handles.names(b"h")), [(b"d", b"a"), (b"d", b"b")])
        self.handles.unnamed(b"d", b"a")
        self.handles.named(b"other", b"d", b"b")
        self.assertEqual(self.handles.names(b"h"), [])
        self.assertEqual(self.handles.names(b"other"), [(b"d", b"b")])
