# -*- test-case-name: tests.callbacks.test_notify -*-
"""
CB_NOTIFY_LOCK (RFC 8881, section 20.11): the lock that you wait for may be had now.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.callbacks.channel import CallbackFailed
from pnfs.callbacks.ops import cbNotifyLock
from pnfs.nfs4.context import ServerContext
from pnfs.state.waiting import Waiter

_log = Logger()


class LockNotifier:
    """
    Tells clients whose turn it is: C{WaitingTable.onTurn}.
    """

    def __init__(self, server: ServerContext) -> None:
        self._server = server

    def turn(self, waiter: Waiter) -> None:
        """
        Tell the client. If it cannot be told it finds out when it asks again; if it
        has no use for it, the next has its turn.
        """
        server = self._server
        client = waiter.open.client
        reachable = any(session.reachable for session in client.sessions.values())
        if server.channels is None or not reachable:
            return
        file = waiter.open.file
        op = cbNotifyLock(file.fh, client.clientid, waiter.owner)
        called = server.channels.channelOf(client).call(
            op, timeout=server.waiting.turnSeconds
        )

        def answered(status: int) -> None:
            if status and file.waiters is not None:
                file.waiters.withdraw(waiter)

        called.addCallbacks(answered, _unanswered)


def _unanswered(failure: Failure) -> Any:
    if not isinstance(failure.value, CallbackFailed):
        _log.failure("CB_NOTIFY_LOCK failed", failure)
