"""
Tests of the space that clients are told of (L{pnfs.mds.service}), and of data servers
that are full.
"""

from __future__ import annotations

import struct

from pnfs.nfs4 import requests
from pnfs.nfs4.status import nfsstat4
from tests.layouts import linux
from tests.mds.test_service import ROOT, Mounted
from tests.mds.world import SiteCase

FLEX = 4
UNAVAILABLE = nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE
AVAILABLE, FREE, TOTAL = 42, 43, 44
"""The attributes C{space_avail}, C{space_free} and C{space_total}."""


class StripedSpaceTests(SiteCase):
    """
    Three data servers with 1 GiB each.
    """

    expected = 3 << 30

    def setUp(self) -> None:
        """
        Mount.
        """
        super().setUp()
        self.mount = Mounted(self, self.client())
        self.now(self.mount.client.connect())

    def space(self) -> dict[int, int]:
        """
        What C{df} would show.
        """
        wanted = sum(1 << n for n in (AVAILABLE, FREE, TOTAL))
        results = self.mount.run(ROOT, requests.getattr_(wanted))
        for number in (24, 15, 9):
            results.operation(number)
        found: dict[int, int] = results.attributes()
        return found

    def test_sum(self) -> None:
        """
        The sum of all, each copy counted once; also while one is down, and asking
        for it asks no data server.
        """
        expected = {number: self.expected for number in (AVAILABLE, FREE, TOTAL)}
        self.assertEqual(self.space(), expected)
        for number in range(self.count):
            self.killDataServer(number)
        self.assertEqual(self.space(), expected)
        self.clock.pump([1.0] * 20)
        self.assertEqual(self.space(), expected)

    def test_full(self) -> None:
        """
        Who writes through the metadata server is told NOSPC; what is there can be
        read, and what is freed can be written again.
        """
        fh, stateid = self.mount.create(b"file")
        self.mount.write(fh, stateid, 0, b"data")
        for backend in self.backends:
            backend.capacity = 0
        write = requests.writeHead(stateid, 64 << 20, 0, 4) + b"more"
        results = self.mount.run(requests.putfh(fh), write)
        self.assertEqual(results.status, nfsstat4.NFS4ERR_NOSPC)
        self.assertEqual(self.mount.read(fh, stateid, 0, 9), b"data")
        self.assertEqual(self.mount.attributes(fh, 4), {4: 4})
        for backend in self.backends:
            backend.capacity = 1 << 30
        self.assertEqual(self.mount.write(fh, stateid, 64 << 20, b"more"), 4)


class FullTests(SiteCase):
    """
    What becomes of layouts when data servers are full.
    """

    layout = "flexfiles"
    mirrors = 2

    def setUp(self) -> None:
        """
        Mount, and have a layout of a file.
        """
        super().setUp()
        self.mount = Mounted(self, self.client(minor=2))
        self.now(self.mount.client.connect())
        self.fh, self.stateid = self.mount.create(b"file")
        self.held, body = self.mount.layout(self.fh, self.stateid, FLEX)
        self.deviceid = linux.flexLayout(body)[0][0]

    def run_(self, *ops: bytes) -> int:
        """
        How a COMPOUND with the file ends.
        """
        return self.mount.run(requests.putfh(self.fh), *ops).status

    def layout_(self, iomode: int = 2) -> int:
        """
        How LAYOUTGET ends.
        """
        return self.run_(requests.layoutget(FLEX, iomode, self.stateid))

    def test_reported(self) -> None:
        """
        A client that finds no room may try once more; then it is sent to the
        metadata server instead of round in circles: for this file, for a while,
        whatever it was that told of it, and nobody else is concerned.
        """
        for status in (nfsstat4.NFS4ERR_NOSPC, nfsstat4.NFS4ERR_DQUOT):
            error = struct.pack(">16sII", self.deviceid, status, 38)
            whole = struct.pack(">QQ", 0, (1 << 64) - 1) + self.held
            report = struct.pack(">I", 64) + whole + struct.pack(">I", 1) + error
            self.assertEqual(self.run_(report), 0)
            self.assertEqual(self.run_(report), 0)
            self.assertEqual(self.layout_(), 0)
            self.assertEqual(self.run_(report), 0)
            self.assertEqual(self.layout_(), UNAVAILABLE)
            self.assertEqual(self.layout_(1), 0)
            other, stateid = self.mount.create(b"other%d" % status)
            self.mount.layout(other, stateid, FLEX)
            self.clock.pump([1.0] * 31)
            self.assertEqual(self.layout_(), 0)

    def test_otherErrors(self) -> None:
        """
        Other errors leave the client its layouts.
        """
        error = struct.pack(">16sII", self.deviceid, nfsstat4.NFS4ERR_IO, 38)
        whole = struct.pack(">QQ", 0, (1 << 64) - 1) + self.held
        op = struct.pack(">I", 64) + whole + struct.pack(">I", 1) + error
        self.assertEqual(self.run_(op), 0)
        self.assertEqual(self.layout_(), 0)

    def test_heard(self) -> None:
        """
        Clients of NFSv3 data servers report nothing: what these say themselves
        counts, too, as long as they say it.
        """
        for backend in self.backends:
            backend.capacity = 0
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.layout_(), UNAVAILABLE)
        self.assertEqual(self.layout_(1), 0)
        for backend in self.backends:
            backend.capacity = 1 << 30
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.layout_(), 0)


class MirroredSpaceTests(StripedSpaceTests):
    """
    The same with two copies of each byte.
    """

    count = 4
    layout = "flexfiles"
    mirrors = 2
    expected = 2 << 30
