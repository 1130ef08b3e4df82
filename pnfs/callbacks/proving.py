# -*- test-case-name: tests.callbacks.test_proving -*-
"""
Does a client answer callbacks? A delegation that could not be recalled would stand in
the way of others for a lease or more, so none is given before the client has answered
something (RFC 8881, section 10.2). It is sent a CB_SEQUENCE alone, as soon as it has a
back channel: by the time it opens a file it has mostly answered.

An OPEN does not wait for that, unless its sender wants a delegation in so many words;
and then not for long.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.callbacks.channel import CallbackFailed

WAIT_SECONDS = 0.5
"""How long who wants a delegation waits for the proof at most."""

_log = Logger()


class _Proof:
    """
    A client that is being asked.
    """

    def __init__(self, timer: IDelayedCall) -> None:
        self.timer = timer
        self.waiting: dict[Deferred[None], IDelayedCall] = {}

    def end(self) -> None:
        """
        It is over: those who wait go on.
        """
        if self.timer.active():
            self.timer.cancel()
        waiting, self.waiting = self.waiting, {}
        for each, timer in waiting.items():
            if timer.active():
                timer.cancel()
            each.callback(None)


class Proofs:
    """
    Clients that are being asked whether they answer.
    """

    def __init__(
        self, clock: IReactorTime, call: Callable[[Any, bytes], Deferred[Any]]
    ) -> None:
        """
        @param call: sends a callback to a client; an empty one is CB_SEQUENCE alone.
        """
        self._clock = clock
        self._call = call
        self._proofs: dict[Any, _Proof] = {}

    def prove(self, client: Any) -> None:
        """
        See L{pnfs.interfaces.IDelegationRecaller.prove}. Not at once: the client must
        have our reply to CREATE_SESSION first.
        """
        if not (client.backProven or client.backDown or client in self._proofs):
            timer = self._clock.callLater(0, self._ask, client)
            self._proofs[client] = _Proof(timer)

    def _ask(self, client: Any) -> None:
        def ended(result: Any) -> None:
            failed(result, "CB_SEQUENCE")
            self.forget(client)

        self._call(client, b"").addBoth(ended)

    def proof(self, client: Any) -> Optional[Deferred[None]]:
        """
        See L{pnfs.interfaces.IDelegationRecaller.proof}.
        """
        proof = self._proofs.get(client)
        if proof is None:
            return None

        def late() -> None:
            del proof.waiting[waiting]
            waiting.callback(None)

        waiting: Deferred[None] = Deferred()
        proof.waiting[waiting] = self._clock.callLater(WAIT_SECONDS, late)
        return waiting

    def forget(self, client: Any) -> None:
        """
        The client has answered, or will not any more.
        """
        proof = self._proofs.pop(client, None)
        if proof is not None:
            proof.end()

    def stop(self) -> None:
        """
        The server stops: no more timers.
        """
        for client in list(self._proofs):
            self.forget(client)


def failed(result: Any, name: str) -> bool:
    """
    Has a callback failed? Any reason but the client's silence is a defect.
    """
    if not isinstance(result, Failure):
        return False
    if not isinstance(result.value, CallbackFailed):
        _log.failure("{callback} failed", result, callback=name)
    return True
