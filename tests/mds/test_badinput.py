"""
What bad input gets, at a metadata server and a data server: an RPC error, an NFS
error or the end of the connection, and nothing else.

Any logged failure fails these tests by itself: SERVERFAULT and SYSTEM_ERR are
logged with a traceback, and nothing is flushed here.
"""

from __future__ import annotations

import resource
import struct
from typing import Any, Sequence

from twisted.logger import formatEvent, globalLogPublisher

from pnfs.namespace.filehandles import CONTROL, CapabilityCodec
from pnfs.nfs4 import requests
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID, CURRENT_STATEID, encodeBitmap
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.message import callHeader
from pnfs.rpc.protocol import RPCProtocol
from pnfs.xdr.codec import PAD
from tests.mds.fuzz import Attacker, Sink, mutated
from tests.mds.test_service import FILES, Mounted, filesHandle
from tests.mds.world import KEY, MDS, SiteCase

MIB = 1 << 20
_u32 = struct.Struct(">I").pack


def written(stateid: bytes, data: bytes) -> bytes:
    """
    WRITE with its data.
    """
    return requests.writeHead(stateid, 0, 0, len(data)) + data + PAD[len(data) & 3]


def mdsOperations(fh: bytes, stateid: bytes, layout: bytes) -> list[bytes]:
    """
    Well-formed operations of every kind, on a file that the attacker may use.
    """
    opaque = requests.opaque
    mode = requests.modeAttribute(0o600)
    clientid = 0x1234
    lockOwner = struct.pack(">IQ", 1, clientid) + opaque(b"locker")
    everything = (1 << 83) - 1
    operations = [
        requests.putfh(fh),
        requests.PUTROOTFH,
        requests.lookup(b"export"),
        requests.lookup(b"open"),
        requests.GETFH,
        requests.SAVEFH,
        _u32(31),
        _u32(16),
        _u32(23),
        _u32(27),
        requests.getattr_(everything),
        requests.getattr_(1 << 4 | 1 << 33),
        _u32(9) + _u32(0xFFFFFFFF),
        requests.access(63),
        requests.readdir(0, bytes(8), 4096, 1 << 4 | 1 << 20),
        requests.readdir(5, bytes(8), 0, everything),
        requests.setattr_([mode], ANONYMOUS_STATEID),
        requests.setattr_([requests.sizeAttribute(77)], stateid),
        requests.setattr_(requests.ownerAttributes(12345, 12345), stateid),
        _u32(37) + requests.fattr([mode]),
        _u32(17) + requests.fattr([requests.sizeAttribute(0)]),
        requests.remove(b"gone"),
        requests.mkdir(b"dir", 0o755),
        struct.pack(">II", 6, 5)
        + opaque(b"target")
        + opaque(b"l")
        + requests.fattr([]),
        struct.pack(">IIII", 6, 3, 1, 2) + opaque(b"dev") + requests.fattr([]),
        _u32(29) + opaque(b"old") + opaque(b"new"),
        _u32(11) + opaque(b"linked"),
        requests.open_(clientid, b"o", b"new", 3, [mode]),
        requests.open_(clientid, b"o", b"new", 3, [mode], True),
        requests.open_(clientid, b"o", b"file", 1),
        requests.openAgain(b"o", 3),
        requests.close(stateid),
        struct.pack(">I16sIII", 21, stateid, 0, 1, 0),
        requests.read(stateid, 0, 65536),
        requests.read(CURRENT_STATEID, 1 << 63, 0xFFFFFFFF),
        written(stateid, b"data" * 9),
        written(ANONYMOUS_STATEID, b"x"),
        requests.commit(0, 0),
        requests.seek(stateid, 1, 1),
        requests.readPlus(stateid, 0, 65536),
        requests.allocate(stateid, 0, 100),
        requests.deallocate(stateid, 3, 1000),
        requests.ioAdvise(stateid, 0, 10, 3),
        struct.pack(">IIIQQII16sI", 12, 1, 0, 0, 10, 1, 0, stateid, 0) + lockOwner[4:],
        struct.pack(">IIQQ", 13, 1, 0, 10) + lockOwner[4:],
        struct.pack(">III16sQQ", 14, 1, 0, stateid, 0, 10),
        requests.layoutget(FILES, 2, stateid),
        requests.layoutcommit(layout, 100, 99, FILES),
        requests.layoutreturn(FILES, layout, b""),
        requests.layoutreturnMany(FILES, 3),
        requests.getdeviceinfo(bytes(16), FILES, 4096),
        struct.pack(">IQQ16sQQQQ16s", 65, 0, 9, layout, 1, 2, 3, 4, bytes(16))
        + struct.pack(">I", FILES)
        + opaque(b""),
        struct.pack(">IQQ16sI16sII", 64, 0, 9, layout, 1, bytes(16), 5, 38),
        requests.testStateid([stateid, layout]),
        requests.freeStateid(stateid),
        _u32(33) + opaque(b"file"),
        struct.pack(">II", 52, 0),
        requests.exchangeId(b"verifier", b"somebody", 0x20000),
        requests.createSession(clientid, 1, True, 64, MIB, MIB, 0x40000000),
        requests.destroySession(bytes(16)),
        requests.destroyClientid(clientid),
        requests.bindConnToSession(bytes(16), 3),
        struct.pack(">IIII", 40, 0x40000000, 1, 0),
        requests.reclaimComplete(),
    ]
    return operations


def dsOperations(fh: bytes) -> list[bytes]:
    """
    Well-formed operations at a data server, of clients and of the metadata server.
    """
    attributes = [
        requests.sizeAttribute(10),
        requests.modeAttribute(0o600),
        *requests.ownerAttributes(1, 1),
        requests.modifyTimeAttribute(10**18),
    ]
    return [
        requests.putfh(fh),
        requests.PUTROOTFH,
        requests.GETFH,
        requests.read(ANONYMOUS_STATEID, 0, 65536),
        requests.read(ANONYMOUS_STATEID, (1 << 63) - 2, 0xFFFFFFFF),
        written(ANONYMOUS_STATEID, b"data" * 9),
        requests.commit(0, 0),
        requests.open_(0, b"mds", b"feedfeed", 3, attributes[1:4]),
        requests.lookup(b"feedfeed"),
        requests.remove(b"feedfeed00"),
        requests.readdir(0, bytes(8), 65536, 0),
        requests.getattr_((1 << 56) - 1),
        requests.getattr_(1 << 4),
        requests.setattr_(attributes, ANONYMOUS_STATEID),
        requests.setxattr(b"pnfs.epoch", bytes(4)),
        requests.setxattr(b"pnfs.extend", bytes(8)),
        requests.seek(ANONYMOUS_STATEID, 1, 0),
        requests.readPlus(ANONYMOUS_STATEID, 0, 65536),
        requests.allocate(ANONYMOUS_STATEID, 0, 100),
        requests.deallocate(ANONYMOUS_STATEID, 3, 1000),
        requests.ioAdvise(ANONYMOUS_STATEID, 0, 10, 3),
        requests.exchangeId(b"verifier", b"somebody", 0x40000),
        requests.createSession(1, 1, False, 64, MIB, MIB, 0),
        requests.reclaimComplete(),
    ]


class BadInputTests(SiteCase):
    """
    10^5 bad records, half of them at each kind of server.
    """

    COUNT = 50000

    def setUp(self) -> None:
        """
        One honest client with a file, and an attacker with one.
        """
        super().setUp()
        client = self.client(owner=b"honest")
        client.keepAlive(20)
        self.mount = Mounted(self, client)
        self.now(client.connect())
        self.fh, self.stateid = self.mount.create(b"file")
        self.mount.write(self.fh, self.stateid, 0, b"precious")
        self.mount.run(
            requests.putfh(self.fh),
            requests.setattr_([requests.modeAttribute(0o600)], ANONYMOUS_STATEID),
        )
        other = Mounted(self, self.client(owner=b"before"))
        self.now(other.client.connect())
        self.badFH, self.badStateid = other.create(b"open")
        other.run(
            requests.putfh(self.badFH),
            requests.setattr_([requests.modeAttribute(0o666)], ANONYMOUS_STATEID),
        )
        other.run(
            requests.PUTROOTFH,
            requests.lookup(b"export"),
            requests.mkdir(b"pub", 0o777),
            requests.setattr_([requests.modeAttribute(0o777)], ANONYMOUS_STATEID),
        )
        self.badLayout, body = other.layout(self.badFH, self.badStateid, FILES)
        self.badHandle = filesHandle(body)
        self.said: list[str] = []
        globalLogPublisher.addObserver(self.hear)
        self.addCleanup(globalLogPublisher.removeObserver, self.hear)

    def hear(self, event: Any) -> None:
        """
        Somebody logs something.
        """
        self.said.append(str(formatEvent(event)))

    def attack(
        self,
        address: tuple[str, int],
        seed: int,
        operations: Sequence[bytes],
        prefixes: Sequence[Sequence[bytes]],
    ) -> Attacker:
        """
        Do it. @return: the attacker, to see how far it came.
        """
        credential = encodeAuthSys(12345, 12345, (), b"attacker")
        hub = self.wire.hosts[address]
        attacker = Attacker(hub, seed, credential, operations, prefixes)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(self.COUNT):
            attacker.step()
            if number % 256 == 0:
                self.clock.advance(1)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.assertLess(grown, 100 * 1024, "KiB")
        attacker.end()
        self.assertLessEqual(len(self.said), attacker.connections, self.said[-5:])
        self.assertNotIn(nfsstat4.NFS4ERR_SERVERFAULT, attacker.statuses)
        # It was no waste of time: many sorts of refusals, and some that went well.
        self.assertGreater(len(attacker.statuses), 8)
        self.assertGreater(attacker.statuses[0], 100)
        return attacker

    def unharmed(self) -> None:
        """
        The honest client goes on with its session, its open file and its bytes.
        """
        calls = len(self.said)
        self.assertEqual(self.mount.read(self.fh, self.stateid, 0, 99), b"precious")
        self.mount.write(self.fh, self.stateid, 0, b"PRECIOUS")
        self.assertEqual(self.mount.read(self.fh, self.stateid, 0, 99), b"PRECIOUS")
        self.assertEqual(self.mount.attributes(self.fh, 4, 33), {4: 8, 33: 0o600})
        self.assertEqual(len(self.said), calls)

    def test_metadataServer(self) -> None:
        """
        A metadata server takes it.
        """
        self.attack(
            MDS,
            20260101,
            mdsOperations(self.badFH, self.badStateid, self.badLayout),
            [
                (requests.putfh(self.badFH),),
                (requests.PUTROOTFH,),
                (requests.PUTROOTFH, requests.lookup(b"export")),
                *[
                    (
                        requests.PUTROOTFH,
                        requests.lookup(b"export"),
                        requests.lookup(b"pub"),
                        requests.SAVEFH,
                    )
                ]
                * 4,
                (
                    requests.PUTROOTFH,
                    requests.lookup(b"export"),
                    requests.SAVEFH,
                    requests.lookup(b"open"),
                ),
            ],
        )
        self.unharmed()
        context = self.mds.context
        self.clock.advance(400)
        self.assertLess(len(context.clients), 20)
        self.assertLess(len(context.sessions), 50)

    def test_dataServer(self) -> None:
        """
        A data server takes it, with control handles too.
        """
        codec = CapabilityCodec(KEY)
        self.attack(
            self.address(0),
            20260102,
            dsOperations(self.badHandle),
            [
                (requests.putfh(self.badHandle),),
                (requests.putfh(codec.mint(CONTROL, 0, b"")),),
                (requests.putfh(codec.mint(CONTROL, 0, b"feedfeed")),),
            ],
        )
        self.unharmed()
        self.assertLessEqual(len(self.ds[0].context.walks), 16)

    def test_nfs3(self) -> None:
        """
        So does its NFSv3 side.
        """
        hub = self.wire.hosts[self.address(0)]
        credential = encodeAuthSys(12345, 12345, (), b"attacker")
        attacker = Attacker(hub, 3, credential, [b""])
        fh = requests.opaque(self.badHandle)
        bodies = [
            fh,
            fh + struct.pack(">QI", 0, 65536),
            fh + struct.pack(">QII", 0, 8, 2) + requests.opaque(b"12345678"),
            fh + requests.opaque(b"name"),
            fh + bytes(24),
            fh + struct.pack(">QQIII", 0, 0, 0, 512, 512),
        ]
        for number in range(10000):
            body = mutated(attacker.random, attacker.random.choice(bodies))
            procedure = attacker.random.randrange(24)
            record = callHeader(number, 100003, 3, procedure, credential, len(body))
            attacker._send(record + body)
        attacker.end()
        self.assertEqual(self.said, [])
        self.unharmed()

    def test_otherPrograms(self) -> None:
        """
        Unknown programs, versions and procedures, and other RPC versions, are
        refused in the words of RPC.
        """
        for address in (MDS, self.address(0)):
            sink = Sink()
            protocol = RPCProtocol(self.wire.hosts[address])
            protocol.makeConnection(sink)
            for program, version, procedure, answer in (
                (
                    100005,
                    3,
                    1,
                    ">II",
                ),
                (100003, 9, 1, ">II"),
                (100003, 4, 77, ">II"),
            ):
                sink.written = b""
                protocol.dataReceived(
                    callHeader(7, program, version, procedure, bytes(16), 0)
                )
                reply = struct.unpack_from(">IIIIIII", sink.written)
                expected = {100005: 1}.get(program, 2 if version == 9 else 3)
                self.assertEqual(reply[1:4], (7, 1, 0))
                self.assertEqual(reply[6], expected)
            self.assertFalse(sink.ended)

    def test_bitmap(self) -> None:
        """
        A bitmap of more words than any attribute needs is refused or ignored.
        """
        bits = encodeBitmap((1 << 4000) - 1)
        results = self.mount.run(requests.putfh(self.fh), _u32(9) + bits)
        self.assertIn(
            results.status,
            (nfsstat4.NFS4_OK, nfsstat4.NFS4ERR_BADXDR, nfsstat4.NFS4ERR_INVAL),
        )
