# -*- test-case-name: tests.client.test_callbacks -*-
"""
The callback program as a client serves it (RFC 8881, section 20): what the
metadata server may ask of us over our own connection.
"""

from __future__ import annotations

import struct
from typing import Any, Callable

from pnfs.callbacks.ops import (
    CB_COMPOUND,
    CB_NULL,
    NFS_CB_VERSION,
    NOTIFY_DEVICEID4_CHANGE,
    NOTIFY_DEVICEID4_DELETE,
    OP_CB_LAYOUTRECALL,
    OP_CB_NOTIFY_DEVICEID,
    OP_CB_RECALL,
    OP_CB_RECALL_ANY,
    OP_CB_SEQUENCE,
    CB_LAYOUTRECALL4args,
    CB_NOTIFY_DEVICEID4args,
    CB_RECALL4args,
    CB_RECALL_ANY4args,
    CB_SEQUENCE4args,
    CB_SEQUENCE4resok,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.program import Call, Procedure, Program, Results, null
from pnfs.xdr.codec import PAD, codecFor
from pnfs.xdr.errors import XDRError

CALLBACK_PROGRAM = 0x40000000

_OP_CB_RECALL_SLOT = 10
_OP_CB_ILLEGAL = 10044
_KNOWN = range(3, 16)

_one = struct.Struct(">I").unpack_from
_two = struct.Struct(">II").pack

_sequence = codecFor(CB_SEQUENCE4args).decode
_sequenceDone = codecFor(CB_SEQUENCE4resok).encode
_recall = codecFor(CB_RECALL4args).decode
_layoutRecall = codecFor(CB_LAYOUTRECALL4args).decode
_recallAny = codecFor(CB_RECALL_ANY4args).decode
_notify = codecFor(CB_NOTIFY_DEVICEID4args).decode


class Callbacks:
    """
    Answers the metadata server's calls.

    One slot is enough for our servers; its last answer is kept and repeated.

    @ivar onRecall: starts to give a delegation back; gives the C{nfsstat4}. As it is,
        we hold none.
    """

    def __init__(
        self,
        sessionid: Callable[[], bytes],
        minor: int,
        layoutRecall: Callable[[CB_LAYOUTRECALL4args], int],
        devicesChanged: Callable[[list[bytes]], None],
        recallAny: Callable[[], None],
        limitSlots: Callable[[int], None],
    ) -> None:
        """
        @param sessionid: gives our session's identity now.
        @param layoutRecall: starts to give layouts back; gives the C{nfsstat4}.
        @param devicesChanged: takes the deviceids that are not to be used as known.
        @param recallAny: asked to hold less.
        """
        self._sessionid = sessionid
        self._minor = minor
        self._layoutRecall = layoutRecall
        self._devicesChanged = devicesChanged
        self._recallAny = recallAny
        self._limitSlots = limitSlots
        self.onRecall: Callable[[CB_RECALL4args], int] = _holdsNone
        self._session = b""
        self._next = 1
        self._last = b""

    def program(self) -> Program:
        """
        What to serve on the connection.
        """
        procedures: dict[int, Procedure] = {CB_NULL: null, CB_COMPOUND: self._compound}
        return Program(CALLBACK_PROGRAM, {NFS_CB_VERSION: procedures})

    def _compound(self, call: Call, buf: Any, pos: int) -> Results:
        """
        CB_COMPOUND (section 20.1): the first operation is CB_SEQUENCE.
        """
        buf = bytes(buf)
        try:
            (length,) = _one(buf, pos)
            if length > 1024:
                raise XDRError("tag")
            tag = buf[pos : pos + 4 + length] + PAD[length & 3]
            pos += len(tag)
            minor, _, count = struct.unpack_from(">III", buf, pos)
            pos += 12
            if minor != self._minor:
                return [*_answer(nfsstat4.NFS4ERR_MINOR_VERS_MISMATCH, tag, [])]
            if not count:
                return [*_answer(0, tag, [])]
            (number,) = _one(buf, pos)
            pos += 4
        except struct.error:
            raise XDRError("truncated") from None
        if number != OP_CB_SEQUENCE:
            refused = nfsstat4.NFS4ERR_OP_NOT_IN_SESSION
            return [*_answer(refused, tag, [_two(number, refused)])]
        arguments, pos = _sequence(buf, pos)
        status, replay = self._take(arguments)
        if status:
            return [*_answer(status, tag, [_two(number, status)])]
        if replay:
            return [self._last]
        results = [
            _two(number, 0)
            + _sequenceDone(
                CB_SEQUENCE4resok(
                    arguments.csa_sessionid, arguments.csa_sequenceid, 0, 0, 0
                )
            )
        ]
        for _ in range(count - 1):
            number, status, pos = self._operation(buf, pos)
            results.append(_two(number, status))
            if status:
                break
        reply = _answer(status, tag, results)
        (self._last,) = reply
        return [self._last]

    def _take(self, arguments: CB_SEQUENCE4args) -> tuple[int, bool]:
        """
        Take a sequence ID. @return: status, and whether it is a repetition.
        """
        session = arguments.csa_sessionid
        if not session or session != self._sessionid():
            return nfsstat4.NFS4ERR_BADSESSION, False
        if session != self._session:
            self._session, self._next, self._last = session, 1, b""
        if arguments.csa_slotid:
            return nfsstat4.NFS4ERR_BADSLOT, False
        sequence = arguments.csa_sequenceid
        if sequence == self._next:
            self._next = sequence + 1 & 0xFFFFFFFF
            self._last = b""
            return 0, False
        if self._last and sequence == self._next - 1 & 0xFFFFFFFF:
            return 0, True
        return nfsstat4.NFS4ERR_SEQ_MISORDERED, False

    def _operation(self, buf: bytes, pos: int) -> tuple[int, int, int]:
        """
        @return: the operation's number, its status, and the position after it.
        """
        try:
            (number,) = _one(buf, pos)
        except struct.error:
            raise XDRError("truncated") from None
        pos += 4
        arguments: Any
        if number == OP_CB_LAYOUTRECALL:
            arguments, pos = _layoutRecall(buf, pos)
            return number, self._layoutRecall(arguments), pos
        if number == OP_CB_NOTIFY_DEVICEID:
            arguments, pos = _notify(buf, pos)
            try:
                self._devicesChanged(_deviceids(arguments))
            except NFSError as error:
                return number, error.status, pos
            return number, 0, pos
        if number == OP_CB_RECALL_ANY:
            _, pos = _recallAny(buf, pos)
            self._recallAny()
            return number, 0, pos
        if number == _OP_CB_RECALL_SLOT:
            if len(buf) < pos + 4:
                raise XDRError("truncated")
            self._limitSlots(_one(buf, pos)[0])
            return number, 0, pos + 4
        if number == OP_CB_RECALL:
            arguments, pos = _recall(buf, pos)
            return number, self.onRecall(arguments), pos
        if number == OP_CB_SEQUENCE:
            return number, nfsstat4.NFS4ERR_SEQUENCE_POS, pos
        if number in _KNOWN:
            return number, nfsstat4.NFS4ERR_NOTSUPP, pos
        return _OP_CB_ILLEGAL, nfsstat4.NFS4ERR_OP_ILLEGAL, pos


def _holdsNone(arguments: CB_RECALL4args) -> int:
    return nfsstat4.NFS4ERR_BAD_STATEID


def _deviceids(arguments: CB_NOTIFY_DEVICEID4args) -> list[bytes]:
    """
    @raise NFSError: INVAL for a notification of another kind.
    """
    found = []
    for change in arguments.cnda_changes:
        values = change.notify_vals
        if (
            change.notify_mask
            not in (1 << NOTIFY_DEVICEID4_CHANGE, 1 << NOTIFY_DEVICEID4_DELETE)
            or len(values) < 20
        ):
            raise NFSError(nfsstat4.NFS4ERR_INVAL)
        found.append(values[4:20])
    return found


def _answer(status: int, tag: bytes, results: list[bytes]) -> list[bytes]:
    return [
        b"".join(
            (struct.pack(">I", status), tag, struct.pack(">I", len(results)), *results)
        )
    ]
