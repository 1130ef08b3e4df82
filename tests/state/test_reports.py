"""
Tests for L{pnfs.state.reports}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.state import reports
from pnfs.state.clients import Client
from pnfs.state.files import FileState
from pnfs.state.reports import DeviceTotals, Reports
from pnfs.values import DeviceError, DeviceStatistics, LayoutReport

ONE, TWO = b"\1" * 16, b"\2" * 16


def client(number: int) -> Client:
    """
    A client record.
    """
    return Client(number, b"client%d" % number, b"verifier", (1, 0), 0.0)


def error(device: bytes = ONE, status: int = 6) -> LayoutReport:
    """
    A device could not be used.
    """
    return LayoutReport(errors=(DeviceError(device, 0, 10, status, 38),))


def numbers(*said: int, device: bytes = ONE) -> LayoutReport:
    """
    A device was used so.
    """
    return LayoutReport(statistics=(DeviceStatistics(device, *said),))


class ReportsTests(SynchronousTestCase):
    """
    What clients say.
    """

    def setUp(self) -> None:
        """
        Two files.
        """
        self.reports = Reports()
        self.file = FileState(b"fh", None, None)
        self.other = FileState(b"other", None, None)

    def about(self, file: Any) -> dict[bytes, Any]:
        """
        What has been said of a file's devices.
        """
        return dict(self.reports.ofFile(file.fh))

    def test_errors(self) -> None:
        """
        Errors are counted by device and status, and for each file with the last of
        them.
        """
        self.reports.note(client(1), self.file, error())
        self.reports.note(client(2), self.file, error(status=13))
        self.reports.note(client(1), self.other, error(TWO))
        self.assertEqual(self.reports.errors, {(ONE, 6): 1, (ONE, 13): 1, (TWO, 6): 1})
        found = self.about(self.file)
        self.assertEqual(set(found), {ONE})
        self.assertEqual((found[ONE].errors, found[ONE].lastError.status), (2, 13))

    def test_cumulative(self) -> None:
        """
        The numbers of a client grow, so the last ones count, not their sum; those of
        several clients and files add up.
        """
        self.reports.note(client(1), self.file, numbers(1, 10, 2, 20))
        self.reports.note(client(1), self.file, numbers(3, 30, 2, 20))
        self.assertEqual(self.reports.totals, {ONE: DeviceTotals(3, 30, 2, 20)})
        self.reports.note(client(2), self.file, numbers(1, 1, 1, 1))
        self.reports.note(client(1), self.other, numbers(5, 50, 0, 0))
        self.assertEqual(self.reports.totals, {ONE: DeviceTotals(9, 81, 3, 21)})
        found = self.about(self.file)[ONE].statistics
        self.assertEqual(
            found,
            {
                1: DeviceStatistics(ONE, 3, 30, 2, 20),
                2: DeviceStatistics(ONE, 1, 1, 1, 1),
            },
        )

    def test_anew(self) -> None:
        """
        Numbers that have become smaller are those of a new layout: all of them count.
        """
        self.reports.note(client(1), self.file, numbers(5, 50, 5, 50))
        self.reports.note(client(1), self.file, numbers(6, 60, 1, 10))
        self.assertEqual(self.reports.totals, {ONE: DeviceTotals(11, 110, 6, 60)})

    def test_noFile(self) -> None:
        """
        What a client says after our restart of files nothing is held on counts for
        the devices.
        """
        self.reports.note(client(1), None, error())
        self.reports.note(client(1), None, numbers(1, 2, 3, 4))
        self.assertEqual(self.reports.errors, {(ONE, 6): 1})
        self.assertEqual(self.reports.totals, {ONE: DeviceTotals(1, 2, 3, 4)})

    def test_bounded(self) -> None:
        """
        A client cannot fill the memory with invented devices, nor many clients with
        their numbers; what was said last is there.
        """
        self.patch(reports, "LIMIT", 3)
        for number in range(10):
            device = bytes([number]) * 16
            self.reports.note(client(1), self.file, error(device))
            self.reports.note(client(1), self.file, numbers(1, 1, 1, 1, device=device))
        self.assertEqual(len(self.reports.errors), 3)
        self.assertEqual(len(self.reports.totals), 3)
        self.assertEqual(
            set(self.about(self.file)), {bytes([n]) * 16 for n in (7, 8, 9)}
        )
        for number in range(100):
            self.reports.note(client(number), self.file, numbers(1, 1, 1, 1))
        kept = self.about(self.file)[ONE].statistics
        self.assertEqual(list(kept), list(range(84, 100)))
