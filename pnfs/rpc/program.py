# -*- test-case-name: tests.rpc.test_peer -*-
"""
What an RPC program is to the layers above: numbered procedures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Coroutine, Union

import attrs

from pnfs.rpc.errors import AuthError, GarbageArgs
from pnfs.rpc.message import Buffer
from pnfs.values import Credential, Piece

if TYPE_CHECKING:
    from pnfs.rpc.peer import Peer

__all__ = ["AuthError", "Call", "GarbageArgs", "Procedure", "Program", "null"]


class Call:
    """
    One request while it is being served.

    @ivar xid: the caller's number for it.
    @ivar credential: who calls; the same object for the same bytes during a
        connection.
    @ivar connection: the L{Peer} it came from.
    @ivar received: length of the whole record in bytes.
    @ivar retained: to be set to True by a procedure that keeps the request's
        buffer, or a view of it, beyond its answer; the buffer is then not used
        again.
    """

    __slots__ = ("xid", "credential", "connection", "received", "retained")

    def __init__(
        self, xid: int, credential: Credential, connection: "Peer", received: int
    ) -> None:
        self.xid = xid
        self.credential = credential
        self.connection = connection
        self.received = received
        self.retained = False


Results = list[Piece]
Procedure = Callable[[Call, Buffer, int], Union[Results, Coroutine[Any, Any, Results]]]
"""
A procedure takes the call, the record and the position of its arguments in it.
It returns the XDR pieces of its results, or a coroutine that does: one that does
not really wait is answered at once.

The record is C{bytes} if it is small, else a C{memoryview} of a buffer that is
used again after the answer. A raised L{GarbageArgs} or
L{pnfs.xdr.errors.XDRError} becomes GARBAGE_ARGS, an L{AuthError} AUTH_ERROR;
everything else is logged and becomes SYSTEM_ERR.
"""


@attrs.define(slots=True, eq=False)
class Program:
    """
    An RPC program.

    @ivar number: as registered with IANA.
    @ivar versions: per version the procedures by number.
    """

    number: int
    versions: dict[int, dict[int, Procedure]]


def null(call: Call, buf: Buffer, pos: int) -> Results:
    """
    The NULL procedure, which every program has as number 0.
    """
    return []
