"""
Tests of L{pnfs.backends.ds.local_holes} and L{pnfs.backends.ds.local_extents}, beyond
the contract: file systems that lack something.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds import local_extents
from pnfs.backends.ds.local import LocalDataServerBackend
from pnfs.backends.ds.local_threads import InlineExecutor
from pnfs.backends.errors import IOFailed, NoSpace, Unsupported
from tests.backends.ds.test_local import makeFolder
from tests.contracts.data import NAME, DataServerBackendContract
from tests.contracts.digests import DigestsContract
from tests.contracts.holes import BLOCK, HolesContract


def _failing(number: int) -> Any:
    def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
        raise OSError(number, os.strerror(number))

    return fallocate


class NoFallocateTests(
    DigestsContract, HolesContract, DataServerBackendContract, SynchronousTestCase
):
    """
    On a file system without C{fallocate} holes are filled with zeros, to the byte,
    and no space is reserved.
    """

    reserves = False

    def makeBackend(self) -> LocalDataServerBackend:
        """
        One that finds out at each call.
        """
        backend = LocalDataServerBackend(makeFolder(self), executor=InlineExecutor())
        backend._fallocate = _failing(errno.EOPNOTSUPP)
        return backend

    def test_deallocateSpace(self) -> None:
        """
        Zeros take the space that the data took.
        """
        self.put(0, b"x" * (4 * BLOCK))
        self.run_(self.backend.commit(NAME, 0, 0))
        before = self.run_(self.backend.getattr(NAME))
        self.punch(BLOCK, BLOCK)
        after = self.run_(self.backend.getattr(NAME))
        self.assertEqual(before.used, after.used)
        self.assertGreater(after.change, before.change)

    def test_zerosOverDataOnly(self) -> None:
        """
        What is a hole already stays one.
        """
        self.sparse()
        before = self.run_(self.backend.getattr(NAME)).used
        self.punch(0, 4 * BLOCK)
        self.run_(self.backend.commit(NAME, 0, 0))
        self.assertLessEqual(self.run_(self.backend.getattr(NAME)).used, before)

    def test_tooManyZeros(self) -> None:
        """
        More zeros than can be written in time are refused, and none is.
        """
        self.patch(local_extents, "ZEROS_LIMIT", BLOCK)
        self.put(0, b"x" * (2 * BLOCK))
        self.fails(self.backend.deallocate(NAME, 0, BLOCK + 1), Unsupported)
        self.assertEqual(self.get(0, 5), (b"xxxxx", False))

    def test_errors(self) -> None:
        """
        What goes wrong is told as the error of the file system, not as another one.
        """
        for number, kind in (
            (errno.ENOSPC, NoSpace),
            (errno.EIO, IOFailed),
            (errno.EOPNOTSUPP, Unsupported),
        ):
            self.backend._fallocate = _failing(number)
            self.fails(self.backend.allocate(NAME, [(0, 1)]), kind)
        self.put(0, b"x")
        self.backend._fallocate = _failing(errno.EIO)
        self.fails(self.backend.deallocate(NAME, 0, 1), IOFailed)
