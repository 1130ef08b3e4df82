"""
Tests of L{pnfs.mds.commands.moves}; C{file.move} and C{ds.drain} are in
L{tests.mds.test_mover}.
"""

from __future__ import annotations

from typing import Any

from pnfs.nfs4 import requests
from tests.mds.faulty import pattern
from tests.mds.test_mover import FILES, SIZE, MoverCase


class RestripeTests(MoverCase):
    """
    C{restripe}.
    """

    def setUp(self) -> None:
        """
        A file that is open, and some in a directory.
        """
        super().setUp()
        self.data = pattern(SIZE)
        self.fh, self.stateid = self.put(b"f", self.data)

    def restripe(self, count: int, **more: Any) -> Any:
        """
        Have it done.
        """
        args = {"paths": ["/export/f"], "count": count}
        return self.done(self.command("restripe", **(args | more)))

    def width(self) -> int:
        """
        Stripes of the file.
        """
        return len(self.placement(b"f").columns)

    def test_shapes(self) -> None:
        """
        Wider, narrower, not striped at all, and with other units: the file is right,
        and those that hold a layout are asked for it.
        """
        for count, unit in ((4, 0), (1, 0), (3, 131072), (3, 65536), (2, 0)):
            layout, _ = self.mounted.layout(self.fh, self.stateid, FILES)
            told = self.command("restripe", paths=["/export/f"], count=count, unit=unit)
            self.rest(2)
            self.mounted.run(
                requests.putfh(self.fh), requests.layoutreturn(FILES, layout, b"")
            )
            self.assertEqual(self.done(told)["state"], "done")
            self.assertEqual(self.width(), count)
            if unit:
                self.assertEqual(self.placement(b"f").stripeUnit, unit)
            self.assertThere(b"f", self.data)

    def test_tree(self) -> None:
        """
        Of a directory all files below it are striped otherwise, also those in others.
        """
        backend = self.export.backend
        root = backend.root
        contents = {b"n%d" % n: pattern(90_000 + n, n) for n in range(5)}
        for name, data in contents.items():
            self.put(name, data)
        told = self.done(self.command("restripe", paths=["/export"], count=4), 60)
        self.assertEqual((told["state"], told["files"]), ("done", 6))
        for name, data in contents.items():
            self.assertEqual(len(self.placement(name).columns), 4)
            self.assertThere(name, data)
        again = self.done(self.command("restripe", paths=["/export"], count=4))
        self.assertEqual((again["files"], again["bytes"]), (0, 0))
        self.assertIsNotNone(root)

    def test_refused(self) -> None:
        """
        What cannot be is refused at once.
        """
        for word, more in (
            ("5 stripes need 5", {"count": 5}),
            ("--stripe-count", {"count": 0}),
            ("64KiB", {"count": 3, "unit": 1000}),
            ("one stripe first", {"chunk": 1 << 20}),
        ):
            args = {"paths": ["/export/f"], **more}
            self.assertIn(word, self.refused("restripe", **args))
        self.mounted.create(b"empty")
        self.assertIn(
            "no bytes", self.refused("restripe", paths=["/export/empty"], count=3)
        )
        self.assertIn("stripe-count", self.refused("mirror.add", paths=["/export/f"]))
        self.restripe(1)
        self.assertIn("layouts", self.refused("mirror.add", paths=["/export/f"]))
        self.assertEqual(self.command("jobs.list")[-1]["state"], "done")


class ChunkTests(MoverCase):
    """
    C{restripe} into chunks.
    """

    layout = "flexfiles"
    mirrors = 2

    def stripes(self) -> int:
        """
        None.
        """
        return 1

    def setUp(self) -> None:
        """
        A mirrored file that is open.
        """
        super().setUp()
        self.data = b""
        self.fh, self.stateid = self.put(b"f", b"")
        for number in range(10):
            self.append(pattern(1 << 19, number))

    def append(self, data: bytes) -> None:
        """
        Write at the end, through the metadata server.
        """
        self.mounted.write(self.fh, self.stateid, len(self.data), data)
        self.data += data

    def cut(self, size: int) -> Any:
        """
        Have it done.
        """
        return self.done(self.command("restripe", paths=["/export/f"], chunk=size), 60)

    def test_chunks(self) -> None:
        """
        A mirrored file that lies on two of four data servers lies on all of them, chunk
        by chunk, with two copies of each; in chunks of another size; and whole again.
        """
        first = self.placement(b"f").columns[0]
        for size, count in ((1 << 20, 5), (2 << 20, 3), (0, 1)):
            told = self.cut(size)
            self.assertEqual((told["state"], told["problem"]), ("done", ""))
            found = self.placement(b"f")
            self.assertEqual((found.chunk, len(found.columns)), (size, count))
            self.assertEqual(found.columns[0], first)
            if size:
                self.assertTrue(set(first).isdisjoint(found.columns[1]))
                self.assertEqual(set(map(len, found.columns)), {2})
            self.assertIsNone(found.next)
            self.assertEqual(self.content(b"f"), self.data)
        self.assertEqual(sum(self.objects()), 2)
        self.assertEqual(self.cut(0)["bytes"], 0)

    def test_grows(self) -> None:
        """
        What is appended while it is moved lies in a chunk of its own, too.
        """
        told = self.command("restripe", paths=["/export/f"], chunk=1 << 20)
        self.append(pattern(1 << 19, 11))
        self.rest(1)
        self.append(pattern(1 << 19, 12))
        self.assertEqual(self.done(told, 90)["state"], "done")
        self.append(b"end")
        found = self.placement(b"f")
        self.assertEqual((found.chunk, len(found.columns)), (1 << 20, 7))
        self.assertEqual(self.content(b"f"), self.data)

    def test_refused(self) -> None:
        """
        What cannot be is refused at once.
        """
        for word, more in (
            ("not both", {"chunk": 1 << 20, "count": 2}),
            ("64KiB", {"chunk": 1000}),
        ):
            self.assertIn(word, self.refused("restripe", paths=["/export/f"], **more))


class MirrorTests(MoverCase):
    """
    C{mirror.add} and C{mirror.remove}.
    """

    layout = "flexfiles"

    def stripes(self) -> int:
        """
        None.
        """
        return 1

    def setUp(self) -> None:
        """
        Files with one copy.
        """
        super().setUp()
        self.contents = {b"n%d" % n: pattern(50_000 * n + 1, n) for n in range(5)}
        for name, data in self.contents.items():
            self.put(name, data)

    def assertCopies(self, count: int) -> None:
        """
        All files have so many, and are right.
        """
        for name, data in self.contents.items():
            self.assertEqual(len(self.placement(name).columns[0]), count)
            self.assertThere(name, data)

    def run_(self, command: str, **more: Any) -> Any:
        """
        Have it done with all files.
        """
        told = self.done(self.command(command, paths=["/export"], **more))
        self.assertEqual(told["state"], "done")
        return told

    def test_count(self) -> None:
        """
        Copies are added to a tree and taken away again; files that have as many stay as
        they are.
        """
        self.assertEqual(self.run_("mirror.add")["files"], 5)
        self.assertCopies(2)
        self.assertEqual(self.run_("mirror.add")["files"], 0)
        self.assertEqual(self.run_("mirror.add", copies=3)["files"], 5)
        self.assertCopies(3)
        self.assertEqual(self.run_("mirror.remove", copies=2)["files"], 5)
        self.assertEqual(self.run_("mirror.remove")["files"], 5)
        self.assertCopies(1)

    def test_where(self) -> None:
        """
        A copy on a data server that is named.
        """
        self.run_("mirror.add", to="ds2")
        there = self.backends[2].uuid
        for name, data in self.contents.items():
            self.assertIn(there, self.placement(name).dataServers)
            self.assertThere(name, data)
        self.run_("mirror.add")
        self.run_("mirror.remove", **{"from": "ds2"})
        self.assertCopies(1)
        told = self.done(
            self.command("mirror.remove", paths=["/export"], **{"from": "ds2"})
        )
        self.assertEqual(told["files"], 0)

    def test_refused(self) -> None:
        """
        The last copy is not taken away, and there are not more than data servers.
        """
        name = self.name(self.placement(b"n1").columns[0][0])
        args: Any = {"paths": ["/export/n1"], "from": name}
        self.assertIn("no good copy", self.refused("mirror.remove", **args))
        self.assertIn(
            "ds add", self.refused("mirror.add", paths=["/export/n1"], copies=5)
        )
        self.assertIn("--stripe-count", self.refused("restripe", paths=["/export/n1"]))
