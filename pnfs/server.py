# -*- test-case-name: tests.test_server -*-
"""
What both services have in common: ports, metrics, start and stop.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any, Callable, NoReturn, Optional, Sequence

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError, BadConfiguration
from pnfs.clock import MonotonicClock
from pnfs.config import LimitsConfig
from pnfs.configvalues import Address
from pnfs.metrics import metricsSite
from pnfs.rpc.dispatch import hasten
from pnfs.rpc.limits import Limits
from pnfs.rpc.program import Program
from pnfs.rpc.server import RPCServer

DRAIN_SECONDS = 5.0
"""How long a stopping server lets running requests finish."""

RPC_OVERHEAD = 64 << 10

_CLEAR = (BadConfiguration, BackendError)
"""Errors whose text is all that an operator needs."""

_log = Logger()


class NFSService(Service):
    """
    A server with RPC ports and, if wanted, an HTTP port for metrics.

    Subclasses provide C{prepare}, C{apply} and C{finish}.

    @ivar load: reads the configuration again, when SIGHUP says so; it may block.
    """

    def __init__(
        self,
        reactor: Any,
        listen: Sequence[Address],
        metrics: Optional[Address],
        limits: LimitsConfig,
        file: str = "",
    ) -> None:
        """
        @param file: the configuration file, to name in messages.
        """
        self.reactor = reactor
        self.clock = MonotonicClock(reactor)
        self._listen = listen
        self._metrics = metrics
        self._limits = limits
        self._file = file
        self._started: Optional[Deferred[None]] = None
        self._metricsPort: Any = None
        self._sweep: Optional[LoopingCall] = None
        self.rpc: Any = None
        self.load: Optional[Callable[[], Any]] = None
        self._reloading = False
        self._reloadAgain = False
        self._hangup: Any = None

    async def prepare(self) -> tuple[Sequence[Program], Sequence[Any]]:
        """
        Make everything ready, so that nothing can fail but opening the ports.

        @return: the programs to serve, and collectors of metrics.
        @raise BadConfiguration: it cannot start; one line.
        """
        raise BadConfiguration("nothing to serve")

    async def apply(self, config: Any) -> None:
        """
        Have a configuration that was read again count.

        @raise BadConfiguration: it cannot; nothing has changed; one line.
        """
        raise BadConfiguration(f"{self._file}: only a restart can change it")

    def listen(self) -> None:
        """
        Open further ports, before those for clients.

        @raise BadConfiguration: that is not possible; one line.
        """

    async def finish(self) -> None:
        """
        Let go of everything, after the last request.
        """

    def sweepLeases(self, clients: Any, sessions: Any) -> None:
        """
        Let go of silent clients several times per lease, and at least once a
        minute, instead of what was swept before.

        @param clients: L{pnfs.state.clients.ClientTable}.
        @param sessions: L{pnfs.state.sessions.SessionTable}, to look for unused slots.
        """

        def sweep() -> None:
            # An edge of the reactor: a defect in clearing one client away must
            # not keep the others for ever.
            try:
                clients.expire(self.clock.seconds())
                sessions.trim(self.clock.seconds())
            except Exception:
                _log.failure("letting go of a client failed")

        if self._sweep is not None:
            self._sweep.stop()
        self._sweep = LoopingCall(sweep)
        self._sweep.clock = self.clock
        self._sweep.start(min(60.0, max(0.25, clients.leaseSeconds / 8)), now=False)

    def startService(self) -> None:
        """
        Prepare, then open the ports. If that is not possible, the program ends with
        status 1.
        """
        Service.startService(self)  # type: ignore[no-untyped-call]
        if self.load is not None:
            self._hangup = signal.signal(
                signal.SIGHUP,
                lambda *_: self.reactor.callFromThread(self.reload),
            )
        failures: list[Failure] = []
        self._started = started = Deferred.fromCoroutine(self._start())
        started.addErrback(failures.append)
        if failures:
            error = failures[0].value
            if isinstance(error, _CLEAR):
                refuse(str(error))
            failures[0].raiseException()
        running = not started.called
        started.addCallback(lambda _: self._abort(failures) if running else None)

    def reload(self) -> None:
        """
        Read the configuration again, and have it count. If it is no good it stays
        as it is, and the log says why. What is asked for meanwhile is done after.
        """
        if self._reloading:
            self._reloadAgain = True
            return
        self._reloading = True
        running = Deferred.fromCoroutine(self._reload())
        running.addErrback(
            lambda failure: _log.failure("reading the configuration again", failure)
        )
        running.addCallback(lambda _: self._reloaded())

    async def _reload(self) -> None:
        if self._started is None or not self._started.called or self.load is None:
            _log.warn("the service has not started yet: nothing is read again")
            return
        try:
            config = await self.inThread(self.load)
            await self.apply(config)
        except _CLEAR as error:
            _log.error("the configuration stays as it was: {error}", error=error)
        else:
            _log.info("{file} has been read again", file=self._file)

    def _reloaded(self) -> None:
        self._reloading = False
        if self._reloadAgain:
            self._reloadAgain = False
            self.reload()

    def limitConnections(self, count: int) -> None:
        """
        So many may be open at the same time from now on.
        """
        hub = self.rpc.hub
        hub.limits = attrs.evolve(hub.limits, connections=count)

    def inThread(self, function: Callable[..., Any], *args: Any) -> Any:
        """
        Run a blocking function elsewhere.
        """
        pool = self.reactor.getThreadPool()
        return deferToThreadPool(self.reactor, pool, function, *args)

    def _abort(self, failures: Sequence[Failure]) -> None:
        """
        If it failed when the reactor ran already: stop that, and end.
        """
        if not failures or not self.running:
            return
        error = failures[0].value
        if isinstance(error, _CLEAR):
            print(error, file=sys.__stderr__, flush=True)
        else:
            _log.failure("the service cannot start", failures[0])
        self.reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        self.reactor.stop()

    async def _start(self) -> None:
        programs, collectors = await self.prepare()
        limits = Limits(
            recordBytes=self._limits.io + RPC_OVERHEAD,
            outputBytes=self._limits.queued,
            connections=self._limits.connections,
        )
        hasten(self.reactor)
        self.rpc = RPCServer(self.reactor, programs, clock=self.clock, limits=limits)
        self.listen()
        key = "metrics"
        try:
            if self._metrics is not None:
                site = metricsSite(collectors)
                host, port = self._metrics
                self._metricsPort = self.reactor.listenTCP(port, site, interface=host)
            key = "listen"
            for host, port in self._listen:
                opened = self.rpc.listenTCP(host, port)
                where = opened.getHost()
                _log.info("serving at {host}:{port}", host=where.host, port=where.port)
        except CannotListenError as error:
            raise BadConfiguration(
                f"{self._file}: {key}: {error.interface}:{error.port}: "
                f"{error.socketError}; name another address or stop what uses it"
            ) from None
        # What is here now stays: the collector need not look at it again, and
        # looking at everything takes long (ADR 0001).
        gc.collect()
        gc.freeze()
        gc.set_threshold(5000, 20, 1000000)

    def stopService(self) -> Any:
        """
        Close the ports, let requests finish, let go of everything.
        """
        Service.stopService(self)  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._hangup is not None:
            signal.signal(signal.SIGHUP, self._hangup)
            self._hangup = None
        if self._started is not None and not self._started.called:
            self._started.cancel()
        if self._metricsPort is not None:
            await self._metricsPort.stopListening()
        if self.rpc is not None:
            await self.rpc.drain(DRAIN_SECONDS)
        if self._sweep is not None and self._sweep.running:
            self._sweep.stop()
        await self.finish()


def options(
    load: Callable[[str, Any], Any], file: str, overrides: dict[str, Any]
) -> Any:
    """
    Load a configuration for a tap.

    @raise SystemExit: it is no good; the text is the one line to show.
    """
    try:
        return load(file, overrides)
    except BadConfiguration as error:
        refuse(str(error))


def refuse(line: str) -> NoReturn:
    """
    End with status 1, having said why in one line: to whoever started us, not to
    the log, which twistd makes of C{sys.stderr}.
    """
    print(line, file=sys.__stderr__, flush=True)
    sys.exit(1)
