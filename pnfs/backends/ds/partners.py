# -*- test-case-name: tests.backends.ds.test_partners -*-
"""
Copying from other data servers: the one that has the destination reads from the
one that has the source, as a client of it, with a capability that the metadata
server has made for that; and compares checksums with it if that is asked for.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.ds.carrying import BLOCK, BLOCKS, SECONDS, carry
from pnfs.backends.ds.digests import UNIT, RangeDigests
from pnfs.backends.ds.remote import backendError
from pnfs.backends.errors import BackendError, PartnerFailed
from pnfs.nfs4 import requests
from pnfs.nfs4.dsops.contents import VALUE_LIMIT, checksumsName, decodeDigests
from pnfs.nfs4.status import NFSError
from pnfs.rpc.errors import CallFailed
from pnfs.values import CopySource, ReadResult, Stable, WriteResult
from pnfs.xdr.errors import XDRError

FLUSH = 16 << 20
"""Bytes after which what has come is brought to the disk, while more comes."""

LARGE = 2 << 20
"""
The largest READ of a data server: whoever has much to copy asks for so much at a time.
A READ costs less of what it is sent with than of what it is received with, which is the
processor of the one that is filled.
"""

MUCH = 16 << 20
"""
Bytes of a copy for which nobody waits that are read in large pieces. Less is asked for
where the copying is limited, and clients are not to wait for it: L{BLOCK} at a time, one
after the other.
"""

RANGES = 4096
"""In which a copy and its source differ, that are told at a time."""

AHEAD = 8 << 20
"""
Bytes of such a copy that are under way: some come while others are written, and others
are read again.
"""

CONNECT_SECONDS = 1.5
"""
For each address: whoever waits for the copy must hear in time that nobody is there.
"""


_log = Logger()


class Partners:
    """
    Connections to other data servers, made when needed and kept.
    """

    def __init__(
        self,
        backend: Any,
        connect: Callable[[tuple[str, int]], Any],
        seconds: Callable[[], float],
    ) -> None:
        """
        @param backend: where copies go to.
        @param connect: gives a L{pnfs.nfs4.client.SessionClient} for an address.
        @param seconds: the monotonic clock.
        """
        self._backend = backend
        self._seconds = seconds
        self._connect = connect
        self._clients: dict[tuple[str, int], Any] = {}

    async def fetch(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
        digests: Optional[RangeDigests] = None,
        soon: bool = True,
    ) -> WriteResult:
        """
        As L{pnfs.interfaces.IDataServerBackend.copy}, from another data server; what
        has come is durable then. The disk works while bytes come from elsewhere, and
        bytes come as fast as it works.

        @param digests: told of what is written.
        @param soon: somebody is going to read what is written. Else it is written past
            the page cache if that is possible.
        """
        client = await self._reach(source)
        block, ahead = BLOCK, BLOCKS * BLOCK
        if not soon and count < MUCH:
            ahead = BLOCK
        elif not soon:
            block, ahead = max(BLOCK, min(LARGE, client.readBytes)), AHEAD

        async def read(at: int, length: int) -> ReadResult:
            return await _read(client, source, at, length)

        waiting = 0
        flushing: Deferred[Any] = succeed(None)

        async def write(at: int, data: memoryview) -> WriteResult:
            nonlocal waiting, flushing
            past = await self._backend.writePast(name, at, data) if not soon else None
            found: Sequence[bytes] = ()
            result: WriteResult
            if past is not None:
                result, found = past
            else:
                result = await self._backend.write(name, at, data, Stable.UNSTABLE)
                waiting += result.count
            if digests is not None:
                digests.add(at, result.count, found)
            if waiting >= FLUSH:
                waiting = 0
                before, flushing = flushing, Deferred.fromCoroutine(
                    self._backend.commit(name, 0, 0)
                )
                # If it fails, the verifier is another one at the end.
                flushing.addErrback(_failed)
                await before
            return result

        result = await carry(
            read,
            write,
            offset,
            sourceOffset,
            count,
            self._seconds,
            block,
            ahead,
        )
        if await self._backend.commit(name, 0, 0) != result.verifier:
            return result
        return attrs.evolve(result, committed=int(Stable.FILE_SYNC))

    def digests(self, offset: int) -> RangeDigests:
        """
        What L{fetch} tells of a range that it writes, for L{compare}.
        """
        return RangeDigests(offset)

    async def compare(
        self,
        digests: RangeDigests,
        source: CopySource,
        sourceOffset: int,
        count: int,
        handle: bytes,
    ) -> tuple[int, list[tuple[int, int]]]:
        """
        Compare what has been written with what the source has now.

        @param handle: a control handle of the source.
        @return: how many bytes, from the start on, have been compared in about
            L{SECONDS}, 0 if the source does not tell; and ranges in which they differ.
        """
        mine = digests.known(count)
        count = min(count, len(mine) * UNIT)
        until = self._seconds() + SECONDS
        unequal: list[tuple[int, int]] = []
        done = 0
        try:
            client = await self._reach(source)
            while done < count:
                theirs = await _checksums(
                    client, handle, sourceOffset + done, count - done
                )
                if not _isMeant(client, source):
                    break
                for one, other in zip(mine[done // UNIT :], theirs):
                    length = min(UNIT, count - done)
                    if one != other:
                        if len(unequal) == RANGES:
                            return done, unequal
                        unequal.append((digests.offset + done, length))
                    done += length
                if self._seconds() >= until:
                    break
        except (NFSError, CallFailed, XDRError, BackendError) as error:
            _log.debug("not compared: {reason}", reason=error)
        return done, unequal

    async def _reach(self, source: CopySource) -> Any:
        """
        A client of the data server meant. Another one may answer at one of its
        addresses, such as C{127.0.0.1}: names of objects are the same everywhere, so
        what is read there would be wrong.

        @raise PartnerFailed: it is not found.
        """
        problem = "it has no address"
        for address in source.addresses:
            client = self._clientOf(address)
            try:
                await client.connect(CONNECT_SECONDS)
            except (NFSError, CallFailed, XDRError, BackendError) as error:
                problem = str(error)
                continue
            if _isMeant(client, source):
                return client
            problem = f"another server answers at {address[0]} port {address[1]}"
        raise PartnerFailed(problem)

    def _clientOf(self, address: tuple[str, int]) -> Any:
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = self._connect(address)
        return client

    async def stop(self) -> None:
        """
        Give all sessions back.
        """
        while self._clients:
            _, client = self._clients.popitem()
            await client.close()


def _failed(failure: Failure) -> None:
    """
    A flush that nobody waits for: the backend knows, and so will who sends a COMMIT.
    """
    if not isinstance(failure.value, BackendError):
        _log.failure("flushing what is being copied", failure)


def _isMeant(client: Any, source: CopySource) -> bool:
    return bool(client.serverOwner == source.uuid.hex().encode("ascii"))


async def _read(client: Any, source: CopySource, offset: int, count: int) -> ReadResult:
    """
    READs of what a session takes, until the range or the object ends.

    @raise PartnerFailed: whatever the reason.
    """
    pieces: list[Any] = []
    got = 0
    eof = False
    while not eof and got < count:
        want = min(count - got, client.readBytes)
        try:
            results = await client.compound(
                [
                    requests.putfh(source.handle),
                    requests.read(requests.ANONYMOUS, offset + got, want),
                ],
                2,
            )
            results.operation(22)
            results.operation(25)
            eof = results.uint32() == 1
            # What comes next is put where a device can take it from.
            client.placeData(results.pos + 4)
            data = results.view(want)
        except (NFSError, CallFailed, XDRError, BackendError) as error:
            raise PartnerFailed(str(backendError(error))) from error
        if not _isMeant(client, source):
            # The session was made anew meanwhile, with somebody else.
            raise PartnerFailed("another server answers there now")
        if not data and not eof:
            raise PartnerFailed("it reads nothing, but no end either")
        pieces.append(data)
        got += len(data)
    return ReadResult(pieces, got, eof)


async def _checksums(
    client: Any, handle: bytes, offset: int, count: int
) -> list[bytes]:
    """
    Of some pieces, from the first on.
    """
    results = await client.compound(
        [
            requests.putfh(handle),
            requests.getxattr(checksumsName(offset, count, UNIT)),
        ],
        2,
    )
    results.operation(22)
    results.operation(72)
    return decodeDigests(results.opaque(VALUE_LIMIT), count, UNIT)
