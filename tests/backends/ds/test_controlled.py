"""
Tests of L{pnfs.backends.ds.controlled}: a data server as its metadata server sees
it, over COMPOUNDs.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds.controlled import ControlledDataServerBackend
from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.errors import (
    BackendError,
    IOFailed,
    NoSpace,
    Unreachable,
)
from pnfs.config import DSConfig, LimitsConfig
from pnfs.ds.service import DataServerService
from pnfs.namespace.filehandles import READ, CapabilityCodec
from pnfs.nfs4.client import SessionClient
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.hub import Hub
from pnfs.rpc.limits import Limits
from pnfs.values import CheckedCopy, CopySource, SetAttributes, Stable, WriteResult
from tests.contracts.data import NAME, DataServerBackendContract
from tests.contracts.digests import DigestsContract
from tests.contracts.holes import HolesContract
from tests.mds.wire import MemoryRPCClient, Wire
from tests.nfs4.dsops.test_copy import Partners
from tests.nfs4.fixture import entropy

KEY = b"C" * 32
ADDRESS = ("192.0.2.1", 2050)


class ControlledTests(
    DigestsContract, HolesContract, DataServerBackendContract, SynchronousTestCase
):
    """
    The contract of data backends, as far as it can hold from afar: nothing is known
    without asking, and the epoch is not told. That is looked up behind the scenes.
    """

    def makeBackend(self) -> Any:
        """
        A control connection to a data server.
        """
        self.clock = Clock()
        self.clock.advance(1000)
        self.wire = Wire()
        self.inner = MemoryDataServerBackend(b"verifier", b"u" * 16, 1 << 40)
        self.serve(self.inner)
        return self.connect()

    def serve(self, inner: Any) -> None:
        """
        (Re)start the data server.
        """
        limits = LimitsConfig()
        config = DSConfig(
            "ds", (ADDRESS,), "/", KEY, "memory", None, None, limits, None
        )
        service = DataServerService(self.clock, config, inner, entropy(), lambda: 0)
        service.clock = self.clock  # type: ignore[assignment]
        programs, _ = self.run_(service.prepare())
        self.context = service.context
        self.wire.hosts[ADDRESS] = Hub(
            programs, self.clock, Limits(recordBytes=limits.io + 65536)
        )

    def connect(self, key: bytes = KEY, owner: bytes = b"mds") -> Any:
        """
        A backend.
        """
        self.client = SessionClient(
            MemoryRPCClient(self.wire, ADDRESS, self.clock),
            self.clock,
            owner,
            b"verifier",
            encodeAuthSys(0, 0, (), b"mds"),
            minor=2,
            slots=4,
            callTimeout=8,
            deadline=8,
        )
        return ControlledDataServerBackend(self.client, CapabilityCodec(key))

    def later(self, coroutine: Any) -> Any:
        """
        The outcome of what takes up to 10 s.
        """
        outcome: list[Any] = []
        Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
        self.clock.pump([0.1] * 100)
        return outcome[0]

    # -- what differs from a backend at hand -----------------------------------------

    def test_now(self) -> None:
        """
        Nothing is done without waiting, not even for an object in use.
        """
        self.put(0, b"abc")
        self.assertIsNone(self.backend.peek(NAME))
        self.assertIsNone(self.backend.readNow(NAME, 0, 1))
        self.assertIsNone(self.backend.writeNow(NAME, 0, memoryview(b"x"), 0))

    def test_attributes(self) -> None:
        """
        Owner and mode are those given at creation.
        """
        self.put(0, b"abc")
        found = self.run_(self.backend.getattr(NAME))
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.size), (1000, 100, 0o640, 3)
        )
        inner = self.inner.peek(NAME)
        assert inner is not None
        self.assertEqual(inner.epoch, 1)

    def test_setOwner(self) -> None:
        """
        Owner and mode can be changed one by one; the epoch stays.
        """
        self.run_(self.backend.fence(NAME, 5))
        self.run_(self.backend.setattr(NAME, SetAttributes(uid=7)))
        self.run_(self.backend.setattr(NAME, SetAttributes(mode=0o600, gid=8)))
        found = self.inner.peek(NAME)
        assert found is not None
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.epoch), (7, 8, 0o600, 5)
        )

    def test_fence(self) -> None:
        """
        The epoch goes up only.
        """
        self.run_(self.backend.fence(NAME, 3))
        self.run_(self.backend.fence(NAME, 2))
        found = self.inner.peek(NAME)
        assert found is not None
        self.assertEqual(found.epoch, 3)

    def test_createAgain(self) -> None:
        """
        A repeated creation keeps the bytes, sets the owner, and undoes no fence.
        """
        self.put(0, b"abc")
        self.run_(self.backend.fence(NAME, 4))
        self.run_(self.backend.create(NAME, 5, 6, 0o666, 1))
        found = self.inner.peek(NAME)
        assert found is not None
        self.assertEqual(
            (found.uid, found.gid, found.mode, found.epoch, found.size),
            (5, 6, 0o666, 4, 3),
        )

    def test_createEpoch(self) -> None:
        """
        An object may begin with a later epoch.
        """
        told = self.run_(self.backend.provide(b"0e", 5, 6, 0o666, 9))
        self.assertEqual((told.uid, told.size), (5, 0))
        found = self.inner.peek(b"0e")
        assert found is not None
        self.assertEqual(found.epoch, 9)

    def test_list(self) -> None:
        """
        More names than one answer holds come in order, page by page, each once.
        """
        names = sorted([b"%08x" % (n * 2654435761 % 2**32) for n in range(2500)])
        for name in names:
            self.run_(self.inner.create(name, 0, 0, 0o600, 1))
        self.run_(self.backend.remove(NAME))
        seen: list[bytes] = []
        after = b""
        while page := self.run_(self.backend.list(after, 1000)):
            self.assertLessEqual(len(page), 1000)
            seen.extend(page)
            after = page[-1]
        self.assertEqual(seen, names)

    # -- what is its own ----------------------------------------------------------

    def test_pieces(self) -> None:
        """
        More than one request takes is read and written in parts.
        """
        data = bytes(range(256)) * 12288
        self.assertEqual(self.put(5, data, Stable.FILE_SYNC).count, len(data))
        self.assertTrue(self.get(5, len(data)) == (data, True))

    def test_full(self) -> None:
        """
        A full data server says so; a write that it took in part is told in part.
        """
        self.inner.capacity = 1 << 20
        done = self.run_(self.backend.write(NAME, 0, memoryview(bytes(1 << 20)), 0))
        self.assertEqual(done.count, 1 << 20)
        self.fails(self.backend.write(NAME, 2 << 20, memoryview(bytes(10)), 0), NoSpace)

    def copyChecked(self, compared: int) -> Any:
        """
        Of 7 bytes, from a partner that gives zeros; two of those compared differ.

        @param compared: how many bytes the data server says it has compared.
        """
        partners = self.context.partners = Partners(self.inner)

        async def compare(*call: Any) -> tuple[int, list[tuple[int, int]]]:
            return compared, [(8, 2)]

        self.patch(partners, "compare", compare)
        handle = CapabilityCodec(KEY).mint(READ, 1, NAME)
        source = CopySource(NAME, b"p" * 16, (("192.0.2.7", 2049),), handle)
        return self.backend.copyChecked(NAME, 6, source, 5, 7)

    def test_checked(self) -> None:
        """
        A copy from another data server comes with what has been compared.
        """
        self.assertEqual(
            self.run_(self.copyChecked(4)),
            CheckedCopy(WriteResult(7, 0, b"verifier"), 4, [(8, 2)]),
        )

    def test_checkedTooMuch(self) -> None:
        """
        Who has compared more than it has copied is not believed.
        """
        self.fails(self.copyChecked(8), IOFailed)

    def test_checkedHere(self) -> None:
        """
        Nothing is compared of what is copied within a data server.
        """
        copying = self.backend.copyChecked(NAME, 4096, CopySource(NAME), 0, 7)
        self.assertEqual(self.run_(copying).compared, 0)

    def test_identity(self) -> None:
        """
        Its UUID is that of the data server, and follows it.
        """
        self.assertEqual(self.backend.uuid, b"u" * 16)
        self.wire.hangUp(ADDRESS)
        self.serve(MemoryDataServerBackend(b"verifier", b"v" * 16))
        self.run_(self.backend.statfs())
        self.assertEqual(self.backend.uuid, b"v" * 16)

    def test_foreign(self) -> None:
        """
        A server that is no data server of ours is not taken for one.
        """
        self.client.serverOwner = b"nfs.example.com"
        self.fails(self.backend.start(), IOFailed)
        self.assertEqual(self.backend.uuid, b"")

    def test_otherKey(self) -> None:
        """
        With the key of another cluster nothing can be done.
        """
        stranger = self.connect(b"X" * 32, b"stranger")
        self.run_(stranger.start())
        for call in (
            stranger.getattr(NAME),
            stranger.remove(NAME),
            stranger.create(b"00", 0, 0, 0, 1),
            stranger.write(NAME, 0, memoryview(b"x"), 0),
            stranger.fence(NAME, 99),
        ):
            self.fails(call, BackendError)
        self.assertEqual(list(self.run_(self.inner.list(b"", 9))), [NAME])
        self.run_(stranger.stop())

    def test_restart(self) -> None:
        """
        After a restart of the data server work goes on, and the verifier tells.
        """
        before = self.put(0, b"abc").verifier
        self.wire.hangUp(ADDRESS)
        self.inner.verifier = b"another."
        self.serve(self.inner)
        outcome = self.later(self.backend.write(NAME, 3, memoryview(b"def"), 0))
        self.assertEqual(outcome.verifier, b"another.")
        self.assertNotEqual(before, b"another.")
        self.assertEqual(self.get(0, 10), (b"abcdef", True))

    def test_removeOnce(self) -> None:
        """
        A removal whose answer was lost with the connection is not done, and not
        reported, as a second one.
        """
        self.put(0, b"abc")
        remove = self.inner.remove

        async def removeAndHangUp(name: bytes) -> None:
            await remove(name)
            self.wire.hangUp(ADDRESS)

        self.patch(self.inner, "remove", removeAndHangUp)
        self.assertIsNone(self.later(self.backend.remove(NAME)))

    def test_silent(self) -> None:
        """
        One that does not answer is unreachable within its deadline.
        """
        self.wire.cut.add(ADDRESS)
        failure = self.later(self.backend.getattr(NAME))
        failure.trap(Unreachable)
        self.wire.cut.clear()
        self.wire.hangUp(ADDRESS)
        self.put(0, b"x")

    def test_dead(self) -> None:
        """
        So is one that refuses connections.
        """
        hub = self.wire.hosts.pop(ADDRESS)
        self.wire.hangUp(ADDRESS)
        failure = self.later(self.backend.getattr(NAME))
        failure.trap(Unreachable)
        self.wire.hosts[ADDRESS] = hub
        self.put(0, b"x")
