"""
Tests of L{pnfs.nfs3.procs.fs}.
"""

from __future__ import annotations

import struct

from pnfs.namespace.filehandles import CONTROL, READ
from tests.nfs3 import captured
from tests.nfs3.serving import DataServerTestCase


class FSTests(DataServerTestCase):
    """
    FSSTAT, FSINFO and PATHCONF.
    """

    def body(self, name: str) -> bytes:
        """
        The results behind the attributes: the same under every handle.
        """
        found = set()
        for fh in (self.mint(READ), self.mint(CONTROL, 0, b"")):
            results = self.ask(name, fh)
            self.assertEqual(struct.unpack_from(">2I", results), (0, 1))
            found.add(results[92:])
        self.assertEqual(len(found), 1)
        return found.pop()

    def test_fsstat(self) -> None:
        """
        Space as the backend has it.
        """
        space = self.run_(self.backend.statfs())
        fields = struct.unpack(">6QI", self.body("FSSTAT"))
        self.assertEqual(
            fields,
            (
                space.spaceTotal,
                space.spaceFree,
                space.spaceAvailable,
                space.filesTotal,
                space.filesFree,
                space.filesAvailable,
                0,
            ),
        )

    def test_fsinfo(self) -> None:
        """
        READ and WRITE sizes as configured.
        """
        fields = struct.unpack(">7IQ3I", self.body("FSINFO"))
        self.assertEqual((fields[0], fields[3]), (65536, 65536))
        self.assertEqual(fields[7], (1 << 63) - 1)

    def test_pathconf(self) -> None:
        """
        One link per object.
        """
        fields = struct.unpack(">6I", self.body("PATHCONF"))
        self.assertEqual(fields, (1, 80, 1, 1, 0, 1))

    def test_failures(self) -> None:
        """
        Stale handles and, from a real client, those of others.
        """
        for name, call in (
            ("FSSTAT", captured.FSSTAT),
            ("FSINFO", captured.FSINFO),
            ("PATHCONF", captured.PATHCONF),
        ):
            self.assertEqual(
                self.ask(name, self.mint(READ, 4)), struct.pack(">II", 70, 0)
            )
            self.assertEqual(self.record(call), (0, struct.pack(">II", 10001, 0)))
