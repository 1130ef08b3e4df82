# -*- test-case-name: tests.rpc.test_message -*-
"""
C{rpc_msg} of RFC 5531, section 9: headers of calls and replies.

Everything made here is a whole record with its record mark, or the beginning of
one: a reply or a call is a single record of one fragment.
"""

from __future__ import annotations

import struct
from typing import Union

import attrs

from pnfs.rpc.errors import BadReply, RecordError, RPCRefused

RPC_VERSION = 2

CALL = 0
REPLY = 1

MSG_ACCEPTED = 0
MSG_DENIED = 1

SUCCESS = 0
PROG_UNAVAIL = 1
PROG_MISMATCH = 2
PROC_UNAVAIL = 3
GARBAGE_ARGS = 4
SYSTEM_ERR = 5

RPC_MISMATCH = 0
AUTH_ERROR = 1

LAST_FRAGMENT = 0x80000000
MAX_AUTH_BYTES = 400
"""The largest body of a credential or verifier (RFC 5531, section 8.2)."""

Buffer = Union[bytes, memoryview]

_U = struct.Struct(">I")
_pack6 = struct.Struct(">6I").pack
_pack7 = struct.Struct(">7I").pack
_pack8 = struct.Struct(">8I").pack
_pack9 = struct.Struct(">9I").pack
_call = struct.Struct(">8I")


def replyHeader(xid: int, size: int) -> bytes:
    """
    The record mark and header of a successful reply.

    @param size: bytes of results that follow.
    """
    return _pack7((size + 24) | LAST_FRAGMENT, xid, REPLY, MSG_ACCEPTED, 0, 0, SUCCESS)


def acceptError(xid: int, stat: int) -> bytes:
    """
    A whole reply with an C{accept_stat} that has no body.
    """
    return _pack7(24 | LAST_FRAGMENT, xid, REPLY, MSG_ACCEPTED, 0, 0, stat)


def programMismatch(xid: int, low: int, high: int) -> bytes:
    """
    A whole reply: the program is here, but not in that version.
    """
    return _pack9(
        32 | LAST_FRAGMENT, xid, REPLY, MSG_ACCEPTED, 0, 0, PROG_MISMATCH, low, high
    )


def rpcMismatch(xid: int) -> bytes:
    """
    A whole reply: only RPC version 2 is spoken here.
    """
    return _pack7(
        24 | LAST_FRAGMENT,
        xid,
        REPLY,
        MSG_DENIED,
        RPC_MISMATCH,
        RPC_VERSION,
        RPC_VERSION,
    )


def authError(xid: int, stat: int) -> bytes:
    """
    A whole reply: the credential or verifier is refused.
    """
    return _pack6(20 | LAST_FRAGMENT, xid, REPLY, MSG_DENIED, AUTH_ERROR, stat)


def callHeader(
    xid: int, program: int, version: int, procedure: int, credential: bytes, size: int
) -> bytes:
    """
    The record mark and header of a call.

    @param credential: credential and verifier as on the wire.
    @param size: bytes of arguments that follow.
    """
    mark = (size + 24 + len(credential)) | LAST_FRAGMENT
    fixed = _pack7(mark, xid, CALL, RPC_VERSION, program, version, procedure)
    return fixed + credential


@attrs.define(slots=True)
class CallHeader:
    """
    The header of a call, without its xid.

    @ivar flavor: of the credential; C{body} are its bytes.
    @ivar verifierFlavor: of the verifier; C{verifier} are its bytes.
    @ivar end: position of the arguments.
    """

    rpcvers: int
    program: int
    version: int
    procedure: int
    flavor: int
    body: bytes
    verifierFlavor: int
    verifier: bytes
    end: int


def parseCallHeader(record: Buffer) -> CallHeader:
    """
    Decode the header of a record that is a call.

    @raise RecordError: it is cut off or a length is over its limit.
    """
    try:
        _, _, rpcvers, prog, vers, proc, flavor, length = _call.unpack_from(record)
        body, pos = _opaque(record, 28)
        verifierFlavor = _U.unpack_from(record, pos)[0]
        verifier, pos = _opaque(record, pos + 4)
    except struct.error:
        raise RecordError("a call's header is cut off") from None
    return CallHeader(
        rpcvers, prog, vers, proc, flavor, body, verifierFlavor, verifier, pos
    )


def parseReply(record: Buffer) -> int:
    """
    Decode the header of a record that is a reply.

    @return: the position of the results.
    @raise RPCRefused: it carries an error.
    @raise BadReply: it does not decode.
    """
    try:
        status, first = struct.unpack_from(">II", record, 8)
        if status == MSG_ACCEPTED:
            _, pos = _opaque(record, 16)
            stat = _U.unpack_from(record, pos)[0]
            if stat == SUCCESS:
                return pos + 4
            if stat == PROG_MISMATCH:
                raise RPCRefused(
                    False, stat, 0, struct.unpack_from(">II", record, pos + 4)
                )
            if stat <= SYSTEM_ERR:
                raise RPCRefused(False, stat)
        elif status == MSG_DENIED:
            if first == RPC_MISMATCH:
                raise RPCRefused(True, first, 0, struct.unpack_from(">II", record, 16))
            if first == AUTH_ERROR:
                raise RPCRefused(True, first, _U.unpack_from(record, 16)[0])
    except (struct.error, RecordError):
        raise BadReply("a reply's header is cut off") from None
    raise BadReply("a reply's status is unknown")


def _opaque(record: Buffer, pos: int) -> tuple[bytes, int]:
    """
    The body of an C{opaque_auth} whose length is at C{pos}, and what follows it.
    """
    length = _U.unpack_from(record, pos)[0]
    if length > MAX_AUTH_BYTES:
        raise RecordError("a credential or verifier is too long")
    start = pos + 4
    end = start + (length + 3 & ~3)
    if end > len(record):
        raise RecordError("a credential or verifier is cut off")
    return bytes(record[start : start + length]), end
