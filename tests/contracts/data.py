"""
What every L{IDataServerBackend} promises.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Coroutine, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pnfs.backends.errors import (
    BackendError,
    InvalidArgument,
    NoSuchObject,
    TooBig,
    Unsupported,
)
from pnfs.interfaces import IDataServerBackend
from pnfs.values import (
    NOW,
    CopySource,
    FileSlice,
    Piece,
    ReadResult,
    SetAttributes,
    Stable,
)

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    # Not a test case itself, lest it be run where it is imported.
    _Base = object

_T = TypeVar("_T")
NAME = b"0123abcd"
SOURCE = b"4567ef"
KIB = 1024


def pieceBytes(piece: Piece) -> bytes:
    """
    What a transport would send for a piece, which is released.
    """
    if not isinstance(piece, FileSlice):
        return bytes(piece)
    data = os.pread(piece.fd, piece.count, piece.offset)
    piece.release()
    return data + bytes(piece.count - len(data))


def readBytes(result: ReadResult) -> bytes:
    """
    All bytes of a result, whose count is checked.
    """
    data = b"".join(map(pieceBytes, result.pieces))
    assert len(data) == result.count, (len(data), result.count)
    return data


class DataServerBackendContract(_Base):
    """
    To be mixed in; C{makeBackend} gives a backend that has not been started.
    """

    backend: Any

    def makeBackend(self) -> Any:
        """
        A backend without objects.
        """
        raise NotImplementedError

    def setUp(self) -> None:
        """
        Start the backend and make one object.
        """
        self.backend = self.makeBackend()
        self.run_(self.backend.start())
        self.addCleanup(lambda: self.run_(self.backend.stop()))
        self.run_(self.backend.create(NAME, 1000, 100, 0o640, 1))

    def run_(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """
        The result of what need not wait here.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def fails(
        self, coroutine: Coroutine[Any, Any, Any], *kinds: type[BackendError]
    ) -> None:
        """
        It raises one of these.
        """
        self.failureResultOf(Deferred.fromCoroutine(coroutine), *kinds)

    def put(self, offset: int, data: bytes, stable: int = Stable.UNSTABLE) -> Any:
        """
        Write to the object.
        """
        return self.run_(self.backend.write(NAME, offset, memoryview(data), stable))

    def get(self, offset: int, count: int) -> tuple[bytes, bool]:
        """
        Read from the object: bytes, eof.
        """
        result = self.run_(self.backend.read(NAME, offset, count))
        return readBytes(result), result.eof

    # -- shape ---------------------------------------------------------------------

    def test_interface(self) -> None:
        """
        It can be put wherever a data backend is wanted.
        """
        verifyObject(IDataServerBackend, self.backend)
        self.assertEqual(len(self.backend.verifier), 8)
        self.assertEqual(len(self.backend.uuid), 16)

    # -- data ----------------------------------------------------------------------

    def test_readBack(self) -> None:
        """
        What was written is read, and eof is told exactly at the end.
        """
        result = self.put(0, b"hello world")
        self.assertEqual((result.count, result.committed), (11, result.committed))
        self.assertEqual(result.verifier, self.backend.verifier)
        self.assertEqual(self.get(0, 11), (b"hello world", True))
        self.assertEqual(self.get(0, 10), (b"hello worl", False))
        self.assertEqual(self.get(6, 100), (b"world", True))

    def test_readPastEnd(self) -> None:
        """
        At and behind the end there is nothing but eof, however far it is.
        """
        self.put(0, b"abc")
        for offset in (3, 4, 1 << 40, (1 << 64) - 1):
            self.assertEqual(self.get(offset, 10), (b"", True))

    def test_readNothing(self) -> None:
        """
        A read of no bytes is at eof only if it is at the end.
        """
        self.put(0, b"abc")
        self.assertEqual(self.get(1, 0), (b"", False))
        self.assertEqual(self.get(3, 0), (b"", True))

    def test_empty(self) -> None:
        """
        A new object is empty.
        """
        self.assertEqual(self.get(0, 4096), (b"", True))

    def test_hole(self) -> None:
        """
        A byte never written below the end reads as zero.
        """
        self.put(200 * KIB, b"end")
        data, eof = self.get(0, 300 * KIB)
        self.assertEqual(data, bytes(200 * KIB) + b"end")
        self.assertTrue(eof)

    def test_large(self) -> None:
        """
        A megabyte at an odd offset comes back as it went in.
        """
        block = bytes(range(256)) * 4096
        self.assertEqual(self.put(12345, block).count, len(block))
        self.assertTrue(self.get(12345, len(block)) == (block, True))
        self.assertTrue(self.get(12345 + 7, 70000) == (block[7:70007], False))

    def test_overwrite(self) -> None:
        """
        A later write replaces the bytes in its range only.
        """
        self.put(0, b"aaaaaaaa")
        self.put(2, b"bb")
        self.assertEqual(self.get(0, 100), (b"aabbaaaa", True))

    def test_writeNothing(self) -> None:
        """
        A write of no bytes succeeds and does not change the size.
        """
        self.put(0, b"abc")
        self.assertEqual(self.put(100, b"").count, 0)
        self.assertEqual(self.run_(self.backend.getattr(NAME)).size, 3)

    def test_stable(self) -> None:
        """
        A stable write is answered as stable as it was asked, or better.
        """
        for stable in (Stable.DATA_SYNC, Stable.FILE_SYNC):
            result = self.put(0, b"abc", stable)
            self.assertEqual(result.count, 3)
            self.assertGreaterEqual(result.committed, stable)

    def test_tooBig(self) -> None:
        """
        An offset that no file can have is refused and leaves the object alone.
        """
        data = memoryview(b"abc")
        for offset in ((1 << 63) - 1, 1 << 63, (1 << 64) - 2):
            self.fails(self.backend.write(NAME, offset, data, 0), TooBig)
            self.fails(self.backend.extend(NAME, offset + 2), TooBig)
        self.assertEqual(self.get(0, 10), (b"", True))

    def test_now(self) -> None:
        """
        An object in use is read and written without waiting.
        """
        self.run_(self.backend.getattr(NAME))
        result = self.backend.writeNow(NAME, 1, memoryview(b"xyz"), Stable.UNSTABLE)
        self.assertEqual(result.count, 3)
        self.assertEqual(result.verifier, self.backend.verifier)
        read = self.backend.readNow(NAME, 0, 10)
        self.assertEqual((readBytes(read), read.eof), (b"\0xyz", True))

    def test_nowMissing(self) -> None:
        """
        What is not there is not answered at once; the slow way says why.
        """
        self.assertIsNone(self.backend.readNow(b"ff", 0, 1))
        self.assertIsNone(self.backend.writeNow(b"ff", 0, memoryview(b"x"), 0))
        self.assertIsNone(self.backend.peek(b"ff"))

    def test_commit(self) -> None:
        """
        COMMIT answers the verifier of the writes, also when nothing is to do.
        """
        written = self.put(0, b"abc").verifier
        self.assertEqual(self.run_(self.backend.commit(NAME, 0, 0)), written)
        self.assertEqual(self.run_(self.backend.commit(NAME, 0, 0)), written)

    def test_settle(self) -> None:
        """
        So it is where attributes are asked for as well.
        """
        written = self.put(5, b"abc").verifier
        found = self.run_(self.backend.settle(NAME))
        self.assertEqual((found.size, found.mode), (8, 0o640))
        self.assertEqual(self.backend.verifier, written)

    # -- copying -------------------------------------------------------------------

    def copy(
        self, offset: int, sourceOffset: int, count: int, source: bytes = SOURCE
    ) -> None:
        """
        Copy into the object until the range is done.
        """
        done = 0
        while done < count:
            result = self.run_(
                self.backend.copy(
                    NAME,
                    offset + done,
                    CopySource(source),
                    sourceOffset + done,
                    count - done,
                )
            )
            self.assertEqual(result.verifier, self.backend.verifier)
            self.assertLessEqual(0, result.committed)
            self.assertGreater(result.count, 0)
            done += result.count
        self.assertEqual(done, count)

    def source(self, offset: int, data: bytes) -> None:
        """
        Make the source, with data at an offset.
        """
        self.run_(self.backend.create(SOURCE, 1000, 100, 0o640, 1))
        self.run_(self.backend.write(SOURCE, offset, memoryview(data), 0))

    def test_copy(self) -> None:
        """
        A range comes over as it is, and nothing around it changes, also at odd
        offsets; the object has grown if it had to.
        """
        block = bytes(range(1, 252)) * 10_000
        self.source(0, block)
        self.put(0, b"x" * 100)
        self.copy(77, 1001, 1_000_000)
        data, eof = self.get(0, 1_100_000)
        self.assertTrue(data == b"x" * 77 + block[1001:][:1_000_000])
        self.assertTrue(eof)
        before = self.run_(self.backend.getattr(NAME)).change
        self.copy(5, 0, 10)
        self.assertEqual(self.get(0, 17)[0], b"x" * 5 + block[:10] + b"xx")
        self.assertGreater(self.run_(self.backend.getattr(NAME)).change, before)

    def test_copyHole(self) -> None:
        """
        Where the source has a hole, or has ended, the range is zeros afterwards,
        whatever was there.
        """
        self.source(300 * KIB, b"data")
        self.put(0, b"x" * (800 * KIB))
        self.copy(10, 0, 600 * KIB)
        expected = (
            b"x" * 10
            + bytes(300 * KIB)
            + b"data"
            + bytes(300 * KIB - 4)
            + b"x" * (200 * KIB - 10)
        )
        self.assertTrue(self.get(0, 1 << 20) == (expected, True))

    def test_copyBehindEnd(self) -> None:
        """
        A range behind the end of the source is a hole that makes the object longer.
        """
        self.source(0, b"abc")
        self.copy(100 * KIB, 1 << 40, 200 * KIB)
        self.assertTrue(self.get(0, 1 << 20) == (bytes(300 * KIB), True))

    def test_copyWithin(self) -> None:
        """
        Within one object ranges are copied that do not overlap; others are refused
        and leave it alone.
        """
        self.put(0, b"abcdefgh")
        self.copy(4, 0, 4, NAME)
        self.assertEqual(self.get(0, 100), (b"abcdabcd", True))
        for offset, sourceOffset in ((0, 3), (3, 0), (2, 2)):
            self.fails(
                self.backend.copy(NAME, offset, CopySource(NAME), sourceOffset, 4),
                InvalidArgument,
            )
        self.assertEqual(self.get(0, 100), (b"abcdabcd", True))

    def test_copyNothing(self) -> None:
        """
        To copy no bytes is no error, and does nothing.
        """
        self.source(0, b"abc")
        result = self.run_(self.backend.copy(NAME, 7, CopySource(SOURCE), 0, 0))
        self.assertEqual((result.count, self.get(0, 9)), (0, (b"", True)))

    def test_copyTooBig(self) -> None:
        """
        No object becomes longer than one can be.
        """
        self.source(0, b"abc")
        self.fails(
            self.backend.copy(NAME, (1 << 63) - 2, CopySource(SOURCE), 0, 3), TooBig
        )
        self.assertEqual(self.get(0, 9), (b"", True))

    def test_copyMissing(self) -> None:
        """
        Source and destination must both be there.
        """
        for name, source in ((NAME, SOURCE), (SOURCE, NAME)):
            self.fails(
                self.backend.copy(name, 0, CopySource(source), 0, 3), NoSuchObject
            )

    def clone(self, offset: int, sourceOffset: int, count: int) -> None:
        """
        Clone from the source.
        """
        self.run_(self.backend.clone(NAME, offset, SOURCE, sourceOffset, count))

    def test_clone(self) -> None:
        """
        Storage that says it can share bytes between files does so: the range is as
        that of the source, zeros where that has holes (chimera #410) or has ended, and
        what is around it stays. Other storage refuses, and changes nothing.
        """
        block = self.run_(self.backend.statfs()).cloneBlock
        self.source(0, b"s" * (2 * KIB * KIB))
        self.run_(self.backend.write(SOURCE, 3 * KIB * KIB, memoryview(b"end"), 0))
        old = b"x" * (5 * KIB * KIB)
        self.put(0, old)
        if not block:
            self.fails(self.backend.clone(NAME, 0, SOURCE, 0, 1 << 20), Unsupported)
            self.assertTrue(self.get(0, 8 << 20) == (old, True))
            return
        self.assertEqual((1 << 20) % block, 0)
        self.clone(1 << 20, 1 << 20, (2 << 20) + 3)
        expected = (
            old[: 1 << 20]
            + b"s" * (1 << 20)
            + bytes(1 << 20)
            + b"end"
            + old[(3 << 20) + 3 :]
        )
        self.assertTrue(self.get(0, 8 << 20) == (expected, True))
        self.clone(4 << 20, 3 << 20, 3 << 20)
        expected = expected[: 4 << 20] + b"end" + bytes((3 << 20) - 3)
        self.assertTrue(self.get(0, 8 << 20) == (expected, True))

    def test_cloneIsolated(self) -> None:
        """
        A write to the source does not show in the clone, nor the other way round.
        """
        if not self.run_(self.backend.statfs()).cloneBlock:
            return
        self.source(0, b"s" * (256 * KIB))
        self.clone(0, 0, 256 * KIB)
        self.run_(self.backend.write(SOURCE, 0, memoryview(b"new"), 0))
        self.put(100, b"own")
        self.assertEqual(self.get(0, 105)[0], b"s" * 100 + b"owns" + b"s")
        found = self.run_(self.backend.read(SOURCE, 0, 105))
        self.assertEqual(readBytes(found), b"new" + b"s" * 102)

    def test_cloneAlignment(self) -> None:
        """
        Ranges that are not aligned, and do not end with the source, are refused, as
        are those that overlap in one object.
        """
        block = self.run_(self.backend.statfs()).cloneBlock
        if not block:
            return
        self.source(0, b"s" * (256 * KIB))
        for offset, sourceOffset, count in ((1, 0, block), (0, 1, block), (0, 0, 5)):
            self.fails(
                self.backend.clone(NAME, offset, SOURCE, sourceOffset, count),
                InvalidArgument,
            )
        self.fails(
            self.backend.clone(SOURCE, block, SOURCE, 0, 2 * block), InvalidArgument
        )
        self.assertEqual(self.get(0, 10), (b"", True))

    def test_cloneMissing(self) -> None:
        """
        Source and destination must both be there.
        """
        for name, source in ((NAME, SOURCE), (SOURCE, NAME)):
            self.fails(self.backend.clone(name, 0, source, 0, 1 << 20), NoSuchObject)

    # -- attributes ------------------------------------------------------------------

    def test_attributes(self) -> None:
        """
        Owner, mode and epoch are those given at creation.
        """
        self.put(0, b"abc")
        found = self.run_(self.backend.getattr(NAME))
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.epoch, found.size),
            (1000, 100, 0o640, 1, 3),
        )
        peeked = self.backend.peek(NAME)
        self.assertEqual(
            (peeked.uid, peeked.gid, peeked.mode, peeked.epoch), (1000, 100, 0o640, 1)
        )

    def test_change(self) -> None:
        """
        Each write moves the change attribute; looking does not.
        """
        seen = [self.run_(self.backend.getattr(NAME)).change]
        for letter in b"abcdef":
            self.put(0, bytes([letter]))
            seen.append(self.run_(self.backend.getattr(NAME)).change)
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual(self.run_(self.backend.getattr(NAME)).change, seen[-1])

    def test_setOwner(self) -> None:
        """
        Owner and mode can be changed one by one; the epoch stays.
        """
        self.run_(self.backend.fence(NAME, 5))
        self.run_(self.backend.setattr(NAME, SetAttributes(uid=7)))
        self.run_(self.backend.setattr(NAME, SetAttributes(mode=0o600, gid=8)))
        found = self.run_(self.backend.getattr(NAME))
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.epoch), (7, 8, 0o600, 5)
        )
        self.assertEqual(self.backend.peek(NAME).uid, 7)

    def test_setTimes(self) -> None:
        """
        Times are set alone or together, to a value or to now.
        """
        self.run_(self.backend.setattr(NAME, SetAttributes(atime=10**18, mtime=5)))
        self.run_(self.backend.setattr(NAME, SetAttributes(mtime=7 * 10**17)))
        found = self.run_(self.backend.getattr(NAME))
        self.assertEqual((found.atime, found.mtime), (10**18, 7 * 10**17))
        self.run_(self.backend.setattr(NAME, SetAttributes(mtime=NOW)))
        found = self.run_(self.backend.getattr(NAME))
        self.assertGreater(found.mtime, 10**18)

    def test_truncate(self) -> None:
        """
        What was cut off does not come back when the object grows again.
        """
        self.put(0, b"x" * 100_000)
        self.run_(self.backend.setattr(NAME, SetAttributes(size=10)))
        self.assertEqual(self.get(0, 100), (b"x" * 10, True))
        self.run_(self.backend.setattr(NAME, SetAttributes(size=70_000)))
        self.assertEqual(self.get(0, 80_000), (b"x" * 10 + bytes(69_990), True))

    def test_extend(self) -> None:
        """
        C{extend} grows with zeros and never shrinks.
        """
        self.put(0, b"abc")
        self.run_(self.backend.extend(NAME, 2))
        self.assertEqual(self.get(0, 100), (b"abc", True))
        self.run_(self.backend.extend(NAME, 6))
        self.assertEqual(self.get(0, 100), (b"abc\0\0\0", True))

    def test_fence(self) -> None:
        """
        The epoch is visible at once, and goes up only.
        """
        self.run_(self.backend.fence(NAME, 3))
        self.assertEqual(self.backend.peek(NAME).epoch, 3)
        self.run_(self.backend.fence(NAME, 2))
        self.assertEqual(self.run_(self.backend.getattr(NAME)).epoch, 3)

    # -- names -----------------------------------------------------------------------

    def test_createAgain(self) -> None:
        """
        A repeated creation keeps the bytes, sets the owner, and undoes no fence.
        """
        self.put(0, b"abc")
        self.run_(self.backend.fence(NAME, 4))
        told = self.run_(self.backend.provide(NAME, 5, 6, 0o666, 1))
        self.assertEqual((told.uid, told.gid, told.mode, told.size), (5, 6, 0o666, 3))
        found = self.run_(self.backend.getattr(NAME))
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.epoch, found.size),
            (5, 6, 0o666, 4, 3),
        )
        self.assertEqual(self.get(0, 10), (b"abc", True))

    def test_remove(self) -> None:
        """
        A removed object is gone for every call; a new one of its name is empty.
        """
        self.put(0, b"abc")
        self.run_(self.backend.remove(NAME))
        self.assertIsNone(self.backend.peek(NAME))
        self.missing(NAME)
        told = self.run_(self.backend.provide(NAME, 0, 0, 0o600, 1))
        self.assertEqual(told.size, 0)
        self.assertEqual(self.get(0, 10), (b"", True))

    def test_missing(self) -> None:
        """
        Names of nothing, and names that cannot be, are no objects.
        """
        for name in (b"ffff", b"", b"../uuid", b"ABC", b"a" * 81, b"a\n", b"a/b"):
            self.missing(name)

    def missing(self, name: bytes) -> None:
        """
        Every call says that there is no such object.
        """
        backend = self.backend
        data = memoryview(b"x")
        for call in (
            backend.getattr(name),
            backend.read(name, 0, 1),
            backend.write(name, 0, data, Stable.UNSTABLE),
            backend.write(name, 0, data, Stable.FILE_SYNC),
            backend.commit(name, 0, 0),
            backend.settle(name),
            backend.setattr(name, SetAttributes(size=1)),
            backend.extend(name, 1),
            backend.fence(name, 9),
            backend.remove(name),
        ):
            self.fails(call, NoSuchObject)

    def test_badName(self) -> None:
        """
        No object is made whose name is not lower-case hexadecimal.
        """
        for name in (b"", b"../x", b"ABC", b"a" * 81, b"a\n", b"a/b", b"a\0"):
            self.fails(self.backend.create(name, 0, 0, 0o600, 1), BackendError)
        self.assertEqual(list(self.run_(self.backend.list(b"", 10))), [NAME])

    def test_list(self) -> None:
        """
        Names come in order, page by page, each once.
        """
        names = sorted([b"%08x" % (n * 2654435761 % 2**32) for n in range(25)])
        for name in names:
            self.run_(self.backend.create(name, 0, 0, 0o600, 1))
        self.run_(self.backend.remove(NAME))
        seen: list[bytes] = []
        after = b""
        while page := self.run_(self.backend.list(after, 10)):
            self.assertLessEqual(len(page), 10)
            seen.extend(page)
            after = page[-1]
        self.assertEqual(seen, names)

    def test_statfs(self) -> None:
        """
        Space is told consistently.
        """
        space = self.run_(self.backend.statfs())
        self.assertGreaterEqual(space.spaceTotal, space.spaceFree)
        self.assertGreaterEqual(space.spaceFree, space.spaceAvailable)
        self.assertGreater(space.spaceAvailable, 0)
