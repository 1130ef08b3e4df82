# -*- test-case-name: tests.state.test_sessions -*-
"""
Sessions and their slots (RFC 8881, section 2.10): exactly-once semantics.

SEQUENCE (L{pnfs.nfs4.ops.sequence}) works on the attributes of sessions and their
slots (L{pnfs.state.slots}) directly: it runs once per request.

Connections are whatever has C{attachments} and C{onClose}: L{pnfs.rpc.peer.Peer}.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, Optional
from zlib import crc32

import attrs

from pnfs.backends.errors import NoSpace
from pnfs.state.clients import Client
from pnfs.state.errors import BadSession, TooSmall
from pnfs.state.slots import SlotTable

SEQUENCE_RESULT = 44
"""Bytes of a successful result of SEQUENCE, operation number and status included."""

_FIXED = 28
"""
Bytes of a reply besides the results and the tag: the RPC header (24), status, tag
length and count of the COMPOUND (12), a failed operation's number and status (8);
less the 16 between the start of the arguments and those of SEQUENCE, which
L{Session.limit} is used with.
"""

_MIN_REQUEST = 128
_MIN_RESPONSE = 128
_MIN_BACK_REQUEST = 640
"""A CB_LAYOUTRECALL with the longest filehandle and credential."""
_MIN_BACK_RESPONSE = 128
_DIGEST_BYTES = 512

SEQ4_STATUS_CB_PATH_DOWN = 0x1
SEQ4_STATUS_RECALLABLE_STATE_REVOKED = 0x40
SEQ4_STATUS_RESTART_RECLAIM_NEEDED = 0x100
SEQ4_STATUS_CB_PATH_DOWN_SESSION = 0x200
SEQ4_STATUS_BACKCHANNEL_FAULT = 0x400

_ATTACHMENT = "sessions"
_PROVEN = "callbacks answered"

ROUND_SECONDS = 60.0
SESSIONS_AT_ONCE = 1024
"""How often each session is looked at for unused slots, and how many at a time."""


@attrs.frozen
class SessionLimits:
    """
    The most a session may have.

    @ivar maxRequest: bytes of a request, RPC header included; maxResponse: of a
        reply; maxCached: of a reply that is kept for a retry.
    @ivar maxOperations: operations in a COMPOUND.
    @ivar maxSlots: requests at a time.
    @ivar maxSessions: sessions of one client.
    """

    maxRequest: int = (1 << 20) + 8192
    maxResponse: int = (1 << 20) + 8192
    maxCached: int = 65536
    maxOperations: int = 64
    maxSlots: int = 64
    maxSessions: int = 64


@attrs.frozen
class Channel:
    """
    What was agreed for one direction (C{channel_attrs4}, RFC 8881, section 18.36.1).
    """

    maxRequest: int
    maxResponse: int
    maxCached: int
    maxOperations: int
    maxSlots: int


def negotiateFore(asked: Channel, limits: SessionLimits) -> Channel:
    """
    The fore channel: never more than was asked.

    @raise TooSmall: no request could be made with what was asked.
    """
    if (
        asked.maxRequest < _MIN_REQUEST
        or asked.maxResponse < _MIN_RESPONSE
        or not asked.maxOperations
        or not asked.maxSlots
    ):
        raise TooSmall()
    return Channel(
        min(asked.maxRequest, limits.maxRequest),
        min(asked.maxResponse, limits.maxResponse),
        min(asked.maxCached, limits.maxCached),
        min(asked.maxOperations, limits.maxOperations),
        min(asked.maxSlots, limits.maxSlots),
    )


def negotiateBack(asked: Channel, wanted: bool) -> Channel:
    """
    The back channel, on which nothing is cached.

    @param wanted: the client asks for one now; otherwise it may do so later, or say
        with no slots that it never will.
    @raise TooSmall: no recall could be made with what was asked.
    """
    if (wanted or asked.maxSlots) and not canRecall(asked):
        raise TooSmall()
    return Channel(
        min(asked.maxRequest, 65536),
        min(asked.maxResponse, 65536),
        0,
        min(asked.maxOperations, 16),
        min(asked.maxSlots, 16),
    )


def canRecall(back: Channel) -> bool:
    """
    Is there room for CB_SEQUENCE with one operation?
    """
    return (
        back.maxRequest >= _MIN_BACK_REQUEST
        and back.maxResponse >= _MIN_BACK_RESPONSE
        and back.maxOperations >= 2
        and back.maxSlots >= 1
    )


def digestOf(buf: Any, start: int, uid: int, flavor: int) -> int:
    """
    What tells a retry from another request with the same sequence ID: the length,
    both ends of the arguments, and who asks.
    """
    length = len(buf) - start
    seed = uid ^ flavor << 31
    if length <= _DIGEST_BYTES:
        return crc32(buf[start:], seed)
    head = crc32(buf[start : start + _DIGEST_BYTES], seed ^ length)
    return crc32(buf[-_DIGEST_BYTES:], head)


class BackSlot:
    """
    One slot of a back channel, where we are the requester.

    @ivar next: the sequence ID of the next CB_SEQUENCE.
    @ivar busy: one is under way.
    @ivar uncertain: the last one was not answered: C{next} may have been taken.
    """

    __slots__ = ("next", "busy", "uncertain")

    def __init__(self) -> None:
        self.next = 1
        self.busy = False
        self.uncertain = False


class Session(SlotTable):
    """
    A session, with its slots.

    @ivar id: 16 bytes.
    @ivar client: L{Client}.
    @ivar minor: the minor version its client speaks.
    @ivar limit: what the results of a request may come to, plus the distance from
        the start of its arguments to those of SEQUENCE; cachedLimit: if the reply
        is to be kept.
    @ivar fore: connections bound to the fore channel.
    @ivar back: connections bound to the back channel, in the order to try them.
    @ivar program: number of the client's callback program.
    @ivar credential: credential and verifier for callbacks, as on the wire; empty if
        none of those offered can be used.
    @ivar backChannel: what was agreed for the back channel.
    @ivar backSlots: its slots, as far as used.
    @ivar backTarget: the highest slot of it that the client wants used.
    @ivar backWanted: the client has asked for a back channel here.
    @ivar backSilent: the last callback had no answer, or none that makes sense.
    @ivar backFault: the client does not follow our sequence IDs any more.
    """

    __slots__ = (
        "id",
        "client",
        "minor",
        "maxRequest",
        "maxResponse",
        "maxCached",
        "maxOperations",
        "limit",
        "cachedLimit",
        "fore",
        "back",
        "program",
        "credential",
        "backChannel",
        "backSlots",
        "backTarget",
        "backWanted",
        "backSilent",
        "backFault",
    )

    def __init__(
        self,
        sessionid: bytes,
        client: Client,
        minor: int,
        fore: Channel,
        back: Channel,
        program: int,
        credential: bytes,
    ) -> None:
        super().__init__(fore.maxSlots)
        self.id = sessionid
        self.client = client
        self.minor = minor
        self.maxRequest = fore.maxRequest
        self.maxResponse = fore.maxResponse
        self.maxCached = fore.maxCached
        self.maxOperations = fore.maxOperations
        self.limit = fore.maxResponse - _FIXED
        self.cachedLimit = min(fore.maxCached, fore.maxResponse) - _FIXED
        self.fore: set[Any] = set()
        self.back: list[Any] = []
        self.program = program
        self.credential = credential
        self.backChannel = back
        self.backSlots: list[BackSlot] = []
        self.backTarget = back.maxSlots - 1
        self.backWanted = False
        self.backSilent = False
        self.backFault = False

    @property
    def busy(self) -> bool:
        """
        A request is being served.
        """
        return any(slot.busy for slot in self.slots)

    @property
    def canCallBack(self) -> bool:
        """
        Callbacks could be sent if a connection were bound for them.
        """
        return bool(self.credential) and canRecall(self.backChannel)

    @property
    def reachable(self) -> bool:
        """
        As far as is known, callbacks get through.
        """
        return bool(self.back) and not (self.backSilent or self.backFault)

    def freeBackSlot(self) -> Optional[tuple[int, BackSlot]]:
        """
        A slot of the back channel that is not in use, with its number: the lowest,
        and none above what the client wants used (RFC 8881, section 2.10.6.1).
        """
        slots = self.backSlots
        for slotid, slot in enumerate(slots):
            if slotid > self.backTarget:
                return None
            if not slot.busy:
                return slotid, slot
        if len(slots) <= self.backTarget:
            slots.append(BackSlot())
            return len(slots) - 1, slots[-1]
        return None

    def highestBackSlot(self) -> int:
        """
        The highest slot of the back channel in use.
        """
        return max(
            (slotid for slotid, slot in enumerate(self.backSlots) if slot.busy),
            default=0,
        )

    def setBackTarget(self, slotid: int) -> None:
        """
        The client wants slots up to this one used: never more than was agreed. One
        stays.
        """
        self.backTarget = min(slotid, self.backChannel.maxSlots - 1)

    def statusFlags(self) -> int:
        """
        C{sr_status_flags}: what the client should look after.
        """
        client = self.client
        flags = 0
        if client.backDown and (client.layouts or client.delegations):
            flags = self._backFlags()
        if client.revoked:
            flags |= SEQ4_STATUS_RECALLABLE_STATE_REVOKED
        if client.mayReclaim:
            # Until it says RECLAIM_COMPLETE.
            flags |= SEQ4_STATUS_RESTART_RECLAIM_NEEDED
        return flags

    def _backFlags(self) -> int:
        """
        What is wrong with the back channel (RFC 8881, section 18.46.3).
        """
        flags = SEQ4_STATUS_BACKCHANNEL_FAULT if self.backFault else 0
        if not any(each.reachable for each in self.client.sessions.values()):
            flags |= SEQ4_STATUS_CB_PATH_DOWN
        elif self.backWanted and not self.reachable:
            flags |= SEQ4_STATUS_CB_PATH_DOWN_SESSION
        return flags


def _way(session: Session) -> tuple[int, int, bytes]:
    """
    Who answers callbacks, and to what.
    """
    return session.client.clientid, session.program, session.credential


class SessionTable:
    """
    All sessions of a server, and which connections they use.

    @ivar byId: sessions by id, for SEQUENCE.
    """

    def __init__(
        self,
        entropy: Callable[[int], bytes],
        limits: SessionLimits = SessionLimits(),
    ) -> None:
        self.limits = limits
        self.byId: dict[bytes, Session] = {}
        self._entropy = entropy
        self._round: list[Session] = []
        self._nextRound = 0.0

    def __len__(self) -> int:
        return len(self.byId)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self.byId.values()))

    def find(self, sessionid: bytes) -> Session:
        """
        @raise BadSession: there is no such session.
        """
        session = self.byId.get(sessionid)
        if session is None:
            raise BadSession()
        return session

    def create(
        self,
        client: Client,
        minor: int,
        fore: Channel,
        back: Channel,
        program: int,
        credential: bytes,
    ) -> Session:
        """
        Make a session of a client from what has been negotiated.

        @raise NoSpace: the client has too many.
        """
        if len(client.sessions) >= self.limits.maxSessions:
            raise NoSpace()
        while True:
            sessionid = client.clientid.to_bytes(8, "big") + self._entropy(8)
            if sessionid not in self.byId:
                break
        session = Session(sessionid, client, minor, fore, back, program, credential)
        self.byId[sessionid] = session
        client.sessions[sessionid] = session
        return session

    def trim(self, now: float) -> None:
        """
        Look for sessions that have more slots than they use: some at a time, each
        once in a while. To be called every few seconds.
        """
        if not self._round:
            if now < self._nextRound:
                return
            self._nextRound = now + ROUND_SECONDS
            self._round = list(self.byId.values())
        for session in self._round[-SESSIONS_AT_ONCE:]:
            session.look()
        del self._round[-SESSIONS_AT_ONCE:]

    def destroy(self, session: Session) -> None:
        """
        Forget a session; its connections stay open for others.
        """
        self.byId.pop(session.id, None)
        session.client.sessions.pop(session.id, None)
        for connection in session.fore.union(session.back):
            attached = connection.attachments.get(_ATTACHMENT)
            if attached is not None:
                attached.discard(session)
        session.fore.clear()
        session.back.clear()
        self._backChanged(session.client)

    def dropClient(self, client: Client) -> None:
        """
        A client goes with all its sessions: a listener of
        L{pnfs.state.clients.ClientTable}.
        """
        for session in list(client.sessions.values()):
            self.destroy(session)

    def bind(self, session: Session, connection: Any, fore: bool, back: bool) -> None:
        """
        Let a session use a connection until that closes; one connection may serve
        several sessions. One that has closed already is not bound.
        """
        if connection.closed:
            return
        attached = connection.attachments.get(_ATTACHMENT)
        if attached is None:
            attached = connection.attachments[_ATTACHMENT] = set()
            connection.onClose(lambda: self._closed(connection))
        attached.add(session)
        if fore:
            session.fore.add(connection)
        if back:
            if connection not in session.back:
                session.back.append(connection)
            session.backWanted = True
            session.backSilent = session.backFault = False
            self._backChanged(session.client)
            if connection.attachments.get(_PROVEN) == _way(session):
                session.client.backProven = True

    def proved(self, session: Session, connection: Any) -> None:
        """
        The client has answered a callback on a connection. If it makes another
        session there it need not show that again.
        """
        connection.attachments[_PROVEN] = _way(session)
        session.client.backProven = True

    def faulty(self, session: Session) -> None:
        """
        Callbacks do not get through, or are not understood: the client is told.
        """
        session.backSilent = True
        session.client.backProven = False
        for connection in session.back:
            connection.attachments.pop(_PROVEN, None)
        self._backChanged(session.client)

    def answered(self, session: Session) -> None:
        """
        A callback has got through.
        """
        session.backSilent = False
        self._backChanged(session.client)

    def _closed(self, connection: Any) -> None:
        for session in connection.attachments.pop(_ATTACHMENT, ()):
            session.fore.discard(connection)
            if connection in session.back:
                session.back.remove(connection)
                self._backChanged(session.client)

    def _backChanged(self, client: Client) -> None:
        reachable = wanting = False
        for session in client.sessions.values():
            if session.reachable:
                reachable = True
            elif session.backWanted:
                wanting = True
        client.backDown = wanting or not reachable
        if not reachable:
            client.backProven = False
