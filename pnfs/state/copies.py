# -*- test-case-name: tests.state.test_copies -*-
"""
Copies that go on after the answer to their COPY (RFC 7862, section 4.8): what their
stateids name.

A copy that has ended is kept until its client has answered CB_OFFLOAD, so that it
can ask by OFFLOAD_STATUS what came of it. A start of the server forgets all: the
client then finds its stateid bad, and copies again.
"""

from __future__ import annotations

from typing import Any, Iterable, Optional

import attrs

from pnfs.state.errors import BadStateid
from pnfs.state.files import FileState
from pnfs.state.stateids import RecallableState, StateidTable

UNDER_WAY_LIMIT = 32
"""Copies that one client may have going on at a time."""

KEPT_LIMIT = 256
"""Copies of one client that are remembered in all."""


@attrs.define(eq=False)
class CopyState(RecallableState):
    """
    One copy; its file is the destination.

    @ivar done: bytes copied, from the start of the range on.
    @ivar status: the C{nfsstat4} it has ended with; None while it goes on.
    @ivar committed: how stable the bytes are; verifier: of the writes.
    @ivar job: what carries it out; can C{stop} it, or C{cancel} it at once.
    """

    done: int = 0
    status: Optional[int] = None
    committed: int = 0
    verifier: bytes = bytes(8)
    job: Any = None


class CopyTable:
    """
    All copies that have a stateid.
    """

    def __init__(self, stateids: StateidTable) -> None:
        self._stateids = stateids
        self.count = 0

    def hasRoom(self, client: Any) -> bool:
        """
        May a client have one more going on?
        """
        going = [copy for copy in client.copies.values() if copy.status is None]
        return len(going) < UNDER_WAY_LIMIT

    def add(self, client: Any, file: FileState, job: Any) -> CopyState:
        """
        A copy goes on. The oldest that has ended makes room if there are too many.
        """
        copies = client.copies
        if len(copies) >= KEPT_LIMIT:
            for old in copies.values():
                if old.status is not None:
                    self.drop(old)
                    break
        copy = CopyState(self._stateids.newOther(), client, file, job=job)
        copies[copy.other] = copy
        self._stateids.add(copy)
        self.count += 1
        return copy

    def find(self, stateid: bytes, client: Any, fh: bytes) -> CopyState:
        """
        The copy that a client names.

        @param fh: the filehandle of its destination.
        @raise BadStateid: there is none.
        @raise OldStateid: as for any stateid.
        """
        copy = self._stateids.find(stateid, client, None, CopyState)
        if copy.file.fh != fh:
            raise BadStateid()
        return copy  # type: ignore[no-any-return]

    def holds(self, copy: CopyState) -> bool:
        """
        Is it still remembered?
        """
        return copy.client.copies.get(copy.other) is copy

    def drop(self, copy: CopyState) -> None:
        """
        Forget a copy, and stop it if it goes on.
        """
        if copy.client.copies.pop(copy.other, None) is None:
            return
        self._stateids.drop(copy)
        self.count -= 1
        if copy.status is None:
            copy.job.stop()

    def dropClient(self, client: Any) -> None:
        """
        A client is gone: a listener of L{pnfs.state.clients.ClientTable}.
        """
        for copy in list(client.copies.values()):
            self.drop(copy)

    def stop(self, clients: Iterable[Any]) -> None:
        """
        The server ends.
        """
        for client in clients:
            for copy in list(client.copies.values()):
                if copy.status is None:
                    copy.job.cancel()
                self.drop(copy)
