"""
Tests of L{pnfs.client.openstate}: what a file's user notices of state that is lost.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.client.openstate import OpenState
from pnfs.nfs4.results import OperationFailed
from pnfs.nfs4.status import nfsstat4


class WithStateidTests(SynchronousTestCase):
    """
    L{OpenState.withStateid}.
    """

    def tries(self, lost: int) -> Any:
        """
        Do something before which the server loses the stateid so many times.

        @return: its Deferred, and the stateids with which it was tried.
        """
        state = OpenState(None, b"fh", b"owner", b"0", 3)
        seen: list[bytes] = []

        async def reopen(stateid: bytes) -> None:
            self.assertEqual(stateid, state.stateid)
            state.stateid = b"%d" % len(seen)

        async def attempt() -> str:
            seen.append(state.stateid)
            if len(seen) <= lost:
                raise OperationFailed(34, nfsstat4.NFS4ERR_BAD_STATEID)
            return "done"

        self.patch(state, "reopen", reopen)
        return Deferred.fromCoroutine(state.withStateid(attempt)), seen

    def test_again(self) -> None:
        """
        A truncation that the server puts off is carried out although the server
        restarts five times meanwhile.
        """
        done, seen = self.tries(5)
        self.assertEqual(self.successResultOf(done), "done")
        self.assertEqual(seen, [b"0", b"1", b"2", b"3", b"4", b"5"])

    def test_notForEver(self) -> None:
        """
        A server that never knows what it has just given is an error.
        """
        done, seen = self.tries(1000)
        self.failureResultOf(done, OperationFailed)
        self.assertLess(len(seen), 20)
