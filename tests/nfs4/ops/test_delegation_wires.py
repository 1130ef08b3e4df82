"""
Malformed arguments of the operations on delegations.
"""

from __future__ import annotations

import random
import struct

from pnfs.nfs4.ops.delegpurge import delegpurge
from pnfs.nfs4.ops.delegreturn import delegreturn
from pnfs.nfs4.ops.get_dir_delegation import GET_DIR_DELEGATION4args, get_dir_delegation
from pnfs.nfs4.ops.open import open_
from pnfs.nfs4.ops.want_delegation import want_delegation
from pnfs.nfs4.requests import opaque
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import nfstime4
from tests.nfs4.fixture import args
from tests.nfs4.ops.delegations import ANY, XOR, DelegationCase
from tests.nfs4.ops.files import openArgs

_CLAIM = struct.pack(">I16s", 2, b"s" * 16) + opaque(b"file")
_DIRECTORY = GET_DIR_DELEGATION4args(True, 7, nfstime4(1, 2), nfstime4(3, 4), 5, 6)

WIRES = {
    "DELEGPURGE": struct.pack(">IQ", 7, 1),
    "DELEGRETURN": struct.pack(">I16s", 8, b"s" * 16),
    "OPEN, CLAIM_DELEGATE_CUR": openArgs(access=1, claim=_CLAIM),
    "OPEN, CLAIM_DELEG_CUR_FH": openArgs(claim=struct.pack(">I16s", 5, b"s" * 16)),
    "OPEN, CLAIM_PREVIOUS": openArgs(access=3 | XOR, claim=struct.pack(">II", 1, 2)),
    "GET_DIR_DELEGATION": args(46, _DIRECTORY),
    "WANT_DELEGATION": struct.pack(">III", 56, ANY, 4),
    "WANT_DELEGATION, CLAIM_PREVIOUS": struct.pack(">IIII", 56, ANY, 1, 2),
}

OPERATIONS = (delegpurge, delegreturn, get_dir_delegation, open_, want_delegation)


class MalformedTests(DelegationCase):
    """
    What does not decode is refused, whatever it is.
    """

    def test_truncated(self) -> None:
        """
        Every operation cut at every place is BADXDR.
        """
        for name, wire in WIRES.items():
            for end in range(4, len(wire)):
                reply = self.one.run(self.fixture.putfh(self.file), wire[:end])
                self.assertEqual(reply.status, nfsstat4.NFS4ERR_BADXDR, (name, end))

    def test_mutated(self) -> None:
        """
        Bytes changed at random never get more than a status that the operation may
        have; nothing is logged.
        """
        chance = random.Random(7)
        allowed = {op.number: op.errors for op in OPERATIONS}
        for _ in range(2000):
            wire = bytearray(chance.choice(list(WIRES.values())))
            number = struct.unpack_from(">I", wire)[0]
            for _ in range(chance.randrange(1, 4)):
                wire[chance.randrange(4, len(wire))] = chance.choice(
                    (0, 1, 2, 4, 255, chance.randrange(256))
                )
            inode = chance.choice((self.file, self.fixture.root))
            reply = self.one.at(inode, bytes(wire))
            found, status = reply.head()
            self.assertEqual(found, number)
            if status:
                self.assertIn(status, allowed[number], (number, bytes(wire)))
            self.one.answer()
