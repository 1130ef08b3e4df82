# -*- test-case-name: tests.state.test_recovery -*-
"""
The grace period (RFC 8881, section 8.4.2): after a restart only reclaims, until
those who may reclaim have done so or the time is over.

Who may reclaim is whoever the recovery store has recorded. A client is recorded
when it says RECLAIM_COMPLETE, since it gets no new state before, and struck out

  - when it has lost its state: somebody was in conflict with it after the end of
    its lease, it has restarted, or it has said DESTROY_CLIENTID;
  - when the grace period ends and it has not finished, whether it has come back or
    not. Others may get what it has not reclaimed from then on.

Each of these is durable before anybody gets what the client held, so a client
never reclaims, after the next restart, a lock that somebody else has held since:
the edge conditions of RFC 8881, section 8.4.3. Whoever was recorded when the
server went down stays so until the grace period has ended, however often it goes
down meanwhile.

While those who were recorded keep coming back and reclaiming, the grace period is
extended: a client that was late, or has much, is not stopped in the midst of it, and
very many clients may come one after the other. No client extends it beyond twice its
length, unless it came back late: then for that length from there. Nor do all together
beyond L{LONGEST_SECONDS}, or twice its length (docs/adr/0007).

A client learns of a restart at the latest when it renews its lease, so the grace
period lasts for the longest lease promised before the restart at least; the store
remembers that too. If nobody is recorded there is no grace period at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from pnfs.backends.errors import BackendError
from pnfs.state.errors import CompleteAlready, Delay, NoGrace, ReclaimBad
from pnfs.state.errors import Grace as InGrace

if TYPE_CHECKING:
    from pnfs.state.clients import Client

RECLAIM_PAUSE = 2.0
"""Seconds without a sign of recovery that the grace period is extended by."""

LONGEST_SECONDS = 300.0
"""After that the grace period is over, or after twice its length if that is longer."""

_log = Logger()


class Grace:
    """
    Who may reclaim, and until when.

    @ivar until: the end of the grace period if nobody is reclaiming then, on the
        monotonic clock.
    """

    def __init__(
        self, store: Any, now: float, graceSeconds: float, leaseSeconds: float = 0.0
    ) -> None:
        """
        @param store: L{pnfs.interfaces.IRecoveryStore} whose epoch has begun, or
            None on a server that keeps nothing.
        @param leaseSeconds: what clients are promised from now on.
        """
        self._store = store
        recorded = {} if store is None else store.clients()
        self._may = {owner for owner, may in recorded.items() if may}
        self._waiting = set(self._may)
        self._back: dict[bytes, float] = {}
        self._began = now
        self._leaseSeconds = leaseSeconds
        self._promised: float = 0.0 if store is None else store.promisedLease()
        self.until = now + max(graceSeconds, self._promised)
        self._recorded = frozenset(self._may)
        self._extended = now
        self._active = bool(self._waiting)
        if leaseSeconds > self._promised or not self._active:
            self._promise(leaseSeconds)

    @property
    def waiting(self) -> int:
        """
        How many recorded clients have not finished reclaiming.
        """
        return len(self._waiting) if self._active else 0

    def setGrace(self, graceSeconds: float) -> None:
        """
        The grace period under way shall last so long in all; without one there is
        nothing to change.
        """
        self.until = self._began + max(graceSeconds, self._promised)

    def setLease(self, leaseSeconds: float) -> None:
        """
        Clients are promised another lease from now on. A shorter one is noted when
        the next grace period is over: until then some may rely on the longer.

        @raise BackendError: a longer one cannot be noted, so must not be promised.
        """
        if leaseSeconds > self._promised:
            self._promise(leaseSeconds)
        self._leaseSeconds = leaseSeconds

    def _promise(self, leaseSeconds: float) -> None:
        if self._store is not None and leaseSeconds != self._promised:
            self._store.promiseLease(leaseSeconds)
            self._promised = leaseSeconds

    def inGrace(self, now: float) -> bool:
        """
        Is the grace period still running? Ends it if its time is over.
        """
        if not self._active:
            return False
        if now < self.until:
            return True
        longest = max(2 * self.until - self._began, self._began + LONGEST_SECONDS)
        return now < min(self._extended, longest) or not self._end()

    def _goesOn(self, owner: bytes, now: float) -> None:
        """
        A recorded client recovers: that extends the grace period, in its time.
        """
        back = self._back.setdefault(owner, now)
        latest = max(self.until, back) + self.until - self._began
        self._extended = max(self._extended, min(now + RECLAIM_PAUSE, latest))

    def _end(self) -> bool:
        """
        Strike out who has not finished, then let the others go on.

        @return: False if the store fails: the grace period lasts until it works.
        """
        try:
            self._store.removeClients(self._waiting)
            self._promise(self._leaseSeconds)
        except BackendError as error:
            _log.error("the grace period cannot be ended yet: {error}", error=error)
            return False
        self._active = False
        self._waiting.clear()
        self._may.clear()
        self._back.clear()
        self._recorded = frozenset()
        return True

    def admit(self, client: Client, now: float) -> None:
        """
        A client makes a session. When that confirms it, it may reclaim if it is
        recorded.
        """
        owner = client.owner
        if not client.confirmed:
            client.mayReclaim = owner in self._may
        if owner in self._recorded and self.inGrace(now):
            self._goesOn(owner, now)

    def dismiss(self, *clients: Client) -> None:
        """
        Clients lose all their state: they have nothing to reclaim. Durable when it
        returns.

        @raise Delay: the store fails; nothing has changed.
        """
        owners = [client.owner for client in clients]
        if self._store is not None:
            try:
                self._store.removeClients(owners)
            except BackendError as error:
                _log.error("clients cannot be struck out: {error}", error=error)
                raise Delay() from error
        self._may.difference_update(owners)
        self._completed(*owners)

    def complete(self, client: Client, now: float) -> None:
        """
        RECLAIM_COMPLETE for everything: the client is recorded, durably, before it
        may get new state.

        @raise CompleteAlready: it has said so before.
        @raise Delay: the store fails; nothing has changed.
        """
        if client.reclaimComplete:
            raise CompleteAlready()
        if self._store is not None:
            try:
                self._store.addClient(client.owner)
            except BackendError as error:
                _log.error("a client cannot be recorded: {error}", error=error)
                raise Delay() from error
        client.reclaimComplete = True
        client.mayReclaim = False
        self._may.discard(client.owner)
        self._completed(client.owner)

    def completeFS(self, client: Client, export: Any) -> None:
        """
        RECLAIM_COMPLETE for one file system that has moved here. Nothing is
        reclaimed per file system; the global one is still to come.

        @raise CompleteAlready: it has said so before.
        """
        if export in client.completedFS:
            raise CompleteAlready()
        client.completedFS += (export,)

    def _completed(self, *owners: bytes) -> None:
        self._waiting.difference_update(owners)
        if self._active and not self._waiting:
            self._end()

    def checkOrdinary(self, client: Client, now: float) -> None:
        """
        May this client obtain new state? Also without a grace period it must have
        said RECLAIM_COMPLETE first (RFC 8881, section 18.51.3).

        @raise InGrace: not yet.
        """
        if not client.reclaimComplete or (self._active and self.inGrace(now)):
            raise InGrace()

    def checkReclaim(self, client: Client, now: float) -> None:
        """
        May this client reclaim state?

        @raise NoGrace: the time for it is over, for all or for this client.
        @raise ReclaimBad: there is no record that it held any.
        """
        if client.reclaimComplete or not self.inGrace(now):
            raise NoGrace()
        if not client.mayReclaim:
            raise ReclaimBad()
        self._goesOn(client.owner, now)


def noGrace() -> Grace:
    """
    For a server that keeps no state to reclaim.
    """
    return Grace(None, 0.0, 0.0)
