# -*- test-case-name: tests.state.test_reports -*-
"""
What clients say of data servers: LAYOUTERROR, LAYOUTSTATS (RFC 7862, sections 15.6 and
15.7), and the LAYOUTRETURN of flexible files (RFC 8435, section 9).

Kept per file and device, and summed up per device. Clients can say anything, so all
tables have a bound, and the oldest entry gives way.
"""

from __future__ import annotations

from typing import Any, Iterator, Optional

import attrs

from pnfs.values import DeviceError, DeviceStatistics, LayoutReport

LIMIT = 4096
"""Entries of each table."""

_CLIENTS = 16
"""Clients whose numbers are kept for one file and device."""


@attrs.define
class FileReport:
    """
    What has been said of one device, as far as it concerns one file.

    @ivar errors: how often it could not be used; C{lastError}: the last time.
    @ivar statistics: the numbers last told, by clientid. They are cumulative for as
        long as the client keeps its layout.
    """

    errors: int = 0
    lastError: Optional[DeviceError] = None
    statistics: dict[int, DeviceStatistics] = attrs.Factory(dict)


@attrs.define
class DeviceTotals:
    """
    I/O that clients say they have done on a device, of all files.
    """

    readCount: int = 0
    readBytes: int = 0
    writeCount: int = 0
    writeBytes: int = 0


class Reports:
    """
    All of it.

    @ivar errors: how often clients have reported (deviceid, status).
    @ivar totals: by deviceid.
    """

    def __init__(self) -> None:
        self.errors: dict[tuple[bytes, int], int] = {}
        self.totals: dict[bytes, DeviceTotals] = {}
        self._files: dict[tuple[bytes, bytes], FileReport] = {}

    def note(self, client: Any, file: Any, report: LayoutReport) -> None:
        """
        A client has said something.

        @param file: the C{FileState}, or None if nothing is held on the file.
        """
        for error in report.errors:
            key = (error.deviceid, error.status)
            count = self.errors.pop(key, 0)
            _put(self.errors, key, count + 1)
            about = self._about(file, error.deviceid)
            about.errors += 1
            about.lastError = error
        for said in report.statistics:
            known = self._about(file, said.deviceid).statistics
            before = known.pop(client.clientid, None)
            if len(known) >= _CLIENTS:
                del known[next(iter(known))]
            known[client.clientid] = said
            self._add(said, before)

    def _about(self, file: Any, deviceid: bytes) -> FileReport:
        """
        The entry to write to, now the youngest.
        """
        if file is None:
            return FileReport()
        key = (file.fh, deviceid)
        about = self._files.pop(key, None) or FileReport()
        _put(self._files, key, about)
        return about

    def _add(self, said: DeviceStatistics, before: Optional[DeviceStatistics]) -> None:
        """
        What has come since it was told before, or all of it, if the numbers have
        begun anew.
        """
        now, then = _numbers(said), (0, 0, 0, 0)
        if before is not None and all(map(int.__le__, _numbers(before), now)):
            then = _numbers(before)
        totals = self.totals.pop(said.deviceid, None) or DeviceTotals()
        totals.readCount += now[0] - then[0]
        totals.readBytes += now[1] - then[1]
        totals.writeCount += now[2] - then[2]
        totals.writeBytes += now[3] - then[3]
        _put(self.totals, said.deviceid, totals)

    def ofFile(self, fh: bytes) -> Iterator[tuple[bytes, FileReport]]:
        """
        By deviceid what has been said that concerns a file.
        """
        for (about, deviceid), report in self._files.items():
            if about == fh:
                yield deviceid, report


def _numbers(said: DeviceStatistics) -> tuple[int, int, int, int]:
    return said.readCount, said.readBytes, said.writeCount, said.writeBytes


def _put(table: dict[Any, Any], key: Any, value: Any) -> None:
    while len(table) >= LIMIT:
        del table[next(iter(table))]
    table[key] = value
