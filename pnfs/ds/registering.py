# -*- test-case-name: tests.mds.test_registration -*-
"""
A data server that registers itself with metadata servers (L{pnfs.registration}).

It does so when it starts, and again every minute: so it is found where it is now when
its address has changed, and by a metadata server that was down or set up anew. What
has been said before changes nothing there.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError
from pnfs.configregistration import RegistrationConfig
from pnfs.configvalues import Address
from pnfs.registration import (
    CHALLENGE,
    NONCE_BYTES,
    REG_BADKEY,
    REG_OK,
    REG_REFUSED,
    REGISTER,
    REGISTER_PROGRAM,
    REGISTER_VERSION,
    CHALLENGE1args,
    Proofs,
    REGISTER1args,
    address1,
    challengeArgs,
    challengeRes,
    data_server1,
    registerArgs,
    registerRes,
    same,
)
from pnfs.rpc.errors import CallFailed, RPCRefused
from pnfs.values import FSStatistics
from pnfs.xdr.errors import XDRError

AGAIN_SECONDS = 60.0
"""When it is known, or refused."""

FIRST_DELAY = 1.0
"""When it could not be registered now; doubled up to L{AGAIN_SECONDS}."""

CALL_SECONDS = 30.0
"""The metadata server connects to us before it answers."""

_log = Logger()


class NotRegistered(Exception):
    """
    The text is one line: why not.

    @ivar lasting: somebody has to change something.
    """

    def __init__(self, why: str, lasting: bool = False) -> None:
        super().__init__(why)
        self.lasting = lasting


@attrs.frozen
class Identity:
    """
    Who registers.

    @ivar space: asks how much room there is.
    """

    uuid: bytes
    name: str
    config: RegistrationConfig
    space: Callable[[], Awaitable[FSStatistics]]


class Registering:
    """
    Registers with one metadata server as long as it runs.
    """

    def __init__(
        self,
        server: Address,
        rpc: Any,
        identity: Identity,
        proofs: Proofs,
        clock: IReactorTime,
        entropy: Callable[[int], bytes],
    ) -> None:
        """
        @param server: the metadata server; rpc: L{pnfs.rpc.client.RPCClient} of it.
        """
        self._where = "{}:{}".format(*server)
        self._rpc = rpc
        self._identity = identity
        self._proofs = proofs
        self._clock = clock
        self._entropy = entropy
        self._delay = FIRST_DELAY
        self._said = ""
        self._running: Any = None
        self._timer: Any = None
        self._stopped = False

    def start(self) -> None:
        """
        Begin.
        """
        self._timer = self._clock.callLater(0, self._begin)

    def stop(self) -> None:
        """
        Stop, and hang up.
        """
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._running is not None:
            self._running.cancel()
        self._rpc.close()

    def _begin(self) -> None:
        self._timer = None
        self._running = running = Deferred.fromCoroutine(self._once())
        running.addErrback(self._broken)
        running.addCallback(self._again)

    def _broken(self, failure: Failure) -> float:
        if not self._stopped:
            _log.failure("registering failed", failure)
        return AGAIN_SECONDS

    def _again(self, seconds: float) -> None:
        self._running = None
        if not self._stopped:
            self._timer = self._clock.callLater(seconds, self._begin)

    async def _once(self) -> float:
        """
        @return: seconds until the next time.
        """
        try:
            name = await self.register()
        except NotRegistered as error:
            said = f"not registered with {self._where}: {error}"
            if said != self._said:
                self._said = said
                _log.warn("{said}", said=said)
            if error.lasting:
                return AGAIN_SECONDS
            delay, self._delay = self._delay, min(2 * self._delay, AGAIN_SECONDS)
            return delay
        finally:
            # It is a minute until the next call.
            self._rpc.disconnect()
        self._delay = FIRST_DELAY
        said = f"registered with {self._where} as {name}"
        if said != self._said:
            self._said = said
            _log.info("{said}", said=said)
        return AGAIN_SECONDS

    async def register(self) -> str:
        """
        Do it once.

        @return: what the metadata server calls us.
        @raise NotRegistered: it does not know us yet.
        """
        try:
            return await self._register()
        except RPCRefused:
            raise NotRegistered(
                "it takes no registrations; is it an older metadata server?", True
            ) from None
        except (CallFailed, XDRError) as error:
            raise NotRegistered(f"it does not answer: {error}") from None
        except BackendError as error:
            raise NotRegistered(f"the data folder does not work: {error}") from None

    async def _register(self) -> str:
        ours = self._entropy(NONCE_BYTES)
        hello = CHALLENGE1args(ours, self._proofs.hello(ours))
        buf, pos = await self._call(CHALLENGE, challengeArgs.encode(hello))
        challenge, pos = challengeRes.decode(buf, pos)
        theirs, host = bytes(challenge.cr_nonce), bytes(challenge.cr_host)
        proof = self._proofs.challenge(ours, theirs, host)
        if challenge.cr_status == REG_BADKEY or not same(challenge.cr_proof, proof):
            raise NotRegistered(
                "it has another cluster key; copy the metadata server's to 'key'", True
            )
        server = await self._describe(host)
        said = REGISTER1args(server, self._proofs.server(ours, theirs, server))
        buf, pos = await self._call(REGISTER, registerArgs.encode(said))
        answer, pos = registerRes.decode(buf, pos)
        outcome = answer.rs_outcome
        if not same(answer.rs_proof, self._proofs.outcome(ours, theirs, outcome)):
            raise NotRegistered("its answer is not proved")
        if outcome.rr_status != REG_OK:
            why = bytes(outcome.rr_text).decode("utf-8", "replace")
            raise NotRegistered(why, outcome.rr_status == REG_REFUSED)
        return bytes(outcome.rr_name).decode("utf-8", "replace")

    def _call(self, procedure: int, arguments: bytes) -> Any:
        return self._rpc.call(
            REGISTER_PROGRAM,
            REGISTER_VERSION,
            procedure,
            [arguments],
            timeout=CALL_SECONDS,
        )

    async def _describe(self, host: bytes) -> data_server1:
        """
        What we say of ourselves.

        @param host: where the metadata server sees us.
        """
        identity = self._identity
        config = identity.config
        space = await identity.space()
        addresses = dict.fromkeys(
            (known.encode("ascii") or host, port) for known, port in config.advertise
        )
        return data_server1(
            identity.uuid,
            identity.name.encode("utf-8")[:255],
            [address1(*each) for each in addresses],
            config.protocol.encode("ascii"),
            config.label.encode("ascii"),
            space.spaceTotal,
            space.spaceAvailable,
        )
