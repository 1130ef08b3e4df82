# -*- test-case-name: tests.nfs4.test_client -*-
"""
Keeping the lease of a client (RFC 8881, section 8.3).
"""

from __future__ import annotations

from typing import Any, Callable, Coroutine, Optional

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import Unreachable
from pnfs.nfs4.slots import SessionLost
from pnfs.nfs4.status import NFSError
from pnfs.xdr.errors import XDRError

_log = Logger()


class Renewal:
    """
    Renews from time to time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        renew: Callable[[], Coroutine[Deferred[Any], Any, Any]],
    ) -> None:
        self._clock = clock
        self._renew = renew
        self._seconds: Optional[float] = None
        self._call: Optional[IDelayedCall] = None

    def start(self, seconds: float) -> None:
        """
        So long after the last time has ended, from now on.
        """
        self._seconds = seconds
        self._later()

    def stop(self) -> None:
        """
        Not any more.
        """
        self._seconds = None
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _later(self) -> None:
        if self._seconds is None:
            return
        if self._call is not None and self._call.active():
            return
        self._call = self._clock.callLater(self._seconds, self._begin)

    def _begin(self) -> None:
        done = Deferred.fromCoroutine(self._renew())
        done.addErrback(self._failed)
        done.addBoth(lambda _: self._later())

    def _failed(self, failure: Failure) -> None:
        if self._seconds is None:
            return
        reason = failure.value
        if isinstance(reason, (Unreachable, NFSError, SessionLost, XDRError)):
            _log.warn("the lease could not be renewed: {reason}", reason=reason)
        else:
            _log.failure("renewing the lease", failure)
