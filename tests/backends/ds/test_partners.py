"""
Tests of L{pnfs.backends.ds.partners} and L{pnfs.backends.ds.carrying}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

import pnfs.backends.ds.partners
from pnfs.backends.ds.carrying import BLOCK, BLOCKS, carry
from pnfs.backends.ds.digests import UNIT, RangeDigests, digestsOfPieces
from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.ds.partners import LARGE, Partners
from pnfs.backends.errors import IOFailed, NoSpace, PartnerFailed, Unreachable
from pnfs.namespace.filehandles import CONTROL, READ, WRITE, CapabilityCodec
from pnfs.values import CopySource, ReadResult, WriteResult
from tests.contracts.data import readBytes
from tests.mds.faulty import pattern
from tests.mds.world import KEY, SiteCase

NAME, TARGET = b"00aa", b"00bb"


class PartnersTests(SiteCase):
    """
    A data server copies from another one.
    """

    count = 2

    def setUp(self) -> None:
        """
        An object on the second, and an empty one on the first.
        """
        super().setUp()
        self.here, self.there = self.backends
        self.data = pattern(3_000_000)
        self.now(self.there.create(NAME, 1, 1, 0o600, 3))
        self.now(self.there.write(NAME, 0, memoryview(self.data), 0))
        self.now(self.here.create(TARGET, 1, 1, 0o600, 1))
        self.partners: Partners = self.ds[0].context.partners

    def source(self, *addresses: int, rights: int = READ, epoch: int = 3) -> CopySource:
        """
        The object on the second, at the addresses of some data servers.
        """
        return CopySource(
            NAME,
            self.there.uuid,
            tuple(self.address(number) for number in addresses),
            CapabilityCodec(KEY).mint(rights, epoch, NAME),
        )

    def fetch(self, source: CopySource, *more: int) -> Any:
        """
        @return: a coroutine.
        """
        return self.partners.fetch(TARGET, *more[:1], source, *more[1:])

    def content(self) -> bytes:
        """
        Of the object copied to.
        """
        return readBytes(self.now(self.here.read(TARGET, 0, 1 << 23)))

    def test_fetch(self) -> None:
        """
        A range is read there and written here, and nothing else.
        """
        result = self.now(self.fetch(self.source(1), 7, 1000, 2_500_000))
        self.assertEqual(result.count, 2_500_000)
        self.assertEqual(result.verifier, self.here.verifier)
        self.assertTrue(self.content() == bytes(7) + self.data[1000:][:2_500_000])

    def test_large(self) -> None:
        """
        Of what nobody waits for much is read in large pieces, less than that, and what
        somebody does, in smaller ones, which clients have to wait for.
        """
        self.patch(pnfs.backends.ds.partners, "MUCH", 3_000_000)
        asked: list[int] = []
        readNow = self.there.readNow

        def noted(name: bytes, offset: int, count: int) -> Any:
            asked.append(count)
            return readNow(name, offset, count)

        self.patch(self.there, "readNow", noted)

        def fetched(count: int, soon: bool) -> list[int]:
            asked.clear()
            self.now(
                self.partners.fetch(TARGET, 0, self.source(1), 0, count, soon=soon)
            )
            self.assertTrue(self.content()[:count] == self.data[:count])
            return list(asked)

        self.assertEqual(fetched(3_000_000, False), [LARGE, 3_000_000 - LARGE])
        small = [BLOCK, BLOCK, 2_999_999 - 2 * BLOCK]
        self.assertEqual(fetched(2_999_999, False), small)
        self.assertEqual(fetched(3_000_000, True), [*small[:2], small[2] + 1])

    def fetchPast(self, count: int, wrong: int = -1) -> RangeDigests:
        """
        Fetch to a data server that can write past its memory.

        @param wrong: the offset where it has something else than it was given.
        """

        async def past(name: bytes, offset: int, data: memoryview) -> Any:
            result = await self.here.write(name, offset, data, 0)
            if offset <= wrong < offset + len(data):
                await self.here.write(name, wrong, memoryview(b"?"), 0)
            read = await self.here.read(name, offset, len(data))
            return result, digestsOfPieces(memoryview(readBytes(read)))

        self.patch(self.here, "writePast", past)
        digests = self.partners.digests(0)
        self.now(
            self.partners.fetch(
                TARGET, 0, self.source(1), 0, count, digests=digests, soon=False
            )
        )
        return digests

    def compare(self, digests: RangeDigests, count: int, *addresses: int) -> Any:
        """
        With what the second has now.
        """
        control = CapabilityCodec(KEY).mint(CONTROL, 0, NAME)
        source = self.source(*(addresses or (1,)))
        return self.now(self.partners.compare(digests, source, 0, count, control))

    def test_compare(self) -> None:
        """
        What was written is what the source has, to the last part of a piece.
        """
        digests = self.fetchPast(3_000_000)
        self.assertTrue(self.content() == self.data)
        self.assertEqual(self.compare(digests, 3_000_000), (3_000_000, []))

    def test_compareChanged(self) -> None:
        """
        Where the source has been changed meanwhile, or something else was written, they
        differ.
        """
        digests = self.fetchPast(3_000_000, 700_000)
        self.now(self.there.write(NAME, 2_999_999, memoryview(b"new"), 0))
        self.assertEqual(
            self.compare(digests, 3_000_000),
            (3_000_000, [(2 * UNIT, UNIT), (11 * UNIT, 3_000_000 - 11 * UNIT)]),
        )

    def test_compareUnknown(self) -> None:
        """
        What went into memory is not taken to be right: others compare it.
        """
        digests = self.partners.digests(0)
        self.now(
            self.partners.fetch(
                TARGET, 0, self.source(1), 0, 3_000_000, digests=digests
            )
        )
        self.assertEqual(self.compare(digests, 3_000_000), (0, []))

    def test_compareSilent(self) -> None:
        """
        A source that is gone, or another one in its place, says nothing.
        """
        digests = self.fetchPast(3_000_000)
        self.assertEqual(self.compare(digests, 3_000_000, 0), (0, []))
        self.now(self.there.remove(NAME))
        self.assertEqual(self.compare(digests, 3_000_000), (0, []))

    def test_compareBounded(self) -> None:
        """
        If they differ in too many places, the rest is not looked at.
        """
        self.patch(pnfs.backends.ds.partners, "RANGES", 2)
        self.patch(self.there, "checksums", self.one(self.there.checksums, 0))
        digests = self.fetchPast(3_000_000)
        self.now(self.there.write(NAME, 0, memoryview(bytes(3_000_000)), 0))
        self.assertEqual(
            self.compare(digests, 3_000_000), (2 * UNIT, [(0, UNIT), (UNIT, UNIT)])
        )

    def one(self, inner: Any, seconds: float) -> Any:
        """
        Checksums of one piece at a time.
        """

        async def checksums(*args: Any) -> list[bytes]:
            self.clock.advance(seconds)
            return list((await inner(*args))[:1])

        return checksums

    def test_compareInTime(self) -> None:
        """
        Nor is it when a second has passed: the metadata server waits.
        """
        self.patch(self.there, "checksums", self.one(self.there.checksums, 1))
        digests = self.fetchPast(3_000_000)
        self.assertEqual(self.compare(digests, 3_000_000), (UNIT, []))

    def test_behindEnd(self) -> None:
        """
        Behind the end of the source there are zeros.
        """
        self.now(self.fetch(self.source(1), 0, 2_999_990, 30))
        self.assertEqual(self.content(), self.data[-10:] + bytes(20))

    def test_addresses(self) -> None:
        """
        An address where nobody, or somebody else, answers is passed over.
        """
        self.now(self.fetch(self.source(0, 1), 0, 0, 10))
        self.assertEqual(self.content(), self.data[:10])
        outcome: list[Any] = []
        fetching = self.fetch(self.source(7, 1), 0, 10, 10)
        Deferred.fromCoroutine(fetching).addBoth(outcome.append)
        self.clock.pump([0.1] * 30)
        self.assertEqual(outcome[0].count, 10)
        self.assertEqual(self.content(), self.data[10:20])

    def test_wrong(self) -> None:
        """
        Another server's object of the same name is never taken for the one meant.
        """
        self.now(self.here.create(NAME, 1, 1, 0o600, 3))
        self.now(self.here.write(NAME, 0, memoryview(b"wrong" * 100), 0))
        self.fails(self.fetch(self.source(0), 0, 0, 10), PartnerFailed)
        self.fails(self.fetch(self.source(), 0, 0, 10), PartnerFailed)
        self.assertEqual(self.content(), b"")

    def test_changed(self) -> None:
        """
        Nor if it appears at the address while a session is kept there.
        """
        self.now(self.fetch(self.source(1), 0, 0, 10))
        self.now(self.here.create(NAME, 1, 1, 0o600, 3))
        self.now(self.here.write(NAME, 0, memoryview(b"wrong" * 100), 0))
        address = self.address(1)
        self.wire.hangUp(address)
        self.wire.hosts[address] = self.wire.hosts[self.address(0)]
        self.later(self.fetch(self.source(1), 0, 0, 10))
        self.assertEqual(self.content(), self.data[:10])

    def later(self, coroutine: Any) -> None:
        """
        It fails with L{PartnerFailed} within the seconds that the metadata server
        waits.
        """
        outcome: list[Any] = []
        Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
        self.clock.pump([0.1] * 60)
        self.assertEqual(len(outcome), 1, "it hangs")
        outcome[0].trap(PartnerFailed)

    def test_refused(self) -> None:
        """
        What the other refuses is its refusal, not a failure of this one: a handle
        that cannot read, one from before a fence, an object that is gone.
        """
        self.fails(self.fetch(self.source(1, rights=WRITE), 0, 0, 10), PartnerFailed)
        self.fails(self.fetch(self.source(1, epoch=2), 0, 0, 10), PartnerFailed)
        self.now(self.there.remove(NAME))
        self.fails(self.fetch(self.source(1), 0, 0, 10), PartnerFailed)

    def test_silent(self) -> None:
        """
        One that is gone, or that never answers, is given up in time.
        """
        self.wire.cut.add(self.address(1))
        self.later(self.fetch(self.source(1), 0, 0, 10))
        self.wire.cut.clear()
        self.killDataServer(1)
        self.later(self.fetch(self.source(1), 0, 0, 10))

    def test_full(self) -> None:
        """
        What fails here is told as it is.
        """
        self.here.capacity = 0
        self.fails(self.fetch(self.source(1), 0, 0, 10), NoSpace)

    def test_durable(self) -> None:
        """
        What has come is on the disk; most of it has been brought there while more
        came.
        """
        self.patch(pnfs.backends.ds.partners, "FLUSH", 1 << 20)
        flushed: list[int] = []
        commit = self.here.commit

        async def noted(*args: Any) -> bytes:
            flushed.append(self.here.peek(TARGET).size)
            return await commit(*args)

        self.patch(self.here, "commit", noted)
        result = self.now(self.fetch(self.source(1), 0, 0, len(self.data)))
        self.assertEqual((result.count, result.committed), (len(self.data), 2))
        self.assertEqual(len(flushed), 3)
        self.assertLess(flushed[0], len(self.data))
        self.assertEqual(flushed[-1], len(self.data))

    def test_flushFails(self) -> None:
        """
        A disk that fails meanwhile, and has another write verifier therefore, vouches
        for nothing.
        """
        self.patch(pnfs.backends.ds.partners, "FLUSH", 1 << 20)
        before = self.here.verifier
        failures: list[Exception] = [IOFailed("disk")]

        async def commit(*args: Any) -> bytes:
            if failures:
                self.here.verifier = b"verifie2"
                raise failures.pop()
            return self.here.verifier

        self.patch(self.here, "commit", commit)
        result = self.now(self.fetch(self.source(1), 0, 0, 1 << 20))
        self.assertEqual((result.committed, result.verifier), (0, before))

    def test_slowDisk(self) -> None:
        """
        No more is read than the disk takes, but for the little that it may be behind.
        """
        self.patch(pnfs.backends.ds.partners, "FLUSH", 1 << 20)
        flushing: list[Deferred[None]] = []

        async def commit(*args: Any) -> bytes:
            flushing.append(Deferred())
            await flushing[-1]
            return self.here.verifier

        self.patch(self.here, "commit", commit)
        data = pattern(8 << 20)
        self.now(self.there.write(NAME, 0, memoryview(data), 0))
        fetching = Deferred.fromCoroutine(self.fetch(self.source(1), 0, 0, len(data)))
        self.assertNoResult(fetching)
        self.assertLess(self.here.peek(TARGET).size, 7 << 20)
        for each in flushing:
            each.callback(None)
        self.assertEqual(self.successResultOf(fetching).count, len(data))
        self.assertTrue(self.content() == data)


class CarryTests(SynchronousTestCase):
    """
    Copying by reading and writing.
    """

    def setUp(self) -> None:
        """
        Somewhere to write to.
        """
        self.out = bytearray(24 * BLOCK)
        self.seconds = 0.0
        self.most = BLOCK
        self.verifiers = [b"verifier"] * 99

    async def read(self, offset: int, count: int) -> ReadResult:
        """
        Numbers, in two pieces.
        """
        data = pattern(offset + count)[offset:]
        self.seconds += 0.125
        return ReadResult([data[:3], memoryview(data)[3:]], count, False)

    async def write(self, offset: int, data: memoryview) -> WriteResult:
        """
        As much as is taken at a time.
        """
        part = data[: self.most]
        self.out[offset : offset + len(part)] = part
        return WriteResult(len(part), 2, self.verifiers.pop(0))

    def carry(self, count: int) -> WriteResult:
        """
        Do it.
        """
        running = Deferred.fromCoroutine(
            carry(self.read, self.write, 5, 9, count, lambda: self.seconds)
        )
        return self.successResultOf(running)

    def test_bounded(self) -> None:
        """
        It ends in time, however much is asked for.
        """
        result = self.carry(1 << 40)
        self.assertEqual(result.count, 8 * BLOCK)
        self.assertTrue(self.out[5:][: result.count] == pattern(9 + result.count)[9:])

    def test_memory(self) -> None:
        """
        No more than a few blocks are in memory at a time; the next one is begun when
        one of them is done.
        """
        reading: list[Deferred[None]] = []

        async def read(offset: int, count: int) -> ReadResult:
            reading.append(Deferred())
            await reading[-1]
            return await self.read(offset, count)

        running = Deferred.fromCoroutine(
            carry(read, self.write, 5, 9, 6 * BLOCK, lambda: 0.0)
        )
        for done in range(6):
            self.assertEqual(len(reading), min(BLOCKS + done, 6))
            reading[done].callback(None)
        self.assertEqual(self.successResultOf(running).count, 6 * BLOCK)
        self.assertTrue(self.out[5:][: 6 * BLOCK] == pattern(9 + 6 * BLOCK)[9:])

    def test_shortWrites(self) -> None:
        """
        A writer that takes little at a time gets all in the end.
        """
        self.most = 1000
        self.verifiers = [b"verifier"] * 9999
        self.assertEqual(self.carry(BLOCK + 1).count, BLOCK + 1)
        self.assertTrue(self.out[5:][: BLOCK + 1] == pattern(BLOCK + 10)[9:])

    def test_restart(self) -> None:
        """
        Blocks written under two verifiers are vouched for by neither.
        """
        self.verifiers[1] = b"verifie2"
        result = self.carry(3 * BLOCK)
        self.assertEqual((result.committed, result.verifier), (0, bytes(8)))

    def test_failure(self) -> None:
        """
        A failure of any block is the failure of all.
        """

        async def failing(offset: int, count: int) -> ReadResult:
            raise Unreachable("down")

        running = Deferred.fromCoroutine(
            carry(failing, self.write, 0, 0, 10 * BLOCK, lambda: 0.0)
        )
        self.failureResultOf(running, Unreachable)
