# -*- test-case-name: tests.callbacks.test_recall -*-
"""
One layout being recalled: CB_LAYOUTRECALL, sent until its holder has answered, and the
deadline (see L{pnfs.callbacks.recall}).
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.callbacks.channel import CallbackFailed, NoBackChannel
from pnfs.callbacks.ops import cbLayoutRecallFile
from pnfs.callbacks.pacing import Recall
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.status import nfsstat4
from pnfs.state.layouts import LayoutState
from pnfs.values import NFS4_UINT64_MAX, IOMode

FIRST_DELAY = 0.1
LONGEST_DELAY = 1.0
"""Seconds between CB_LAYOUTRECALLs."""

_log = Logger()

Send = Callable[[LayoutState, bool, bytes], "Deferred[int]"]
"""
Sends one CB_LAYOUTRECALL of a whole file, in any iomode: the layout,
C{clora_changed}, stateid. Fires with the C{nfsstat4} of the answer; fails if none
has come.
"""


def sendOver(server: ServerContext) -> Send:
    """
    A L{Send} over the back channels of a server's clients.
    """

    def send(layout: LayoutState, changed: bool, stateid: bytes) -> Deferred[int]:
        if server.channels is None:
            return fail(NoBackChannel())
        op = cbLayoutRecallFile(
            layout.layoutType,
            IOMode.ANY,
            changed,
            layout.file.fh,
            0,
            NFS4_UINT64_MAX,
            stateid,
        )
        channel = server.channels.channelOf(layout.client)
        return channel.call(op, referring=layout)  # type: ignore[no-any-return]

    return send


class Holder:
    """
    One layout being recalled.

    @ivar stateid: what the recall says: the seqid is counted up once.
    @ivar expected: the client has promised LAYOUTRETURN.
    """

    def __init__(self, recall: Any, layout: LayoutState) -> None:
        """
        @param recall: the L{pnfs.callbacks.recall.FileRecall} it is part of.
        """
        self._recall = recall
        self._recaller = recall.recaller
        self.layout = layout
        self.stateid = layout.advance()
        self.expected = False
        self._delay = FIRST_DELAY
        self._told = False
        self._stopped = False
        self._sending: Optional[Recall] = None
        self._again: Optional[IDelayedCall] = None
        self._setDeadline()

    def _setDeadline(self) -> None:
        recaller = self._recaller
        recaller.deadlines.set(self._late, recaller.deadlineSeconds)

    def send(self) -> None:
        """
        Tell the client, when it has been told of others before.
        """
        self._again = None
        self._sending = Recall(
            self.layout.client, self._tell, self._answered, self._unanswered
        )
        self._recaller.queues.send(self._sending)

    def _tell(self) -> Deferred[int]:
        self._told = True
        return self._recaller.send(  # type: ignore[no-any-return]
            self.layout, self._recall.changed, self.stateid
        )

    def _answered(self, status: int) -> None:
        if self._stopped:
            return
        if status == nfsstat4.NFS4_OK:
            self.expected = True
        elif status == nfsstat4.NFS4ERR_NOMATCHING_LAYOUT:
            self._recall.forgotten(self.layout)
        else:
            if status == nfsstat4.NFS4ERR_OLD_STATEID:
                # The client has returned a part meanwhile.
                self.stateid = self.layout.advance()
            self._later()

    def _unanswered(self, failure: Failure) -> None:
        if not isinstance(failure.value, CallbackFailed):
            _log.failure("CB_LAYOUTRECALL failed", failure)
        if not self._stopped:
            self._later()

    def _later(self) -> None:
        self._again = self._recaller.clock.callLater(self._delay, self.send)
        self._delay = min(LONGEST_DELAY, 2 * self._delay)

    def _late(self) -> None:
        """
        The deadline has passed. A client that is busy answering for its other
        layouts, and has not been told of this one yet, gets another.
        """
        recaller = self._recaller
        since = recaller.clock.seconds() - recaller.deadlineSeconds
        if not self._told and recaller.queues.answeredSince(self.layout.client, since):
            self._setDeadline()
        else:
            recaller.turns.add(self._revoke)

    def _revoke(self) -> None:
        if not self._stopped:
            self._recall.revoke(self.layout)

    def stop(self) -> None:
        """
        It is settled; nothing more is sent.
        """
        self._stopped = True
        if self._sending is not None:
            self._recaller.queues.forget(self._sending)
        self._recaller.deadlines.clear(self._late)
        if self._again is not None and self._again.active():
            self._again.cancel()
