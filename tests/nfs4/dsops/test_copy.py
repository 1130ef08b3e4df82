"""
Tests of L{pnfs.nfs4.dsops.copy}.
"""

from __future__ import annotations

from typing import Any, Sequence

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import PartnerFailed
from pnfs.namespace.filehandles import CONTROL, READ, WRITE
from pnfs.nfs4 import requests
from pnfs.nfs4.copy_types import NL4_NAME, networkLocation
from pnfs.nfs4.dsops import copy
from pnfs.nfs4.dsops.contents import decodeUnequal
from pnfs.nfs4.status import nfsstat4
from pnfs.values import CopySource, WriteResult
from tests.nfs4.dsops.fixture import NAME, DSFixture

TARGET = b"cafe00"
PARTNER = b"p" * 16
LOCATIONS = [
    networkLocation("192.0.2.7", 2049),
    (NL4_NAME, PARTNER.hex().encode("ascii")),
]


class Partners:
    """
    Another data server, that gives zeros.
    """

    def __init__(self, data: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.soon: list[bool] = []
        self.compared: list[tuple[Any, ...]] = []
        self.data = data
        self.failure: Exception | None = None

    def digests(self, offset: int) -> str:
        """
        Something to be handed on.
        """
        return f"digests from {offset} on"

    async def compare(self, *call: Any) -> tuple[int, list[tuple[int, int]]]:
        """
        Note the call.
        """
        self.compared.append(call)
        return 3, [(8, 1), (10, 1)]

    async def fetch(self, *call: Any, digests: Any, soon: bool) -> WriteResult:
        """
        Note the call.
        """
        self.calls.append(call)
        self.soon.append(soon)
        if self.failure is not None:
            raise self.failure
        return WriteResult(call[-1], 0, b"verifier")


class CopyTests(SynchronousTestCase):
    """
    COPY by order of the metadata server.
    """

    def setUp(self) -> None:
        """
        A data server with an object to copy from, and an empty one.
        """
        self.ds = DSFixture()
        self.ds.do(self.ds.data.create(TARGET, 1000, 100, 0o640, 1))
        self.text = bytes(range(256)) * 8
        self.ds.do(self.ds.data.write(NAME, 0, memoryview(self.text), 0))
        self.partners = self.ds.server.partners = Partners(self.ds.data)
        self.ds.server.owner = b"00" * 16

    def run_(
        self,
        source: bytes,
        target: bytes,
        arguments: tuple[int, int, int] = (0, 0, 2048),
        servers: Sequence[Any] = (),
    ) -> Any:
        """
        @return: the results, after SEQUENCE's.
        """
        return self.ds.results(
            source, requests.SAVEFH, target, requests.copy(*arguments, servers)
        )

    def copied(self, *more: Any) -> int:
        """
        A COPY that works. @return: its count.
        """
        results = self.run_(self.ds.control(NAME), self.ds.control(TARGET), *more)
        for number in (22, 32, 22, 60):
            results.operation(number)
        stateid, count, committed, verifier = results.copied()
        self.assertEqual((stateid, committed, verifier), (b"", 0, b"verifier"))
        return int(count)

    def target(self) -> bytes:
        """
        What is in the object copied to.
        """
        found = self.ds.do(self.ds.data.read(TARGET, 0, 1 << 20))
        return b"".join(map(bytes, found.pieces))

    def test_local(self) -> None:
        """
        A range of one object comes into another; it may reach behind the end of the
        source, as a stripe ends before its file does.
        """
        self.assertEqual(self.copied((100, 7, 3000)), 3000)
        self.assertEqual(self.target(), bytes(7) + self.text[100:] + bytes(1052))

    def test_steps(self) -> None:
        """
        It goes on by itself where the storage makes small steps, and ends early when
        a second has passed: the metadata server has a deadline.
        """
        self.ds.data.copyBytes = 100
        self.assertEqual(self.copied(), 2048)
        inner = self.ds.data.copy

        async def slow(*call: Any) -> WriteResult:
            self.ds.clock.advance(copy.SECONDS / 2)
            return await inner(*call)

        self.patch(self.ds.data, "copy", slow)
        self.assertEqual(self.copied(), 200)

    def test_restart(self) -> None:
        """
        When unstable writes may have been lost between two steps, all is done again:
        else the new verifier would vouch for bytes that are gone.
        """
        self.ds.data.copyBytes = 1024
        inner = self.ds.data.copy
        starts: list[int] = []

        async def watched(*call: Any) -> WriteResult:
            starts.append(call[1])
            if len(starts) == 2:
                self.ds.data.verifier = b"verifie2"
            if len(starts) == 3:
                self.ds.data.verifier = b"verifier"
            return await inner(*call)

        self.patch(self.ds.data, "copy", watched)
        self.assertEqual(self.copied(), 2048)
        self.assertEqual(starts, [0, 1024, 0, 1024])

    def test_clientsCannot(self) -> None:
        """
        A client cannot have anything copied, whatever handles it has; nor can the
        metadata server from a handle that is not for reading, or has been fenced.
        """
        ds = self.ds
        both = ds.handle(READ | WRITE)
        target = ds.control(TARGET)
        for source, destination, status in (
            (both, both, nfsstat4.NFS4ERR_ACCESS),
            (ds.control(NAME), ds.handle(WRITE), nfsstat4.NFS4ERR_ACCESS),
            (ds.handle(WRITE), target, nfsstat4.NFS4ERR_ACCESS),
            (ds.handle(READ, 2), target, nfsstat4.NFS4ERR_PNFS_NO_LAYOUT),
            (ds.control(), target, nfsstat4.NFS4ERR_ISDIR),
            (ds.control(NAME), ds.control(), nfsstat4.NFS4ERR_ISDIR),
        ):
            self.assertEqual(self.run_(source, destination).status, status)
        self.assertEqual(self.target(), b"")
        self.assertEqual(self.run_(ds.handle(READ), target).status, 0)

    def clone(self, source: bytes, target: bytes, *more: int) -> int:
        """
        CLONE. @return: the status.
        """
        return self.ds.status(source, requests.SAVEFH, target, requests.clone(*more))

    def test_clone(self) -> None:
        """
        CLONE is for the metadata server too, and never from another data server; how
        it must be aligned is an attribute of the data server.
        """
        ds = self.ds
        results = ds.results(ds.control(), requests.getattr_(1 << 77))
        results.operation(22)
        results.operation(9)
        self.assertEqual(results.attributes(), {77: 4096})
        target = ds.control(TARGET)
        both = ds.handle(READ | WRITE)
        self.assertEqual(self.clone(both, both, 0, 0, 2048), nfsstat4.NFS4ERR_ACCESS)
        self.assertEqual(
            self.clone(ds.control(NAME), target, 1, 0, 9), nfsstat4.NFS4ERR_INVAL
        )
        self.assertEqual(self.target(), b"")
        self.assertEqual(self.clone(ds.control(NAME), target, 0, 0, 2048), 0)
        self.assertEqual(self.target(), self.text)

    def test_nothingSaved(self) -> None:
        """
        Without a source there is nothing to copy.
        """
        self.assertEqual(
            self.ds.status(self.ds.control(TARGET), requests.copy(0, 0, 1)),
            nfsstat4.NFS4ERR_NOFILEHANDLE,
        )
        self.assertEqual(self.ds.status(requests.SAVEFH), nfsstat4.NFS4ERR_NOFILEHANDLE)

    def test_partner(self) -> None:
        """
        The data server named is asked, at its address and with the handle given.
        """
        handle = self.ds.handle(READ)
        results = self.run_(handle, self.ds.control(TARGET), (5, 6, 7), LOCATIONS)
        self.assertEqual(results.status, 0)
        source = CopySource(
            NAME,
            PARTNER,
            (("192.0.2.7", 2049),),
            self.ds.codec.mint(READ, 3, NAME),
        )
        self.assertEqual(self.partners.calls, [(TARGET, 6, source, 5, 7)])
        self.assertEqual(self.partners.soon, [True])

    def unequal(self, *ops: bytes) -> Any:
        """
        Operations, and GETXATTR C{pnfs.unequal}. @return: results, and the status.
        """
        results = self.ds.results(*ops, requests.getxattr(b"pnfs.unequal"))
        return results, results.status

    def test_compared(self) -> None:
        """
        What has been copied is compared with what the partner has then, and it is told
        how far, and where they differ.
        """
        results, status = self.unequal(
            self.ds.handle(READ),
            requests.SAVEFH,
            self.ds.control(TARGET),
            requests.copy(5, 6, 7, LOCATIONS, consecutive=False),
        )
        self.assertEqual(status, 0)
        self.assertEqual(self.partners.soon, [False])
        for number in (22, 32, 22, 60):
            results.operation(number)
        results.copied()
        results.operation(72)
        self.assertEqual(decodeUnequal(results.opaque(1000)), (3, [(8, 1), (10, 1)]))
        ((digests, source, offset, count, handle),) = self.partners.compared
        self.assertEqual((digests, offset, count), ("digests from 6 on", 5, 7))
        self.assertEqual((source.name, source.uuid), (NAME, PARTNER))
        self.assertEqual(handle, self.ds.codec.mint(CONTROL, 0, NAME))

    def test_nothingToCompare(self) -> None:
        """
        Without a copy from a partner there is no such attribute.
        """
        here = self.ds.control(NAME), requests.SAVEFH, self.ds.control(TARGET)
        for ops in (here, (*here, requests.copy(0, 0, 5))):
            self.assertEqual(self.unequal(*ops)[1], nfsstat4.NFS4ERR_NOXATTR)

    def test_partnerIsHere(self) -> None:
        """
        If that is this very server, nobody is asked.
        """
        self.ds.server.owner = PARTNER.hex().encode("ascii")
        results = self.run_(
            self.ds.handle(READ), self.ds.control(TARGET), (0, 0, 5), LOCATIONS
        )
        self.assertEqual(results.status, 0)
        self.assertEqual(self.partners.calls, [])
        self.assertEqual(self.target(), self.text[:5])

    def test_partnerFailed(self) -> None:
        """
        Why it failed is told apart from a failure here: the metadata server then
        looks for another source, and does not take us to be down.
        """
        self.partners.failure = PartnerFailed("it is silent")
        for servers, status in (
            (LOCATIONS, nfsstat4.NFS4ERR_OFFLOAD_DENIED),
            (LOCATIONS[:1], nfsstat4.NFS4ERR_INVAL),
            ([(NL4_NAME, b"not hex")], nfsstat4.NFS4ERR_INVAL),
        ):
            results = self.run_(
                self.ds.handle(READ), self.ds.control(TARGET), (0, 0, 5), servers
            )
            self.assertEqual(results.status, status)
