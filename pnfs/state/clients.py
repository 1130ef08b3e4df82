# -*- test-case-name: tests.state.test_clients -*-
"""
Client records (RFC 8881, sections 2.4 and 18.35): who is known, and until when.

A record is made by EXCHANGE_ID and counts for nothing until CREATE_SESSION
confirms it. Only then does an earlier incarnation of the same owner lose its
state. Unconfirmed records are cheap to ask for, so their number is bounded: the
oldest gives way.

A client whose lease is over is not dropped at once but kept by courtesy, with its
sessions and all its state, until somebody else is in conflict with it (RFC 8881,
section 8.4.3), there are too many of its kind, or it has been away for too long. If
it comes back before, nothing has happened. Nothing marks such a client: its lease
is over, that is all, so that its return costs nothing.

What it may reclaim after a restart goes with it: that it is struck out of the
recovery store is durable before anybody gets what it held.
"""

from __future__ import annotations

import struct
from collections import deque
from heapq import nsmallest
from typing import Any, Callable, Collection, Iterator, Optional

import attrs

from pnfs.state.errors import (
    ClientidBusy,
    ClidInUse,
    Delay,
    NoSuchClient,
    NotSame,
    Perm,
    StaleClientid,
)
from pnfs.state.recovery import Grace

_unpackNumber = struct.Struct(">I").unpack

PER_SWEEP = 1024
"""The most clients that go at a time, when a whole network was cut off."""

_ANSWERS = 16
"""How many refused LAYOUTGETs of a client are remembered."""

DEVICES_LIMIT = 65536
"""How many devices of a client are remembered."""

_EVICTED = 64
"""How many clients kept by courtesy go at a time to make room for new ones."""

Principal = tuple[int, int]
"""Who made a record: RPC flavour and uid."""


@attrs.define(eq=False)
class Client:
    """
    One incarnation of a client.

    @ivar clientid: 64 bits, never used again.
    @ivar owner: C{co_ownerid}; verifier: C{co_verifier}.
    @ivar confirmed: CREATE_SESSION has been done with it.
    @ivar sequence: C{csa_sequence} of the last CREATE_SESSION; createReply: its
        status and result, to be repeated, or the digest of what was refused.
    @ivar sessions: its sessions by id.
    @ivar renewed: when it last spoke, on the monotonic clock.
    @ivar leaseSeconds: the lease when it was confirmed: it may have been told so.
    @ivar mayReclaim: it held state when the server went down.
    @ivar reclaimComplete: it has said RECLAIM_COMPLETE for everything.
    @ivar completedFS: exports for which it has said so alone.
    @ivar gone: it is no client any more; what it has open is about to be dropped.
    @ivar opens: L{pnfs.state.opens.OpenState}s it holds.
    @ivar layouts: L{pnfs.state.layouts.LayoutState}s it holds.
    @ivar delegations: L{pnfs.state.delegations.DelegationState}s it holds.
    @ivar copies: L{pnfs.state.copies.CopyState}s by C{other}.
    @ivar owners: for the open table, by open owner.
    @ivar revoked: recallable states revoked and not yet freed.
    @ivar backDown: callbacks do not get through to it, or not to one of the
        sessions it wants them on.
    @ivar backProven: it has answered a callback since they last did not get through.
    @ivar protection: what was agreed for SP4_MACH_CRED (C{spo_must_enforce},
        C{spo_must_allow}); None for SP4_NONE. Fixed once confirmed.
    @ivar channel: its L{pnfs.callbacks.channel.BackChannel}, if it ever had one.
    @ivar flags: C{eia_flags}: what it wants to be to us.
    @ivar asked: layout types that it has asked for.
    @ivar answers: its last LAYOUTGETs that were refused, as (when, filehandle,
        status); None if there were none.
    @ivar devices: device IDs it was given and wants to be told of when they are
        deleted; None if there were none.
    @ivar implementation: C{eia_client_impl_id}: domain and name, for operators.
    """

    clientid: int
    owner: bytes
    verifier: bytes
    principal: Principal
    renewed: float
    leaseSeconds: float = 0.0
    confirmed: bool = False
    gone: bool = False
    sequence: int = 0
    createReply: Optional[tuple[int, bytes]] = None
    sessions: dict[bytes, Any] = attrs.Factory(dict)
    mayReclaim: bool = False
    reclaimComplete: bool = False
    completedFS: tuple[Any, ...] = ()
    opens: dict[Any, None] = attrs.Factory(dict)
    layouts: dict[Any, Any] = attrs.Factory(dict)
    delegations: dict[Any, Any] = attrs.Factory(dict)
    copies: dict[bytes, Any] = attrs.Factory(dict)
    owners: dict[bytes, Any] = attrs.Factory(dict)
    revoked: int = 0
    backDown: bool = True
    backProven: bool = False
    protection: Optional[tuple[int, int]] = None
    channel: Any = None
    implementation: tuple[bytes, bytes] = (b"", b"")
    flags: int = 0
    asked: tuple[int, ...] = ()
    answers: Optional[deque[tuple[float, bytes, int]]] = None
    devices: Optional[set[bytes]] = None

    def refused(self, when: float, fh: bytes, status: int) -> None:
        """
        Remember a LAYOUTGET that was refused, for operators.
        """
        if self.answers is None:
            self.answers = deque(maxlen=_ANSWERS)
        self.answers.append((when, fh, status))

    def wantsDeviceNews(self, deviceid: bytes, wanted: bool) -> None:
        """
        It does, or does not, want to be told when a device is deleted.
        """
        if wanted:
            if self.devices is None:
                self.devices = set()
            if len(self.devices) >= DEVICES_LIMIT:
                # One that the server has long forgotten, most likely.
                self.devices.pop()
            self.devices.add(deviceid)
        elif self.devices is not None:
            self.devices.discard(deviceid)

    @property
    def hasState(self) -> bool:
        """
        Opens, layouts or delegations are held; locks only with opens.
        """
        return bool(self.opens or self.layouts or self.delegations)

    @property
    def busy(self) -> bool:
        """
        A request of it is being served.
        """
        return any(session.busy for session in self.sessions.values())


class ClientTable:
    """
    All client records of a server.

    @ivar listeners: called with each client whose state is to be dropped, for
        whatever reason. They clear C{layouts}, C{delegations} and C{sessions}, and
        soon C{opens}.
    @ivar leaseSeconds: how long a client may be silent. A client that was promised
        more keeps it for as long as it is known.
    @ivar courtesySeconds: how long a silent client is kept if nobody minds; 0: it
        goes when its lease is over.
    """

    def __init__(
        self,
        epoch: int,
        entropy: Callable[[int], bytes],
        leaseSeconds: float,
        recovery: Optional[Grace] = None,
        maxUnconfirmed: int = 1024,
        maxClients: int = 262144,
        courtesySeconds: float = 0.0,
        maxCourtesy: int = 8192,
    ) -> None:
        """
        @param epoch: number of this start of the server: the high half of its
            clientids, so that none repeats. The low half starts at random, so
            that no two servers give a client the same one.
        @param recovery: told who confirms and who goes.
        @param maxCourtesy: how many silent clients are kept at the most.
        """
        self.leaseSeconds = leaseSeconds
        self.courtesySeconds = courtesySeconds
        self.listeners: list[Callable[[Client], None]] = []
        self._high = (epoch & 0xFFFFFFFF) << 32
        self._low: int = _unpackNumber(entropy(4))[0]
        self._recovery = recovery
        self._maxUnconfirmed = maxUnconfirmed
        self._maxClients = maxClients
        self._maxCourtesy = maxCourtesy
        self._byId: dict[int, Client] = {}
        self._confirmed: dict[bytes, Client] = {}
        self._unconfirmed: dict[bytes, Client] = {}

    def __len__(self) -> int:
        return len(self._confirmed)

    def __iter__(self) -> Iterator[Client]:
        """
        The confirmed clients.
        """
        return iter(list(self._confirmed.values()))

    def find(self, clientid: int) -> Client:
        """
        The record of a clientid, confirmed or not.

        @raise StaleClientid: there is none.
        """
        client = self._byId.get(clientid)
        if client is None:
            raise StaleClientid()
        return client

    def exchange(
        self,
        owner: bytes,
        verifier: bytes,
        principal: Principal,
        update: bool,
        now: float,
    ) -> Client:
        """
        The record that an EXCHANGE_ID asks for, by the cases of RFC 8881, section
        18.35.5.

        @param update: EXCHGID4_FLAG_UPD_CONFIRMED_REC_A was set (cases 6 to 9).
        @raise NoSuchClient: @raise NotSame: @raise Perm: an update that does not fit.
        @raise ClidInUse: another principal's live client has this owner (case 3).
        @raise Delay: that client cannot be dropped now.
        """
        known = self._confirmed.get(owner)
        if update:
            if known is None:
                raise NoSuchClient()
            if known.verifier != verifier:
                raise NotSame()
            if known.principal != principal:
                raise Perm()
            return known
        if known is not None:
            if known.principal != principal:
                if (known.hasState or known.sessions) and not self.silent(known, now):
                    raise ClidInUse()
                # Case 3: a chance collision with one that holds nothing any more.
                # It goes now, not when the new one confirms.
                self._remove([known])
            elif known.verifier == verifier:
                return known
        earlier = self._unconfirmed.pop(owner, None)
        if earlier is not None:
            del self._byId[earlier.clientid]
        elif len(self._unconfirmed) >= self._maxUnconfirmed:
            oldest = self._unconfirmed.pop(next(iter(self._unconfirmed)))
            del self._byId[oldest.clientid]
        client = Client(self._newClientid(), owner, verifier, principal, now)
        self._byId[client.clientid] = client
        self._unconfirmed[owner] = client
        return client

    def _newClientid(self) -> int:
        while True:
            self._low = (self._low + 1) & 0xFFFFFFFF
            clientid = self._high | self._low
            if clientid not in self._byId:
                return clientid

    def confirm(self, client: Client, now: float) -> None:
        """
        CREATE_SESSION has come for it: from now on it may hold state, which its
        owner's earlier incarnation loses.

        @raise Delay: there are too many clients, or a request of the earlier
            incarnation is still being served: it must not find its state gone, or
            leave some behind.
        """
        client.renewed = now
        recovery = self._recovery
        if client.confirmed:
            if recovery is not None:
                recovery.admit(client, now)
            return
        owner = client.owner
        earlier = self._confirmed.get(owner)
        if earlier is None:
            if len(self._confirmed) >= self._maxClients:
                self._makeRoom(now)
        else:
            self.revoke(earlier)
        if recovery is not None:
            recovery.admit(client, now)
        self._unconfirmed.pop(owner, None)
        client.confirmed = True
        client.leaseSeconds = self.leaseSeconds
        self._confirmed[owner] = client

    def destroy(self, client: Client) -> None:
        """
        DESTROY_CLIENTID.

        @raise ClientidBusy: it still has sessions or state.
        @raise Delay: it cannot be struck out now.
        """
        if client.sessions or client.hasState:
            raise ClientidBusy()
        self._remove([client])

    def silent(self, client: Client, now: float) -> bool:
        """
        Is the lease of a confirmed client over? A client with a request being served
        is not silent.
        """
        lease = max(client.leaseSeconds, self.leaseSeconds)
        return now > client.renewed + lease and not client.busy

    def giveWay(self, clients: Collection[Client], now: float) -> bool:
        """
        Somebody is in conflict with what these clients hold. If the leases of all of
        them are over, they lose everything; if one is alive, the conflict stays, so
        the others need not lose anything either. Some may be gone already, whose
        opens are still being dropped.

        @return: they are gone.
        @raise Delay: they cannot be struck out now.
        """
        known = [client for client in clients if not client.gone]
        for client in known:
            if not self.silent(client, now):
                return False
        self._remove(known)
        return True

    def expire(self, now: float) -> list[Client]:
        """
        Look after the clients whose leases are over; to be called every few seconds.

        Kept by courtesy is whoever has a session or state that nobody else wants,
        the latest to fall silent first if there are too many. Who has been silent
        since before the end of the grace period, without having finished its
        reclaims, has no claim on courtesy: it is not recorded any more.

        Of very many that are to go, some go next time.

        @return: the confirmed clients that have gone, with all they held.
        """
        limit = now - self.leaseSeconds
        for client in list(self._unconfirmed.values()):
            if client.renewed >= limit:
                break
            self._forget(client)
        late = now - max(self.courtesySeconds, self.leaseSeconds)
        recovery = self._recovery
        inGrace = recovery is not None and recovery.inGrace(now)
        gone = []
        kept = []
        for client in self._confirmed.values():
            if client.renewed >= limit or not self.silent(client, now):
                continue
            if (
                client.renewed < late
                or not (client.sessions or client.hasState)
                or not (client.reclaimComplete or inGrace)
            ):
                gone.append(client)
            else:
                kept.append(client)
        if len(kept) > self._maxCourtesy:
            gone += nsmallest(len(kept) - self._maxCourtesy, kept, _byRenewal)
        del gone[PER_SWEEP:]
        try:
            self._remove(gone)
        except Delay:
            return []
        return gone

    def _makeRoom(self, now: float) -> None:
        """
        Memory is short of room for another client.

        @raise Delay: all clients are alive.
        """
        silent = [each for each in self._confirmed.values() if self.silent(each, now)]
        if not silent:
            raise Delay()
        self._remove(nsmallest(_EVICTED, silent, _byRenewal))

    def revoke(self, client: Client) -> None:
        """
        Drop a client with all it holds, by order of the administrator, or since it
        has restarted.

        @raise Delay: a request of it is being served.
        """
        if client.busy:
            raise Delay()
        self._remove([client])

    def _remove(self, clients: Collection[Client]) -> None:
        """
        Take everything from clients, none of them busy.

        @raise Delay: they cannot be struck out; nothing has changed.
        """
        if not clients:
            return
        known = self._confirmed
        self._strike([each for each in clients if known.get(each.owner) is each])
        for client in clients:
            self._forget(client)
            for listener in self.listeners:
                listener(client)

    def _strike(self, clients: Collection[Client]) -> None:
        if self._recovery is not None:
            self._recovery.dismiss(*clients)

    def _forget(self, client: Client) -> None:
        client.gone = True
        self._byId.pop(client.clientid, None)
        owner = client.owner
        if self._unconfirmed.get(owner) is client:
            del self._unconfirmed[owner]
        if self._confirmed.get(owner) is client:
            del self._confirmed[owner]


def _byRenewal(client: Client) -> float:
    return client.renewed
