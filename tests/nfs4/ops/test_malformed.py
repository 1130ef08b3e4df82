"""
Malformed arguments of the operations on names and attributes.
"""

from __future__ import annotations

import random
import struct

from pnfs.nfs4.status import nfsstat4
from pnfs.values import ROOT, FileType
from tests.nfs4.ops.namespace import (
    EVERY,
    GETATTR,
    LOOKUPP,
    PUTFH,
    SAVEFH,
    NamespaceCase,
    fattr,
    named,
    opaque,
)

_ATTRIBUTES = fattr(
    {
        33: struct.pack(">I", 0o644),
        36: opaque(b"1000"),
        54: struct.pack(">IqI", 1, 2, 3),
    }
)

WIRES = {
    "GETATTR": GETATTR(1, 3, 36, 75),
    "LOOKUP": named(15, b"name"),
    "ACCESS": struct.pack(">II", 3, 31),
    "READDIR": struct.pack(">IQ8sIIII", 26, 0, bytes(8), 999, 999, 1, 2),
    "SETATTR": struct.pack(">I16s", 34, bytes(16)) + _ATTRIBUTES,
    "VERIFY": struct.pack(">I", 37) + _ATTRIBUTES,
    "NVERIFY": struct.pack(">I", 17) + _ATTRIBUTES,
    "CREATE": struct.pack(">III", 6, 5, 4) + b"to/x" + opaque(b"l") + _ATTRIBUTES,
    "REMOVE": named(28, b"name"),
    "RENAME": named(29, b"name", b"other"),
    "LINK": named(11, b"other"),
    "SECINFO": named(33, b"name"),
    "SECINFO_NO_NAME": struct.pack(">II", 52, 0),
    "PUTFH": named(22, b"n" * 16),
}


class MalformedTests(NamespaceCase):
    """
    What does not decode is refused, whatever it is.
    """

    def test_noFilehandle(self) -> None:
        """
        Every operation on a file says so if there is none (no current handle is
        NOFILEHANDLE centrally: chimera #190).
        """
        simple = {
            operation.name: struct.pack(">I", operation.number) for operation in EVERY
        }
        wires = {
            name: simple[name] for name in ("LOOKUPP", "READLINK", "GETFH", "SAVEFH")
        }
        for name, wire in {**WIRES, **wires}.items():
            if name != "PUTFH":
                status = self.status(wire)
                self.assertEqual(status, nfsstat4.NFS4ERR_NOFILEHANDLE, name)

    def test_truncated(self) -> None:
        """
        Every operation cut at every place is BADXDR.
        """
        self.make(b"name")
        head = PUTFH(self.fh(self.root)), SAVEFH
        for name, wire in WIRES.items():
            for end in range(4, len(wire)):
                status = self.status(*head, wire[:end])
                self.assertEqual(status, nfsstat4.NFS4ERR_BADXDR, (name, end))

    def test_mutated(self) -> None:
        """
        Bytes changed at random never get more than a status that the operation
        may have; nothing is logged.
        """
        self.export.rootSquash = False
        chance = random.Random(7)
        allowed = {op.number: op.errors for op in EVERY}
        for _ in range(3000):
            self.make(b"n%d" % chance.randrange(10**9), FileType.DIR, 0o777)
            wire = bytearray(chance.choice(list(WIRES.values())))
            number = struct.unpack_from(">I", wire)[0]
            for _ in range(chance.randrange(1, 4)):
                wire[chance.randrange(4, len(wire))] = chance.choice(
                    (0, 1, 2, 4, 255, chance.randrange(256))
                )
            reply = self.run_(
                PUTFH(self.fh(self.root)), SAVEFH, bytes(wire), LOOKUPP, as_=ROOT
            )
            reply.head()
            reply.head()
            found, status = reply.head()
            self.assertEqual(found, number)
            if status:
                self.assertIn(status, allowed[number], (number, bytes(wire)))
