# -*- test-case-name: tests.callbacks.test_recall_delegations -*-
"""
Recalling delegations, and asking their holders (RFC 8881, sections 10.2 and 10.4).

A recall begins when another client's access conflicts. CB_RECALL is sent until the
holder has answered that it will return the delegation: again after DELAY, and while
there is no way to reach the client. Whoever has asked for it is told DELAY and asks
again. It ends with

  - DELEGRETURN; or
  - the holder saying, several times, that it has no such delegation. Once is not
    enough: the reply that gave it may still be under way; or
  - the deadline: the delegation is revoked. If its holder has no open for writing
    beside it, its layouts go too, since they were the delegation's.

From the beginning of a recall, and for a while after its end, no delegation of the
file is given (L{pnfs.state.delegations}).

What was rejected: to keep the access waiting instead of saying DELAY (the client's
slot would be taken, perhaps the one it needs to return the delegation).
"""

from __future__ import annotations

from typing import Any, Optional

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pnfs.backends.errors import Unreachable
from pnfs.callbacks.channel import CallbackFailed, NoBackChannel
from pnfs.callbacks.delegation_ops import cbGetattr, cbRecall, decodeGetattr
from pnfs.callbacks.ops import cbRecallAny
from pnfs.callbacks.pacing import Turns
from pnfs.callbacks.proving import Proofs, failed
from pnfs.callbacks.wanted_delegations import WantedDelegations
from pnfs.interfaces import IDelegationRecaller
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.ops.unlinked import settleFile
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.coroutines import drive
from pnfs.state.delegations import DelegationState
from pnfs.state.files import FileState
from pnfs.state.layouts import opensForWriting
from pnfs.values import HeldAttributes

FIRST_DELAY = 0.1
LONGEST_DELAY = 1.0
"""Seconds between CB_RECALLs."""

TIMES_UNKNOWN = 5
"""So often has a client to say that it has no such delegation."""

ASK_SECONDS = 2.0
"""Who wants attributes does not wait longer for CB_GETATTR."""

PRESSURE_SECONDS = 5.0
"""Between two rounds of CB_RECALL_ANY."""

_UNKNOWN = frozenset({nfsstat4.NFS4ERR_BADHANDLE, nfsstat4.NFS4ERR_BAD_STATEID})
_READ_AND_WRITE = 3
"""RCA4_TYPE_MASK_RDATA_DLG and RCA4_TYPE_MASK_WDATA_DLG."""

_log = Logger()


class _Recall:
    """
    One delegation being recalled: C{DelegationState.recall}.

    @ivar end: how it ends.
    """

    def __init__(self, recaller: DelegationRecaller, held: DelegationState) -> None:
        self._recaller = recaller
        self._held = held
        self._delay = FIRST_DELAY
        self._unknown = 0
        self._again: Optional[IDelayedCall] = None
        self._stopped = False
        self.end = "returned"
        held.recall = self
        recaller.active.add(self)
        self._deadline = recaller.clock.callLater(recaller.deadlineSeconds, self._late)
        recaller.turns.add(self._send)

    def _send(self) -> None:
        self._again = None
        if self._stopped:
            return
        held = self._held
        op = cbRecall(held.stateid, False, held.file.fh)
        self._recaller.call(held.client, op, referring=held).addCallbacks(
            self._answered, self._unanswered
        )

    def _answered(self, status: int) -> None:
        if self._stopped or status == nfsstat4.NFS4_OK:
            return
        if status in _UNKNOWN:
            self._unknown += 1
            if self._unknown >= TIMES_UNKNOWN:
                self._recaller.forgotten(self._held)
                return
        self._later()

    def _unanswered(self, failure: Failure) -> None:
        if not isinstance(failure.value, CallbackFailed):
            _log.failure("CB_RECALL failed", failure)
        if not self._stopped:
            self._later()

    def _later(self) -> None:
        self._again = self._recaller.clock.callLater(self._delay, self._send)
        self._delay = min(LONGEST_DELAY, 2 * self._delay)

    def _late(self) -> None:
        self._recaller.revoke(self._held)

    def gone(self) -> None:
        """
        The delegation is held no more; told by the table.
        """
        self.stop()
        self._held.recall = None
        recaller = self._recaller
        recaller.active.discard(self)
        recaller.counts[self.end] += 1
        recaller.server.delegations.contend(self._held.file, recaller.clock.seconds())

    def stop(self) -> None:
        """
        Nothing more is sent.
        """
        self._stopped = True
        for timer in (self._again, self._deadline):
            if timer is not None and timer.active():
                timer.cancel()


@implementer(IDelegationRecaller)
class DelegationRecaller:
    """
    L{IDelegationRecaller} over the back channels of the clients.

    @ivar deadlineSeconds: how long a client may take to return a delegation.
    @ivar wanted: what clients wait for.
    @ivar turns: sends a few recalls per turn of the reactor: a file may have very many
        readers.
    @ivar active: the recalls under way.
    @ivar counts: delegations recalled so far by how that ended.
    """

    def __init__(
        self, server: ServerContext, deadlineSeconds: Optional[float] = None
    ) -> None:
        """
        @param server: its C{delegations} and C{channels} may be set later.
        @param deadlineSeconds: two leases if not given; never less than one.
        """
        self.server = server
        self.clock = server.clock
        self.active: set[_Recall] = set()
        self.turns = Turns(server.clock)
        self.counts = {"returned": 0, "forgotten": 0, "revoked": 0}
        lease = server.leaseSeconds
        self.deadlineSeconds = (
            2 * lease if deadlineSeconds is None else max(lease, deadlineSeconds)
        )
        proofs = self._proofs = Proofs(server.clock, self.call)
        self.prove = proofs.prove
        self.proof = proofs.proof
        self._pressed = -PRESSURE_SECONDS
        wanted = self.wanted = WantedDelegations(self)
        self.push = wanted.push
        self.signal = wanted.signal
        self.wants = wanted.wants
        self.cancelWant = wanted.cancel

    def call(self, client: Any, op: bytes, *more: Any, **options: Any) -> Deferred[Any]:
        """
        Send a callback.
        """
        channels = self.server.channels
        if channels is None:
            return fail(NoBackChannel())
        return channels.channelOf(client).call(  # type: ignore[no-any-return]
            op, *more, **options
        )

    # -- recalls -------------------------------------------------------------

    def recallConflicting(self, file: FileState, client: Any, write: bool) -> bool:
        """
        See L{IDelegationRecaller.recallConflicting}. A client whose lease is over is
        not asked but gives way: it loses all it holds.
        """
        table = self.server.delegations
        found = table.conflicting(file, client, write)
        if not found:
            return False
        clients = self.server.clients
        now = self.clock.seconds()
        silent = [held.client for held in found if clients.silent(held.client, now)]
        if silent:
            clients.giveWay(silent, now)
            found = table.conflicting(file, client, write)
        for held in found:
            self.recall(held)
        return bool(found)

    def recall(self, delegation: DelegationState) -> None:
        """
        See L{IDelegationRecaller.recall}.
        """
        if delegation.recall is None and delegation.revoked is None:
            self.server.delegations.contend(delegation.file, self.clock.seconds())
            _Recall(self, delegation)

    def forgotten(self, held: DelegationState) -> None:
        """
        The client says that it has no such delegation.
        """
        held.recall.end = "forgotten"
        self.server.delegations.drop(held)
        self.settle(held.file)

    def revoke(self, held: DelegationState) -> None:
        """
        The deadline has passed.
        """
        file = held.file
        _log.warn(
            "client {client!r} has not returned its delegation of fileid {fileid} "
            "after {seconds} s: revoked",
            client=held.client.owner,
            fileid=file.inode.fileid,
            seconds=self.deadlineSeconds,
        )
        held.recall.end = "revoked"
        self.server.delegations.revoke(held)
        if (
            held.writes
            and held.client.clientid in file.layouts
            and not opensForWriting(file, held.client)
        ):
            self.server.recaller.recallLayouts(file, "delegation revoked")
        self.settle(file)

    def settle(self, file: FileState) -> None:
        """
        See L{IDelegationRecaller.settle}.
        """
        if file.idle:
            drive(settleFile(self.server, file), _done, _unsettled)

    def clientGone(self, client: Any) -> None:
        """
        A listener for L{pnfs.state.clients.ClientTable}: the client's lease is over
        or it has restarted.
        """
        self._proofs.forget(client)
        self.wanted.clientGone(client)
        for file in self.server.delegations.dropClient(client):
            self.settle(file)

    # -- attributes ------------------------------------------------------------

    async def ask(self, delegation: DelegationState) -> HeldAttributes:
        """
        See L{IDelegationRecaller.ask}. All who ask at a time share one CB_GETATTR. A
        client whose lease is over is not asked.
        """
        client = delegation.client
        now = self.clock.seconds()
        if self.server.clients.silent(client, now):
            # Whoever asks will find that it has given way.
            self.server.clients.giveWay([client], now)
            return HeldAttributes()
        waiting: Deferred[HeldAttributes] = Deferred()
        if delegation.query is None:
            delegation.query = [waiting]
            op = cbGetattr(delegation.file.fh, delegation.timestamps)
            self.call(
                delegation.client, op, decodeGetattr, ASK_SECONDS, delegation
            ).addBoth(self._told, delegation)
        else:
            delegation.query.append(waiting)
        return await waiting

    def _told(self, result: Any, delegation: DelegationState) -> None:
        waiting, delegation.query = delegation.query, None
        if failed(result, "CB_GETATTR"):
            result = None
        if result is None:
            if delegation.other in delegation.client.delegations:
                self.recall(delegation)
            for each in waiting:
                each.errback(Unreachable("the holder of a delegation does not answer"))
            return
        for each in waiting:
            each.callback(result)

    # -- pressure --------------------------------------------------------------

    def press(self) -> None:
        """
        Nearly as many delegations are held as may be: ask those who hold most to
        give back half of them (CB_RECALL_ANY, RFC 8881, section 20.6).
        """
        now = self.clock.seconds()
        if now < self._pressed + PRESSURE_SECONDS:
            return
        self._pressed = now
        clients = [client for client in self.server.clients if client.delegations]
        if not clients:
            return
        average = self.server.delegations.count / len(clients)
        for client in clients:
            held = len(client.delegations)
            if held >= average:
                op = cbRecallAny(held // 2, _READ_AND_WRITE)
                self.call(client, op).addBoth(failed, "CB_RECALL_ANY")

    def stop(self) -> None:
        """
        The server stops: no more timers.
        """
        self.wanted.stop()
        self.turns.stop()
        for recall in self.active:
            recall.stop()
        self.active.clear()
        self._proofs.stop()


def _done(result: None) -> None:
    """
    Nobody waits for it.
    """


def _unsettled(error: Exception) -> None:
    _log.failure(
        "state of a file could not be settled",
        Failure(error),  # type: ignore[no-untyped-call]
    )
