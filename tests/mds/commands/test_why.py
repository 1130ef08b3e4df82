"""
Tests of L{pnfs.mds.commands.why}.
"""

from __future__ import annotations

from typing import Any

import attrs

from pnfs.nfs4.results import OperationFailed
from pnfs.values import DSState, NewObject, FileType
from tests.mds.commands.test_ds import SiteCommandCase
from tests.mds.test_service import FILES

HOST = "192.0.2.9"


class WhyTests(SiteCommandCase):
    """
    C{pnfs why}.
    """

    def why(self, host: str = HOST, path: str = "") -> list[Any]:
        """
        The findings.
        """
        found: list[Any] = self.command("why", client=host, path=path)["findings"]
        return found

    def says(self, found: list[Any], words: str, against: bool) -> None:
        """
        One of the findings says so.
        """
        said = [f for f in found if words in f["text"] and f["against"] is against]
        self.assertEqual(len(said), 1, (words, found))

    def test_nobody(self) -> None:
        """
        A client that is not there, or without sessions.
        """
        self.says(self.why("192.0.2.77"), "vers=3 or 4.0", True)

    def test_good(self) -> None:
        """
        Of a client that uses pNFS nothing is said against it, but that callbacks have
        not been tried.
        """
        mounted = self.mount()
        fh, stateid = mounted.create(b"f")
        self.says(self.why(), "never asked for a layout", True)
        mounted.layout(fh, stateid, FILES)
        self.mds.context.clients.find(mounted.client.clientid).backDown = False
        found = self.why(path="/export/f")
        self.assertEqual([f["text"] for f in found if f["against"]], [])
        self.says(found, "role bits", False)
        self.says(found, "asked for layouts: files", False)
        self.says(found, "offers 192.0.2.9 layouts: files", False)
        self.says(found, "files layout to read and write on ds1, ds0", False)
        self.says(found, "bytes are on ds1, ds0", False)

    def test_small(self) -> None:
        """
        Where small files are for the metadata server it says so, and of a file whether
        it is one.
        """
        mounted = self.mount()
        fh, stateid = mounted.create(b"f")
        self.says(self.why(), "offers 192.0.2.9 layouts", False)
        (export,) = self.mds.context.exports.byPath.values()
        export.threshold = 65536
        found = self.why(path="/export/f")
        self.says(found, "fewer than 65536 bytes are for the metadata server", False)
        self.says(found, "The file has 0 bytes: that is few", True)
        mounted.write(fh, stateid, 65535, b"x")
        found = self.why(path="/export/f")
        self.assertFalse([f for f in found if "few (" in f["text"]])

    def test_chunks(self) -> None:
        """
        Of a file in chunks with mirrors it says that writes go through the server; of
        one without it does not.
        """
        mounted = self.mount()
        fh, stateid = mounted.create(b"f")
        mounted.write(fh, stateid, 0, b"x")
        (export,) = self.mds.context.exports.byPath.values()
        inode = self.now(export.backend.lookup(export.backend.root, b"f"))
        placement = self.now(export.backend.loadPlacement(inode))
        both = placement.dataServers
        for columns, expected in (((both,), True), (((both[0],), (both[1],)), False)):
            chunks = attrs.evolve(placement, columns=columns, chunk=1 << 20)
            self.now(export.backend.storePlacement(inode, chunks))
            found = self.why(path="/export/f")
            told = any("chunks with mirrors" in f["text"] for f in found)
            self.assertEqual(told, expected)

    def test_refused(self) -> None:
        """
        What LAYOUTGET was answered, how long ago, in words; of another file nothing
        is said.
        """
        mounted = self.mount()
        fh, stateid = mounted.create(b"f")
        mounted.create(b"g")
        self.assertRaises(OperationFailed, mounted.layout, fh, stateid, 4)
        self.clock.advance(5)
        for path in ("", "/export/f"):
            found = self.why(path=path)
            self.says(found, "5 s ago LAYOUTGET was answered NFS4ERR_UNKNOWN_LAY", True)
            self.says(found, "asked for layouts: flexfiles", True)
        found = self.why(path="/export/g")
        self.assertFalse([f for f in found if "LAYOUTGET" in f["text"]])
        self.says(found, "holds no layout of this file", True)

    def test_bounded(self) -> None:
        """
        A client that asks in vain for ever costs no more memory.
        """
        mounted = self.mount()
        fh, stateid = mounted.create(b"f")
        for kind in range(4, 40):
            self.assertRaises(OperationFailed, mounted.layout, fh, stateid, kind)
        client = self.mds.context.clients.find(mounted.client.clientid)
        self.assertEqual((len(client.answers), len(client.asked)), (16, 8))

    def test_terms(self) -> None:
        """
        An export that is without pNFS.
        """
        self.mount()
        (export,) = self.mds.context.exports.byPath.values()
        export.pnfs = False
        self.says(self.why(), "without pNFS", True)

    def test_dataServers(self) -> None:
        """
        Data servers that are not used, and why not.
        """
        self.mount()
        servers = self.mds._servers
        servers.setState(servers.byName("ds0"), DSState.DISABLED)
        self.killDataServer(1)
        self.clock.pump([1.0] * 20)
        found = self.why()
        self.says(found, "Data server ds0 is disabled", True)
        self.says(found, "Data server ds1 does not answer", True)

    def test_paths(self) -> None:
        """
        What is no file of ours, or none that has layouts.
        """
        self.mount()
        for path, words in (("/nope", "/export"), ("/export/a/b", "no 'a'")):
            self.assertIn(words, self.refused("why", client=HOST, path=path))
        (export,) = self.mds.context.exports.byPath.values()
        tree = export.backend
        what = NewObject(FileType.DIR, 0o755, 0, 0)
        self.now(tree.create(tree.root, b"d", what))
        self.says(self.why(path="/export/d"), "no regular file", True)
