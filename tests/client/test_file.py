"""
Tests of L{pnfs.client.file}: reading and writing at the data servers.
"""

from __future__ import annotations

from typing import Any

import pnfs.client.file
from pnfs.client.file import UNSTABLE_LIMIT
from pnfs.client.mount import SHARE_READ
from pnfs.client.transfer import upload
from tests.client.site import ClientCase, noise

UNIT = 65536
LAYOUTGET, LAYOUTRETURN = 50, 51


class Basics:
    """
    What holds for every layout.
    """

    def test_roundTrip(self: Any) -> None:
        """
        What was written is read, at any offsets; nothing passes through the
        metadata server.
        """
        data = noise(5 * UNIT + 77)
        file = self.create()
        self.now(file.write(0, data[:100]))
        self.now(file.write(100, data[100 : 3 * UNIT + 1]))
        self.now(file.write(3 * UNIT + 1, data[3 * UNIT + 1 :]))
        self.now(file.flush())
        self.assertEqual(self.read(file), data)
        self.assertEqual(self.read(file, 99, UNIT + 2), data[99 : UNIT + 101])
        self.assertEqual(self.read(file, len(data) - 3, 50), data[-3:])
        self.assertEqual(self.read(file, len(data), 50), b"")
        self.assertEqual(file.proxied, (0, 0))
        self.now(file.close())

    def test_seenByOthers(self: Any) -> None:
        """
        After a flush another client sees size and contents.
        """
        data = noise(2 * UNIT)
        file = self.create()
        self.now(file.write(0, data))
        self.now(file.flush())
        other = self.makeMount()
        copy = self.now(other.open("/export/f", SHARE_READ))
        self.assertEqual(copy.size, len(data))
        self.assertEqual(bytes(self.now(copy.read(0, 1 << 20))), data)

    def test_hole(self: Any) -> None:
        """
        What was never written reads as zeros, also where a data file ends early.
        """
        file = self.create()
        self.now(file.write(4 * UNIT + 10, b"end"))
        self.assertEqual(self.read(file), bytes(4 * UNIT + 10) + b"end")
        self.now(file.close())
        again = self.now(self.mount.open("/export/f"))
        self.assertEqual(self.read(again), bytes(4 * UNIT + 10) + b"end")

    def test_truncate(self: Any) -> None:
        """
        A file can be made shorter and longer.
        """
        file = self.create()
        self.now(file.write(0, noise(3 * UNIT)))
        self.now(file.truncate(5))
        self.assertEqual(self.read(file), noise(3 * UNIT)[:5])
        self.now(file.truncate(UNIT))
        self.assertEqual(self.read(file), noise(5) + bytes(UNIT - 5))

    def test_lostWrites(self: Any) -> None:
        """
        A data server that restarts before COMMIT has what was written written
        again.
        """
        data = noise(3 * UNIT)
        file = self.create()
        self.now(file.write(0, data))
        for number, backend in enumerate(self.backends):
            for name in self.now(backend.list(b"", 10)):
                size = self.now(backend.getattr(name)).size
                self.now(backend.write(name, 0, memoryview(bytes(size)), 0))
            backend.verifier = b"again-%02d" % number
        self.now(file.flush())
        self.assertEqual(self.read(file), data)
        self.assertEqual(file.proxied, (0, 0))

    def loseWritten(self: Any, byte: int) -> None:
        """
        All data servers restart, and find another byte everywhere.
        """
        for number, backend in enumerate(self.backends):
            for name in self.now(backend.list(b"", 10)):
                size = self.now(backend.getattr(name)).size
                self.now(backend.write(name, 0, memoryview(b"%c" % byte * size), 0))
            backend.verifier = b"%7d%c" % (number, byte)

    def test_lostAndWrittenOver(self: Any) -> None:
        """
        What was lost is not written again over what has been written there since.
        """
        file = self.create()
        self.now(file.write(0, b"a" * 3 * UNIT))
        self.loseWritten(ord("x"))
        self.now(file.write(100, b"b" * UNIT))
        self.now(file.flush())
        rest = 2 * UNIT - 100
        self.assertEqual(self.read(file), b"a" * 100 + b"b" * UNIT + b"a" * rest)

    def test_lostAndCommittedOver(self: Any) -> None:
        """
        Nor over what was written there and committed since, when the layout went.
        """
        file = self.create()
        self.now(file.write(0, b"a" * 3 * UNIT))
        self.loseWritten(ord("x"))
        self.now(file.write(100, b"b" * UNIT))
        self.now(file.commitEarly())
        self.now(file.flush())
        rest = 2 * UNIT - 100
        self.assertEqual(self.read(file), b"a" * 100 + b"b" * UNIT + b"a" * rest)

    def test_keptWithinBounds(self: Any) -> None:
        """
        Of an endless stream only so much is kept for COMMIT.
        """
        file = self.create()
        self.now(file.write(0, bytes(UNSTABLE_LIMIT // 2)))
        self.assertEqual(file.unstableBytes, UNSTABLE_LIMIT // 2)
        self.now(file.write(UNSTABLE_LIMIT // 2, bytes(UNSTABLE_LIMIT // 2)))
        self.assertEqual(file.unstableBytes, 0)

    def test_dataServerRestarts(self: Any) -> None:
        """
        Sessions are made again; nobody notices.
        """
        data = noise(3 * UNIT)
        file = self.create()
        self.now(file.write(0, data))
        for number in range(self.count):
            self.killDataServer(number)
            self.startDataServer(number)
        done = self.begin(file.write(UNIT, data[:UNIT]))
        self.after(3, done)
        self.after(3, self.begin(file.flush()))
        self.assertEqual(self.read(file), data[:UNIT] * 2 + data[2 * UNIT :])
        self.assertEqual(file.proxied, (0, 0))

    def test_metadataServerRestarts(self: Any) -> None:
        """
        The file is opened again when it is next used.
        """
        data = noise(3 * UNIT)
        file = self.create()
        self.now(file.write(0, data[:UNIT]))
        self.restartMetadataServer()
        written = self.begin(file.write(UNIT, data[UNIT:]))
        self.after(120, written)
        self.after(120, self.begin(file.close()))
        again = self.begin(self.mount.open("/export/f"))
        file = self.after(5, again)
        self.assertEqual(self.read(file), data)

    def test_sizeAfterRestart(self: Any) -> None:
        """
        What was written under a layout is seen after a restart of the metadata
        server, though the layout is forgotten and nobody has reclaimed anything: a
        writer that believes a smaller size would append in the wrong place.
        """
        file = self.create()
        self.now(file.write(0, b"a" * UNIT))
        self.now(file.commit())
        (tree,) = self.mds._backends
        (inode,) = [node for node in tree._inodes.values() if node.ftype == 1]
        inode.size, inode.state, inode.asked = 0, None, False
        inode.encoded.clear()
        self.mds.context.unsure = True
        self.assertEqual(self.now(self.mount.attributesOf(file.fh)).size, UNIT)
        asked = [server.context.done[9] for server in self.ds]
        self.assertEqual(self.now(self.mount.attributesOf(file.fh)).size, UNIT)
        self.assertEqual([server.context.done[9] for server in self.ds], asked)

    def test_givenUp(self: Any) -> None:
        """
        After a failure a file can be closed without waiting for servers that are
        down.
        """
        file = self.create()
        self.now(file.write(0, noise(3 * UNIT)))
        for number in range(self.count):
            self.killDataServer(number)
        self.after(30, self.begin(file.close(flush=False)))

    def test_reported(self: Any) -> None:
        """
        The metadata server is told which data server did not answer.
        """
        file = self.create()
        self.now(file.write(0, noise(3 * UNIT)))
        self.now(file.flush())
        for number in range(self.count):
            self.killDataServer(number)
        done = self.begin(file.read(0, 3 * UNIT))
        self.clock.pump([0.1] * 4000)
        self.failureResultOf(done)
        self.assertEqual(
            bool(self.mds.context.layouts.reports.errors), self.layout != "files"
        )


class StripedTests(Basics, ClientCase):
    """
    The files layout.
    """

    def test_spread(self) -> None:
        """
        Every data server has its share, and the accounts say so.
        """
        file = self.create()
        self.now(file.write(0, bytes(6 * UNIT)))
        self.read(file)
        self.assertEqual(
            sorted(file.traffic.items()),
            [(self.address(number), (2 * UNIT, 2 * UNIT)) for number in range(3)],
        )

    def test_uploadFails(self) -> None:
        """
        A large upload fails in bounded time when a data server goes away and
        does not come back, however much is under way.
        """
        self.patch(pnfs.client.file, "UNSTABLE_LIMIT", 4 << 20)
        file = self.create()
        left = [24]

        def source(offset: int, count: int) -> bytes:
            left[0] -= 1
            if left[0] == 12:
                self.killDataServer(0)
            return bytes(count) if left[0] >= 0 else b""

        begin = self.clock.seconds()
        done = self.begin(upload(source, file))
        ended: list[float] = []
        done.addBoth(lambda result: ended.append(self.clock.seconds()) or result)
        for _ in range(6000):
            self.clock.advance(0.1)
            if ended:
                break
        self.failureResultOf(done)
        self.assertLess(ended[0] - begin, 100)

    def test_dataServerGone(self) -> None:
        """
        While a data server does not answer its stripes cannot be read; the error
        comes in bounded time.
        """
        file = self.create()
        self.now(file.write(0, bytes(3 * UNIT)))
        self.now(file.flush())
        self.killDataServer(0)
        done = self.begin(file.read(0, 3 * UNIT))
        self.clock.pump([0.1] * 3000)
        self.failureResultOf(done)


class MirroredTests(Basics, ClientCase):
    """
    Flexible files with two copies.
    """

    layout = "flexfiles"
    mirrors = 2
    minor = 2

    def test_copies(self) -> None:
        """
        Both mirrors are written, one is read.
        """
        file = self.create()
        self.now(file.write(0, noise(UNIT)))
        self.read(file)
        self.assertEqual(sorted(file.traffic.values()), [(0, UNIT), (UNIT, UNIT)])

    def test_mirrorGone(self) -> None:
        """
        Reading goes on from the other mirror when one does not answer.
        """
        data = noise(2 * UNIT)
        file = self.create()
        self.now(file.write(0, data))
        self.now(file.flush())
        self.read(file)
        (first,) = [address for address, counts in file.traffic.items() if counts[0]]
        self.killDataServer(first[1] - 2050)
        started = self.begin(file.read(0, len(data)))
        self.assertEqual(bytes(self.after(20, started)), data)
        self.assertEqual(self.read(file), data)


class ChunksTests(Basics, ClientCase):
    """
    Files in chunks, on four data servers.
    """

    layout = "flexfiles"
    minor = 2
    count = 4
    chunk = 2 * UNIT

    def test_spread(self) -> None:
        """
        A file of several chunks is on all data servers; each is written and read
        under a layout of its own, and all of them go back at the end.
        """
        data = noise(4 * self.chunk + 5)
        file = self.create()
        self.now(file.write(0, data))
        self.assertEqual(self.operations(LAYOUTGET), 5)
        self.assertEqual(self.read(file), data)
        self.assertEqual(self.operations(LAYOUTGET), 5)
        written = [counts[1] for counts in file.traffic.values()]
        self.assertEqual(len(written), 4)
        self.assertEqual(sum(written), len(data))
        for each in written:
            self.assertGreaterEqual(each, self.chunk)
        self.now(file.close())
        self.assertEqual(self.mds.context.layouts.count, 0)
        self.assertEqual(self.operations(LAYOUTRETURN), 1)

    def test_acrossBorders(self) -> None:
        """
        Small pieces anywhere, also across the borders of chunks, are where they
        belong.
        """
        file = self.create()
        model = bytearray(5 * self.chunk)
        for number, offset in enumerate((3, 4, 1, 2)):
            place = offset * self.chunk - 100
            data = noise(200 + number, number)
            self.now(file.write(place, data))
            model[place : place + len(data)] = data
        end = 4 * self.chunk + 100 + 1
        for place in (0, self.chunk - 7, 3 * self.chunk - 101):
            self.assertEqual(
                self.read(file, place, self.chunk + 50),
                bytes(model[place : min(end, place + self.chunk + 50)]),
            )
        self.assertEqual(file.proxied, (0, 0))

    def test_atTheEnd(self) -> None:
        """
        Reading at the end of a file that ends where a chunk does finds nothing, and
        what somebody else then appends is found, on the data servers where it is.
        """
        file = self.create()
        self.now(file.write(0, noise(self.chunk)))
        self.now(file.flush())
        mount = self.makeMount()
        reader = self.now(mount.open("/export/f", SHARE_READ))
        self.assertEqual(self.read(reader, self.chunk, 100), b"")
        self.now(file.write(self.chunk, b"more"))
        self.now(file.flush())
        self.now(reader.refresh())
        self.assertEqual(
            self.read(reader, self.chunk - 5), noise(self.chunk)[-5:] + b"more"
        )
        self.assertEqual(reader.proxied, (0, 0))


class MirroredChunksTests(ClientCase):
    """
    Mirrored files in chunks, on four data servers.
    """

    layout = "flexfiles"
    mirrors = 2
    minor = 2
    count = 4
    chunk = 2 * UNIT

    def test_readStraight(self) -> None:
        """
        They are written through the metadata server, to all data servers, and then
        read straight from there, by the same client, too.
        """
        data = noise(4 * self.chunk + 5)
        file = self.create()
        self.now(file.write(0, data))
        self.assertEqual(file.proxied, (0, len(data)))
        self.now(file.flush())
        self.assertEqual(self.read(file), data)
        self.assertEqual(file.proxied, (0, len(data)))
        self.assertGreaterEqual(len(file.traffic), 2)
        self.now(file.close())
        self.assertEqual(self.mds.context.layouts.count, 0)


class NFS3Tests(Basics, ClientCase):
    """
    Flexible files on loosely coupled NFSv3 servers.
    """

    layout = "flexfiles"
    mirrors = 2
    minor = 2
    protocol = "nfs3"


class ProxiedTests(ClientCase):
    """
    Without layouts.
    """

    def test_roundTrip(self) -> None:
        """
        Everything goes through the metadata server, and is the same.
        """
        mount = self.makeMount(useLayouts=False)
        data = noise(3 * UNIT)
        file = self.create(mount=mount)
        self.now(file.write(0, data))
        self.now(file.flush())
        self.assertEqual(self.read(file), data)
        self.assertEqual(file.proxied, (len(data), len(data)))
        self.assertEqual(file.traffic, {})
        self.now(file.close())
