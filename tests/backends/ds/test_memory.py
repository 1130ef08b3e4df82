"""
Tests of L{pnfs.backends.ds.memory}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.errors import NoSpace
from tests.contracts.data import NAME, DataServerBackendContract
from tests.contracts.digests import DigestsContract
from tests.contracts.holes import HolesContract


class MemoryContractTests(
    DigestsContract, HolesContract, DataServerBackendContract, SynchronousTestCase
):
    """
    The memory backend keeps the promises of all.
    """

    def makeBackend(self) -> MemoryDataServerBackend:
        """
        Big enough for a few megabytes.
        """
        return MemoryDataServerBackend(b"boot-001", b"u" * 16, capacity=64 << 20)

    def test_full(self) -> None:
        """
        A full store says so, and tells how much of a write it has taken.
        """
        self.backend.capacity = 128 << 10
        result = self.put(64 << 10, b"x" * (128 << 10))
        self.assertEqual(result.count, 128 << 10)
        self.fails(
            self.backend.write(NAME, 0, memoryview(b"x" * 10), 0),
            NoSpace,
        )
        self.run_(self.backend.remove(NAME))
        self.run_(self.backend.create(NAME, 0, 0, 0o600, 1))
        self.assertEqual(self.put(0, b"x" * (192 << 10)).count, 128 << 10)

    def test_sparse(self) -> None:
        """
        A byte at a huge offset costs one block.
        """
        self.put(1 << 50, b"x")
        self.assertEqual(self.run_(self.backend.getattr(NAME)).used, 64 << 10)
