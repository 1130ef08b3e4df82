"""
Tests of L{pnfs.backends.ds.local_direct}.
"""

from __future__ import annotations

import errno
import mmap
import os
from typing import Any, Optional, Sequence

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds import local_digests, local_direct
from pnfs.backends.ds.digests import UNIT
from pnfs.backends.ds.local import LocalDataServerBackend
from pnfs.backends.ds.local_threads import InlineExecutor
from pnfs.backends.errors import NoSpace
from pnfs.values import SetAttributes, Stable, WriteResult
from tests.backends.ds.test_local import LocalTestCase, makeFolder
from tests.contracts.data import NAME, DataServerBackendContract, readBytes
from tests.contracts.digests import DigestsContract

PAGE = mmap.PAGESIZE
KIB = 1 << 10
MIB = 1 << 20


def pages(count: int, fill: bytes = b"x") -> memoryview:
    """
    So many bytes where a page begins.
    """
    memory = memoryview(mmap.mmap(-1, count + PAGE))
    memory[:] = fill * len(memory)
    return memory[:count]


class ColdContractTests(
    DigestsContract, DataServerBackendContract, SynchronousTestCase
):
    """
    Checksums are the same if nothing is in the page cache.
    """

    def makeBackend(self) -> LocalDataServerBackend:
        """
        Whose kernel always says so.
        """
        self.patch(local_direct, "_isCached", lambda fd, offset, count: False)
        return LocalDataServerBackend(makeFolder(self), executor=InlineExecutor())


class DirectTestCase(LocalTestCase):
    """
    A file of 4 MiB that has a hole only.
    """

    def setUp(self) -> None:
        """
        Make it.
        """
        super().setUp()
        self.done(self.backend.setattr(NAME, SetAttributes(size=4 * MIB)))
        self.done(self.backend.commit(NAME, 0, 0))
        self.executor.calls.clear()

    def writePast(
        self, offset: int, data: memoryview
    ) -> Optional[tuple[WriteResult, Sequence[bytes]]]:
        """
        Do it.
        """
        result: Optional[tuple[WriteResult, Sequence[bytes]]]
        result = self.done(self.backend.writePast(NAME, offset, data))
        return result

    def content(self, offset: int, count: int) -> bytes:
        """
        Of the file.
        """
        return readBytes(self.done(self.backend.read(NAME, offset, count)))


class WritePastTests(DirectTestCase):
    """
    What a data server is filled with does not go through the page cache.
    """

    def setUp(self) -> None:
        """
        If this file system can do that.
        """
        super().setUp()
        if self.writePast(3 * MIB, pages(PAGE)) is None:
            self.skipTest("the file system of the tests cannot write past the cache")
        self.done(self.backend.commit(NAME, 0, 0))
        self.executor.calls.clear()

    def test_written(self) -> None:
        """
        It is there, in the pool of threads, and not in memory; a flush makes it
        durable.
        """
        past = self.writePast(MIB, pages(MIB))
        assert past is not None
        self.assertEqual(past[0], WriteResult(MIB, 0, self.backend.verifier))
        self.assertEqual(self.executor.calls, ["writeDirect"])
        self.assertIsNone(self.backend.readNow(NAME, MIB, 64 * KIB))
        self.done(self.backend.commit(NAME, 0, 0))
        self.assertEqual(self.executor.calls[1:], ["fdatasync"])
        self.assertTrue(
            self.content(0, 3 * MIB) == bytes(MIB) + b"x" * MIB + bytes(MIB)
        )

    def test_digests(self) -> None:
        """
        It tells the digests of what it has written.
        """
        data = pages(MIB + PAGE)
        data[:] = os.urandom(len(data))
        past = self.writePast(2 * MIB, data)
        assert past is not None
        self.assertEqual(len(past[1]), 5)
        self.assertEqual(
            past[1],
            self.done(self.backend.checksums(NAME, 2 * MIB, MIB + PAGE, UNIT)),
        )
        zeros = self.writePast(0, pages(UNIT, bytes(1)))
        assert zeros is not None
        self.assertEqual(zeros[1], [b""])

    def test_elsewhere(self) -> None:
        """
        What does not lie where it belongs is noticed, wherever a block begins: some of
        it is read again.
        """
        self.patch(local_direct, "SAMPLED", MIB)
        data = pages(MIB)
        for offset in (0, PAGE, MIB - UNIT, 2 * MIB - PAGE):
            right = self.writePast(offset, data)
            self.done(self.backend.deallocate(NAME, 0, 4 * MIB))
            lost = self.patch(os, "pwrite", lambda fd, data, at: len(data))
            wrong = self.writePast(offset, data)
            lost.restore()
            assert right is not None and wrong is not None
            differing = [one != other for one, other in zip(right[1], wrong[1])]
            self.assertEqual(sum(differing), 1)

    def test_part(self) -> None:
        """
        If the disk takes a part only, that counts, and nothing is said about what is
        there.
        """
        pwrite = os.pwrite
        self.patch(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:PAGE], at))
        past = self.writePast(0, pages(MIB))
        assert past is not None
        self.assertEqual((past[0].count, list(past[1])), (PAGE, []))

    def test_overCached(self) -> None:
        """
        What is in memory from before is not read any more, nor does it come back.
        """
        self.done(self.backend.write(NAME, 0, pages(2 * MIB, b"o"), Stable.UNSTABLE))
        self.assertIsNotNone(self.writePast(MIB, pages(MIB)))
        self.done(self.backend.commit(NAME, 0, 0))
        self.assertTrue(self.content(0, 2 * MIB) == b"o" * MIB + b"x" * MIB)

    def test_notBehindEnd(self) -> None:
        """
        A file grows in the reactor's thread only.
        """
        self.assertIsNone(self.writePast(4 * MIB - PAGE, pages(2 * PAGE)))
        self.assertEqual(self.done(self.backend.getattr(NAME)).size, 4 * MIB)
        self.assertEqual(self.content(4 * MIB - PAGE, PAGE), bytes(PAGE))

    def test_wholePages(self) -> None:
        """
        Parts of pages are for the page cache, if they are not the end of the file.
        """
        memory = pages(3 * PAGE)
        self.assertIsNone(self.writePast(512, memory[:PAGE]))
        self.assertIsNone(self.writePast(0, memory[: PAGE + 512]))
        self.assertIsNone(self.writePast(0, memory[:0]))
        self.assertEqual(self.content(0, 3 * PAGE), bytes(3 * PAGE))

    def test_end(self) -> None:
        """
        The end of a file is written as well, however long the file is; and if some of
        its last page is not where it belongs that is noticed, as for all the rest.
        """
        for size in (MIB + 1, UNIT - 1, PAGE + 512, 77):
            self.done(self.backend.setattr(NAME, SetAttributes(size=size)))
            data = pages(2 * MIB)[:size]
            data[:] = os.urandom(size)
            past = self.writePast(0, data)
            assert past is not None
            self.assertEqual(past[0].count, size)
            self.assertTrue(self.content(0, size + 1) == bytes(data))
            self.assertEqual(
                past[1], self.done(self.backend.checksums(NAME, 0, size, UNIT))
            )
            self.done(self.backend.deallocate(NAME, 0, size))
            lost = self.patch(os, "pwrite", lambda fd, data, at: len(data))
            wrong = self.writePast(0, data)
            lost.restore()
            assert wrong is not None
            self.assertNotEqual(wrong[1][0], past[1][0])

    def test_anyMemory(self) -> None:
        """
        Bytes may lie anywhere in memory, as the first ones that come from a partner do.
        """
        data = bytes(os.urandom(MIB + 2 * PAGE))
        self.patch(local_direct, "WINDOW", MIB)
        for view in (memoryview(data), memoryview(bytearray(b"?" + data))[1:]):
            past = self.writePast(0, view)
            assert past is not None
            self.assertEqual(past[0].count, len(data))
            self.assertTrue(self.content(0, len(data)) == data)
            self.assertEqual(
                past[1], self.done(self.backend.checksums(NAME, 0, len(data), UNIT))
            )
            self.done(self.backend.deallocate(NAME, 0, 4 * MIB))

    def test_full(self) -> None:
        """
        A disk that is full is told as such.
        """
        self.executor.auto = False
        writing = self.begin(self.backend.writePast(NAME, 0, pages(PAGE)))
        self.executor.step(OSError(errno.ENOSPC, "no space"))
        self.failureResultOf(writing, NoSpace)

    def test_flushMeanwhile(self) -> None:
        """
        A flush that began before it was written is not taken to have flushed it.
        """
        self.executor.auto = False
        writing = self.begin(self.backend.writePast(NAME, 0, pages(PAGE)))
        self.backend.writeNow(NAME, MIB, pages(PAGE), Stable.UNSTABLE)
        flushing = self.begin(self.backend.commit(NAME, 0, 0))
        # The flush first.
        self.executor.queue.rotate(1)
        self.executor.runAll()
        self.successResultOf(writing)
        self.successResultOf(flushing)
        self.executor.auto = True
        self.executor.calls.clear()
        self.done(self.backend.commit(NAME, 0, 0))
        self.assertEqual(self.executor.calls, ["fdatasync"])

    def test_tracked(self) -> None:
        """
        Who begins to look meanwhile is told of it.
        """
        self.executor.auto = False
        writing = self.begin(self.backend.writePast(NAME, MIB, pages(MIB)))
        token, _ = self.done(self.backend.track(NAME))
        self.executor.runAll()
        self.successResultOf(writing)
        changes = self.done(self.backend.changes(NAME, token))
        self.assertEqual(changes, [(MIB, MIB)])


class RefusedTests(DirectTestCase):
    """
    Where it cannot be done all goes through the page cache.
    """

    def refuse(self, *args: Any) -> Any:
        """
        As a file system does.
        """
        raise OSError(errno.EINVAL, "invalid argument")

    def test_open(self) -> None:
        """
        A file cannot be opened so: nothing is written, and it is not tried again.
        """
        self.patch(local_direct, "openDirect", lambda fd, flags: None)
        self.assertIsNone(self.writePast(0, pages(PAGE)))
        self.assertEqual(self.content(0, PAGE), bytes(PAGE))
        self.executor.calls.clear()
        self.assertIsNone(self.writePast(0, pages(PAGE)))
        self.assertEqual(self.executor.calls, [])

    def test_write(self) -> None:
        """
        Or the write is refused.
        """
        self.patch(os, "pwrite", self.refuse)
        self.assertIsNone(self.writePast(0, pages(PAGE)))

    def test_noDescriptor(self) -> None:
        """
        Without C{O_DIRECT}, or C{/proc}, there is no such descriptor.
        """
        self.assertIsNone(local_direct.openDirect(12345, os.O_RDONLY))
        self.patch(os, "O_DIRECT", 0)
        with open(os.devnull, "rb") as file:
            self.assertIsNone(local_direct.openDirect(file.fileno(), os.O_RDONLY))

    def test_read(self) -> None:
        """
        Checksums are told all the same if reading is refused.
        """
        self.patch(local_direct, "_isCached", lambda fd, offset, count: False)
        fd, expected = self.digested(os.urandom(3 * MIB + 77))
        preadv = os.preadv

        def refusing(number: int, buffers: Any, offset: int) -> int:
            if number != fd:
                self.refuse()
            return preadv(number, buffers, offset)

        self.patch(os, "preadv", refusing)
        self.assertEqual(local_digests.digestsIn(fd, 0, 4 * MIB, MIB, False), expected)
        self.assertNotIn(b"", expected)

    def test_partlyCached(self) -> None:
        """
        If some of a file is not in the page cache, that alone is read past it.
        """
        fd, expected = self.digested(os.urandom(7 * MIB + 77))
        asked: list[tuple[int, int]] = []

        def isCached(fd: int, offset: int, count: int) -> bool:
            asked.append((offset, count))
            return offset != 3 * MIB

        self.patch(local_direct, "_isCached", isCached)
        preadv = os.preadv
        past: list[tuple[int, int]] = []

        def noting(number: int, buffers: Any, offset: int) -> int:
            done = preadv(number, buffers, offset)
            if number != fd:
                past.append((offset, done))
            return done

        self.patch(os, "preadv", noting)
        self.assertEqual(local_digests.digestsIn(fd, 0, 8 * MIB, MIB, False), expected)
        self.assertEqual(past, [(3 * MIB, local_direct.WINDOW)])
        self.assertEqual(asked[-1], (7 * MIB, 77))

    def digested(self, data: bytes) -> tuple[int, list[bytes]]:
        """
        A file. @return: its descriptor, and digests as they are without O_DIRECT.
        """
        path = os.path.join(self.folder, "file")
        with open(path, "wb") as file:
            file.write(data)
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        size = -(-len(data) // MIB) * MIB
        return fd, local_digests.digestsIn(fd, 0, size, MIB, True)
