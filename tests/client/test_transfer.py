"""
Tests of L{pnfs.client.transfer} and L{pnfs.client.exercise}.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import pnfs.client.exercise
from pnfs.client.exercise import exercise
from pnfs.client.transfer import (
    Digest,
    Pattern,
    download,
    fileSink,
    fileSource,
    streamSink,
    upload,
)
from tests.client.site import ClientCase, noise

CHUNK = 1000


class SlowFile:
    """
    A file whose requests end when told.

    @ivar requests: (offset, count, the Deferred that they wait for).
    """

    def __init__(self, data: bytes = b"") -> None:
        self.clock = Clock()
        self.traffic: dict[Any, Any] = {}
        self.proxied = (0, 0)
        self.ioBytes = CHUNK
        self.data = bytearray(data)
        self.size = len(data)
        self.flushed = False
        self.requests: list[tuple[int, int, Deferred[None]]] = []

    async def read(self, offset: int, count: int) -> memoryview:
        """
        As C{File.read}.
        """
        await self._wait(offset, count)
        return memoryview(bytes(self.data[offset : offset + count]))

    async def write(self, offset: int, data: bytes) -> None:
        """
        As C{File.write}.
        """
        await self._wait(offset, len(data))
        self.data[len(self.data) :] = bytes(max(0, offset - len(self.data)))
        self.data[offset : offset + len(data)] = data

    def _wait(self, offset: int, count: int) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self.requests.append((offset, count, waiter))
        return waiter

    async def flush(self) -> None:
        """
        As C{File.flush}.
        """
        self.flushed = True


class WindowTests(SynchronousTestCase):
    """
    How requests are put one after the other.
    """

    def begin(self, coroutine: Any) -> Deferred[Any]:
        """
        Run it as far as it goes.
        """
        return Deferred.fromCoroutine(coroutine)

    def test_upload(self) -> None:
        """
        As many writes as the window allows are under way; flushed at the end, and
        everything is there, in whatever order they end.
        """
        data = noise(5 * CHUNK + 5)
        file: Any = SlowFile()
        seen: list[int] = []
        done = self.begin(
            upload(lambda o, n: data[o : o + n], file, window=3, progress=seen.append)
        )
        self.assertEqual(len(file.requests), 3)
        while file.requests:
            file.requests.pop()[2].callback(None)
        self.assertEqual(self.successResultOf(done).count, len(data))
        self.assertEqual(file.data, data)
        self.assertEqual(sum(seen), len(data))
        self.assertTrue(file.flushed)

    def test_uploadFails(self) -> None:
        """
        The first failure ends it, when nothing is under way any more.
        """
        file: Any = SlowFile()
        done = self.begin(upload(lambda o, n: bytes(n), file, window=3))
        file.requests[1][2].errback(OSError("no"))
        self.assertNoResult(done)
        file.requests[0][2].callback(None)
        file.requests[2][2].callback(None)
        self.failureResultOf(done, OSError)
        self.assertEqual(len(file.requests), 3)
        self.assertFalse(file.flushed)

    def test_cancelled(self) -> None:
        """
        Ctrl-C ends it at once: what is under way is cancelled.
        """
        file: Any = SlowFile(bytes(20 * CHUNK))
        for work in (
            upload(lambda o, n: bytes(n), file, window=3),
            download(file, lambda offset, view: None, window=3),
        ):
            done = self.begin(work)
            done.cancel()
            self.failureResultOf(done, CancelledError)
        self.assertEqual(len(file.requests), 6)
        self.assertFalse(file.flushed)

    def test_slowSource(self) -> None:
        """
        A source may take its time.
        """
        parts = [succeed(b"ab"), succeed(b"c"), succeed(b"")]
        file: Any = SlowFile()
        done = self.begin(upload(lambda o, n: parts.pop(0), file))
        for request in file.requests:
            request[2].callback(None)
        self.assertEqual(self.successResultOf(done).count, 3)
        self.assertEqual(file.data, b"abc")

    def test_ordered(self) -> None:
        """
        The sink gets the bytes in order though the answers come in another; what
        has come early is bounded.
        """
        data = noise(20 * CHUNK + 1)
        file: Any = SlowFile(data)
        got: list[bytes] = []
        done = self.begin(
            download(file, lambda offset, view: got.append(bytes(view)), window=3)
        )
        first = file.requests.pop(0)
        while file.requests:
            file.requests.pop()[2].callback(None)
        self.assertEqual(got, [])
        first[2].callback(None)
        while file.requests:
            file.requests.pop()[2].callback(None)
        self.assertEqual(self.successResultOf(done).count, len(data))
        self.assertEqual(b"".join(got), data)

    def test_range(self) -> None:
        """
        A part of a file, cut at the chunks' borders.
        """
        data = noise(4 * CHUNK)
        file: Any = SlowFile(data)
        sink = Digest()
        done = self.begin(download(file, sink, offset=CHUNK + 5, length=2 * CHUNK))
        self.assertEqual(
            [request[:2] for request in file.requests],
            [(CHUNK + 5, CHUNK - 5), (2 * CHUNK, CHUNK), (3 * CHUNK, 5)],
        )
        for request in file.requests:
            request[2].callback(None)
        self.assertEqual(self.successResultOf(done).count, 2 * CHUNK)
        expected = hashlib.sha256(data[CHUNK + 5 :][: 2 * CHUNK])
        self.assertEqual(sink.sha256.digest(), expected.digest())

    def test_sinkFails(self) -> None:
        """
        A full disk ends a download.
        """
        file: Any = SlowFile(bytes(10 * CHUNK))

        def full(offset: int, view: memoryview) -> None:
            raise OSError(28, "full")

        done = self.begin(download(file, full, window=2, ordered=False))
        while file.requests:
            file.requests.pop()[2].callback(None)
        self.failureResultOf(done, OSError)


class LocalTests(SynchronousTestCase):
    """
    Local files as sources and sinks.
    """

    def test_file(self) -> None:
        """
        Bytes go where they belong, in any order.
        """
        path = self.mktemp()
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, fd)
        sink = fileSink(fd)
        sink(3, memoryview(b"def"))
        sink(0, memoryview(b"abc"))
        source = fileSource(fd)
        self.assertEqual(source(0, 100), b"abcdef")
        self.assertEqual(source(4, 1), b"e")
        self.assertEqual(source(6, 1), b"")

    def test_stream(self) -> None:
        """
        Bytes go into a pipe.
        """
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        streamSink(writing)(0, memoryview(b"hello"))
        os.close(writing)
        self.assertEqual(os.read(reading, 100), b"hello")

    def test_pattern(self) -> None:
        """
        The same seed gives the same bytes, however they are asked for.
        """
        one, two = Pattern(3 << 20, 5), Pattern(3 << 20, 5)
        chunk = 1 << 20
        a = [one(offset, chunk) for offset in range(0, 4 << 20, chunk)]
        b = [two(offset, chunk) for offset in range(0, 4 << 20, chunk)]
        self.assertEqual(a, b)
        self.assertEqual([len(each) for each in a], [chunk, chunk, chunk, 0])
        self.assertEqual(len(set(a)), 4)
        self.assertEqual(one.sha256.digest(), two.sha256.digest())


class ExerciseTests(ClientCase):
    """
    What C{pnfs demo} does, on a site in memory.
    """

    count = 2
    stripeUnit = 1 << 20

    def test_same(self) -> None:
        """
        All is read as written, and each data server has its share.
        """
        mount = pnfs.client.exercise.Mount
        self.patch(
            pnfs.client.exercise,
            "Mount",
            lambda *args, **more: mount(
                *args, **more, clock=self.clock, dial=self.dial, uid=0, gid=0, gids=()
            ),
        )
        size = (4 << 20) + 5
        outcome = self.now(exercise(self.clock, "192.0.2.1", 2049, "/export/x", size))
        self.assertTrue(outcome.same)
        self.assertEqual(len(outcome.digest), 64)
        self.assertEqual(sum(each.written for each in outcome.traffic), size)
        self.assertEqual(sum(each.read for each in outcome.traffic), size)
        self.assertEqual(
            [each.address for each in outcome.traffic],
            [self.address(0), self.address(1)],
        )
        self.assertIn("2 stripes", outcome.placement)
        self.assertIn("object", outcome.placement)
        told = outcome.traffic[0].describe()
        self.assertEqual(
            set(told), {"bytes_written", "write_mb_s", "bytes_read", "read_mb_s"}
        )
