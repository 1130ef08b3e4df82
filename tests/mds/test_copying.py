"""
Tests of L{pnfs.mds.copying}: copies between files of a whole site.
"""

from __future__ import annotations

from typing import Any, Optional

import attrs
from twisted.internet.defer import Deferred

from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.config import MDSConfig
from pnfs.mds.copying import alike
from pnfs.nfs4 import requests
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID
from pnfs.values import FSStatistics, Placement
from tests.mds.faulty import pattern
from tests.mds.test_service import FILES, Mounted, filesHandle
from tests.mds.world import SiteCase

UNIT = 65536
OP_READ, OP_WRITE, OP_COPY = 25, 38, 60


class CopyCase(SiteCase):
    """
    A site with a second export whose files are striped otherwise, and a client with
    a file C{a} of twenty stripe units and a bit.

    @ivar data: what is in C{a}.
    """

    otherCount = 2
    otherUnit = 2 * UNIT

    def setUp(self) -> None:
        """
        Write the file.
        """
        super().setUp()
        self.client_ = self.client(minor=2)
        self.mounted = Mounted(self, self.client_)
        self.now(self.client_.connect())
        self.source, self.sourceStateid = self.mounted.create(b"a")
        self.data = pattern(20 * UNIT + 1234)
        self.put(self.source, self.sourceStateid, 0, self.data)

    def configuration(self) -> MDSConfig:
        """
        With the other export.
        """
        config = super().configuration()
        (export,) = config.exports
        names = export.dataServers
        other = attrs.evolve(
            export,
            path="/other",
            stripeUnit=self.otherUnit,
            dataServers=tuple(reversed(names))[: self.otherCount],
        )
        return attrs.evolve(config, exports=(export, other))

    def create(self, name: bytes, export: bytes = b"export") -> tuple[bytes, bytes]:
        """
        Make and open a file. @return: filehandle and stateid.
        """
        results = self.mounted.run(
            requests.PUTROOTFH,
            requests.lookup(export),
            requests.open_(
                self.client_.clientid,
                b"opener",
                name,
                requests.SHARE_BOTH,
                [requests.modeAttribute(0o644)],
            ),
            requests.GETFH,
        )
        for number in (24, 15, 18):
            results.operation(number)
        stateid = results.opened()
        results.operation(10)
        return results.opaque(128), stateid

    def put(self, fh: bytes, stateid: bytes, offset: int, data: bytes) -> None:
        """
        Write through the metadata server.
        """
        done = 0
        while done < len(data):
            part = data[done : done + (1 << 20)]
            done += self.mounted.write(fh, stateid, offset + done, part)

    def get(self, fh: bytes, stateid: bytes, count: int = 4 << 20) -> bytes:
        """
        Read all of a file through the metadata server.
        """
        found = b""
        while part := self.mounted.read(fh, stateid, len(found), 1 << 20):
            found += part
        return found

    def copying(
        self,
        fh: bytes,
        stateid: bytes,
        sourceOffset: int = 0,
        offset: int = 0,
        count: int = 0,
        synchronous: bool = True,
        client: Optional[SessionClient] = None,
    ) -> Any:
        """
        COPY from C{a}. @return: a coroutine of its result.
        """

        async def run() -> tuple[bytes, int, int, bytes]:
            results: Results = await (client or self.client_).compound(
                [
                    requests.putfh(self.source),
                    requests.SAVEFH,
                    requests.putfh(fh),
                    requests.copy(
                        sourceOffset,
                        offset,
                        count,
                        (),
                        (self.sourceStateid, stateid),
                        synchronous,
                    ),
                ],
                4,
            )
            for number in (22, 32, 22, 60):
                results.operation(number)
            return results.copied()

        return run()

    def copy(self, fh: bytes, stateid: bytes, *more: Any) -> int:
        """
        COPY from C{a}. @return: bytes copied.
        """
        name, count, _, verifier = self.now(self.copying(fh, stateid, *more))
        self.assertEqual(name, b"")
        self.assertEqual(verifier, self.commit(fh))
        return int(count)

    def commit(self, fh: bytes) -> bytes:
        """
        COMMIT. @return: the verifier.
        """
        results = self.mounted.run(requests.putfh(fh), requests.commit(0, 0))
        results.operation(22)
        results.operation(5)
        return results.fixed(8)

    def done(self, number: int) -> list[int]:
        """
        How often each data server has carried out an operation.
        """
        return [ds.context.done[number] for ds in self.ds]

    def later(self, coroutine: Any, seconds: float = 10.0) -> Any:
        """
        The outcome of what may take so long.
        """
        outcome: list[Any] = []
        Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
        for _ in range(int(seconds * 10)):
            if outcome:
                break
            self.clock.advance(0.1)
        self.assertEqual(len(outcome), 1, "it hangs")
        return outcome[0]


class LocalTests(CopyCase):
    """
    A copy that is placed like its source.
    """

    def test_copy(self) -> None:
        """
        A new file becomes what the source is. Each data server copies within itself:
        none reads or writes for anybody.
        """
        fh, stateid = self.create(b"b")
        before = self.done(OP_READ), self.done(OP_WRITE)
        self.assertEqual(self.copy(fh, stateid), len(self.data))
        self.assertEqual((self.done(OP_READ), self.done(OP_WRITE)), before)
        self.assertEqual(self.done(OP_COPY), [1, 1, 1])
        self.assertTrue(self.get(fh, stateid) == self.data)

    def test_range(self) -> None:
        """
        A range in the middle goes to its place, and what is around it stays.
        """
        fh, stateid = self.create(b"b")
        old = bytes(len(self.data))
        self.put(fh, stateid, 0, old)
        start, count = 3 * UNIT + 7, 9 * UNIT + 99
        self.assertEqual(self.copy(fh, stateid, start, start, count), count)
        expected = old[:start] + self.data[start : start + count]
        self.assertTrue(
            self.get(fh, stateid) == expected + old[len(expected) :],
        )

    def test_short(self) -> None:
        """
        A few bytes are copied by the one data server that has them.
        """
        fh, stateid = self.create(b"b")
        self.assertEqual(self.copy(fh, stateid, 5, 5, 10), 10)
        self.assertEqual(sorted(self.done(OP_COPY)), [0, 0, 1])
        self.assertEqual(self.get(fh, stateid), bytes(5) + self.data[5:15])

    def test_hole(self) -> None:
        """
        A source of which nothing was ever written gives a copy of zeros, of the same
        size.
        """
        results = self.mounted.run(
            requests.putfh(self.source),
            requests.setattr_([requests.sizeAttribute(0)], self.sourceStateid),
            requests.setattr_([requests.sizeAttribute(300_000)], self.sourceStateid),
        )
        self.assertEqual(results.status, 0)
        fh, stateid = self.create(b"b")
        self.put(fh, stateid, 0, b"x" * 200_000)
        self.assertEqual(self.copy(fh, stateid), 300_000)
        self.assertTrue(self.get(fh, stateid) == bytes(300_000))

    def test_attributes(self) -> None:
        """
        Size, space and times are those of the copy at once, for every client.
        """
        fh, stateid = self.create(b"b")
        before = self.mounted.attributes(fh, 3, 53)
        self.clock.advance(1)
        self.copy(fh, stateid)
        after = self.mounted.attributes(fh, 3, 4, 45, 53)
        self.assertEqual(after[4], len(self.data))
        self.assertGreaterEqual(after[45], len(self.data))
        self.assertGreater(after[3], before[3])
        self.assertGreater(after[53], before[53])


class CrossTests(CopyCase):
    """
    A copy that lies on other data servers than its source.
    """

    def test_shifted(self) -> None:
        """
        Bytes that go from one column to another are fetched by the data server that
        gets them; the metadata server neither reads nor writes.
        """
        fh, stateid = self.create(b"b")
        writes = self.done(OP_WRITE)
        self.assertEqual(self.copy(fh, stateid, 0, UNIT + 5), len(self.data))
        self.assertTrue(self.get(fh, stateid) == bytes(UNIT + 5) + self.data)
        self.assertEqual(self.done(OP_WRITE), writes)
        self.assertGreater(min(self.done(OP_COPY)), 0)

    def test_otherExport(self) -> None:
        """
        A file of another export, with another stripe unit and fewer data servers, is
        copied likewise: the server is one.
        """
        fh, stateid = self.create(b"b", b"other")
        writes = self.done(OP_WRITE)
        self.assertEqual(self.copy(fh, stateid), len(self.data))
        self.assertTrue(self.get(fh, stateid) == self.data)
        self.assertEqual(self.done(OP_WRITE), writes)

    def test_wrongServer(self) -> None:
        """
        An address at which another data server answers, such as 127.0.0.1 on another
        host, is not believed: it has an object of the same name with other bytes.
        The metadata server then carries the bytes itself (fall back to read and write:
        chimera #544).
        """
        for n, member in enumerate(self.mds._servers.members):
            wrong = self.address((n + 1) % self.count)
            config = attrs.evolve(member.config, advertise=(wrong,), address=wrong)
            member.record = attrs.evolve(member.record, config=config)
        fh, stateid = self.create(b"b")
        writes = sum(self.done(OP_WRITE))
        self.assertEqual(self.copy(fh, stateid, 0, UNIT), len(self.data))
        self.assertTrue(self.get(fh, stateid) == bytes(UNIT) + self.data)
        self.assertGreater(sum(self.done(OP_WRITE)), writes)


class MirrorTests(CopyCase):
    """
    Two copies of everything.
    """

    layout = "flexfiles"
    mirrors = 2
    count = 4

    def test_all(self) -> None:
        """
        Each mirror of the destination gets the bytes, and is read alike.
        """
        fh, stateid = self.create(b"b")
        self.assertEqual(self.copy(fh, stateid), len(self.data))
        placement = self.placementOf(fh)
        self.assertEqual(len(placement.dataServers), 2)
        for uuid in placement.dataServers:
            backend = next(b for b in self.backends if b.uuid == uuid)
            found = self.now(backend.read(placement.name, 0, 4 << 20))
            self.assertTrue(b"".join(found.pieces) == self.data)

    def placementOf(self, fh: bytes) -> Placement:
        """
        Where a file is.
        """
        server = self.mds.context
        exportId, handle = server.filehandles.decode(fh)
        backend = server.exports.byId[exportId].backend
        inode = self.now(backend.byHandle(handle))
        found: Placement = self.now(backend.loadPlacement(inode))
        return found

    def test_sourceMirrorDown(self) -> None:
        """
        With a mirror of the source down, the other one is copied from.
        """
        first, _ = self.placementOf(self.source).columns[0]
        number = [b.uuid for b in self.backends].index(first)
        self.killDataServer(number)
        self.clock.pump([0.1] * 150)
        fh, stateid = self.create(b"b")
        outcome = self.later(self.copying(fh, stateid))
        self.assertEqual(outcome[1], len(self.data))
        self.assertTrue(self.get(fh, stateid) == self.data)


class FailureTests(CopyCase):
    """
    Data servers that are down.
    """

    def test_down(self) -> None:
        """
        With a data server of the source down the copy fails in time, and works when
        it is back.
        """
        fh, stateid = self.create(b"b")
        self.put(fh, stateid, 0, b"x")
        self.killDataServer(1)
        failure = self.later(self.copying(fh, stateid), 30)
        self.assertEqual(failure.value.status, nfsstat4.NFS4ERR_DELAY)
        self.startDataServer(1)
        self.clock.pump([0.5] * 40)
        self.assertEqual(self.copy(fh, stateid), len(self.data))
        self.assertTrue(self.get(fh, stateid) == self.data)

    def test_silent(self) -> None:
        """
        Likewise if it takes what it is told and never answers.
        """
        fh, stateid = self.create(b"b")
        self.put(fh, stateid, 0, b"x")
        self.wire.cut.add(self.address(1))
        failure = self.later(self.copying(fh, stateid), 30)
        self.assertEqual(failure.value.status, nfsstat4.NFS4ERR_DELAY)
        self.wire.cut.clear()

    def test_slow(self) -> None:
        """
        With data servers that are slow an answer comes in time, with what has been
        done; asked again and again, all of it gets there.
        """
        fh, stateid = self.create(b"b")
        for backend in self.backends:
            backend.copyBytes = UNIT
            self.slow(backend)
        done = 0
        while done < len(self.data):
            found = self.later(self.copying(fh, stateid, done, done), 10)
            self.assertGreater(found[1], 0)
            done += found[1]
        self.assertGreater(self.done(OP_COPY)[0], 3)
        self.assertTrue(self.get(fh, stateid) == self.data)

    def slow(self, backend: MemoryDataServerBackend) -> None:
        """
        Have each step take more than a second.
        """
        inner = backend.copy

        async def later(*call: Any) -> Any:
            waiter: Deferred[None] = Deferred()
            self.clock.callLater(1.5, waiter.callback, None)
            await waiter
            return await inner(*call)

        self.patch(backend, "copy", later)

    def test_full(self) -> None:
        """
        A copy that no longer fits tells NOSPC.
        """
        fh, stateid = self.create(b"b")
        self.put(fh, stateid, 0, b"x")
        for backend in self.backends:
            backend.capacity = 0
        failure = self.later(self.copying(fh, stateid, 0, 30 * UNIT))
        self.assertEqual(failure.value.status, nfsstat4.NFS4ERR_NOSPC)


class AlikeTests(SiteCase):
    """
    When each data server can copy within itself.
    """

    def test_alike(self) -> None:
        """
        Only with the same stripes, shifted by whole rounds, on the same servers.
        """
        a, b = b"a" * 16, b"b" * 16

        def at(unit: int, *columns: tuple[bytes, ...]) -> Placement:
            return Placement("files", unit, columns, b"00")

        two = at(UNIT, (a,), (b,))
        self.assertTrue(alike(two, 0, two, 0))
        self.assertTrue(alike(two, 4 * UNIT + 5, two, 5))
        self.assertFalse(alike(two, UNIT, two, 0))
        self.assertFalse(alike(two, 1, two, 0))
        self.assertFalse(alike(at(UNIT, (b,), (a,)), 0, two, 0))
        self.assertFalse(alike(at(2 * UNIT, (a,), (b,)), 0, two, 0))
        self.assertFalse(alike(at(0, (a,)), 0, two, 0))
        self.assertTrue(alike(at(0, (a,)), 3, at(0, (a, b)), 1))
        self.assertFalse(alike(at(0, (a, b)), 0, at(0, (a,)), 0))


class CloneCase(CopyCase):
    """
    CLONE.
    """

    def clone(
        self,
        fh: bytes,
        stateid: bytes,
        sourceOffset: int = 0,
        offset: int = 0,
        count: int = 0,
    ) -> Any:
        """
        CLONE from C{a}. @return: a coroutine.
        """

        async def run() -> None:
            results: Results = await self.client_.compound(
                [
                    requests.putfh(self.source),
                    requests.SAVEFH,
                    requests.putfh(fh),
                    requests.clone(
                        sourceOffset, offset, count, (self.sourceStateid, stateid)
                    ),
                ],
                4,
            )
            for number in (22, 32, 22, 71):
                results.operation(number)

        return run()


class CloneTests(CloneCase):
    """
    With data servers that can.
    """

    def test_clone(self) -> None:
        """
        A new file shares all bytes of the source, stripe by stripe.
        """
        fh, stateid = self.create(b"b")
        self.now(self.clone(fh, stateid))
        self.assertTrue(self.get(fh, stateid) == self.data)
        self.assertEqual(self.done(71), [1, 1, 1])
        self.assertEqual(self.mounted.attributes(fh, 4)[4], len(self.data))

    def test_range(self) -> None:
        """
        A range goes into a larger file and leaves the rest of it alone.
        """
        fh, stateid = self.create(b"b")
        self.now(self.clone(fh, stateid, 0, 0, UNIT))
        old = b"x" * (9 * UNIT)
        self.put(fh, stateid, 0, old)
        self.now(self.clone(fh, stateid, UNIT, 4 * UNIT, 2 * UNIT))
        expected = old[: 4 * UNIT] + self.data[UNIT : 3 * UNIT] + old[: 3 * UNIT]
        self.assertTrue(self.get(fh, stateid) == expected)

    def test_moved(self) -> None:
        """
        Linux has a layout of a new file before it says what to clone there. It is
        recalled, and the empty file placed like the source; the handle in that layout
        writes nothing any more.
        """
        fh, stateid = self.create(b"b")
        layout, body = self.mounted.layout(fh, stateid, FILES)
        error = self.fails(self.clone(fh, stateid), OperationFailed)
        self.assertEqual(error.status, nfsstat4.NFS4ERR_DELAY)
        self.mounted.run(requests.putfh(fh), requests.layoutreturn(FILES, layout, b""))
        self.now(self.clone(fh, stateid))
        self.assertTrue(self.get(fh, stateid) == self.data)
        direct = Mounted(self, self.client(self.address(0)))
        self.now(direct.client.connect())
        error = self.assertRaises(
            OperationFailed,
            direct.write,
            filesHandle(body),
            ANONYMOUS_STATEID,
            0,
            b"late",
        )
        self.assertEqual(error.status, nfsstat4.NFS4ERR_PNFS_NO_LAYOUT)

    def test_writtenMeanwhile(self) -> None:
        """
        A file that is no longer empty when its layouts are back stays where it is,
        with what was written; the client copies.
        """
        fh, stateid = self.create(b"b")
        layout, body = self.mounted.layout(fh, stateid, FILES)
        self.fails(self.clone(fh, stateid), OperationFailed)
        for number in range(self.count):
            direct = Mounted(self, self.client(self.address(number)))
            self.now(direct.client.connect())
            direct.write(filesHandle(body), ANONYMOUS_STATEID, 0, b"written")
        self.mounted.run(requests.putfh(fh), requests.layoutreturn(FILES, layout, b""))
        error = self.fails(self.clone(fh, stateid), OperationFailed)
        self.assertEqual(error.status, nfsstat4.NFS4ERR_XDEV)
        self.assertEqual(self.get(fh, stateid), b"written")

    def test_otherPlaces(self) -> None:
        """
        What would have to go from one data server to another cannot be shared: XDEV,
        so that the client copies.
        """
        fh, stateid = self.create(b"b")
        other, otherStateid = self.create(b"b", b"other")
        for coroutine in (
            self.clone(fh, stateid, 0, UNIT),
            self.clone(other, otherStateid),
        ):
            error = self.fails(coroutine, OperationFailed)
            self.assertEqual(error.status, nfsstat4.NFS4ERR_XDEV)

    def test_attribute(self) -> None:
        """
        C{clone_blksize} is there only where every data server can share bytes.
        """
        self.assertEqual(self.mounted.attributes(self.source, 77), {77: 4096})
        supported = self.mounted.attributes(self.source, 0)[0]
        self.assertTrue(supported >> 77 & 1)

    def test_down(self) -> None:
        """
        With a data server down the client is to come again, and nothing is done.
        """
        fh, stateid = self.create(b"b")
        self.now(self.clone(fh, stateid, 0, 0, UNIT))
        before = self.ds[0].context.done[71]
        self.killDataServer(1)
        self.later(
            self.mds.context.data._servers.onFile(
                self.backends[1].uuid, lambda ds: ds.getattr(b"00")
            ),
            20,
        )
        failure = self.later(self.clone(fh, stateid))
        self.assertEqual(failure.value.status, nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(self.ds[0].context.done[71], before)


class NoCloneTests(CloneCase):
    """
    One data server of three cannot share bytes.
    """

    def setUp(self) -> None:
        """
        It says so.
        """
        inner = MemoryDataServerBackend.statfs

        async def statfs(backend: MemoryDataServerBackend) -> FSStatistics:
            found = await inner(backend)
            block = 0 if backend.uuid[0] == 2 else found.cloneBlock
            return attrs.evolve(found, cloneBlock=block)

        self.patch(MemoryDataServerBackend, "statfs", statfs)
        super().setUp()

    def test_clone(self) -> None:
        """
        Then nothing can be shared.
        """
        fh, stateid = self.create(b"b")
        error = self.fails(self.clone(fh, stateid), OperationFailed)
        self.assertEqual(error.status, nfsstat4.NFS4ERR_NOTSUPP)

    def test_attribute(self) -> None:
        """
        And there is no such attribute.
        """
        self.assertEqual(self.mounted.attributes(self.source, 77), {})
        supported = self.mounted.attributes(self.source, 0)[0]
        self.assertFalse(supported >> 77 & 1)


class EndTests(CopyCase):
    """
    Refusals, over the wire.
    """

    def test_refused(self) -> None:
        """
        A range that the source does not have, a copy onto itself, and a stateid of
        something else are refused.
        """
        fh, stateid = self.create(b"b")
        for expected, coroutine in (
            ("INVAL", self.copying(fh, stateid, len(self.data) + 1)),
            ("INVAL", self.copying(fh, stateid, 1, 0, len(self.data))),
            ("INVAL", self.copying(self.source, self.sourceStateid, 0, 1 << 30, 1)),
            ("BAD_STATEID", self.copying(fh, self.sourceStateid)),
        ):
            error = self.fails(coroutine, OperationFailed)
            self.assertEqual(error.status, nfsstat4["NFS4ERR_" + expected])
