"""
Tests of L{pnfs.backends.ds.local} and its parts.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import uuid
from collections import deque
from typing import Any, Callable, Coroutine, Optional
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pnfs.backends.ds import local_folder, local_pages
from pnfs.backends.ds.local import LocalDataServerBackend
from pnfs.backends.ds.local_record import TRUSTED, ObjectRecord, decodeRecord
from pnfs.backends.ds.local_record import usableAttribute
from pnfs.backends.ds.local_threads import (
    IExecutor,
    InlineExecutor,
    ThreadExecutor,
)
from pnfs.backends.errors import (
    BadConfiguration,
    IOFailed,
    NoSpace,
    NoSuchObject,
)
from pnfs.values import FileSlice, SetAttributes, Stable
from tests.contracts.data import (
    NAME,
    DataServerBackendContract,
    pieceBytes,
    readBytes,
)
from tests.contracts.digests import DigestsContract
from tests.contracts.holes import HolesContract


@implementer(IExecutor)
class StepExecutor:
    """
    Keeps calls until the test lets them run, and can fail them.
    """

    def __init__(self) -> None:
        self.queue: deque[tuple[Deferred[Any], Callable[..., Any], Any]] = deque()
        self.calls: list[str] = []
        self.auto = True

    def start(self) -> None:
        """
        See L{IExecutor}.
        """

    def stop(self) -> None:
        """
        See L{IExecutor}.
        """
        self.runAll()

    def defer(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """
        See L{IExecutor}.
        """
        deferred: Deferred[Any] = Deferred()
        self.calls.append(function.__name__)
        self.queue.append((deferred, function, arguments))
        if self.auto:
            self.step()
        return deferred

    def step(self, error: Optional[Exception] = None) -> None:
        """
        Run, or fail, the oldest call.
        """
        deferred, function, arguments = self.queue.popleft()
        if error is None:
            try:
                result = function(*arguments)
            except Exception as raised:
                error = raised
        if error is None:
            deferred.callback(result)
        else:
            deferred.errback(error)

    def runAll(self) -> None:
        """
        Run what is queued, and what that queues.
        """
        while self.queue:
            self.step()


def makeFolder(case: SynchronousTestCase) -> str:
    """
    An empty folder with extended attributes, else the test is skipped.
    """
    folder = case.mktemp()
    os.makedirs(folder)
    if not hasattr(os, "setxattr") or usableAttribute(folder) is None:
        case.skipTest("no extended attributes here")
    return folder


class LocalContractTests(
    DigestsContract, HolesContract, DataServerBackendContract, SynchronousTestCase
):
    """
    The local backend keeps the promises of all.
    """

    def makeBackend(self) -> LocalDataServerBackend:
        """
        On the file system where the tests run.
        """
        return LocalDataServerBackend(makeFolder(self), executor=InlineExecutor())


class TinyCacheContractTests(
    DigestsContract, HolesContract, DataServerBackendContract, SynchronousTestCase
):
    """
    So it does when it can keep but one file open.
    """

    def makeBackend(self) -> LocalDataServerBackend:
        """
        With a bound of one.
        """
        return LocalDataServerBackend(
            makeFolder(self), executor=InlineExecutor(), openFiles=1
        )


class MemoryFileSystemContractTests(
    DigestsContract, HolesContract, DataServerBackendContract, SynchronousTestCase
):
    """
    So it does on tmpfs, which knows no reads that do not wait.
    """

    def makeBackend(self) -> LocalDataServerBackend:
        """
        In C{/dev/shm}.
        """
        folder = f"/dev/shm/pnfs-test-{uuid.uuid4()}"
        try:
            os.mkdir(folder)
        except OSError:
            self.skipTest("no /dev/shm")
        self.addCleanup(self.removeFolder, folder)
        if usableAttribute(folder) is None:
            self.skipTest("no extended attributes on tmpfs")
        return LocalDataServerBackend(folder, executor=InlineExecutor())

    def removeFolder(self, folder: str) -> None:
        """
        Delete a folder with its files.
        """
        for path, directories, files in os.walk(folder, topdown=False):
            for name in files:
                os.unlink(os.path.join(path, name))
            os.rmdir(path)


class LocalTestCase(SynchronousTestCase):
    """
    A local backend whose blocking calls run step by step.
    """

    def setUp(self) -> None:
        """
        Start it and make one object.
        """
        self.folder = makeFolder(self)
        self.executor = StepExecutor()
        self.backend = self.makeBackend()
        self.done(self.backend.start())
        self.running = True
        self.addCleanup(self.stop)
        self.done(self.backend.create(NAME, 1000, 100, 0o640, 1))
        self.executor.calls.clear()

    def makeBackend(self, **options: Any) -> LocalDataServerBackend:
        """
        A backend on the test's folder.
        """
        return LocalDataServerBackend(self.folder, executor=self.executor, **options)

    def stop(self) -> None:
        """
        As a clean shutdown.
        """
        self.executor.auto = True
        self.executor.runAll()
        if self.running:
            self.running = False
            self.done(self.backend.stop())

    def restart(self, **options: Any) -> None:
        """
        Stop, and start again on the same folder.
        """
        self.stop()
        self.backend = self.makeBackend(**options)
        self.done(self.backend.start())
        self.running = True

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """
        Start what may have to wait.
        """
        return Deferred.fromCoroutine(coroutine)

    def done(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """
        The result of what need not wait.
        """
        return self.successResultOf(self.begin(coroutine))

    def put(self, data: bytes, stable: int = 0, name: bytes = NAME) -> Any:
        """
        Start a write at offset 0.
        """
        return self.begin(self.backend.write(name, 0, memoryview(data), stable))


class FolderTests(LocalTestCase):
    """
    What is on disk, and which folders are refused.
    """

    def refused(self, text: str) -> None:
        """
        A start fails with one line that says so.
        """
        backend = self.makeBackend()
        failure = self.failureResultOf(self.begin(backend.start()), BadConfiguration)
        self.assertIn(text, str(failure.value))
        self.assertNotIn("\n", str(failure.value))

    def test_restart(self) -> None:
        """
        Identity, bytes, owner and fence survive a restart; the verifier does not.
        """
        self.successResultOf(self.put(b"abc"))
        self.done(self.backend.fence(NAME, 7))
        before = self.backend.uuid, self.backend.verifier
        self.restart(directories=5)
        self.assertEqual(self.backend.uuid, before[0])
        self.assertNotEqual(self.backend.verifier, before[1])
        found = self.done(self.backend.getattr(NAME))
        self.assertEqual((found.uid, found.epoch, found.size), (1000, 7, 3))
        self.assertEqual(readBytes(self.done(self.backend.read(NAME, 0, 9))), b"abc")

    def test_layout(self) -> None:
        """
        An administrator finds an object by its name below ds0 to ds19.
        """
        self.successResultOf(self.put(b"abc"))
        entries = sorted(os.listdir(self.folder))
        self.assertEqual(entries, sorted(["uuid"] + [f"ds{n}" for n in range(20)]))
        places = [
            os.path.join(path, NAME.decode())
            for path, _, files in os.walk(self.folder)
            if NAME.decode() in files
        ]
        self.assertEqual(len(places), 1)
        with open(places[0], "rb") as stream:
            self.assertEqual(stream.read(), b"abc")
        with open(os.path.join(self.folder, "uuid")) as identity:
            text = identity.readline().strip()
        self.assertEqual(uuid.UUID(text).bytes, self.backend.uuid)
        if os.geteuid() == 0 and usableAttribute(self.folder) == TRUSTED:
            status = os.stat(places[0])
            self.assertEqual(
                (status.st_uid, status.st_gid, status.st_mode & 0o777),
                (1000, 100, 0o640),
            )

    def test_locked(self) -> None:
        """
        A second server on the folder does not start.
        """
        self.refused("another data server")

    def test_absent(self) -> None:
        """
        A folder that is not there (a disk not mounted) is not made.
        """
        self.stop()
        self.folder = self.mktemp()
        self.refused("No such file")
        self.assertFalse(os.path.exists(self.folder))

    def test_damagedIdentity(self) -> None:
        """
        A damaged identity is not replaced by a new one.
        """
        self.stop()
        with open(os.path.join(self.folder, "uuid"), "w") as stream:
            stream.write("rubbish\n")
        self.refused("damaged")

    def test_lostIdentity(self) -> None:
        """
        Data without an identity is not taken over under a new one.
        """
        self.stop()
        os.unlink(os.path.join(self.folder, "uuid"))
        self.refused("no file uuid")

    def test_noAttributes(self) -> None:
        """
        A file system without extended attributes is refused.
        """
        self.stop()
        self.folder = "/proc/self/fdinfo"
        if not os.path.isdir(self.folder):
            self.skipTest("no /proc")
        self.refused("attributes")

    def test_interruptedCreate(self) -> None:
        """
        A file whose record was never written is no object, and can be made one.
        """
        self.stop()
        attribute = usableAttribute(self.folder)
        for path, _, files in os.walk(self.folder):
            if NAME.decode() in files:
                os.removexattr(os.path.join(path, NAME.decode()), attribute or TRUSTED)
        self.restart()
        self.failureResultOf(self.begin(self.backend.getattr(NAME)), NoSuchObject)
        self.done(self.backend.create(NAME, 1, 2, 0o600, 3))
        self.assertEqual(self.done(self.backend.getattr(NAME)).epoch, 3)

    def test_record(self) -> None:
        """
        The record fits the buffer of one quick call; junk is no record.
        """
        record = ObjectRecord(2**32 - 1, 0, 0o7777, 2**64 - 1)
        wire = record.encode()
        self.assertLess(len(wire), 128)
        self.assertEqual(decodeRecord(wire), record)
        self.assertIsNone(decodeRecord(wire[:-1]))
        self.assertIsNone(decodeRecord(b"XXXX" + wire[4:]))


class FlushTests(LocalTestCase):
    """
    How writes become durable.
    """

    def test_unstable(self) -> None:
        """
        An unstable write waits for nothing, not even for a flush that runs.
        """
        self.executor.auto = False
        stable = self.put(b"abc", Stable.DATA_SYNC)
        self.assertNoResult(stable)
        self.successResultOf(self.put(b"abcd"))
        self.executor.runAll()
        self.assertEqual(self.successResultOf(stable).committed, Stable.DATA_SYNC)

    def test_cleanCommit(self) -> None:
        """
        COMMIT of a file with nothing to flush costs nothing.
        """
        self.successResultOf(self.put(b"abc"))
        self.done(self.backend.commit(NAME, 0, 0))
        self.done(self.backend.commit(NAME, 0, 0))
        self.assertEqual(self.executor.calls, ["fdatasync"])

    def test_settle(self) -> None:
        """
        What was written is flushed before it is told how much that is.
        """
        self.successResultOf(self.put(b"abc"))
        self.assertEqual(self.done(self.backend.settle(NAME)).size, 3)
        self.assertEqual(self.executor.calls, ["fdatasync"])

    def test_groupCommit(self) -> None:
        """
        Whoever asks during a flush is served, all together, by the next one.
        """
        self.executor.auto = False
        first = self.put(b"a", Stable.FILE_SYNC)
        others = [self.put(b"b", Stable.FILE_SYNC) for _ in range(5)]
        others.append(self.begin(self.backend.commit(NAME, 0, 0)))
        self.executor.step()
        self.successResultOf(first)
        for other in others:
            self.assertNoResult(other)
        self.executor.step()
        for other in others:
            self.successResultOf(other)
        self.assertEqual(self.executor.calls, ["fdatasync", "fdatasync"])

    def test_commitDuringFlush(self) -> None:
        """
        COMMIT does not answer before a flush that is under way has ended.
        """
        self.executor.auto = False
        stable = self.put(b"a", Stable.FILE_SYNC)
        commit = self.begin(self.backend.commit(NAME, 0, 0))
        self.assertNoResult(commit)
        self.executor.runAll()
        self.successResultOf(stable)
        self.successResultOf(commit)

    def test_failedFlush(self) -> None:
        """
        A flush that fails is reported to all who wait, and the verifier changes, so
        that clients send again what they believed written.
        """
        before = self.successResultOf(self.put(b"abc")).verifier
        self.executor.auto = False
        commit = self.begin(self.backend.commit(NAME, 0, 0))
        later = self.put(b"d", Stable.FILE_SYNC)
        self.executor.step(OSError(errno.EIO, "lost"))
        self.failureResultOf(commit, IOFailed)
        self.failureResultOf(later, IOFailed)
        self.assertNotEqual(self.backend.verifier, before)
        self.executor.auto = True
        after = self.done(self.backend.commit(NAME, 0, 0))
        self.assertNotEqual(after, before)

    def test_fenceAfterWrites(self) -> None:
        """
        A fence is done only when the stable writes before it are.
        """
        self.executor.auto = False
        stable = self.put(b"a", Stable.FILE_SYNC)
        fence = self.begin(self.backend.fence(NAME, 2))
        self.assertEqual(self.backend.peek(NAME).epoch, 2)
        self.executor.step()
        self.successResultOf(stable)
        self.assertNoResult(fence)
        self.executor.step()
        self.successResultOf(fence)
        self.assertEqual(self.executor.calls, ["fdatasync", "fsync"])

    def test_writeBeforeFence(self) -> None:
        """
        A write that waits for its file to be opened is in it before the fence.
        """
        self.restart()
        self.executor.auto = False
        write = self.put(b"abc")
        fence = self.begin(self.backend.fence(NAME, 2))
        self.executor.step()
        self.successResultOf(write)
        self.assertNoResult(fence)
        self.assertEqual(self.backend.peek(NAME).size, 0)
        self.assertEqual(readBytes(self.backend.readNow(NAME, 0, 9)), b"abc")
        self.executor.runAll()
        self.successResultOf(fence)

    def test_directoriesFlushedTogether(self) -> None:
        """
        Files made at the same time share flushes of their directory.
        """
        self.restart(directories=1)
        self.executor.calls.clear()
        self.executor.auto = False
        names = [b"%04x" % n for n in range(100, 500)]
        made = [self.begin(self.backend.create(n, 0, 0, 0o600, 1)) for n in names]
        for _ in names:
            self.executor.step()
        self.executor.runAll()
        for one in made:
            self.successResultOf(one)
        self.assertLessEqual(self.executor.calls.count("fsync"), 40)

    def test_noSpace(self) -> None:
        """
        A full disk is told as such.
        """
        try:
            target = os.open("/dev/full", os.O_RDWR)
        except OSError:
            self.skipTest("no /dev/full")
        self.addCleanup(os.close, target)
        entry = self.backend._entries[NAME]
        os.dup2(target, entry.fd)
        self.failureResultOf(self.put(b"abc"), NoSpace)
        self.assertRaises(
            NoSpace, self.backend.writeNow, NAME, 0, memoryview(b"abc"), 0
        )

    def test_stop(self) -> None:
        """
        A clean end flushes what was written unstably.
        """
        self.successResultOf(self.put(b"abc"))
        self.stop()
        self.assertEqual(self.executor.calls, ["fdatasync"])


class OpenFileTests(LocalTestCase):
    """
    The cache of open files.
    """

    def make(self, count: int) -> list[bytes]:
        """
        Several objects.
        """
        names = [b"%04x" % n for n in range(count)]
        for name in names:
            self.done(self.backend.create(name, 0, 0, 0o600, 1))
        return names

    def test_bound(self) -> None:
        """
        No more files stay open than configured.
        """
        self.restart(openFiles=4)
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc") else 0
        names = self.make(20)
        for name in names:
            self.successResultOf(self.put(b"abc", 0, name))
        if before:
            self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 4)
        kept = [name for name in names if self.backend.peek(name) is not None]
        self.assertEqual(kept, names[-4:])

    def test_dirtyIsFlushedFirst(self) -> None:
        """
        A file with unstable writes is flushed before it is closed, so that COMMIT
        may believe that a closed file is clean.
        """
        self.restart(openFiles=1)
        self.successResultOf(self.put(b"abc"))
        self.executor.calls.clear()
        self.executor.auto = False
        other = self.begin(self.backend.create(b"ff", 0, 0, 0o600, 1))
        self.executor.step()
        commit = self.begin(self.backend.commit(NAME, 0, 0))
        self.assertNoResult(commit)
        self.executor.runAll()
        self.successResultOf(commit)
        self.successResultOf(other)
        self.assertIn("fdatasync", self.executor.calls)

    def test_sliceKeepsOpen(self) -> None:
        """
        A reply that is still being sent is right even if the file was removed.
        """
        block = os.urandom(200_000)
        self.successResultOf(self.put(block))
        result = self.done(self.backend.read(NAME, 0, len(block)))
        (piece,) = result.pieces
        self.assertIsInstance(piece, FileSlice)
        self.done(self.backend.remove(NAME))
        self.done(self.backend.create(NAME, 0, 0, 0o600, 1))
        self.assertTrue(pieceBytes(piece) == block)
        self.assertRaises(OSError, os.fstat, piece.fd)

    def test_largeIsGoneAtOnce(self) -> None:
        """
        Nobody waits until the space of a large file is free; it is soon.
        """
        self.patch(local_folder, "LARGE", 65536)
        self.successResultOf(self.put(bytes(65536)))
        self.done(self.backend.commit(NAME, 0, 0))
        self.executor.calls.clear()
        self.executor.auto = False
        removal = self.begin(self.backend.remove(NAME))
        while not removal.called:
            self.executor.step()
        self.successResultOf(removal)
        left = {name for _, _, names in os.walk(self.folder) for name in names}
        self.assertNotIn(NAME.decode(), left)
        self.assertEqual(self.executor.calls, ["remove", "fsync", "close"])
        used = len(os.listdir("/proc/self/fd"))
        self.executor.runAll()
        self.assertEqual(len(os.listdir("/proc/self/fd")), used - 1)

    def test_oneOpenForMany(self) -> None:
        """
        Many requests for a cold file open it once.
        """
        self.restart()
        self.executor.calls.clear()
        self.executor.auto = False
        waiting = [self.begin(self.backend.getattr(NAME)) for _ in range(10)]
        self.executor.step()
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.executor.calls, ["load"])

    def test_missingForMany(self) -> None:
        """
        Many requests for a file that is gone look for it once.
        """
        self.executor.auto = False
        waiting = [self.begin(self.backend.getattr(b"ff")) for _ in range(10)]
        self.executor.step()
        for one in waiting:
            self.failureResultOf(one, NoSuchObject)
        self.assertEqual(self.executor.calls, ["load"])

    def test_openDuringRemove(self) -> None:
        """
        Who asks for a file while it is being removed does not get it.
        """
        self.executor.auto = False
        removal = self.begin(self.backend.remove(NAME))
        reading = self.begin(self.backend.read(NAME, 0, 1))
        self.assertNoResult(reading)
        self.executor.runAll()
        self.successResultOf(removal)
        self.failureResultOf(reading, NoSuchObject)

    def test_createDuringOpen(self) -> None:
        """
        A creation is not disturbed by somebody who looked just before.
        """
        self.executor.auto = False
        looking = self.begin(self.backend.getattr(b"ff"))
        making = self.begin(self.backend.create(b"ff", 0, 0, 0o600, 1))
        self.executor.runAll()
        self.failureResultOf(looking, NoSuchObject)
        self.successResultOf(making)
        self.done(self.backend.getattr(b"ff"))

    def test_createDuringRemove(self) -> None:
        """
        A file made while its namesake is being removed stays.
        """
        self.executor.auto = False
        removal = self.begin(self.backend.remove(NAME))
        making = self.begin(self.backend.create(NAME, 3, 3, 0o600, 1))
        self.executor.runAll()
        self.successResultOf(removal)
        self.successResultOf(making)
        self.assertEqual(self.done(self.backend.getattr(NAME)).uid, 3)

    def test_openFails(self) -> None:
        """
        One request's failure to open a file is not that of the next.
        """
        self.restart()
        self.executor.auto = False
        first = self.begin(self.backend.getattr(NAME))
        second = self.begin(self.backend.getattr(NAME))
        self.executor.step(OSError(errno.EMFILE, "too many"))
        self.failureResultOf(first, IOFailed)
        self.executor.runAll()
        self.successResultOf(second)

    def test_cancelled(self) -> None:
        """
        A request given up while a thread cuts its file does no harm to others: the
        descriptor stays open until the thread has done.
        """
        self.successResultOf(self.put(b"abcdef"))
        self.executor.auto = False
        cut = self.begin(self.backend.setattr(NAME, SetAttributes(size=3)))
        fd = self.backend._entries[NAME].fd
        cut.cancel()
        self.failureResultOf(cut)
        removal = self.begin(self.backend.remove(NAME))
        os.fstat(fd)
        self.executor.runAll()
        self.successResultOf(removal)
        self.assertRaises(OSError, os.fstat, fd)

    def test_externalTruncation(self) -> None:
        """
        A file that somebody has cut behind our back is read as it is now.
        """
        self.successResultOf(self.put(b"x" * 10))
        os.truncate(self.backend._entries[NAME].fd, 4)
        result = self.backend.readNow(NAME, 0, 10)
        self.assertEqual((readBytes(result), result.eof), (b"xxxx", True))


class PageTests(LocalTestCase):
    """
    Reads that must wait for the device, and those that need not.
    """

    def evict(self) -> None:
        """
        Take the object's pages out of memory.
        """
        fd = self.backend._entries[NAME].fd
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if local_pages.cachestat()(fd, 0, 4096):
            self.skipTest("this file system keeps its pages")

    def test_cold(self) -> None:
        """
        Pages on the device are read by a thread, and then sent from memory.
        """
        block = os.urandom(1 << 20)
        for count in (4096, 1 << 20):
            self.successResultOf(self.put(block))
            self.evict()
            result = self.done(self.backend.read(NAME, 0, count))
            self.assertTrue(readBytes(result) == block[:count])
            warm = self.backend.readNow(NAME, 0, count)
            assert warm is not None
            self.assertTrue(readBytes(warm) == block[:count])
            self.assertEqual(warm.eof, count == len(block))

    def test_coldOnOldKernel(self) -> None:
        """
        So they are where pages cannot be asked for without being copied.
        """
        self.patch(local_pages, "_populate", None)
        self.test_cold()
        self.test_cutWhileLoading()

    def test_populated(self) -> None:
        """
        All of a range is in memory when that is said, whatever was missing; what is
        behind the end of a file is not, and that is said.
        """
        populate = local_pages.populating()
        if populate is None:
            self.skipTest("this system has no such way")
        cached = local_pages.cachestat()
        self.successResultOf(self.put(os.urandom(1 << 20)))
        fd = self.backend._entries[NAME].fd
        self.evict()
        # Some are there already.
        os.pread(fd, 1, 300_000)
        self.assertTrue(populate(fd, 5, (1 << 20) - 5))
        self.assertTrue(cached(fd, 0, 1 << 20))
        self.evict()
        self.assertTrue(populate(fd, 700_000, 1))
        self.assertTrue(cached(fd, 700_000, 1))
        self.assertFalse(populate(fd, 1 << 19, 1 << 20))
        self.assertFalse(populate(fd, 1 << 20, 4096))

    def test_loaded(self) -> None:
        """
        All of a range is there when it has been loaded, without help of what the kernel
        may do in the background, and however it is done.
        """
        cached = local_pages.cachestat()
        # More than most kernels read without being asked.
        size = 32 << 20
        self.successResultOf(self.put(bytes(size)))
        fd = self.backend._entries[NAME].fd
        for way in (local_pages.populating(), None):
            self.evict()
            self.patch(local_pages, "_populate", way)
            with mock.patch.object(os, "posix_fadvise"):
                local_pages.loadPages(fd, 5, size - 5, 0)
            self.assertTrue(cached(fd, 0, size))

    def test_cutWhileLoading(self) -> None:
        """
        A file cut while a thread reads it is answered as long as it is then.
        """
        self.successResultOf(self.put(os.urandom(1 << 20)))
        self.evict()
        self.executor.auto = False
        long = self.begin(self.backend.read(NAME, 0, 1 << 20))
        past = self.begin(self.backend.read(NAME, 1 << 19, 1 << 18))
        os.ftruncate(self.backend._entries[NAME].fd, 100_000)
        self.executor.runAll()
        result = self.successResultOf(long)
        self.assertEqual((len(readBytes(result)), result.eof), (100_000, True))
        result = self.successResultOf(past)
        self.assertEqual((readBytes(result), result.eof), (b"", True))

    def test_probe(self) -> None:
        """
        Cached pages are known as such with cachestat(2), and on older kernels
        without it.
        """
        self.successResultOf(self.put(os.urandom(1 << 20)))
        fd = self.backend._entries[NAME].fd
        self.assertTrue(local_pages.probeCached(fd, 5, (1 << 20) - 5))
        self.assertTrue(local_pages.cachestat()(fd, 5, (1 << 20) - 5))
        self.evict()
        self.assertFalse(local_pages.cachestat()(fd, 0, 1 << 20))

    def test_sequential(self) -> None:
        """
        A sequential reader gets all bytes in order.
        """
        block = os.urandom(300_000)
        self.successResultOf(self.put(block))
        got = b""
        eof = False
        while not eof:
            result = self.done(self.backend.read(NAME, len(got), 70_000))
            got += readBytes(result)
            eof = result.eof
        self.assertTrue(got == block)


class FakeReactor:
    """
    Remembers who is to be told of descriptors.
    """

    def __init__(self) -> None:
        self.readers: list[IReadDescriptor] = []

    def addReader(self, reader: IReadDescriptor) -> None:
        """
        See L{IReactorFDSet}.
        """
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        """
        See L{IReactorFDSet}.
        """
        self.readers.remove(reader)


class ExecutorTests(SynchronousTestCase):
    """
    The pool of threads.
    """

    def setUp(self) -> None:
        """
        Start one.
        """
        self.reactor = FakeReactor()
        self.pool = ThreadExecutor(self.reactor, 2)  # type: ignore[arg-type]
        self.pool.start()
        self.addCleanup(self.pool.stop)

    def test_interfaces(self) -> None:
        """
        Both kinds can be put where an executor is wanted.
        """
        verifyObject(IExecutor, self.pool)
        verifyObject(IReadDescriptor, self.pool)
        verifyObject(IExecutor, InlineExecutor())

    def test_results(self) -> None:
        """
        Calls run in other threads; results and errors come back in the reactor's,
        the last of them when the pool is stopped.
        """
        self.assertEqual(self.reactor.readers, [self.pool])
        good = [self.pool.defer(threading.get_ident) for _ in range(50)]
        bad = self.pool.defer(os.close, -1)
        told: list[int] = []
        good[0].addCallback(lambda ident: told.append(threading.get_ident()) or ident)
        self.assertEqual(told, [])
        self.pool.stop()
        for one in good:
            self.assertNotEqual(self.successResultOf(one), threading.get_ident())
        self.assertEqual(told, [threading.get_ident()])
        self.failureResultOf(bad, OSError)
        self.assertEqual(self.reactor.readers, [])

    def test_wakesReactor(self) -> None:
        """
        The descriptor becomes readable when a result is there.
        """
        result = self.pool.defer(sum, (1, 2))
        self.assertEqual(select.select([self.pool], [], [], 10)[0], [self.pool])
        self.pool.doRead()
        self.assertEqual(self.successResultOf(result), 3)

    def test_inline(self) -> None:
        """
        The inline executor answers at once, with results and errors.
        """
        executor = InlineExecutor()
        self.assertEqual(self.successResultOf(executor.defer(sum, (1, 2))), 3)
        self.failureResultOf(executor.defer(os.close, -1), OSError)
