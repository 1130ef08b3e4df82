# -*- test-case-name: tests.nfs4.test_operation -*-
"""
How an operation is declared.

An operation's C{run(ctx, buf, pos)} decodes its arguments at C{pos}, does its
work, appends its whole C{nfs_resop4} (number, status NFS4_OK, result) to
C{ctx.out} and returns the position after its arguments; or it returns an
awaitable of that position. It raises to fail: L{pnfs.nfs4.status.NFSError}, an
exception that L{pnfs.nfs4.status.statusOf} knows, or a decoding error.

L{operation} builds C{run} from attrs types and a handler, which is the form to
prefer; L{hotOperation} takes a hand-written C{run}, for those on the hot path.
"""

from __future__ import annotations

import inspect
import struct
from typing import Any, Awaitable, Callable, Optional, Union

import attrs

from pnfs.xdr.codec import codecFor

Run = Callable[[Any, Any, int], Union[int, Awaitable[int]]]


@attrs.frozen(eq=False)
class Operation:
    """
    One operation of the protocol.

    @ivar number: its C{nfs_opnum4}; name: without C{OP_}.
    @ivar run: see the module.
    @ivar handler: the function that does the work.
    @ivar errors: the names of the statuses it may end with (RFC 8881, section
        15.2), as L{pnfs.nfs4.status.nfsstat4}.
    @ivar modifies: it changes something, so its reply must be known to fit
        before it runs.
    @ivar minor: the first minor version that has it.
    @ivar sessionless: it may stand without SEQUENCE, as the only operation.
    @ivar errorBody: what stands after the status of an error that has no body of
        its own. Only SETATTR4res has something there in all cases.
    """

    number: int
    name: str
    run: Run
    handler: Callable[..., Any]
    errors: frozenset[int]
    modifies: bool = False
    minor: int = 1
    sessionless: bool = False
    errorBody: bytes = b""


def okHeader(number: int) -> bytes:
    """
    The start of a successful C{nfs_resop4}.
    """
    return struct.pack(">II", number, 0)


def operation(
    number: int,
    name: str,
    args: Any = None,
    resok: Any = None,
    errors: frozenset[Any] = frozenset(),
    modifies: bool = False,
    minor: int = 1,
    sessionless: bool = False,
    errorBody: bytes = b"",
) -> Callable[[Callable[..., Any]], Operation]:
    """
    Declare an operation by its types.

    The handler is called with the context, and the decoded arguments if there are
    any; it returns C{resok}, or None if that is void. It may be a coroutine
    function.
    """
    decode = None if args is None else codecFor(args).decode
    encode = None if resok is None else codecFor(resok).encode
    header = okHeader(number)

    def declare(handler: Callable[..., Any]) -> Operation:
        waits = inspect.iscoroutinefunction(handler)

        def finish(ctx: Any, result: Any) -> None:
            ctx.out.append(header if encode is None else header + encode(result))

        async def wait(ctx: Any, arguments: tuple[Any, ...], pos: int) -> int:
            finish(ctx, await handler(ctx, *arguments))
            return pos

        def run(ctx: Any, buf: Any, pos: int) -> Union[int, Awaitable[int]]:
            arguments: tuple[Any, ...] = ()
            if decode is not None:
                value, pos = decode(buf, pos)
                arguments = (value,)
            if waits:
                return wait(ctx, arguments, pos)
            finish(ctx, handler(ctx, *arguments))
            return pos

        return Operation(
            number,
            name,
            run,
            handler,
            errors,
            modifies,
            minor,
            sessionless,
            errorBody,
        )

    return declare


def hotOperation(
    number: int,
    name: str,
    errors: frozenset[Any] = frozenset(),
    modifies: bool = False,
    minor: int = 1,
    sessionless: bool = False,
    errorBody: bytes = b"",
) -> Callable[[Run], Operation]:
    """
    Declare an operation by its C{run}.
    """

    def declare(run: Run) -> Operation:
        return Operation(
            number,
            name,
            run,
            run,
            errors,
            modifies,
            minor,
            sessionless,
            errorBody,
        )

    return declare


def tableOf(
    *operations: Operation, minor: Optional[int] = None
) -> dict[int, Operation]:
    """
    Operations by number, those of a minor version only if it is given.
    """
    return {op.number: op for op in operations if minor is None or op.minor <= minor}
