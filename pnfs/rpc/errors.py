# -*- test-case-name: tests.rpc -*-
"""
What goes wrong in ONC RPC.
"""

from __future__ import annotations

from typing import Optional


class RPCError(Exception):
    """
    The base of all errors of this package.
    """


class RecordError(RPCError):
    """
    The peer breaks the rules of record marking or sends what is no RPC message:
    the connection cannot go on.
    """


class GarbageArgs(RPCError):
    """
    To be raised by a procedure: its arguments do not decode (GARBAGE_ARGS).
    """


class AuthError(RPCError):
    """
    To be raised by a procedure or a credential's parser: MSG_DENIED, AUTH_ERROR.

    @ivar stat: an C{auth_stat} (RFC 5531, section 9).
    """

    def __init__(self, stat: int) -> None:
        super().__init__(f"auth_stat {stat}")
        self.stat = stat


class CallFailed(RPCError):
    """
    The base of what a call to a peer can end with other than results.
    """


class CallTimeout(CallFailed):
    """
    No reply in time. The peer may have executed the call, or may yet do so.
    """


class ConnectionClosed(CallFailed):
    """
    The connection ended, or could not be made, before the reply came.
    """


class BadReply(CallFailed):
    """
    The reply does not decode.
    """


class RPCRefused(CallFailed):
    """
    The peer answered, but with an RPC error instead of results.

    @ivar denied: MSG_DENIED rather than MSG_ACCEPTED.
    @ivar stat: C{accept_stat}, or if denied C{reject_stat} (RFC 5531, section 9).
    @ivar detail: the C{auth_stat} of an AUTH_ERROR.
    @ivar versions: lowest and highest version of a PROG_MISMATCH or RPC_MISMATCH.
    """

    def __init__(
        self,
        denied: bool,
        stat: int,
        detail: int = 0,
        versions: Optional[tuple[int, int]] = None,
    ) -> None:
        super().__init__(
            f"{'denied' if denied else 'refused'}: stat {stat}, detail {detail}"
        )
        self.denied = denied
        self.stat = stat
        self.detail = detail
        self.versions = versions
