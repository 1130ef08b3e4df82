# -*- test-case-name: tests.state.test_clients -*-
"""
Client records (RFC 8881, sections 2.4 and 18.35): who is known, and until when.

A record is made by EXCHANGE_ID and counts for nothing until CREATE_SESSION
confirms it. Only then does an earlier incarnation of the same owner lose its
state. Unconfirmed records are cheap to ask for, so their number is bounded: the
oldest gives way.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Iterator, Optional

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
        status and result, to be repeated.
    @ivar sessions: its sessions by id.
    @ivar renewed: when it last spoke, on the monotonic clock.
    @ivar mayReclaim: it held state when the server went down.
    @ivar reclaimComplete: it has said RECLAIM_COMPLETE for everything.
    @ivar completedFS: exports for which it has said so alone.
    @ivar opens: L{pnfs.state.opens.OpenState}s it holds.
    @ivar locks: L{pnfs.state.locks.LockState}s it holds.
    @ivar layouts: L{pnfs.state.layouts.LayoutState}s it holds.
    @ivar owners: for the open table, by open owner.
    @ivar revoked: recallable states revoked and not yet freed.
    @ivar adminRevoked: other states revoked by order and not yet freed.
    @ivar backDown: callbacks do not get through to it, or not to one of the
        sessions it wants them on.
    @ivar channel: its L{pnfs.callbacks.channel.BackChannel}, if it ever had one.
    @ivar implementation: C{eia_client_impl_id}: domain and name, for operators.
    """

    clientid: int
    owner: bytes
    verifier: bytes
    principal: Principal
    renewed: float
    confirmed: bool = False
    sequence: int = 0
    createReply: Optional[tuple[int, bytes]] = None
    sessions: dict[bytes, Any] = attrs.Factory(dict)
    mayReclaim: bool = False
    reclaimComplete: bool = False
    completedFS: tuple[Any, ...] = ()
    opens: set[Any] = attrs.Factory(set)
    locks: set[Any] = attrs.Factory(set)
    layouts: dict[Any, Any] = attrs.Factory(dict)
    owners: dict[bytes, Any] = attrs.Factory(dict)
    revoked: int = 0
    adminRevoked: int = 0
    backDown: bool = True
    channel: Any = None
    implementation: tuple[bytes, bytes] = (b"", b"")

    @property
    def hasState(self) -> bool:
        """
        Opens, locks or layouts are held.
        """
        return bool(self.opens or self.locks or self.layouts)

    @property
    def busy(self) -> bool:
        """
        A request of it is being served.
        """
        return any(session.busy for session in self.sessions.values())


class ClientTable:
    """
    All client records of a server.

    @ivar listeners: called with each client whose state is to be dropped: its
        lease is over, or its owner has restarted. They clear C{opens}, C{locks},
        C{layouts} and C{sessions}.
    @ivar leaseSeconds: how long a client may be silent.
    """

    def __init__(
        self,
        epoch: int,
        entropy: Callable[[int], bytes],
        leaseSeconds: float,
        recovery: Optional[Grace] = None,
        maxUnconfirmed: int = 1024,
        maxClients: int = 262144,
    ) -> None:
        """
        @param epoch: number of this start of the server: the high half of its
            clientids, so that none repeats. The low half starts at random, so
            that no two servers give a client the same one.
        @param recovery: told who confirms and who goes.
        """
        self.leaseSeconds = leaseSeconds
        self.listeners: list[Callable[[Client], None]] = []
        self._high = (epoch & 0xFFFFFFFF) << 32
        self._low: int = _unpackNumber(entropy(4))[0]
        self._recovery = recovery
        self._maxUnconfirmed = maxUnconfirmed
        self._maxClients = maxClients
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
        The record that an EXCHANGE_ID asks for (RFC 8881, section 18.35.5).

        @param update: EXCHGID4_FLAG_UPD_CONFIRMED_REC_A was set.
        @raise NoSuchClient: @raise NotSame: @raise Perm: an update that does not fit.
        @raise ClidInUse: another principal's live client has this owner.
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
                if (
                    known.hasState or known.sessions
                ) and now <= known.renewed + self.leaseSeconds:
                    raise ClidInUse()
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
        owner's earlier incarnation loses. Durable when it returns.

        @raise Delay: there are too many clients, or a request of the earlier
            incarnation is still being served: it must not find its state gone, or
            leave some behind.
        """
        client.renewed = now
        if client.confirmed:
            return
        owner = client.owner
        earlier = self._confirmed.get(owner)
        if earlier is None:
            if len(self._confirmed) >= self._maxClients:
                raise Delay()
        elif earlier.busy:
            raise Delay()
        if self._recovery is not None:
            self._recovery.admit(client)
        if earlier is not None:
            self._drop(earlier)
        self._unconfirmed.pop(owner, None)
        client.confirmed = True
        self._confirmed[owner] = client

    def destroy(self, client: Client) -> None:
        """
        DESTROY_CLIENTID.

        @raise ClientidBusy: it still has sessions or state.
        """
        if client.sessions or client.hasState:
            raise ClientidBusy()
        self._forget(client)

    def expire(self, now: float) -> list[Client]:
        """
        Drop the clients that have been silent for longer than the lease, with all
        they hold; to be called every few seconds. A client with a request being
        served is not silent.

        @return: those that were confirmed.
        """
        limit = now - self.leaseSeconds
        for client in list(self._unconfirmed.values()):
            if client.renewed >= limit:
                break
            self._forget(client)
        gone = [
            client
            for client in self._confirmed.values()
            if client.renewed < limit and not client.busy
        ]
        for client in gone:
            self._drop(client)
            self._forget(client)
        return gone

    def revoke(self, client: Client) -> None:
        """
        Drop a client with all it holds, by order of the administrator.

        @raise Delay: a request of it is being served.
        """
        if client.busy:
            raise Delay()
        self._drop(client)
        self._forget(client)

    def _drop(self, client: Client) -> None:
        """
        Take everything from a client; its owner may be known further.
        """
        for listener in self.listeners:
            listener(client)
        self._byId.pop(client.clientid, None)

    def _forget(self, client: Client) -> None:
        self._byId.pop(client.clientid, None)
        owner = client.owner
        if self._unconfirmed.get(owner) is client:
            del self._unconfirmed[owner]
        if self._confirmed.get(owner) is client:
            del self._confirmed[owner]
            if self._recovery is not None:
                self._recovery.dismiss(client)
