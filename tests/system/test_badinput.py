"""
Real servers and clients that misbehave: one that stops reading, many that send
garbage. (What single bad records get is in L{tests.mds.test_badinput}.)
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from pnfs.namespace.filehandles import CONTROL, CapabilityCodec
from pnfs.nfs4 import requests
from pnfs.nfs4.results import Results
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.message import callHeader, parseReply
from pnfs.xdr.codec import PAD
from tests.system.processes import Process, waitUntil
from tests.system.services import Folder

CREDENTIAL = encodeAuthSys(0, 0, (), b"test")
NAME = b"00000000feed"
KIB = 1024


def resident(process: Process) -> int:
    """
    Memory of a process in KiB.
    """
    with open(f"/proc/{process.pid}/status") as stream:
        found = re.search(r"VmRSS:\s+(\d+)", stream.read())
    assert found is not None
    return int(found.group(1))


class Client:
    """
    A client over a plain socket, with a session.
    """

    def __init__(self, port: int, owner: bytes, receive: int = 0) -> None:
        """
        @param receive: size of the receive buffer.
        """
        self.sock = socket.socket()
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", port))
        self.sequence = 0
        results = self.call(requests.exchangeId(b"verifier", owner, 0))
        results.operation(42)
        clientid, sequence = results.uint64(), results.uint32()
        results = self.call(
            requests.createSession(clientid, sequence, False, 1, 1 << 20, 1 << 20, 0)
        )
        results.operation(43)
        self.session = results.fixed(16)
        self.inSession(requests.reclaimComplete())

    def send(self, body: bytes) -> None:
        """
        Send a COMPOUND.
        """
        self.sock.sendall(self.record(body))

    def record(self, body: bytes) -> bytes:
        """
        A COMPOUND as it is on the wire.
        """
        return callHeader(7, 100003, 4, 1, CREDENTIAL, len(body)) + body

    def receive(self) -> bytes:
        """
        Receive a record.
        """
        return self._exactly(struct.unpack(">I", self._exactly(4))[0] & 0x7FFFFFFF)

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            part = self.sock.recv(min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def call(self, operation: bytes) -> Results:
        """
        A COMPOUND of one operation, without a session.
        """
        self.send(struct.pack(">III", 0, 1, 1) + operation)
        record = self.receive()
        return Results(record, parseReply(record))

    def compound(self, *operations: bytes) -> bytes:
        """
        A COMPOUND in the session, encoded.
        """
        self.sequence += 1
        return (
            struct.pack(">III", 0, 1, len(operations) + 1)
            + struct.pack(">I16sIIII", 53, self.session, self.sequence, 0, 0, 0)
            + b"".join(operations)
        )

    def inSession(self, *operations: bytes) -> Results:
        """
        A COMPOUND in the session.
        """
        self.send(self.compound(*operations))
        record = self.receive()
        results = Results(record, parseReply(record))
        results.operation(53)
        results.fixed(36)
        return results


class BadClientTests(SynchronousTestCase):
    """
    A data server with one object of 64 KiB.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        self.folder = Folder(1)
        self.addCleanup(self.folder.remove)
        self.server = self.folder.startDataServer(0)
        with open(self.folder.at("key"), "rb") as stream:
            codec = CapabilityCodec(stream.read())
        root = requests.putfh(codec.mint(CONTROL, 0, b""))
        self.fh = requests.putfh(codec.mint(CONTROL, 0, NAME))
        self.honest = self.connect(b"honest")
        attributes = [requests.modeAttribute(0o600), *requests.ownerAttributes(0, 0)]
        made = self.honest.inSession(
            root, requests.open_(0, b"mds", NAME, 3, attributes)
        )
        self.assertEqual(made.status, 0)
        data = os.urandom(64 * KIB)
        head = requests.writeHead(requests.ANONYMOUS, 0, 2, len(data))
        written = self.honest.inSession(self.fh, head + data + PAD[len(data) & 3])
        self.assertEqual(written.status, 0)
        self.data = data

    def connect(self, owner: bytes, receive: int = 0) -> Client:
        """
        A client.
        """
        client = Client(self.folder.ds[0], owner, receive)
        self.addCleanup(client.sock.close)
        return client

    def unharmed(self) -> None:
        """
        The honest client reads its data without delay.
        """
        begin = time.monotonic()
        results = self.honest.inSession(
            self.fh, requests.read(requests.ANONYMOUS, 0, 64 * KIB)
        )
        results.operation(22)
        results.operation(25)
        results.uint32()
        self.assertTrue(results.opaque(64 * KIB) == self.data)
        self.assertLess(time.monotonic() - begin, 5)

    def test_stopsReading(self) -> None:
        """
        Who asks for much and reads nothing is not listened to any more, and costs
        no more memory than its queue may hold; others go on. When it reads again
        it gets every answer.
        """
        before = resident(self.server)
        lazy = self.connect(b"lazy", 32 * KIB)
        asked = requests.read(requests.ANONYMOUS, 0, 64 * KIB)
        lazy.sock.setblocking(False)
        sent, waiting, quiet = 0, b"", time.monotonic()
        # Half a gigabyte of answers, if it were let.
        while time.monotonic() - quiet < 2 and sent < 200_000:
            if not waiting:
                waiting = lazy.record(lazy.compound(self.fh, asked))
                sent += 1
            try:
                waiting = waiting[lazy.sock.send(waiting) :]
                quiet = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        self.assertLess(sent, 200_000, "it was listened to all the time")
        self.assertLess(resident(self.server) - before, 64 * KIB)
        self.unharmed()
        lazy.sock.settimeout(20)
        complete = sent - bool(waiting)
        for _ in range(min(complete, 500)):
            record = lazy.receive()
            self.assertEqual(Results(record, parseReply(record)).status, 0)
        self.unharmed()

    def test_vanishes(self) -> None:
        """
        Who goes away in the midst of it leaves nothing behind.
        """
        for number in range(20):
            rude = self.connect(b"rude", 32 * KIB)
            asked = requests.read(requests.ANONYMOUS, 0, 64 * KIB)
            for _ in range(50):
                rude.send(rude.compound(self.fh, asked))
            rude.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            rude.sock.close()
        self.unharmed()
        opened = os.listdir(f"/proc/{self.server.pid}/fd")
        self.assertLess(len(opened), 50)

    def test_garbage(self) -> None:
        """
        Connections that send noise are ended, with a line in the log at most; a
        record over the limit is refused before it has come.
        """
        random = Random(7)
        before = resident(self.server)
        count = 300
        for number in range(count):
            with socket.create_connection(("127.0.0.1", self.folder.ds[0]), 5) as sock:
                sock.settimeout(5)
                if number % 3 == 0:
                    sock.sendall(struct.pack(">I", 0xFFFFFFFF) + bytes(1000))
                elif number % 3 == 1:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                else:
                    sock.sendall(b"\x80\0\0\x40" + random.randbytes(64))
                try:
                    while sock.recv(4096):
                        if number % 3 == 2:
                            break
                except OSError:
                    pass
        self.unharmed()
        waitUntil(lambda: resident(self.server) - before < 32 * KIB, 5, "no growth")
        log = [line for line in self.server.lines if "closing the connection" in line]
        self.assertLessEqual(len(log), count)
        self.assertNotIn("Traceback", self.server.report())
        self.assertLessEqual(len(self.server.lines), count + 10)
