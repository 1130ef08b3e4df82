"""
Tests of L{pnfs.backends.metadata.memory}.
"""

from __future__ import annotations

import itertools
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.metadata.memory import MemoryMetadataBackend
from tests.contracts.metadata import MetadataContract


class MemoryMetadataTests(MetadataContract, SynchronousTestCase):
    """
    The reference keeps the contract.
    """

    def make(self) -> Any:
        counter = itertools.count(1)
        return MemoryMetadataBackend(
            self.now, lambda size: next(counter).to_bytes(size, "big")
        )

    def test_recoveryIsGivenOn(self) -> None:
        """
        A restart can be played: the next server has the same identity.
        """
        again = MemoryMetadataBackend(
            self.now, lambda size: b"x" * size, self.backend.recovery
        )
        self.get(again.start())
        self.assertEqual(again.fsid, self.backend.fsid)
