"""
Tests of L{pnfs.mds.intents}: who may be in the middle of writing mirrors is known
after a crash.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, ContextManager

import attrs
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

import pnfs.mds.intents
from pnfs.backends.errors import BadConfiguration, Unreachable
from pnfs.mds.intents import PROXY, Intent, WriteIntents, intentOf, whoIs
from pnfs.values import Placement


@attrs.define(eq=False)
class _Client:
    owner: bytes = b"client"
    verifier: bytes = b"verifier"


@attrs.define(eq=False)
class _Export:
    id: int = 3


@attrs.define(eq=False)
class _Inode:
    handle: bytes = b"\0f"


@attrs.define(eq=False)
class _File:
    inode: _Inode = attrs.Factory(_Inode)
    export: _Export = attrs.Factory(_Export)


@attrs.define(eq=False)
class _Layout:
    client: Any = attrs.Factory(_Client)
    file: Any = attrs.Factory(_File)
    servers: tuple[bytes, ...] = (b"a", b"b")
    layoutType: int = 4


class WriteIntentsTests(SynchronousTestCase):
    """
    L{WriteIntents}.
    """

    def setUp(self) -> None:
        """
        Nobody writes.
        """
        self.folder = self.mktemp()
        os.makedirs(self.folder)
        self.intents = self.load()
        self.layout = _Layout()

    def load(self) -> WriteIntents:
        """
        As after a crash.
        """
        intents = WriteIntents(self.folder)
        self.addCleanup(intents.stop)
        return intents

    def left(self) -> set[Intent]:
        """
        What a start after a crash now would find.
        """
        folder = self.mktemp()
        os.makedirs(folder)
        shutil.copy(os.path.join(self.folder, "writers"), folder)
        intents = WriteIntents(folder)
        intents.stop()
        return intents.left

    def test_returned(self) -> None:
        """
        Who has returned his layout is not suspected after a crash.
        """
        self.intents.begin(self.layout)
        self.intents.end(self.layout)
        self.assertEqual(self.left(), set())

    def test_crash(self) -> None:
        """
        Who had not is; the file is found by its export and handle.
        """
        self.intents.begin(self.layout)
        who = whoIs(self.layout.client)
        self.assertEqual(self.left(), {Intent(who, 3, b"\0f")})

    def test_restarted(self) -> None:
        """
        A client that has started anew is another one.
        """
        again = _Client(verifier=b"reverify")
        self.assertNotEqual(whoIs(again), whoIs(self.layout.client))

    def test_oneServer(self) -> None:
        """
        Who holds a layout of one data server, or a striped one, cannot leave mirrors
        different: when it is taken away there is nothing to compare.
        """
        for layout in (_Layout(servers=(b"a",)), _Layout(layoutType=1)):
            self.intents.begin(layout)
            self.assertEqual(self.left(), {intentOf(layout)})
            self.intents.lost(layout)
            self.assertEqual(self.left(), set())
            self.assertEqual(self.intents.suspected, {})

    def proxied(self, *columns: tuple[bytes, ...]) -> ContextManager[None]:
        """
        The metadata server writes to a file of these data servers itself.
        """
        export, inode = _Export(), _Inode()
        placement = Placement("flexfiles", 0, columns, b"f")
        return self.intents.proxied(export, inode, placement)  # type: ignore[arg-type]

    def test_proxied(self) -> None:
        """
        While this server writes to mirrors itself a crash leaves the file suspected,
        whoever comes back; of several such writes until the last one has ended.
        """
        with self.proxied((b"a", b"b")):
            with self.proxied((b"a", b"b")):
                self.assertEqual(self.left(), {Intent(PROXY, 3, b"\0f")})
            self.assertEqual(self.left(), {Intent(PROXY, 3, b"\0f")})
        self.assertEqual(self.left(), set())
        with self.proxied((b"a", b"b")):
            intents = self.load()
        intents.resume({whoIs(self.layout.client)})
        self.assertEqual(list(intents.absent), [(3, b"\0f")])

    def test_proxiedStriped(self) -> None:
        """
        Nothing has to be the same where there is one copy.
        """
        with self.proxied((b"a",), (b"b",)):
            self.assertEqual(self.left(), set())

    def test_proxiedFails(self) -> None:
        """
        A write that has failed may have reached one of them; the next one, of who
        comes again, settles that.
        """
        with self.assertRaises(Unreachable):
            with self.proxied((b"a", b"b")):
                raise Unreachable("down")
        self.assertEqual(self.left(), {Intent(PROXY, 3, b"\0f")})
        with self.proxied((b"a", b"b")):
            pass
        self.assertEqual(self.left(), set())

    def test_back(self) -> None:
        """
        Who has come back after the crash writes again what he had not been told is
        safe; those who have not are to be fenced off, and are suspected then; both are
        so still after the next crash.
        """
        other = _Layout(client=_Client(owner=b"other"))
        self.intents.begin(self.layout)
        self.intents.begin(other)
        intents = self.load()
        self.assertEqual(intents.unfenced, {(3, b"\0f")})
        intents.resume({whoIs(other.client)})
        self.assertEqual(intents.absent, {(3, b"\0f"): [intentOf(self.layout)]})
        self.assertEqual(intents.unfenced, {(3, b"\0f")})
        self.assertEqual(self.left(), {intentOf(self.layout)})
        intents.fenced((3, b"\0f"))
        self.assertEqual(intents.unfenced, set())
        self.assertEqual(list(intents.suspected), [intentOf(self.layout)])
        self.assertEqual(self.left(), {intentOf(self.layout)})
        intents.settle([intentOf(self.layout)])
        self.assertEqual(self.left(), set())

    def test_backAndWriting(self) -> None:
        """
        Who has come back and writes again is known to write when that is settled.
        """
        self.intents.begin(self.layout)
        intents = self.load()
        intents.begin(self.layout)
        intents.resume({whoIs(self.layout.client)})
        self.assertEqual(self.left(), {intentOf(self.layout)})
        intents.end(self.layout)
        self.assertEqual(self.left(), set())

    def test_lost(self) -> None:
        """
        A layout that is taken away makes its file suspected at once, but not one that
        was returned before.
        """
        heard: list[int] = []
        self.intents.onSuspected = lambda: heard.append(1)
        self.intents.lost(self.layout)
        self.assertEqual(heard, [])
        self.intents.begin(self.layout)
        self.intents.lost(self.layout)
        self.intents.end(self.layout)
        self.assertEqual(
            (heard, list(self.intents.suspected)), ([1], [intentOf(self.layout)])
        )
        self.assertEqual(self.left(), {intentOf(self.layout)})

    def test_lostAndWriting(self) -> None:
        """
        A client that lost its layout, and has a new one when the mirrors have been
        compared, may die as well.
        """
        self.intents.begin(self.layout)
        self.intents.lost(self.layout)
        self.intents.begin(self.layout)
        self.intents.settle(list(self.intents.suspected))
        self.assertEqual(self.left(), {intentOf(self.layout)})
        self.intents.end(self.layout)
        self.assertEqual(self.left(), set())

    def test_short(self) -> None:
        """
        The file does not grow for ever, and what is in it stays so.
        """
        self.patch(pnfs.mds.intents, "SPARE_LINES", 8)
        other = _Layout(client=_Client(owner=b"other"))
        self.intents.begin(other)
        for _ in range(1000):
            self.intents.begin(self.layout)
            self.intents.end(self.layout)
        size = os.path.getsize(os.path.join(self.folder, "writers"))
        self.assertLess(size, 1000)
        self.assertEqual(self.left(), {intentOf(other)})

    def test_cut(self) -> None:
        """
        A line that a crash has cut short is not believed.
        """
        self.intents.begin(self.layout)
        path = os.path.join(self.folder, "writers")
        with open(path, "ab") as stream:
            stream.write(b"- ")
        self.assertEqual(self.left(), {intentOf(self.layout)})

    def test_damaged(self) -> None:
        """
        A file that is not ours is refused with what to do.
        """
        path = os.path.join(self.folder, "writers")
        with open(path, "ab") as stream:
            stream.write(b"what is this\n")
        error = self.assertRaises(BadConfiguration, self.load)
        self.assertIn(f"{path}: is damaged: remove it", str(error))

    def test_full(self) -> None:
        """
        If nothing can be noted clients go on, and the log says so once.
        """

        def full(*args: Any) -> int:
            raise OSError(28, "No space left on device")

        said: list[Any] = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        self.patch(os, "write", full)
        self.intents.begin(self.layout)
        self.intents.end(self.layout)
        self.assertEqual(
            [each["reason"] for each in said if "path" in each],
            ["No space left on device"],
        )
