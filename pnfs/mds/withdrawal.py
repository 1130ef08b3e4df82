# -*- test-case-name: tests.mds.test_reload -*-
"""
Taking from clients what they hold in exports that are not theirs any more.

A client that may no longer see an export gets STALE for every filehandle of it, so it
could not give anything back. What it holds there goes at once: layouts are revoked and
their files fenced, also those that only read; delegations are revoked, opens and locks
dropped, so that they are in nobody's way. A client whose terms have become narrower is
asked for its layouts and delegations as for any other reason, and gets new ones on the
new terms. Nobody else is touched,
save that a fence makes everybody fetch the layout of that file anew.

A client that has no connection now cannot be judged. It loses its layouts, which is no
harm if it may come back, and keeps the rest, which it cannot use if it may not.

What was rejected: to recall from those who are out, since for as long as the deadline
they could go on reading and writing at the data servers; and to count the requests that
use an export, since every request would pay for what happens once a month. Requests
that run when an export goes are found by their slots instead (L{quiet}).
"""

from __future__ import annotations

from typing import Any, Iterable, Optional

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from pnfs.callbacks.recall import FileRecall
from pnfs.namespace.clients import ClientRule, Terms, termsFor
from pnfs.namespace.exports import Export
from pnfs.nfs4.context import ServerContext
from pnfs.state.delegations import DelegationState
from pnfs.state.files import FileState
from pnfs.state.layouts import LayoutState

TERMS_CHANGED = "terms of the export changed"
WITHDRAWN = "export withdrawn"

POLL_SECONDS = 0.1
QUIET_SECONDS = 60.0
AT_ONCE = 256
"""Clients looked after before others have their turn."""


@attrs.frozen
class Offer:
    """
    What an export is to whom.

    @ivar rules: None: it is on C{terms} for everybody.
    @ivar delegations: clients may hold some.
    """

    rules: Optional[tuple[ClientRule, ...]]
    terms: Terms
    delegations: bool = True

    def to(self, host: str) -> Optional[Terms]:
        """
        What it is to a client; None if it may not know of the export.
        """
        return self.terms if self.rules is None else termsFor(self.rules, host)


NOTHING = Offer((), Terms())
"""What an export that is gone is to everybody."""


def offerOf(export: Export) -> Offer:
    """
    What an export is now.
    """
    terms = Terms(
        export.readOnly,
        export.rootSquash,
        export.allSquash,
        export.anonymous,
        tuple(export.flavors),
        export.pnfs,
    )
    rules = None if export.rules is None else tuple(export.rules)
    return Offer(rules, terms, export.delegations)


def pause(clock: IReactorTime, seconds: float) -> Deferred[None]:
    """
    Let others have their turn. Can be cancelled.
    """

    def cancelled(_: Deferred[None]) -> None:
        timer.cancel()

    paused: Deferred[None] = Deferred(cancelled)
    timer = clock.callLater(seconds, paused.callback, None)
    return paused


async def quiet(server: ServerContext) -> bool:
    """
    Wait until the requests being served now have been answered; those that come
    meanwhile do not count.

    @return: False if some take too long.
    """
    running = [
        (slot, slot.next)
        for session in server.sessions
        for slot in session.slots
        if slot.busy
    ]
    until = server.clock.seconds() + QUIET_SECONDS
    while running := [(s, next) for s, next in running if s.busy and s.next == next]:
        if server.clock.seconds() >= until:
            return False
        await pause(server.clock, POLL_SECONDS)
    return True


def hostsOf(client: Any) -> set[str]:
    """
    The addresses that a client has connections from.
    """
    return {
        connection.address[0]
        for session in client.sessions.values()
        for connection in session.fore.union(session.back)
        if connection.address
    }


class Withdrawal:
    """
    Takes from clients what an earlier offer gave them and the present does not.
    """

    def __init__(self, server: ServerContext) -> None:
        self._server = server

    async def withdraw(
        self, before: dict[Export, Offer], after: dict[Export, Offer]
    ) -> None:
        """
        Take what has to be taken, from everybody.

        @param before: what exports that have changed were; after: what they are.
            C{before} is enough of those that are gone.
        @return: when all that was revoked is fenced.
        """
        settling: list[Deferred[None]] = []
        for count, client in enumerate(self._server.clients):
            if not count % AT_ONCE and count:
                await pause(self._server.clock, 0)
            hosts = hostsOf(client)
            for export, earlier in before.items():
                settling += self._judge(
                    client, hosts, export, earlier, after.get(export, NOTHING)
                )
        await DeferredList(settling)

    def _judge(
        self, client: Any, hosts: set[str], export: Export, before: Offer, after: Offer
    ) -> list[Deferred[None]]:
        """
        @return: what fires when the files of revoked layouts are fenced.
        """
        gone = after is NOTHING
        if not hosts and not gone:
            return self._revoke(self._layouts(client, export))
        had = [before.to(host) for host in hosts]
        has = [after.to(host) for host in hosts]
        if gone or not any(has):
            fenced = self._revoke(self._layouts(client, export))
            self._drop(client, export)
            return fenced
        narrower = [
            layout
            for layout in self._layouts(client, export)
            if any(_narrower(layout, old, new) for old, new in zip(had, has))
        ]
        for layout in narrower:
            self._recallOf(layout, TERMS_CHANGED).join([layout])
        readOnly = any(terms is None or terms.readOnly for terms in has)
        for held in self._delegations(client, export):
            if not after.delegations or (held.writes and readOnly):
                self._server.delegating.recall(held)
        return []

    def _delegations(self, client: Any, export: Export) -> list[DelegationState]:
        return [
            held
            for held in client.delegations.values()
            if held.file.export.base is export
        ]

    def _layouts(self, client: Any, export: Export) -> list[LayoutState]:
        return [
            layout
            for layout in client.layouts.values()
            if layout.file.export.base is export
        ]

    def _recallOf(self, layout: LayoutState, reason: str) -> FileRecall:
        recaller = self._server.recaller
        found: Optional[FileRecall] = layout.file.recall
        return FileRecall(recaller, layout.file, reason) if found is None else found

    def _revoke(self, layouts: Iterable[LayoutState]) -> list[Deferred[None]]:
        """
        Revoke layouts, and fence their files.
        """
        server = self._server
        recalls: dict[FileRecall, None] = {}
        for layout in layouts:
            recall = self._recallOf(layout, WITHDRAWN)
            recall.fence = recall.refresh = True
            server.recaller.counts["revoked"] += 1
            server.layouts.revoke(layout)
            server.recaller.freeLater(layout)
            recalls[recall] = None
        for recall in recalls:
            recall.check()
        return [recall.join(()) for recall in recalls]

    def _drop(self, client: Any, export: Export) -> None:
        """
        Forget what a client has open and locked, and revoke what it has been
        delegated.
        """
        server = self._server
        files: dict[int, FileState] = {}
        for held in self._delegations(client, export):
            files[id(held.file)] = held.file
            server.delegations.revoke(held)
        for state in list(client.opens):
            if state.file.export.base is export:
                files[id(state.file)] = state.file
                server.opens.drop(state)
        for file in files.values():
            server.recaller.settle(file)


def _narrower(
    layout: LayoutState, before: Optional[Terms], after: Optional[Terms]
) -> bool:
    """
    Does a layout allow what new terms do not?
    """
    if before is None or after is None:
        return after is None
    if not after.pnfs and before.pnfs:
        return True
    if after.readOnly and layout.holdsWrite:
        return True
    return (before.rootSquash, before.allSquash, before.anonymous) != (
        after.rootSquash,
        after.allSquash,
        after.anonymous,
    )
