"""
What every L{IDataServerBackend} promises to tell about contents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pnfs.backends.errors import InvalidArgument, NoSuchObject
from pnfs.values import CopySource, SetAttributes
from tests.contracts.data import (
    KIB,
    NAME,
    SOURCE,
    DataServerBackendContract,
)

if TYPE_CHECKING:
    _Base = DataServerBackendContract
else:
    _Base = object

MIB = KIB * KIB
UNIT = 64 * KIB


def digest(data: bytes) -> bytes:
    """
    Of a piece that is not all zeros.
    """
    return AESGCM(b"pnfs data digest").encrypt(bytes(12), b"", data)


class DigestsContract(_Base):
    """
    To be mixed in besides L{DataServerBackendContract}.

    @ivar tracks: it knows what has been changed.
    """

    tracks = True

    def digests(
        self, offset: int, count: int, unit: int = UNIT, name: bytes = NAME
    ) -> Sequence[bytes]:
        """
        Digests of a range, asked for until all are told.
        """
        found: list[bytes] = []
        pieces = -(-count // unit)
        while len(found) < pieces:
            done = len(found) * unit
            some = self.run_(
                self.backend.checksums(name, offset + done, count - done, unit)
            )
            assert some, "nothing is told"
            found += some
        self.assertEqual(len(found), pieces)
        return found

    def track(self) -> bytes:
        """
        A token.
        """
        token, size = self.run_(self.backend.track(NAME))
        self.assertEqual(size, self.run_(self.backend.getattr(NAME)).size)
        self.assertEqual(len(token) > 0, self.tracks)
        self.assertLessEqual(len(token), 32)
        return token

    def changes(self, token: bytes) -> Optional[Sequence[tuple[int, int]]]:
        """
        Since a token.
        """
        return self.run_(self.backend.changes(NAME, token))

    def test_checksums(self) -> None:
        """
        Each piece of a range has the digest of its bytes, the last one too.
        """
        data = bytes(range(251)) * 1000
        self.put(0, data)
        self.assertEqual(
            self.digests(100, 200_000),
            [
                digest(data[i : min(i + UNIT, 200_100)])
                for i in range(100, 200_100, UNIT)
            ],
        )
        self.assertEqual(self.digests(7, 512, 512), [digest(data[7:519])])
        self.assertEqual(self.run_(self.backend.checksums(NAME, 5, 0, UNIT)), [])

    def test_checksumsOfZeros(self) -> None:
        """
        Zeros are the same whether written, in a hole, or behind the end: mirrors of a
        sparse file compare equal.
        """
        self.put(0, bytes(UNIT))
        self.put(3 * UNIT, b"x" * 100)
        tail = digest(b"x" * 100 + bytes(UNIT - 100))
        self.assertEqual(self.digests(0, 6 * UNIT), [b"", b"", b"", tail, b"", b""])
        self.run_(self.backend.extend(NAME, 5 * UNIT))
        self.assertEqual(self.digests(0, 6 * UNIT), [b"", b"", b"", tail, b"", b""])

    def test_checksumsAroundHoles(self) -> None:
        """
        A piece that is hole and data has the digest of what is read there.
        """
        self.put(UNIT, b"y" * UNIT)
        self.put(3 * UNIT, b"z" * 10)
        whole = bytes(UNIT) + b"y" * UNIT + bytes(UNIT) + b"z" * 10
        whole += bytes(4 * UNIT - len(whole))
        self.assertEqual(self.digests(0, 4 * UNIT, 4 * UNIT), [digest(whole)])
        self.assertEqual(
            self.digests(UNIT // 2, UNIT),
            [digest(bytes(UNIT // 2) + b"y" * (UNIT // 2))],
        )

    def test_checksumsFar(self) -> None:
        """
        The digests of a huge hole come in bounded answers, without reading it.
        """
        self.put(0, b"x")
        found = self.run_(self.backend.checksums(NAME, 1 << 40, 1 << 62, MIB))
        self.assertGreater(len(found), 0)
        self.assertLessEqual(len(found), 10_000)
        self.assertEqual(set(found), {b""})

    def test_checksumsLarge(self) -> None:
        """
        Megabytes of data are told in as many answers as it takes.
        """
        for index in range(20):
            self.put(index * MIB, bytes([index + 1]) * MIB)
        expected = [digest(bytes([index + 1]) * MIB) for index in range(20)]
        self.assertEqual(self.digests(0, 20 * MIB, MIB), expected)

    def test_checksumsBad(self) -> None:
        """
        Pieces that are too small or too large are refused, and so is a missing object.
        """
        for unit in (0, 1, 511, 1 << 32):
            self.fails(self.backend.checksums(NAME, 0, 10, unit), InvalidArgument)
        self.fails(self.backend.checksums(b"ffff", 0, 10, UNIT), NoSuchObject)
        self.fails(self.backend.track(b"ffff"), NoSuchObject)
        self.fails(self.backend.changes(b"ffff", b"t" * 16), NoSuchObject)

    def test_changes(self) -> None:
        """
        What has been written since is told, in megabytes, in order and merged; to ask
        again gives the same.
        """
        self.put(0, b"before")
        token = self.track()
        if not self.tracks:
            self.put(5, b"x")
            self.assertIsNone(self.changes(token))
            return
        self.assertEqual(self.changes(token), [])
        self.put(5 * MIB + 10, b"x" * 10)
        self.put(MIB - 1, b"xx")
        self.put(6 * MIB, b"x")
        expected = [(0, 2 * MIB), (5 * MIB, 2 * MIB)]
        self.assertEqual(self.changes(token), expected)
        self.assertEqual(self.changes(token), expected)

    def test_changesSinceLater(self) -> None:
        """
        A later token does not tell what was before it, the earlier one tells all.
        """
        if not self.tracks:
            return
        first = self.track()
        self.put(0, b"x")
        second = self.track()
        self.put(9 * MIB, b"x")
        self.assertEqual(self.changes(second), [(9 * MIB, MIB)])
        self.assertEqual(self.changes(first), [(0, MIB), (9 * MIB, MIB)])
        self.put(0, b"x")
        self.assertEqual(self.changes(second), [(0, MIB), (9 * MIB, MIB)])

    def test_changesByHoles(self) -> None:
        """
        What is deallocated or cut off has changed; what only grows has not.
        """
        if not self.tracks:
            return
        self.put(0, b"x" * (3 * MIB))
        token = self.track()
        self.run_(self.backend.extend(NAME, 20 * MIB))
        self.run_(self.backend.setattr(NAME, SetAttributes(size=30 * MIB)))
        self.assertEqual(self.changes(token), [])
        self.run_(self.backend.deallocate(NAME, MIB, 10))
        self.assertEqual(self.changes(token), [(MIB, MIB)])
        token = self.track()
        self.run_(self.backend.setattr(NAME, SetAttributes(size=2 * MIB + 5)))
        self.assertEqual(self.changes(token), [(2 * MIB, 28 * MIB)])

    def test_changesByCopy(self) -> None:
        """
        What is copied or cloned into the object has changed.
        """
        if not self.tracks:
            return
        self.run_(self.backend.create(SOURCE, 0, 0, 0o600, 1))
        self.run_(self.backend.write(SOURCE, 0, memoryview(b"x" * 8192), 0))
        token = self.track()
        source = CopySource(SOURCE)
        self.run_(self.backend.copy(NAME, 4 * MIB, source, 0, 8192))
        self.assertEqual(self.changes(token), [(4 * MIB, MIB)])

    def test_changesUnknown(self) -> None:
        """
        A token that nobody has given, or of an object that has been removed, tells
        nothing; never that nothing has changed.
        """
        token = self.track()
        for bad in (b"", b"x", bytes(16), b"t" * 32, token[:-1] + b"\xff"):
            self.assertIsNone(self.changes(bad))
        self.run_(self.backend.remove(NAME))
        self.run_(self.backend.create(NAME, 0, 0, 0o600, 1))
        self.assertIsNone(self.changes(token))
        self.track()
        if token:
            self.put(0, b"x")
