# -*- test-case-name: tests.client.test_file -*-
"""
Data servers as the client uses them: one session each, and data files on them.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pnfs.backends.errors import IOFailed, Unreachable
from pnfs.client.errors import FAILURES
from pnfs.nfs4 import requests
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.sessions import EXCHGID4_FLAG_USE_PNFS_DS
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import netaddr4
from pnfs.values import Piece, Stable
from pnfs.xdr.codec import PAD
from pnfs.xdr.errors import XDRError

Address = tuple[str, int]
"""Numeric host and port."""

NFS3 = -1
"""Instead of a minor version: this server speaks NFSv3."""

DEADLINE = 10.0
"""Seconds that a data server may be away before its I/O goes another way."""

SUSPICION = 15.0
"""Seconds for which a data server that was away is not tried again."""

_CONNECT_TIMEOUT = 4.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_RESTARTS = 5
_READ, _WRITE, _COMMIT, _PUTFH = 25, 38, 5, 22


def parseNetaddr(address: netaddr4) -> Address:
    """
    Host and port of a universal address (RFC 5665, section 5.2.3).

    @raise XDRError: it is none.
    """
    try:
        host, high, low = address.na_r_addr.decode("ascii").rsplit(".", 2)
        return host, int(high) << 8 | int(low)
    except ValueError:
        raise XDRError(f"no universal address: {address.na_r_addr!r}") from None


class DataServer:
    """
    One data server.

    @ivar addresses: where it is, best first.
    @ivar address: the one in use.
    """

    def __init__(
        self,
        connect: Callable[[Address], SessionClient],
        dial: Callable[[Address], Any],
        clock: IReactorTime,
        addresses: Sequence[Address],
        keepAlive: float,
    ) -> None:
        self._connect = connect
        self._dial = dial
        self._clock = clock
        self._keepAlive = keepAlive
        self.addresses = tuple(addresses)
        self.address = self.addresses[0]
        self._client: Optional[SessionClient] = None
        self._rpc: Any = None
        self._opening: Optional[list[Deferred[None]]] = None
        self._suspectUntil = 0.0

    @property
    def suspected(self) -> bool:
        """
        It did not answer a moment ago.
        """
        return self._clock.seconds() < self._suspectUntil

    def suspect(self) -> None:
        """
        It does not answer: leave it alone for a while.
        """
        self._suspectUntil = self._clock.seconds() + SUSPICION

    async def session(self) -> SessionClient:
        """
        A session with it, over the first of its addresses that answers.

        @raise Unreachable: none does.
        """
        while self._client is None:
            if self._opening is not None:
                waiter: Deferred[None] = Deferred()
                self._opening.append(waiter)
                await waiter
                if self._client is None:
                    raise Unreachable("the data server does not answer")
                break
            self._opening = []
            try:
                self._client = await self._open()
            finally:
                waiters, self._opening = self._opening, None
                for each in waiters:
                    if not each.called:
                        each.callback(None)
        return self._client

    async def _open(self) -> SessionClient:
        problem: Optional[Exception] = None
        for address in self.addresses:
            client = self._connect(address)
            try:
                await client.connect()
            except FAILURES as error:
                problem = error
                await client.close()
            else:
                client.keepAlive(self._keepAlive)
                self.address = address
                return client
        raise Unreachable(f"data server {self.addresses[0]}: {problem}")

    def rpc(self) -> Any:
        """
        The L{pnfs.rpc.client.RPCClient} for NFSv3, which has no sessions.
        """
        if self._rpc is None:
            self._rpc = self._dial(self.address)
        return self._rpc

    async def close(self) -> None:
        """
        End the session.
        """
        if self._rpc is not None:
            self._rpc.close()
        if self._client is not None:
            await self._client.close()


class DataServers:
    """
    All data servers that a mount has met.
    """

    def __init__(
        self,
        connect: Callable[..., Any],
        clock: IReactorTime,
        owner: bytes,
        verifier: bytes,
        credential: bytes,
        ioBytes: int,
        keepAlive: float,
    ) -> None:
        """
        @param connect: makes an L{pnfs.rpc.client.RPCClient} of host, port and options.
        @param owner: C{co_ownerid}, C{verifier} as for the metadata server (RFC 8881,
            section 13.1).
        @param keepAlive: seconds between renewals of idle sessions.
        """
        self._connect = connect
        self._clock = clock
        self._owner = owner
        self._verifier = verifier
        self._credential = credential
        self._ioBytes = ioBytes
        self._keepAlive = keepAlive
        self._known: dict[Any, DataServer] = {}

    def find(
        self, addresses: Sequence[Address], minor: int, credential: bytes = b""
    ) -> DataServer:
        """
        The data server at these addresses.

        @param minor: minor version of NFSv4, or L{NFS3}.
        @param credential: if not that of this mount.
        """
        key = (minor, credential, tuple(addresses))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = DataServer(
                lambda address: self._client(address, minor, credential),
                self._dial,
                self._clock,
                addresses,
                self._keepAlive,
            )
        return found

    def _dial(self, address: Address) -> Any:
        host, port = address
        return self._connect(
            host, port, connectTimeout=_CONNECT_TIMEOUT, clock=self._clock
        )

    def _client(self, address: Address, minor: int, credential: bytes) -> SessionClient:
        return SessionClient(
            self._dial(address),
            self._clock,
            self._owner + credential.hex().encode("ascii"),
            self._verifier,
            credential or self._credential,
            minor=minor,
            flags=EXCHGID4_FLAG_USE_PNFS_DS,
            slots=64,
            ioBytes=self._ioBytes,
            deadline=DEADLINE,
        )

    async def close(self) -> None:
        """
        End all sessions.
        """
        known, self._known = self._known, {}
        for server in known.values():
            await server.close()


class DataFile:
    """
    A file on a data server, or behind the metadata server: three operations under
    one filehandle and stateid.

    @ivar address: of the server; None if it is the metadata server.
    @ivar server: the L{DataServer}, likewise.
    @ivar fh: the filehandle there.
    @ivar deviceid: for reports.
    """

    def __init__(
        self, clock: IReactorTime, server: DataServer, fh: bytes, stateid: bytes
    ) -> None:
        self._clock = clock
        self.server: Optional[DataServer] = server
        self.fh = fh
        self._fh = requests.putfh(fh)
        self._stateid = stateid
        self.deviceid = b""

    @property
    def key(self) -> Any:
        """
        Equal for the same file on the same server.
        """
        assert self.server is not None
        return self.server.addresses, self._fh

    @property
    def address(self) -> Optional[Address]:
        """
        Where it is.
        """
        return None if self.server is None else self.server.address

    async def _do(self, operation: Sequence[Piece], number: int) -> Results:
        """
        PUTFH and one operation, as often as the server asks to come again.

        @return: positioned in the operation's result.
        """
        until = self._clock.seconds() + DEADLINE
        pause = _FIRST_PAUSE
        assert self.server is not None
        client = self.server._client
        if client is None:
            client = await self.server.session()
        while True:
            results = await client.compound([self._fh, *operation], 2)
            try:
                results.operation(_PUTFH)
                results.operation(number)
            except OperationFailed as failure:
                if (
                    failure.status != nfsstat4.NFS4ERR_DELAY
                    or self._clock.seconds() + pause > until
                ):
                    raise
                await sleep(self._clock, pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return results

    async def read(self, offset: int, count: int) -> tuple[memoryview, bool]:
        """
        @return: up to C{count} bytes, and whether the file ends there.
        """
        results = await self._do((requests.read(self._stateid, offset, count),), _READ)
        eof = results.uint32() != 0
        return results.view(count), eof

    async def write(
        self, offset: int, data: memoryview, stable: int = Stable.UNSTABLE
    ) -> Optional[bytes]:
        """
        Write all of it.

        @return: the verifier to compare with that of L{commit}, or None if it is
            stable already.
        """
        verifier: Optional[bytes] = None
        position = restarts = 0
        while True:
            length = len(data) - position
            done, committed, got = await self._write(
                offset + position, data[position:], stable
            )
            if committed != Stable.FILE_SYNC:
                if verifier is not None and verifier != got:
                    # What was written before may be lost: all of it again.
                    restarts += 1
                    if restarts > _RESTARTS:
                        raise IOFailed("the data server restarts again and again")
                    position, verifier = 0, None
                    continue
                verifier = got
            if done == length:
                return verifier
            if not 0 < done < length:
                raise XDRError("WRITE of more than was sent, or nothing")
            position += done

    async def _write(
        self, offset: int, data: memoryview, stable: int
    ) -> tuple[int, int, bytes]:
        """
        WRITE once. @return: count, how stable, verifier.
        """
        length = len(data)
        head = requests.writeHead(self._stateid, offset, stable, length)
        results = await self._do((head, data, PAD[length & 3]), _WRITE)
        return results.uint32(), results.uint32(), results.fixed(8)

    async def commit(self) -> bytes:
        """
        Bring all that was written to stable storage. @return: the verifier.
        """
        return (await self._do((requests.commit(0, 0),), _COMMIT)).fixed(8)


def sleep(clock: IReactorTime, seconds: float) -> Deferred[None]:
    """
    Wait. @return: fires after so many seconds.
    """
    timer: Any = None
    done: Deferred[None] = Deferred(lambda _: timer.cancel())
    timer = clock.callLater(seconds, done.callback, None)
    return done
