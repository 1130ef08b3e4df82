# -*- test-case-name: tests.state.test_recovery -*-
"""
The grace period (RFC 8881, section 8.4.2): after a restart only reclaims, until
those who may reclaim have done so or the time is over.

Who may reclaim is whoever the recovery store has recorded. A client is recorded
before it can hold any state, and struck out when it has lost it all: at the end
of its lease, at DESTROY_CLIENTID, or when it has not come back by the end of the
grace period. The last is what keeps it from reclaiming, after the next restart,
locks that others have held since.

If nobody is recorded there is no grace period at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pnfs.state.errors import CompleteAlready, Grace as InGrace, NoGrace, ReclaimBad

if TYPE_CHECKING:
    from pnfs.state.clients import Client


class Grace:
    """
    Who may reclaim, and until when.

    @ivar until: the end of the grace period at the latest, on the monotonic clock.
    """

    def __init__(self, store: Any, now: float, graceSeconds: float) -> None:
        """
        @param store: L{pnfs.interfaces.IRecoveryStore} whose epoch has begun, or
            None on a server that keeps nothing.
        """
        self._store = store
        recorded = {} if store is None else store.clients()
        self._may = {owner for owner, may in recorded.items() if may}
        self._absent = set(self._may)
        self._waiting = set(self._may)
        self.until = now + graceSeconds
        self._active = bool(self._waiting)

    @property
    def waiting(self) -> int:
        """
        How many recorded clients have not finished reclaiming.
        """
        return len(self._waiting) if self._active else 0

    def inGrace(self, now: float) -> bool:
        """
        Is the grace period still running? Ends it if its time is over.
        """
        if not self._active:
            return False
        if now >= self.until:
            self._end()
            return False
        return True

    def _end(self) -> None:
        self._active = False
        self._waiting.clear()
        self._may.clear()
        for owner in self._absent:
            self._store.removeClient(owner)
        self._absent.clear()

    def admit(self, client: Client) -> None:
        """
        A client is being confirmed: record it, durably, before it is told.
        """
        if self._store is not None:
            self._store.addClient(client.owner)
        self._absent.discard(client.owner)
        client.mayReclaim = client.owner in self._may

    def dismiss(self, client: Client) -> None:
        """
        A client is gone with all its state: it has nothing to reclaim.
        """
        owner = client.owner
        self._may.discard(owner)
        self._absent.discard(owner)
        if self._store is not None:
            self._store.removeClient(owner)
        self._completed(owner)

    def complete(self, client: Client, now: float) -> None:
        """
        RECLAIM_COMPLETE for everything.

        @raise CompleteAlready: it has said so before.
        """
        if client.reclaimComplete:
            raise CompleteAlready()
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

    def _completed(self, owner: bytes) -> None:
        self._waiting.discard(owner)
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


def noGrace() -> Grace:
    """
    For a server that keeps no state to reclaim.
    """
    return Grace(None, 0.0, 0.0)
