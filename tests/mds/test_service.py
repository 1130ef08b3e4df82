"""
Tests of L{pnfs.mds.service}: a whole site, spoken to by a client.
"""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from pnfs.nfs4 import requests
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID
from pnfs.xdr.codec import PAD
from tests.mds.faulty import pattern
from tests.mds.world import MDS, SiteCase

FILES = 1
RW = 2
UNIT = 65536
ROOT = [requests.PUTROOTFH, requests.lookup(b"export")]


class Mounted:
    """
    What a client does with files, one COMPOUND each.
    """

    def __init__(self, case: SiteCase, client: SessionClient) -> None:
        self.case = case
        self.client = client
        self.owner = b"opener"

    def run(self, *ops: Any) -> Results:
        """
        Execute operations. @return: positioned after SEQUENCE's result.
        """
        flat = [piece for op in ops for piece in (op if isinstance(op, list) else [op])]
        results: Results = self.case.now(self.client.compound(flat, len(flat)))
        return results

    def create(self, name: bytes) -> tuple[bytes, bytes]:
        """
        Make and open a file in the export. @return: filehandle and stateid.
        """
        results = self.run(
            ROOT,
            requests.open_(
                self.client.clientid,
                self.owner,
                name,
                requests.SHARE_BOTH,
                [requests.modeAttribute(0o644)],
            ),
            requests.GETFH,
        )
        results.operation(24)
        results.operation(15)
        results.operation(18)
        stateid = results.opened()
        results.operation(10)
        return results.opaque(128), stateid

    def attributes(self, fh: bytes, *numbers: int) -> dict[int, Any]:
        """
        GETATTR.
        """
        results = self.run(
            requests.putfh(fh), requests.getattr_(sum(1 << n for n in numbers))
        )
        results.operation(22)
        results.operation(9)
        found: dict[int, Any] = results.attributes()
        return found

    def layout(self, fh: bytes, stateid: bytes, kind: int) -> tuple[bytes, bytes]:
        """
        LAYOUTGET of the whole file. @return: layout stateid, body.
        """
        results = self.run(requests.putfh(fh), requests.layoutget(kind, RW, stateid))
        results.operation(22)
        results.operation(50)
        found, segments = results.layouts()
        self.case.assertEqual(len(segments), 1)
        return found, segments[0][4]

    def read(self, fh: bytes, stateid: bytes, offset: int, count: int) -> bytes:
        """
        READ.
        """
        results = self.run(requests.putfh(fh), requests.read(stateid, offset, count))
        results.operation(22)
        results.operation(25)
        results.uint32()
        return bytes(results.opaque(count))

    def write(
        self, fh: bytes, stateid: bytes, offset: int, data: bytes, stable: int = 0
    ) -> int:
        """
        WRITE. @return: bytes written.
        """
        op = b"".join(
            (
                requests.writeHead(stateid, offset, stable, len(data)),
                data,
                PAD[len(data) & 3],
            )
        )
        results = self.run(requests.putfh(fh), op)
        results.operation(22)
        results.operation(38)
        return results.uint32()


def filesHandle(body: bytes) -> bytes:
    """
    The filehandle of a files layout (RFC 8881, section 13.3): one for all columns.
    """
    results = Results(bytes(12) + body, 0)
    results.fixed(16)
    results.uint32()
    results.uint32()
    results.uint64()
    (handle,) = {results.opaque(128) for _ in range(results.uint32())}
    return handle


class SmokeTests(SiteCase):
    """
    The whole way of a file: its name and layout from the metadata server, its bytes
    to and from the data servers.
    """

    def setUp(self) -> None:
        """
        Mount.
        """
        super().setUp()
        self.mount = Mounted(self, self.client())
        self.now(self.mount.client.connect())
        self.direct = [
            Mounted(self, self.client(self.address(n))) for n in range(self.count)
        ]
        for mount in self.direct:
            self.now(mount.client.connect())

    def operations(self, name: str) -> float:
        """
        How often the metadata server has done an operation successfully.
        """
        for line in self.metrics(self.collectors).splitlines():
            if line.startswith(
                f'pnfs_operations_total{{operation="{name}",status="NFS4_OK"}}'
            ):
                return float(line.split()[-1])
        return 0.0

    def metrics(self, collectors: Any) -> str:
        """
        What Prometheus would be told.
        """
        registry = CollectorRegistry()
        for collector in collectors:
            registry.register(collector)
        return generate_latest(registry).decode()

    def spread(self, handle: bytes, data: bytes) -> None:
        """
        Write to the data servers as the layout says.
        """
        for number in range(0, len(data) // UNIT):
            mount = self.direct[self.order[number % self.count]]
            part = data[number * UNIT : (number + 1) * UNIT]
            self.assertEqual(
                mount.write(handle, ANONYMOUS_STATEID, number * UNIT, part), len(part)
            )

    @property
    def order(self) -> list[int]:
        """
        Which data server has which column of the only file.
        """
        (placement,) = [
            self.now(self.mds._backends[0].loadPlacement(inode))
            for inode in self.mds._backends[0]._inodes.values()
            if inode.hasPlacement
        ]
        return [column[0][0] - 1 for column in placement.columns]

    def test_names(self) -> None:
        """
        A client may name owners as this host's own files do.
        """
        fh, stateid = self.mount.create(b"file")
        results = self.mount.run(
            requests.putfh(fh),
            requests.setattr_([(36, b"\0\0\0\4root")], bytes(16)),
        )
        results.operation(22)
        results.operation(34)

    def test_dataServerSetattr(self) -> None:
        """
        What a data server refuses to set is followed by the empty C{attrsset}.
        """
        client = self.direct[0].client
        op = requests.setattr_([requests.modeAttribute(0o644)], bytes(16))
        results = self.now(client.compound([op], 1))
        with self.assertRaises(OperationFailed):
            results.operation(34)
        self.assertEqual(results.fixed(4), bytes(4))

    def test_throughLayout(self) -> None:
        """
        Bytes written to data servers under a layout are the file's after LAYOUTCOMMIT:
        size and contents, also for who reads through the MDS, which itself has served
        no READ or WRITE before (the handle given for a data server is as that itself
        minted it: chimera c:d06491b6, #643).
        """
        data = pattern(6 * UNIT)
        fh, stateid = self.mount.create(b"file")
        layout, body = self.mount.layout(fh, stateid, FILES)
        self.spread(filesHandle(body), data)
        results = self.mount.run(
            requests.putfh(fh),
            requests.layoutcommit(layout, len(data), len(data) - 1, FILES),
            requests.layoutreturn(FILES, layout, b""),
            requests.close(stateid),
        )
        for number in (22, 49):
            results.operation(number)
        self.assertEqual(results.status, 0)
        self.assertEqual(self.mount.attributes(fh, 4), {4: len(data)})
        self.assertEqual(self.operations("READ") + self.operations("WRITE"), 0)
        self.assertEqual(
            b"".join(
                self.mount.read(fh, ANONYMOUS_STATEID, n * UNIT, UNIT) for n in range(6)
            ),
            data,
        )
        self.assertEqual(self.operations("READ"), 6)
        self.assertEqual(self.mount.read(fh, ANONYMOUS_STATEID, len(data), 5), b"")

    def test_withoutLayout(self) -> None:
        """
        A client without layouts writes and reads the same through the MDS.
        """
        data = pattern(3 * UNIT + 5)
        fh, stateid = self.mount.create(b"file")
        self.assertEqual(self.mount.write(fh, stateid, 0, data), len(data))
        self.assertEqual(self.mount.read(fh, stateid, 0, 4 * UNIT), data)
        self.assertEqual(self.mount.attributes(fh, 4), {4: len(data)})

    def test_timesKept(self) -> None:
        """
        C{cp -p}: a modification time set after the last write, and before the
        layout is returned and the file closed, is the one that stays.
        """
        fh, stateid = self.mount.create(b"file")
        layout, body = self.mount.layout(fh, stateid, FILES)
        self.clock.advance(5)
        self.spread(filesHandle(body), pattern(3 * UNIT))
        old = 10**18
        ops: tuple[Any, ...] = (
            requests.layoutcommit(layout, 3 * UNIT, 3 * UNIT - 1, FILES),
            requests.setattr_([requests.modifyTimeAttribute(old)], ANONYMOUS_STATEID),
            requests.layoutreturn(FILES, layout, b""),
            requests.close(stateid),
        )
        for op in ops:
            self.clock.advance(5)
            self.assertEqual(self.mount.run(requests.putfh(fh), op).status, 0)
        self.assertEqual(self.mount.attributes(fh, 4, 53), {4: 3 * UNIT, 53: old})

    def test_readHandle(self) -> None:
        """
        The handle of a layout is good for that file's bytes and for nothing else
        at a data server.
        """
        fh, stateid = self.mount.create(b"file")
        _, body = self.mount.layout(fh, stateid, FILES)
        handle = filesHandle(body)
        mount = self.direct[0]
        for operation in (
            requests.getattr_(1 << 4),
            requests.setattr_([requests.sizeAttribute(0)], ANONYMOUS_STATEID),
            requests.remove(b"00"),
            requests.readdir(0, bytes(8), 4096, 0),
        ):
            results = mount.run(requests.putfh(handle), operation)
            self.assertEqual(results.status, nfsstat4.NFS4ERR_ACCESS)

    def test_forged(self) -> None:
        """
        A filehandle with any bit altered is BADHANDLE or STALE, here and there.
        """
        fh, stateid = self.mount.create(b"file")
        handle = filesHandle(self.mount.layout(fh, stateid, FILES)[1])
        refused = (nfsstat4.NFS4ERR_BADHANDLE, nfsstat4.NFS4ERR_STALE)
        for mount, good in ((self.mount, fh), (self.direct[0], handle)):
            forged = [
                bytes([*good[:n], good[n] ^ bit, *good[n + 1 :]])
                for n in range(len(good))
                for bit in (1, 0x80)
            ]
            forged += [good[:n] for n in range(len(good))] + [good + b"\0", bytes(128)]
            other = handle if good is fh else fh
            for bad in [*forged, other]:
                results = mount.run(
                    requests.putfh(bad), requests.read(ANONYMOUS_STATEID, 0, 1)
                )
                self.assertIn(results.status, refused, bad.hex())

    def test_crash(self) -> None:
        """
        A data server that is killed and comes back goes on with the file; the
        verifier tells that it was away.
        """
        fh, stateid = self.mount.create(b"file")
        self.mount.write(fh, stateid, 0, b"before")
        for number in range(self.count):
            self.killDataServer(number)
            self.backends[number].verifier = b"again--%d" % number
        for number in range(self.count):
            self.startDataServer(number)
        self.clock.advance(5)
        self.assertEqual(self.mount.read(fh, stateid, 0, 10), b"before")
        self.mount.write(fh, stateid, 0, b"after!")
        self.assertEqual(self.mount.read(fh, stateid, 0, 10), b"after!")

    def test_oneDown(self) -> None:
        """
        With a data server down the client is told to come again for what lies
        there; files elsewhere work.
        """
        fh, stateid = self.mount.create(b"file")
        self.mount.write(fh, stateid, 0, pattern(3 * UNIT))
        self.killDataServer(self.order[1])
        reading = self.mount.client.compound(
            [requests.putfh(fh), requests.read(stateid, UNIT, 10)], 2
        )
        waiting: list[Any] = []
        Deferred.fromCoroutine(reading).addBoth(waiting.append)
        self.clock.pump([0.5] * 30)
        results = waiting[0]
        results.operation(22)
        failure = self.assertRaises(OperationFailed, results.operation, 25)
        self.assertEqual(failure.status, nfsstat4.NFS4ERR_DELAY)
        self.assertEqual(self.mount.read(fh, stateid, 0, 10), pattern(10))
        other, opened = self.mount.create(b"other")
        self.mount.write(other, opened, 0, pattern(3 * UNIT))
        self.assertEqual(self.mount.read(other, opened, 0, 10), pattern(10))

    def test_metrics(self) -> None:
        """
        The endpoint tells of operations by name and status, bytes, clients, data
        servers.
        """
        fh, stateid = self.mount.create(b"file")
        self.mount.write(fh, stateid, 0, b"12345")
        self.mount.run(requests.putfh(bytes(20)))
        text = self.metrics(self.collectors)
        for line in (
            'pnfs_operations_total{operation="OPEN",status="NFS4_OK"} 1.0',
            'pnfs_operations_total{operation="PUTFH",status="NFS4ERR_BADHANDLE"} 1.0',
            'pnfs_io_bytes_total{direction="write"} 5.0',
            'pnfs_data_server_up{data_server="ds2"} 1.0',
            "pnfs_clients 1.0",
            "pnfs_layouts 0.0",
            "pnfs_connections 1.0",
        ):
            self.assertIn(line + "\n", text)
        self.killDataServer(2)
        self.clock.pump([1.0] * 30)
        self.assertIn(
            'pnfs_data_server_up{data_server="ds2"} 0.0', self.metrics(self.collectors)
        )

    def test_index(self) -> None:
        """
        The server knows which files a data server has, from their making to their
        removal; a walk finds nothing else.
        """
        fh, stateid = self.mount.create(b"file")
        self.assertEqual(self.mount.write(fh, stateid, 0, b"abc"), 3)
        uuids = [backend.uuid for backend in self.backends]
        expected = {uuid: (1, 0) for uuid in uuids}
        self.assertEqual(self.now(self.mds.index.counts()), expected)
        self.clock.pump([0.1] * 50)
        self.assertEqual(self.now(self.mds.index.counts()), expected)
        self.assertEqual(len(self.mds.index.whole), 1)
        self.mount.run(requests.putfh(fh), requests.close(stateid))
        self.mount.run(ROOT, requests.remove(b"file"))
        self.clock.pump([0.1] * 50)
        self.assertEqual(self.now(self.mds.index.counts()), {})


class StartTests(SiteCase):
    """
    Starting and stopping.
    """

    def test_downAtStart(self) -> None:
        """
        The metadata server starts with a data server down, says so once, and
        serves files on the others; when it comes up it is used.
        """
        self.successResultOf(self.mds.stopService())
        self.killDataServer(1)
        said: list[str] = []

        def hear(event: Any) -> None:
            said.append(formatEvent(event))

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)
        self.startMetadataServer()
        self.clock.pump([1.0] * 60)
        mentions = [text for text in said if "ds1" in text]
        lost, silent = mentions
        self.assertIn("is lost", lost)
        self.assertIn("192.0.2.1:2051", silent)
        mount = Mounted(self, self.client())
        self.now(mount.client.connect())
        fh, stateid = mount.create(b"file")
        mount.write(fh, stateid, 0, pattern(3 * UNIT))
        self.assertEqual(mount.read(fh, stateid, UNIT, 9), pattern(2 * UNIT)[UNIT:][:9])
        self.startDataServer(1)
        self.clock.pump([1.0] * 10)
        self.assertEqual([m.up for m in self.mds._servers.members], [True] * 3)

    def test_stop(self) -> None:
        """
        A server that has stopped leaves no timer behind, and its sessions at the
        data servers are given back.
        """
        self.successResultOf(self.mds.stopService())
        self.assertEqual([len(ds.context.sessions) for ds in self.ds], [0, 0, 0])
        for ds in self.ds:
            self.successResultOf(ds.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_replaced(self) -> None:
        """
        Another data server at a known address is not taken for the one that was
        there.
        """
        self.killDataServer(0)
        self.backends[0].uuid = b"somebody else!!!"
        self.startDataServer(0)
        self.clock.pump([1.0] * 20)
        self.assertEqual([m.up for m in self.mds._servers.members], [False, True, True])
        self.assertIn("another data server", self.mds._servers.members[0].problem)

    def test_sameTwice(self) -> None:
        """
        Nor is one that is configured under two names taken for two.
        """
        self.successResultOf(self.mds.stopService())
        self.state = self.mktemp()
        os.makedirs(self.state)
        self.backends[1].uuid = self.backends[0].uuid
        self.killDataServer(1)
        self.startDataServer(1)
        self.startMetadataServer()
        self.assertEqual([m.up for m in self.mds._servers.members], [True, False, True])


class LeaseTests(SiteCase):
    """
    The lease, the grace period and courtesy, changed while the server runs.
    """

    def promised(self, mounted: Mounted) -> int:
        """
        The lease that a client is told, with the root of the export and with "/".
        """
        found = set()
        for path in (ROOT, ROOT[:1]):
            results = mounted.run(path, requests.getattr_(1 << 10))
            for op in path:
                results.operation(24 if op is requests.PUTROOTFH else 15)
            results.operation(9)
            found.add(results.attributes()[10])
        (only,) = found
        return int(only)

    def test_setLease(self) -> None:
        """
        Clients are told the new lease at once, and are looked after accordingly;
        who was promised a longer one has it. Without courtesy a silent client goes.
        """
        before = Mounted(self, self.client(owner=b"before"))
        self.assertEqual(self.promised(before), 90)
        self.mds.setLease(8.0)
        self.mds.setCourtesy(0.0)
        after = Mounted(self, self.client(owner=b"after"))
        self.assertEqual(self.promised(after), 8)
        clients = self.mds.context.clients
        for seconds, left in (
            (7.0, [b"before", b"after"]),
            (4.0, [b"before"]),
            (77.0, [b"before"]),
            (6.0, []),
        ):
            self.clock.pump([1.0] * int(seconds))
            self.assertEqual([client.owner for client in clients], left)

    def test_identity(self) -> None:
        """
        Server owner and scope are the same after a restart, and others for another
        server, so that no client takes two for one (server owner and scope must be
        unique per deployment: chimera #1421).
        """

        def restarted() -> tuple[bytes, bytes]:
            self.successResultOf(self.mds.stopService())
            self.wire.hangUp(MDS)
            self.startMetadataServer()
            client = self.client()
            self.now(client.connect())
            return client.serverOwner, self.mds.context.scope

        first = restarted()
        self.assertEqual([len(part) for part in first], [32, 32])
        self.assertEqual(restarted(), first)
        self.state = self.mktemp()
        os.makedirs(self.state)
        for mine, others in zip(first, restarted()):
            self.assertNotEqual(mine, others)

    def test_noted(self) -> None:
        """
        After a restart with a shorter lease the grace period is as long as the lease
        that clients knew.
        """
        mounted = Mounted(self, self.client())
        mounted.create(b"file")
        self.mds.setLease(200.0)
        self.successResultOf(self.mds.stopService())
        self.wire.hangUp(MDS)
        self.startMetadataServer()
        recovery = self.mds.context.recovery
        self.clock.pump([1.0] * 199)
        self.assertTrue(recovery.inGrace(self.clock.seconds()))
        self.clock.pump([1.0] * 2)
        self.assertFalse(recovery.inGrace(self.clock.seconds()))

    def test_setGrace(self) -> None:
        """
        A grace period under way is made longer by order.
        """
        mounted = Mounted(self, self.client())
        mounted.create(b"file")
        self.successResultOf(self.mds.stopService())
        self.wire.hangUp(MDS)
        self.startMetadataServer()
        self.mds.setGrace(300.0)
        self.clock.pump([1.0] * 298)
        self.assertTrue(self.mds.context.recovery.inGrace(self.clock.seconds()))
