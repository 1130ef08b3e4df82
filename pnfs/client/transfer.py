# -*- test-case-name: tests.client.test_transfer -*-
"""
Whole files in and out, with many requests under way.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections import deque
from typing import Any, Awaitable, Callable, Coroutine, Optional, Union

import attrs
from twisted.internet.defer import CancelledError, Deferred

from pnfs.client.dataservers import Address
from pnfs.client.file import File
from pnfs.rpc.coroutines import Running, drive

WINDOW = 16
"""Requests under way; enough for eight data servers on a local network."""

Progress = Callable[[int], None]
"""Called with a number of bytes each time so many more have passed."""

Source = Callable[[int, int], Union[bytes, memoryview, Awaitable[Any]]]
"""
Gives (or awaits) up to C{count} bytes from C{offset}; fewer only at the end. Called
in order of offsets, never again before what it gave has arrived.
"""

Sink = Callable[[int, memoryview], None]
"""Takes the bytes at C{offset}."""


@attrs.frozen
class Traffic:
    """
    What a transfer did at one data server.
    """

    address: Address
    read: int
    written: int


@attrs.frozen
class Transferred:
    """
    @ivar count: bytes.
    @ivar seconds: from the first request to the last answer; for L{upload} also
        until everything was on stable storage.
    @ivar traffic: for each data server.
    @ivar proxied: bytes that went through the metadata server.
    """

    count: int
    seconds: float
    traffic: tuple[Traffic, ...]
    proxied: int

    @property
    def rate(self) -> float:
        """
        Megabytes (10**6) per second.
        """
        return self.count / 1e6 / max(self.seconds, 1e-9)


class _Window:
    """
    Runs up to so many coroutines at the same time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.running = 0
        self.failure: Optional[Exception] = None
        self._waiter: Optional[Deferred[None]] = None
        self._under: set[Running[Any]] = set()

    async def start(
        self, work: Coroutine[Any, Any, Any], done: Callable[[Any], None]
    ) -> None:
        """
        Begin with C{work} when there is room.

        @param done: called with its result.
        @raise Exception: an earlier one has failed.
        """
        try:
            while self.running >= self._limit and self.failure is None:
                await self.wait()
            if self.failure is not None:
                raise self.failure
        except Exception:
            work.close()
            raise
        self.running += 1
        running: Optional[Running[Any]] = None

        def finished(result: Any) -> None:
            try:
                done(result)
            except Exception as error:
                failed(error)
            else:
                self.free(running)

        def failed(error: Exception) -> None:
            if self.failure is None:
                self.failure = error
            self.free(running)

        begun = drive(work, finished, failed)
        if begun is not None:
            running = begun
            self._under.add(begun)

    def cancel(self) -> None:
        """
        Cancel all that is under way.
        """
        for running in list(self._under):
            running.cancel()

    def free(self, ended: Optional[Running[Any]]) -> None:
        """
        There is room again.
        """
        if ended is not None:
            self._under.discard(ended)
        self.running -= 1
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)

    async def wait(self) -> None:
        """
        Wait until one has ended.
        """
        self._waiter = Deferred()
        await self._waiter

    async def drain(self) -> None:
        """
        Wait for all.

        @raise Exception: the first failure.
        """
        while self.running:
            await self.wait()
        if self.failure is not None:
            raise self.failure


def _nothing(count: int) -> None:
    """
    Nobody watches.
    """


async def upload(
    source: Source,
    file: File,
    *,
    offset: int = 0,
    window: int = WINDOW,
    progress: Progress = _nothing,
) -> Transferred:
    """
    Write all that a source gives, and flush.

    @param file: open for writing.
    @raise Exception: what the source or the file raises, once nothing is under way.
    """
    clock = file.clock
    begin = clock.seconds()
    before = dict(file.traffic), file.proxied
    count = 0
    chunk = file.ioBytes
    flow = _Window(window)

    async def put(place: int, data: Any) -> int:
        await file.write(place, data)
        return len(data)

    try:
        while True:
            data = source(offset, chunk)
            if not isinstance(data, (bytes, bytearray, memoryview)):
                data = await data
            if not data:
                break
            size = len(data)
            await flow.start(put(offset, data), progress)
            offset += size
            count += size
    except CancelledError:
        flow.cancel()
        raise
    finally:
        await flow.drain()
    await file.flush()
    return _account(file, before, count, clock.seconds() - begin)


async def download(
    file: File,
    sink: Sink,
    *,
    offset: int = 0,
    length: Optional[int] = None,
    window: int = WINDOW,
    ordered: bool = True,
    progress: Progress = _nothing,
) -> Transferred:
    """
    Read a file.

    @param file: open for reading.
    @param length: bytes wanted; None: to the end.
    @param ordered: the sink wants the bytes in order.
    @raise Exception: what the file or the sink raises, once nothing is under way.
    """
    clock = file.clock
    begin = clock.seconds()
    before = dict(file.traffic), file.proxied
    count = 0
    chunk = file.ioBytes
    end = file.size if length is None else min(file.size, offset + length)
    flow = _Window(window)
    arrived: dict[int, memoryview] = {}
    following: deque[int] = deque()

    def deliver(place: int, view: memoryview) -> None:
        nonlocal count
        if view:
            sink(place, view)
            count += len(view)
            progress(len(view))

    def done(result: tuple[int, memoryview]) -> None:
        place, view = result
        if not ordered:
            deliver(place, view)
            return
        arrived[place] = view
        while following and following[0] in arrived:
            first = following.popleft()
            deliver(first, arrived.pop(first))

    async def fetch(place: int, size: int) -> tuple[int, memoryview]:
        return place, await file.read(place, size)

    try:
        while offset < end and flow.failure is None:
            if ordered:
                # What came early and waits for its turn is bounded too.
                while len(following) >= 2 * window and flow.failure is None:
                    await flow.wait()
                following.append(offset)
            size = min(chunk - offset % chunk, end - offset)
            await flow.start(fetch(offset, size), done)
            offset += size
    except CancelledError:
        flow.cancel()
        raise
    finally:
        await flow.drain()
    return _account(file, before, count, clock.seconds() - begin)


def _account(
    file: File,
    before: tuple[dict[Address, tuple[int, int]], tuple[int, int]],
    count: int,
    seconds: float,
) -> Transferred:
    traffic = []
    for address, (read, written) in file.traffic.items():
        had = before[0].get(address, (0, 0))
        traffic.append(Traffic(address, read - had[0], written - had[1]))
    proxied = sum(file.proxied) - sum(before[1])
    return Transferred(count, seconds, tuple(traffic), proxied)


# -- sources and sinks ---------------------------------------------------------------


class Pattern:
    """
    A source of pseudo-random bytes, the same for the same seed.

    @ivar sha256: of all that was given.
    """

    _BLOCK = 1 << 20

    def __init__(self, size: int, seed: int = 0) -> None:
        self._size = size
        self._block = random.Random(seed).randbytes(2 * self._BLOCK)
        self.sha256 = hashlib.sha256()

    def __call__(self, offset: int, count: int) -> bytes:
        """
        As L{Source}.
        """
        count = max(0, min(count, self._size - offset, self._BLOCK))
        # Another part of the noise for each piece, so that none is like another.
        start = offset // 4096 * 7919 % self._BLOCK
        data = self._block[start : start + count]
        self.sha256.update(data)
        return data


class Digest:
    """
    A sink that only computes C{sha256}.
    """

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def __call__(self, offset: int, view: memoryview) -> None:
        """
        As L{Sink}, in order.
        """
        self.sha256.update(view)


def fileSource(fd: int) -> Source:
    """
    The bytes of a local file.
    """

    def read(offset: int, count: int) -> bytes:
        data = os.pread(fd, count, offset)
        while 0 < len(data) < count:
            more = os.pread(fd, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    return read


def fileSink(fd: int) -> Sink:
    """
    Into a local file, in any order.
    """

    def write(offset: int, view: memoryview) -> None:
        while view:
            done = os.pwrite(fd, view, offset)
            offset += done
            view = view[done:]

    return write


def streamSink(fd: int) -> Sink:
    """
    Into a pipe or terminal, in order.
    """

    def write(offset: int, view: memoryview) -> None:
        while view:
            view = view[os.write(fd, view) :]

    return write
