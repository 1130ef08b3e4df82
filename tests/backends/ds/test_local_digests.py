"""
Tests of L{pnfs.backends.ds.local_digests}.
"""

from __future__ import annotations

from pnfs.values import CopySource, SetAttributes, Stable
from tests.backends.ds.test_local import LocalTestCase
from tests.contracts.data import NAME

MIB = 1 << 20


class WhileChangingTests(LocalTestCase):
    """
    Who begins to look while a thread changes a file is told of it, as it may have
    read the file in the state before.
    """

    def setUp(self) -> None:
        """
        A file of 4 MiB.
        """
        super().setUp()
        data = memoryview(b"x" * (4 * MIB))
        self.done(self.backend.write(NAME, 0, data, Stable.UNSTABLE))
        self.executor.auto = False

    def trackedDuring(self, change: object) -> list[tuple[int, int]]:
        """
        Begin a change, begin to look, let the change finish.
        """
        running = self.begin(change)  # type: ignore[arg-type]
        self.assertNoResult(running)
        token, _ = self.done(self.backend.track(NAME))
        self.executor.runAll()
        self.successResultOf(running)
        changes: list[tuple[int, int]] = self.done(self.backend.changes(NAME, token))
        return changes

    def test_deallocate(self) -> None:
        """
        A hole that is being made.
        """
        changed = self.trackedDuring(self.backend.deallocate(NAME, MIB, MIB))
        self.assertEqual(changed, [(MIB, MIB)])

    def test_cut(self) -> None:
        """
        A file that is being cut off.
        """
        changes = SetAttributes(size=2 * MIB)
        self.assertEqual(
            self.trackedDuring(self.backend.setattr(NAME, changes)),
            [(2 * MIB, 2 * MIB)],
        )

    def test_copy(self) -> None:
        """
        A range that is being copied there.
        """
        copy = self.backend.copy(NAME, 2 * MIB, CopySource(NAME), 0, MIB)
        self.assertEqual(self.trackedDuring(copy), [(2 * MIB, MIB)])

    def test_lost(self) -> None:
        """
        When a flush has failed nobody knows what is stored: what has been changed is
        unknown.
        """
        token, _ = self.done(self.backend.track(NAME))
        flush = self.begin(self.backend.commit(NAME, 0, 0))
        self.executor.step(OSError(5, "Input/output error"))
        self.failureResultOf(flush)
        self.flushLoggedErrors()
        self.assertIsNone(self.done(self.backend.changes(NAME, token)))
