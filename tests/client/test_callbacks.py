"""
Tests of L{pnfs.client.callbacks}: the metadata server's calls, as bytes.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks import ops
from pnfs.callbacks.delegation_ops import cbRecall
from pnfs.client.callbacks import CALLBACK_PROGRAM, Callbacks
from pnfs.nfs4.status import nfsstat4
from pnfs.values import ANONYMOUS
from pnfs.xdr.errors import XDRError

SESSION = b"S" * 16
FH = b"filehandle"
STATEID = b"\0\0\0\2" + b"layoutstate!"


class CallbacksTests(SynchronousTestCase):
    """
    One session with one slot.
    """

    def setUp(self) -> None:
        """
        Remember what is asked for.
        """
        self.asked: list[Any] = []
        self.status = 0

        def recall(arguments: Any) -> int:
            self.asked.append(arguments)
            return self.status

        self.session = SESSION
        self.callbacks = Callbacks(
            lambda: self.session,
            1,
            recall,
            lambda ids: self.asked.append(ids),
            lambda: self.asked.append("any"),
            lambda slot: self.asked.append(slot),
        )
        program = self.callbacks.program()
        self.assertEqual(program.number, CALLBACK_PROGRAM)
        self.serve = program.versions[1][1]
        self.assertEqual(program.versions[1][0](ANONYMOUS, b"", 0), [])  # type: ignore
        self.sequence = 0

    def compound(self, *operations: bytes, minor: int = 1) -> bytes:
        """
        The answer to a CB_COMPOUND.
        """
        wire = ops.encodeCompound(minor, *operations)
        pieces: Any = self.serve(None, b"xx" * 2 + wire, 4)  # type: ignore[arg-type]
        return b"".join(pieces)

    def call(self, operation: bytes, again: bool = False) -> ops.CallbackResult:
        """
        CB_SEQUENCE and an operation.
        """
        if not again:
            self.sequence += 1
        head = ops.cbSequence(SESSION, self.sequence, 0, 0)
        wire = self.compound(head, operation)
        return ops.decodeResult(wire, 0, SESSION, self.sequence, 0)

    def recall(self) -> bytes:
        """
        CB_LAYOUTRECALL of a file.
        """
        return ops.cbLayoutRecallFile(1, 3, False, FH, 0, (1 << 64) - 1, STATEID)

    def test_recall(self) -> None:
        """
        The layout that is meant arrives, the answer is what the holder says.
        """
        self.status = nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
        result = self.call(self.recall())
        self.assertEqual((result.number, result.status), (5, self.status))
        kind, what = self.asked[0].clora_recall
        self.assertEqual((kind, what.lor_fh, what.lor_stateid), (1, FH, STATEID))
        self.status = 0
        self.assertEqual(self.call(self.recall()).status, 0)

    def test_repeated(self) -> None:
        """
        A repetition is answered again and not done again.
        """
        first = self.call(self.recall())
        self.assertEqual(self.call(self.recall(), again=True), first)
        self.assertEqual(len(self.asked), 1)

    def test_devices(self) -> None:
        """
        Devices that have changed or gone.
        """
        result = self.call(
            ops.cbNotifyDeviceid([(1, b"d" * 16)], [(4, b"e" * 16, True)])
        )
        self.assertEqual(result.status, 0)
        self.assertEqual(self.asked, [[b"d" * 16, b"e" * 16]])
        bad = struct.pack(">IIIII", 14, 1, 1, 1, 0)
        self.assertEqual(self.call(bad).status, nfsstat4.NFS4ERR_INVAL)

    def test_others(self) -> None:
        """
        CB_RECALL_ANY and CB_RECALL_SLOT are taken, CB_RECALL is of a delegation that
        we never have; what is optional is not supported, the rest unknown.
        """
        for operation, number, status in (
            (ops.cbRecallAny(3, 0x10), 8, 0),
            (struct.pack(">II", 10, 7), 10, 0),
            (cbRecall(STATEID, False, FH), 4, nfsstat4.NFS4ERR_BAD_STATEID),
            (struct.pack(">I", 6), 6, nfsstat4.NFS4ERR_NOTSUPP),
            (struct.pack(">I", 77), 10044, nfsstat4.NFS4ERR_OP_ILLEGAL),
            (
                ops.cbSequence(SESSION, 1, 0, 0),
                11,
                nfsstat4.NFS4ERR_SEQUENCE_POS,
            ),
        ):
            result = self.call(operation)
            self.assertEqual((result.number, result.status), (number, status))
        self.assertEqual(self.asked, ["any", 7])

    def test_sequence(self) -> None:
        """
        Unknown sessions, other slots, wrong sequence IDs are refused without doing
        anything; so is what comes without CB_SEQUENCE.
        """
        recall = self.recall()
        for head, status in (
            (ops.cbSequence(b"T" * 16, 1, 0, 0), nfsstat4.NFS4ERR_BADSESSION),
            (ops.cbSequence(SESSION, 1, 1, 1), nfsstat4.NFS4ERR_BADSLOT),
            (ops.cbSequence(SESSION, 2, 0, 0), nfsstat4.NFS4ERR_SEQ_MISORDERED),
            (recall, nfsstat4.NFS4ERR_OP_NOT_IN_SESSION),
        ):
            wire = self.compound(head, recall)
            self.assertEqual(struct.unpack_from(">I", wire), (status,))
        self.assertEqual(self.asked, [])
        self.session = b""
        wire = self.compound(ops.cbSequence(bytes(16), 1, 0, 0), recall)
        self.assertEqual(struct.unpack_from(">I", wire), (nfsstat4.NFS4ERR_BADSESSION,))
        self.assertEqual(self.asked, [])

    def test_newSession(self) -> None:
        """
        In a new session counting begins anew.
        """
        self.call(self.recall())
        self.session = b"N" * 16
        wire = self.compound(ops.cbSequence(self.session, 1, 0, 0), self.recall())
        self.assertEqual(struct.unpack_from(">I", wire), (0,))
        self.assertEqual(len(self.asked), 2)

    def test_minorVersion(self) -> None:
        """
        Only the minor version of the session is spoken.
        """
        wire = self.compound(ops.cbSequence(SESSION, 1, 0, 0), minor=2)
        status = nfsstat4.NFS4ERR_MINOR_VERS_MISMATCH
        self.assertEqual(wire, struct.pack(">III", status, 0, 0))
        self.assertEqual(self.compound(), bytes(12))

    def test_truncated(self) -> None:
        """
        Of a call cut off anywhere nothing is done.
        """
        head = ops.cbSequence(SESSION, 1, 0, 0)
        wire = ops.encodeCompound(1, head, self.recall())
        for length in range(len(wire)):
            self.assertRaises(XDRError, self.serve, None, wire[:length], 0)
            self.callbacks._session = b""
        self.assertEqual(self.asked, [])
