# -*- test-case-name: tests.mds.test_health -*-
"""
Which data servers are lost, and since when.

Data servers are asked every two seconds whether they live
(L{pnfs.mds.dataservers.PROBE_SECONDS}), and whatever they answer shows that they do.
One that has said nothing for some seconds is B{condemned}: files that have another
mirror go on without it (L{pnfs.mds.degrade}), and of the others what it alone has
cannot be read. As soon as it answers again it is a data server like any other; only
the mirrors that have become stale meanwhile wait for their repair.

The operator may condemn one too, which then stays so until he takes that back. What a
client says of a data server is only a reason to ask it at once: a client that is cut
off, or lies, condemns nobody.

A metadata server that has itself been stopped for a while has heard nobody and must
not condemn everybody: time in which this clock did not tick does not count.
"""

from __future__ import annotations

from typing import Callable, Optional

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from pnfs.mds.dataservers import DataServers
from pnfs.mds.member import Member
from pnfs.values import DSState

TICK_SECONDS = 0.5
"""How often silence is looked for."""

_log = Logger()

Listener = Callable[[Member], None]


class Health:
    """
    Condemns data servers.

    @ivar failureSeconds: of silence.
    @ivar enabled: silence condemns.
    @ivar onCondemned: called with each L{Member} that has been condemned.
    @ivar onReturned: called with each that answers again, or for the first time since
        the start: it may have stale mirrors.
    """

    def __init__(
        self, servers: DataServers, clock: IReactorTime, failureSeconds: float
    ) -> None:
        self._servers = servers
        self._clock = clock
        self.failureSeconds = failureSeconds
        self.enabled = False
        self.onCondemned: list[Listener] = []
        self.onReturned: list[Listener] = []
        self._expected = 0.0
        self._timer: Optional[IDelayedCall] = None

    def start(self) -> None:
        """
        Begin to listen for silence; to be told of who answers (L{answers}) is up to
        the caller.
        """
        self._expected = self._clock.seconds() + TICK_SECONDS
        self._timer = self._clock.callLater(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """
        Condemn nobody any more.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _tick(self) -> None:
        now = self._clock.seconds()
        late = now - self._expected
        members = self._servers.members
        if late > TICK_SECONDS:
            for member in members:
                member.heard += late
        if self.enabled:
            for member in members:
                silent = now - member.heard
                if silent >= self.failureSeconds and self.condemnable(member):
                    self._condemn(member, f"silent for {silent:.1f} s")
        self._expected = now + TICK_SECONDS
        self._timer = self._clock.callLater(TICK_SECONDS, self._tick)

    def condemnable(self, member: Member) -> bool:
        """
        It is known, and not condemned yet.
        """
        return bool(member.uuid) and member.uuid not in self._servers.condemned

    def _condemn(self, member: Member, reason: str) -> None:
        member.up = False
        servers = self._servers
        servers.condemned = servers.condemned.union((member.uuid,))
        _log.warn(
            "data server {name} is lost ({reason}): files with another mirror go on "
            "without it",
            name=member.config.name,
            reason=reason,
        )
        for listener in self.onCondemned:
            listener(member)

    def kill(self, member: Member) -> None:
        """
        The operator says that it is lost. It stays so although it may answer.
        """
        if not member.banned:
            self._servers.setState(member, DSState.DISABLED)
        if self.condemnable(member):
            self._condemn(member, "by order")
        else:
            member.up = False

    def enable(self, member: Member) -> None:
        """
        The operator takes that back: it is back as soon as it answers.
        """
        self._servers.setState(member, DSState.ACTIVE)

    def suspect(self, uuid: bytes) -> None:
        """
        Somebody says that a data server does not work: ask it at once.
        """
        member = self._servers.find(uuid)
        if member is not None and member.up:
            self._servers.ask(member)

    def answers(self, member: Member) -> None:
        """
        A data server has begun to answer, and what had to be fenced there is.
        """
        servers = self._servers
        if member.uuid in servers.condemned:
            servers.condemned = servers.condemned.difference((member.uuid,))
            _log.info("data server {name} is back", name=member.config.name)
        for listener in self.onReturned:
            listener(member)
