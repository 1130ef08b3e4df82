"""
Tests of L{pnfs.mds.fileindex} and its parts.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import zlib
from typing import Any, Optional

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import IOFailed
from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.mds import fileindex_journal
from pnfs.mds.fileindex import BATCH, FLUSH_SECONDS, FileIndex, indexed
from pnfs.mds.fileindex_store import Indexed
from pnfs.mds.fileindex_walk import BEGIN_SECONDS, IndexWalk
from pnfs.values import FileType, NewObject, Placement
from tests.nfs4.fixture import entropy

ONE, TWO, THREE = (bytes([n]) * 16 for n in (1, 2, 3))


class FakeExport:
    """
    An id and a backend.
    """

    def __init__(self, number: int, backend: Any = None) -> None:
        self.id = number
        self.path = f"/{number}"
        self.backend = backend


class FakeInode:
    """
    A handle.
    """

    def __init__(self, handle: bytes) -> None:
        self.handle = handle


EXPORT = FakeExport(7)


def placed(number: int, *servers: bytes, **more: Any) -> Placement:
    """
    A mirrored file.
    """
    return Placement("flexfiles", 0, (servers,), b"%08x" % number, **more)


class IndexCase(SynchronousTestCase):
    """
    With an index in a folder.
    """

    boot = "boot-1"

    def setUp(self) -> None:
        """
        Start it for the first time.
        """
        self.folder = self.mktemp()
        os.makedirs(self.folder)
        self.held: Optional[Deferred[None]] = None
        self.failing: Optional[Exception] = None
        self.begin()

    def begin(self) -> None:
        """
        Another process.
        """
        self.clock = Clock()
        self.index = FileIndex(
            self.folder, self.clock, self.inThread, lambda: self.boot
        )
        self.index.start()

    async def inThread(self, function: Any, *args: Any) -> Any:
        """
        Run it here, maybe later.
        """
        held, self.held = self.held, None
        if held is not None:
            await held
        if self.failing is not None:
            raise self.failing
        return function(*args)

    def wait(self, coroutine: Any) -> Any:
        """
        The result of what does not wait.
        """
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def store(
        self, number: int, *servers: bytes, old: Any = None, **more: Any
    ) -> Placement:
        """
        As if a file's placement were stored.
        """
        placement = placed(number, *servers, **more)
        inode: Any = FakeInode(b"h%d" % number)
        self.index.storing(EXPORT, inode, placement, old)
        self.index.stored(EXPORT, inode, placement)
        return placement

    def handles(self, uuid: bytes, **more: Any) -> list[bytes]:
        """
        Of the files of a data server.
        """
        return [found.handle for found in self.wait(self.index.files(uuid, **more))]

    def makeWhole(self) -> None:
        """
        As after a walk.
        """
        self.wait(self.index.flush())
        self.index.complete(EXPORT.id)


class QuestionTests(IndexCase):
    """
    What the index tells.
    """

    def test_files(self) -> None:
        """
        Files are listed by data server, page by page, with what they are found by.
        """
        for number in range(5):
            self.store(number, ONE, TWO if number % 2 else THREE)
        self.assertEqual(self.handles(TWO), [b"h1", b"h3"])
        self.assertEqual(self.handles(b"?" * 16), [])
        first = self.wait(self.index.files(ONE, 0, 3))
        rest = self.wait(self.index.files(ONE, first[-1].position, 3))
        self.assertEqual(
            [f.handle for f in first + rest], [b"h%d" % n for n in range(5)]
        )
        self.assertEqual((first[0].export, first[0].name), (7, b"00000000"))

    def test_needing(self) -> None:
        """
        It is known of how many files a data server has the only copy of something:
        also because the others are stale, or away.
        """

        def needing(*without: bytes) -> list[int]:
            return [
                self.wait(self.index.needing(uuid, without))
                for uuid in (ONE, TWO, THREE)
            ]

        self.assertEqual(needing(), [0, 0, 0])
        self.store(1, ONE, TWO)
        self.assertEqual(needing(), [0, 0, 0])
        self.assertEqual(needing(TWO), [1, 0, 0])
        self.store(2, ONE)
        self.assertEqual(needing(), [1, 0, 0])
        stale = self.store(3, ONE, TWO, stale=(ONE,))
        self.assertEqual(needing(), [1, 1, 0])
        # What is stale is of no use, whoever is away.
        self.assertEqual(needing(TWO, THREE), [2, 1, 0])
        inode: Any = FakeInode(b"h3")
        repaired = placed(3, ONE, TWO)
        self.index.storing(EXPORT, inode, repaired, stale)
        self.assertEqual(needing(), [1, 1, 0])
        self.index.stored(EXPORT, inode, repaired)
        self.assertEqual(needing(), [1, 0, 0])
        striped = Placement("files", 65536, ((ONE,), (THREE,)), b"%08x" % 4)
        self.index.stored(EXPORT, FakeInode(b"h4"), striped)  # type: ignore[arg-type]
        chunks = Placement(
            "flexfiles", 0, ((ONE, TWO), (TWO, THREE)), b"%08x" % 5, chunk=65536
        )
        chunks = attrs.evolve(chunks, stale=(THREE,))
        self.index.stored(EXPORT, FakeInode(b"h5"), chunks)  # type: ignore[arg-type]
        self.assertEqual(needing(), [2, 1, 1])
        self.index.removed(EXPORT, striped)
        self.assertEqual(needing(), [1, 1, 0])

    def test_stale(self) -> None:
        """
        Files that miss something are listed until they do not any more.
        """
        self.store(1, ONE, TWO)
        old = self.store(2, ONE, TWO, stale=(TWO,))
        self.assertEqual(self.handles(TWO, stale=True), [b"h2"])
        self.assertEqual(self.handles(ONE, stale=True), [])
        self.assertEqual(self.wait(self.index.counts()), {ONE: (2, 0), TWO: (2, 1)})
        self.store(2, ONE, TWO, old=old)
        self.assertEqual(self.handles(TWO, stale=True), [])
        self.assertEqual(self.handles(TWO), [b"h1", b"h2"])

    def test_moved(self) -> None:
        """
        While a file moves it is listed for its old and its new data servers, and
        afterwards for the new ones only.
        """
        old = self.store(1, ONE)
        moving = self.store(1, ONE, old=old, next=placed(1, TWO))
        self.assertEqual((self.handles(ONE), self.handles(TWO)), ([b"h1"], [b"h1"]))
        self.assertEqual(len(self.wait(self.index.moving())), 1)
        self.store(1, TWO, old=moving)
        self.assertEqual((self.handles(ONE), self.handles(TWO)), ([], [b"h1"]))
        self.assertEqual(self.wait(self.index.moving()), [])

    def test_storing(self) -> None:
        """
        A change that may have been stored or not lists the file for both.
        """
        old = self.store(1, ONE, stale=())
        inode: Any = FakeInode(b"h1")
        self.index.storing(EXPORT, inode, placed(1, TWO, stale=(TWO,)), old)
        self.assertEqual((self.handles(ONE), self.handles(TWO)), ([b"h1"], [b"h1"]))
        self.assertEqual(self.handles(TWO, stale=True), [b"h1"])

    def test_named(self) -> None:
        """
        All files are listed by the names of their data files, from any one on.
        """
        for number in (3, 1, 2):
            self.store(number, ONE, TWO)
        found = self.wait(self.index.named(b"", 2))
        self.assertEqual([each.handle for each in found], [b"h1", b"h2"])
        found = self.wait(self.index.named(found[-1].name, 2))
        self.assertEqual([each.handle for each in found], [b"h3"])
        self.assertEqual(
            self.wait(self.index.places([found[0].name])),
            {found[0].name: {ONE, TWO}},
        )

    def test_removed(self) -> None:
        """
        A file whose data files are deleted is not listed any more.
        """
        self.store(1, ONE, TWO)
        gone = self.store(2, ONE)
        self.assertEqual(
            self.wait(self.index.places([b"00000002", b"00000009"])),
            {b"00000002": {ONE}},
        )
        self.index.removed(EXPORT, gone)
        self.assertEqual(self.handles(ONE), [b"h1"])
        self.assertEqual(self.wait(self.index.counts()), {ONE: (1, 0), TWO: (1, 0)})


class SurvivalTests(IndexCase):
    """
    What is left of the index after an end of the process.
    """

    def test_killed(self) -> None:
        """
        After kill -9 the index knows all that was stored, taken in or not, and needs
        no walk.
        """
        self.store(1, ONE)
        self.makeWhole()
        old = self.store(2, ONE, TWO)
        self.store(2, ONE, TWO, old=old, stale=(TWO,))
        self.begin()
        self.assertEqual(self.index.whole, {7})
        self.assertEqual(self.handles(ONE), [b"h1", b"h2"])
        self.assertEqual(self.handles(TWO, stale=True), [b"h2"])

    def test_killedInTheMiddle(self) -> None:
        """
        It does not matter when: also between the tables and what was noted, and twice.
        """
        self.store(1, ONE)
        self.makeWhole()
        self.store(2, ONE)
        flushing: Deferred[None] = Deferred()
        self.held = flushing
        running = Deferred.fromCoroutine(self.index.flush())
        self.store(3, ONE)
        self.begin()
        self.begin()
        self.assertEqual(self.handles(ONE), [b"h1", b"h2", b"h3"])
        flushing.callback(None)
        self.successResultOf(running)

    def test_cutRecord(self) -> None:
        """
        A record that was not written to its end is left out, those before it count.
        """
        self.store(1, ONE)
        self.makeWhole()
        self.store(2, ONE)
        self.store(3, ONE)
        (path,) = [p for p in os.listdir(self.folder) if p.endswith(".log")]
        path = os.path.join(self.folder, path)
        os.truncate(path, os.path.getsize(path) - 1)
        self.begin()
        self.assertEqual(self.handles(ONE), [b"h1", b"h2"])

    def test_powerCut(self) -> None:
        """
        After a boot without a clean end the index is not taken to be whole.
        """
        self.store(1, ONE)
        self.makeWhole()
        self.boot = "boot-2"
        self.begin()
        self.assertEqual(self.index.whole, set())

    def test_cleanEnd(self) -> None:
        """
        After a clean end it is whole also at another boot; the next end must be clean
        again.
        """
        self.store(1, ONE)
        self.makeWhole()
        self.store(2, ONE)
        self.wait(self.index.stop())
        self.boot = "boot-2"
        self.begin()
        self.assertEqual(self.index.whole, {7})
        self.assertEqual(self.handles(ONE), [b"h1", b"h2"])
        self.boot = "boot-3"
        self.begin()
        self.assertEqual(self.index.whole, set())

    def test_noBootNumber(self) -> None:
        """
        Where boots have no numbers only a clean end counts.
        """
        self.boot = ""
        self.begin()
        self.makeWhole()
        self.begin()
        self.assertEqual(self.index.whole, set())

    def test_damaged(self) -> None:
        """
        Tables that cannot be read are made anew, and the index is not whole then.
        """
        self.store(1, ONE)
        self.makeWhole()
        self.wait(self.index.stop())
        with open(os.path.join(self.folder, "fileindex.sqlite"), "wb") as file:
            file.write(b"no database" * 1000)
        self.begin()
        self.store(2, ONE)
        self.assertEqual(self.handles(ONE), [b"h2"])
        self.assertEqual(self.index.whole, set())

    def test_deleted(self) -> None:
        """
        So it is if an administrator has deleted them.
        """
        self.makeWhole()
        self.wait(self.index.stop())
        os.unlink(os.path.join(self.folder, "fileindex.sqlite"))
        self.begin()
        self.assertEqual(self.index.whole, set())


class TakingInTests(IndexCase):
    """
    How what was noted comes into the tables.
    """

    def logs(self) -> list[str]:
        """
        Files of what is not in the tables.
        """
        return [name for name in os.listdir(self.folder) if name.endswith(".log")]

    def test_soon(self) -> None:
        """
        It takes about a second; then there is nothing left to be read at a start.
        """
        self.store(1, ONE)
        self.assertEqual(len(self.logs()), 1)
        self.clock.advance(FLUSH_SECONDS)
        self.assertEqual(self.logs(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many(self) -> None:
        """
        When there are many it begins at once: what is noted stays bounded.
        """
        for number in range(BATCH):
            self.store(number, ONE)
        self.clock.advance(0)
        self.assertEqual(self.logs(), [])

    def test_meanwhile(self) -> None:
        """
        What is noted while a thread is at work is not lost.
        """
        self.store(1, ONE)
        self.wait(self.index.flush())
        old = self.store(1, ONE, stale=(ONE,))
        working: Deferred[None] = Deferred()
        self.held = working
        running = Deferred.fromCoroutine(self.index.flush())
        self.store(1, TWO, old=old)
        working.callback(None)
        self.successResultOf(running)
        self.assertEqual((self.handles(ONE), self.handles(TWO)), ([], [b"h1"]))

    def test_diskFull(self) -> None:
        """
        If the tables cannot be written that is said, and tried again; nothing is lost.
        """
        self.store(1, ONE)
        self.failing = OSError(28, "No space left on device")
        self.failureResultOf(Deferred.fromCoroutine(self.index.counts()), IOFailed)
        self.clock.advance(FLUSH_SECONDS)
        self.failing = None
        self.clock.advance(10)
        self.assertEqual(self.logs(), [])
        self.assertEqual(self.handles(ONE), [b"h1"])

    def test_cannotNote(self) -> None:
        """
        If a change cannot even be noted, the index is made anew at the next start.
        """
        self.makeWhole()

        def append(record: Indexed) -> None:
            raise OSError(28, "No space left on device")

        self.index._journal.append = append  # type: ignore[union-attr,method-assign]
        self.store(1, ONE)
        self.begin()
        self.assertEqual(self.index.whole, set())

    def test_cancelled(self) -> None:
        """
        Who no longer waits for an answer does not disturb the thread at work.
        """
        self.store(1, ONE)
        working: Deferred[None] = Deferred()
        self.held = working
        asking = Deferred.fromCoroutine(self.index.counts())
        asking.addErrback(lambda failure: None)
        asking.cancel()
        other = Deferred.fromCoroutine(self.index.counts())
        self.assertNoResult(other)
        working.callback(None)
        self.assertEqual(self.successResultOf(other), {ONE: (1, 0)})

    def test_closed(self) -> None:
        """
        After the end questions fail.
        """
        self.wait(self.index.stop())
        self.failureResultOf(Deferred.fromCoroutine(self.index.counts()), IOFailed)


class EarlierTests(IndexCase):
    """
    What an earlier version has left.
    """

    def test_madeAnew(self) -> None:
        """
        Tables of an earlier version, and what it had noted, are not misunderstood: the
        index is made anew.
        """
        self.store(1, ONE)
        self.makeWhole()
        self.wait(self.index.stop())
        path = os.path.join(self.folder, "fileindex.sqlite")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 1")
        body = struct.pack("<I?BBHH", 7, False, 2, 1, 1, 0) + b"abh" + ONE
        with open(os.path.join(self.folder, "fileindex-9.log"), "wb") as log:
            log.write(struct.pack("<II", len(body), zlib.crc32(body)) + body)
        self.begin()
        self.assertEqual(self.handles(ONE), [])
        self.assertEqual(self.index.whole, set())


class JournalTests(SynchronousTestCase):
    """
    Records as they are in the file.
    """

    def test_roundTrip(self) -> None:
        """
        They come back, and cut anywhere only whole ones do.
        """
        records = [
            indexed(
                1, b"handle", placed(1, ONE, TWO, stale=(TWO,), next=placed(1, ONE))
            ),
            Indexed(b"00aa", 0xFFFFFFFF, b""),
        ]
        data = b"".join(map(fileindex_journal.encode, records))
        first = len(fileindex_journal.encode(records[0]))
        for cut in range(len(data) + 1):
            found = list(fileindex_journal.decode(data[:cut]))
            whole = (cut >= first) + (cut == len(data))
            self.assertEqual(found, records[:whole])

    def test_damaged(self) -> None:
        """
        A record with a wrong bit ends what is read.
        """
        record = indexed(1, b"handle", placed(1, ONE))
        data = fileindex_journal.encode(record)
        for index in range(len(data)):
            bad = bytearray(data)
            bad[index] ^= 1
            self.assertEqual(list(fileindex_journal.decode(bytes(bad))), [])


class WalkTests(IndexCase):
    """
    Filling the index in the background.
    """

    def setUp(self) -> None:
        """
        A tree with files in several folders, nothing of it in the index.
        """
        super().setUp()
        self.backend = MemoryMetadataBackend(lambda: 0, entropy())
        self.wait(self.backend.start())
        self.export = FakeExport(7, self.backend)
        self.made = 0
        folder = self.make(self.backend.root, b"folder", FileType.DIR)
        self.below = self.make(folder, b"below", FileType.DIR)
        self.file = self.place(self.backend.root, b"one", ONE)
        self.place(self.below, b"two", ONE, TWO)
        for number in range(100):
            self.place(folder, b"many%d" % number, THREE)
        self.make(folder, b"unplaced", FileType.REG)
        self.walk = IndexWalk(self.index, self.clock, lambda: [self.export])

    def make(self, folder: Any, name: bytes, kind: FileType) -> Any:
        """
        An object.
        """
        what = NewObject(kind, 0o644, 0, 0)
        return self.wait(self.backend.create(folder, name, what))

    def place(self, folder: Any, name: bytes, *servers: bytes) -> Any:
        """
        A file with data files.
        """
        self.made += 1
        inode = self.make(folder, name, FileType.REG)
        self.wait(self.backend.storePlacement(inode, placed(self.made, *servers)))
        return inode

    def run_(self) -> None:
        """
        Let it walk.
        """
        self.walk.go()
        self.clock.advance(BEGIN_SECONDS)
        self.clock.pump([0.01] * 100)

    def test_fills(self) -> None:
        """
        Every file with data files is in it afterwards, and the export is whole; there
        is no second walk then.
        """
        self.run_()
        self.assertEqual(self.index.whole, {7})
        counts = self.wait(self.index.counts())
        self.assertEqual(counts, {ONE: (2, 0), TWO: (1, 0), THREE: (100, 0)})
        self.walk.go()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_takesOut(self) -> None:
        """
        What the tree does not have any more is taken out; a file that the walk has not
        come across, but is there, stays.
        """
        self.store(999, TWO)
        kept = indexed(7, self.file.handle, placed(1, ONE))
        self.wait(self.index.seen([kept]))
        self.wait(self.backend.remove(self.backend.root, b"one", True))
        self.run_()
        counts = self.wait(self.index.counts())
        self.assertEqual(counts, {ONE: (2, 0), TWO: (1, 0), THREE: (100, 0)})

    def test_changesMeanwhile(self) -> None:
        """
        A placement that is stored while the walk has the one before in its hands is
        not overwritten with that.
        """
        self.walk.go()
        self.clock.advance(BEGIN_SECONDS)
        new = attrs.evolve(placed(1, ONE), columns=((TWO,),))
        self.index.storing(self.export, self.file, new, placed(1, ONE))
        self.wait(self.backend.storePlacement(self.file, new))
        self.index.stored(self.export, self.file, new)
        self.wait(self.index.flush())
        self.clock.pump([0.01] * 100)
        self.assertEqual(self.index.whole, {7})
        counts = self.wait(self.index.counts())
        self.assertEqual(counts, {ONE: (1, 0), TWO: (2, 0), THREE: (100, 0)})

    def test_stops(self) -> None:
        """
        It can be stopped in the middle, and no timer is left.
        """
        self.walk.go()
        self.clock.advance(BEGIN_SECONDS)
        self.walk.stop()
        self.wait(self.index.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.index.whole, set())

    def test_triesAgain(self) -> None:
        """
        If the index cannot be written the walk is made again later.
        """
        self.failing = OSError(28, "No space left on device")
        self.run_()
        self.assertEqual(self.index.whole, set())
        self.failing = None
        self.clock.advance(60)
        self.clock.pump([0.01] * 100)
        self.assertEqual(self.index.whole, {7})
