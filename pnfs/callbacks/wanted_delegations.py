# -*- test-case-name: tests.callbacks.test_wanted_delegations -*-
"""
Delegations that clients wait for (RFC 8881, sections 10.2.1, 20.5 and 20.7).

A client that has been told of contention may wait for the delegation to be pushed
(CB_PUSH_DELEG); one that has been told that there are too many, for a word that there
are some again (CB_RECALLABLE_OBJ_AVAIL). Contention ends in many ways, some of them by
the mere passing of time, so what is waited for is looked at once a second. It is given
before it is pushed, so that nobody comes in between; and taken back if the client does
not want it after all.
"""

from __future__ import annotations

from typing import Any, Optional

import attrs
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from pnfs.backends.errors import BackendError
from pnfs.callbacks.channel import CallbackFailed
from pnfs.callbacks.delegation_ops import cbPushDeleg, cbRecallableObjAvail
from pnfs.nfs4.delegation_types import openDelegation
from pnfs.nfs4.status import nfsstat4
from pnfs.rpc.coroutines import drive
from pnfs.state.files import FileState
from pnfs.values import Credential

WANTS_LIMIT = 4096
"""How many delegations may be waited for."""

LOOK_SECONDS = 1.0
PLENTY = 0.8
"""The share of the maximum below which there are some again."""

_READ_AND_WRITE = 3

_log = Logger()


@attrs.frozen(eq=False)
class _Want:
    """
    A delegation that a client waits for.
    """

    client: Any
    fh: bytes
    handle: bytes
    export: Any
    credential: Credential
    write: bool
    timestamps: bool


class WantedDelegations:
    """
    What clients wait for.
    """

    def __init__(self, recaller: Any) -> None:
        """
        @param recaller: L{pnfs.callbacks.recall_delegations.DelegationRecaller}.
        """
        self._recaller = recaller
        self._server = recaller.server
        self._clock = recaller.clock
        self._wants: dict[tuple[int, bytes], _Want] = {}
        self._signals: dict[Any, None] = {}
        self._timer: Optional[IDelayedCall] = None

    def __len__(self) -> int:
        return len(self._wants) + len(self._signals)

    def wants(self, client: Any, file: FileState) -> bool:
        """
        Does a client wait for a delegation of a file?
        """
        return (client.clientid, file.fh) in self._wants

    def push(
        self,
        client: Any,
        file: FileState,
        credential: Credential,
        write: bool,
        timestamps: bool,
    ) -> bool:
        """
        See L{pnfs.interfaces.IDelegationRecaller.push}.
        """
        if len(self) >= WANTS_LIMIT:
            return False
        self._wants[(client.clientid, file.fh)] = _Want(
            client,
            file.fh,
            file.inode.handle,
            file.export,
            credential,
            write,
            timestamps,
        )
        self._wait()
        return True

    def signal(self, client: Any) -> bool:
        """
        See L{pnfs.interfaces.IDelegationRecaller.signal}.
        """
        if len(self) >= WANTS_LIMIT:
            return False
        self._signals[client] = None
        self._wait()
        return True

    def cancel(self, client: Any, file: FileState) -> None:
        """
        A client does not wait any more for a delegation of a file.
        """
        self._wants.pop((client.clientid, file.fh), None)

    def clientGone(self, client: Any) -> None:
        """
        A client is gone.
        """
        self._signals.pop(client, None)
        for key in [key for key in self._wants if key[0] == client.clientid]:
            del self._wants[key]

    def stop(self) -> None:
        """
        The server stops: no more timers.
        """
        self._wants.clear()
        self._signals.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        table = self._server.delegations
        if self._signals and table.count < PLENTY * table.maximum:
            clients, self._signals = list(self._signals), {}
            for client in clients:
                op = cbRecallableObjAvail(0, _READ_AND_WRITE)
                drive(self._tell(client, op), _done, _failed)
        for want in list(self._wants.values()):
            drive(self._give(want), _done, _failed)
        if len(self):
            self._wait()

    async def _tell(self, client: Any, op: bytes) -> None:
        try:
            await self._recaller.call(client, op)
        except CallbackFailed:
            pass  # It may ask again.

    async def _give(self, want: _Want) -> None:
        """
        Push a delegation if nothing stands against it now.
        """
        key = (want.client.clientid, want.fh)
        table = self._server.delegations
        client = want.client
        try:
            inode = await want.export.backend.byHandle(want.handle)
        except BackendError:
            self._wants.pop(key, None)
            return
        file = inode.state
        if file is None:
            file = FileState(want.fh, inode, want.export.base)
        if self._wants.get(key) is not want or not client.backProven:
            return
        if table.held(file, client) is not None or not inode.nlink:
            del self._wants[key]
            return
        if table.count >= table.maximum or not table.available(
            file, client, want.write, self._clock.seconds()
        ):
            return
        del self._wants[key]
        held = table.grant(file, client, want.write, want.timestamps, inode.change)
        inode.state = file
        op = cbPushDeleg(want.fh, openDelegation(held, inode, want.credential))
        try:
            status = await self._recaller.call(client, op)
        except CallbackFailed:
            status = None
        if status != nfsstat4.NFS4_OK and held.other in client.delegations:
            table.drop(held)
            self._recaller.settle(file)


def _done(result: None) -> None:
    """
    Nobody waits for it.
    """


def _failed(error: Exception) -> None:
    _log.error("a delegation could not be pushed: {error}", error=error)
