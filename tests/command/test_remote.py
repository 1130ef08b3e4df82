"""
Tests of the commands on remote files.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys

from twisted.trial.unittest import SynchronousTestCase

from pnfs.command import cat
from pnfs.command.cp import place, progressBar
from pnfs.command.ls import shown
from pnfs.command.remote import Mounts, remoteURL
from tests.client.site import noise
from tests.command.site import ROOT, CommandCase


class ListingTests(CommandCase):
    """
    C{ls}, C{stat} and C{file show}.
    """

    def test_ls(self) -> None:
        """
        Names in order, one per line; those with a dot only on request.
        """
        for name in ("b", "a", ".h"):
            self.put(f"/export/{name}", b"x")
        self.assertEqual(self.command("ls", ROOT), 0)
        self.assertEqual(self.out, "a\nb\n")
        self.command("ls", "-a", ROOT)
        self.assertEqual(self.out, ".h\na\nb\n")
        self.command("ls", f"{ROOT}/a")
        self.assertEqual(self.out, "a\n")

    def test_long(self) -> None:
        """
        With C{-l} the attributes stand in columns.
        """
        self.put("/export/a", b"x" * 1234)
        self.put("/export/b", b"")
        self.command("ls", "-l", ROOT)
        first, second = self.out.splitlines()
        self.assertRegex(first, r"^-rw-r--r-- 1 0 0 1234 20\d\d-\d\d-\d\d \d\d:\d\d a$")
        self.assertRegex(second, r"^-rw-r--r-- 1 0 0    0 ")

    def test_several(self) -> None:
        """
        With several directories each is named; what is missing does not stop the
        rest, but gives the status 1 and one line.
        """
        self.put("/export/a", b"")
        status = self.command("ls", f"{ROOT}/nope", ROOT, f"{ROOT}/")
        self.assertEqual(status, 1)
        self.assertEqual(self.out, f"{ROOT}:\na\n{ROOT}:\na\n")
        self.assertEqual(self.err, f"pnfs ls: {ROOT}/nope: No such file or directory\n")

    def test_terminal(self) -> None:
        """
        No name can send control characters to a terminal.
        """
        self.assertEqual(shown(b"a\x1b[2J\xffb"), "a\\x1b[2J\\udcffb")
        self.assertEqual(shown("ä".encode()), "ä")

    def test_stat(self) -> None:
        """
        Attributes by name, for people and as JSON.
        """
        self.put("/export/a", b"hello")
        self.assertEqual(self.command("stat", f"{ROOT}/a"), 0)
        self.assertIn("regular file", self.out)
        self.command("stat", "--json", f"{ROOT}/a", ROOT)
        one, two = map(json.loads, self.out.splitlines())
        self.assertEqual((one["size"], two["type"]), (5, "directory"))

    def test_fileShow(self) -> None:
        """
        Stripes with their servers and the object's name.
        """
        self.put("/export/a", noise(200000))
        self.assertEqual(self.command("file", "show", f"{ROOT}/a"), 0)
        (name,) = self.now(self.backends[0].list(b"", 10))
        for number in range(3):
            self.assertRegex(
                self.out, rf"192\.0\.2\.1:{2050 + number}  object {name.decode()}\n"
            )
        self.assertIn("stripe unit  65536 bytes", self.out)
        self.command("file", "show", "--json", f"{ROOT}/a")
        told = json.loads(self.out)
        self.assertEqual((told["layout"], told["size"]), ("files", 200000))


class ChangingTests(CommandCase):
    """
    C{mkdir}, C{rm} and C{cp}.
    """

    def exists(self, path: str) -> bool:
        """
        Is something there?
        """
        names = [name for name, _ in self.now(self.mount.listdir("/export"))]
        return path.encode() in names

    def test_mkdir(self) -> None:
        """
        With C{-p} also the directories above, and again without complaint.
        """
        self.assertEqual(self.command("mkdir", f"{ROOT}/d"), 0)
        self.assertEqual(self.command("mkdir", f"{ROOT}/d"), 1)
        self.assertIn("File exists", self.err)
        self.assertEqual(self.command("mkdir", f"{ROOT}/x/y"), 1)
        self.assertEqual(self.command("mkdir", "-p", f"{ROOT}/x/y", f"{ROOT}/d"), 0)
        self.put("/export/f", b"")
        self.assertEqual(self.command("mkdir", "-p", f"{ROOT}/f/g"), 1)
        self.assertIn("Not a directory", self.err)

    def test_rm(self) -> None:
        """
        Files by default, directories on request, everything with C{-r}.
        """
        self.put("/export/f", b"")
        self.now(self.mount.mkdir("/export/d"))
        self.assertEqual(self.command("rm", f"{ROOT}/f", f"{ROOT}/d"), 1)
        self.assertIn("Is a directory", self.err)
        self.assertEqual((self.exists("f"), self.exists("d")), (False, True))
        self.assertEqual(self.command("rm", "-d", f"{ROOT}/d"), 0)
        self.now(self.mount.mkdir("/export/d"))
        self.now(self.mount.mkdir("/export/d/e"))
        self.put("/export/d/e/f", b"x")
        self.assertEqual(self.command("rm", "-r", f"{ROOT}/d"), 0)
        self.assertFalse(self.exists("d"))
        self.assertEqual(self.command("rm", f"{ROOT}/d"), 1)
        self.assertEqual(self.command("rm", "-f", f"{ROOT}/d"), 0)

    def test_cp(self) -> None:
        """
        Into a server, out of it, and inside; permissions come along.
        """
        data = noise(300001)
        local = self.mktemp()
        with open(local, "wb") as file:
            file.write(data)
        os.chmod(local, 0o640)
        self.assertEqual(self.command("cp", local, f"{ROOT}/a"), 0, self.err)
        self.assertEqual(self.contents("/export/a"), data)
        self.assertEqual(self.now(self.mount.getattr("/export/a")).mode, 0o640)
        self.assertEqual(self.command("cp", f"{ROOT}/a", f"{ROOT}/b"), 0)
        self.assertEqual(self.contents("/export/b"), data)
        back = self.mktemp()
        with open(back, "wb") as file:
            file.write(bytes(400000))
        self.assertEqual(self.command("cp", f"{ROOT}/b", back), 0)
        with open(back, "rb") as file:
            self.assertEqual(file.read(), data)

    def test_intoDirectory(self) -> None:
        """
        Several files go into a directory under their own names.
        """
        folder = self.mktemp()
        os.makedirs(folder)
        for name in "xy":
            self.put(f"/export/{name}", name.encode())
        self.assertEqual(self.command("cp", f"{ROOT}/x", f"{ROOT}/y", folder), 0)
        self.assertEqual(sorted(os.listdir(folder)), ["x", "y"])
        self.now(self.mount.mkdir("/export/d"))
        local = os.path.join(folder, "x")
        self.assertEqual(self.command("cp", local, f"{ROOT}/d"), 0)
        self.assertEqual(self.contents("/export/d/x"), b"x")
        self.assertEqual(self.command("cp", local, local, f"{ROOT}/nope"), 1)
        self.assertIn("not a directory", self.err)

    def test_cpFails(self) -> None:
        """
        Each failure is one line; the others are copied.
        """
        self.put("/export/x", b"x")
        folder = self.mktemp()
        os.makedirs(folder)
        status = self.command("cp", f"{ROOT}/nope", f"{ROOT}/x", folder)
        self.assertEqual(status, 1)
        self.assertEqual(self.err.count("\n"), 1)
        self.assertEqual(os.listdir(folder), ["x"])
        self.assertEqual(self.command("cp", "/nonexistent", f"{ROOT}/y"), 1)
        self.assertIn("No such file", self.err)

    def test_cat(self) -> None:
        """
        Files one after the other; a reader that has gone away is no reason to
        complain.
        """
        self.put("/export/x", b"one")
        self.put("/export/y", b"two")
        reading, writing = os.pipe()
        self.addCleanup(os.close, writing)
        urls = [remoteURL(f"{ROOT}/x"), remoteURL(f"{ROOT}/y")]
        args = argparse.Namespace()
        mounts = Mounts(self.clock, args, lambda *_: self.mount)
        self.assertEqual(self.now(cat.printAll(mounts, urls, writing)), 0)
        self.assertEqual(os.read(reading, 100), b"onetwo")
        os.close(reading)
        self.assertEqual(self.now(cat.printAll(mounts, urls[:1], writing)), 1)


class HelpersTests(SynchronousTestCase):
    """
    Arguments, pipes, progress.
    """

    def test_arguments(self) -> None:
        """
        A bad URL is refused by the parser.
        """
        self.assertEqual(place("a/b"), "a/b")
        self.assertRaises(argparse.ArgumentTypeError, place, "pnfs://")
        self.assertRaises(argparse.ArgumentTypeError, remoteURL, "a/b")

    def test_quiet(self) -> None:
        """
        No bar where nobody looks.
        """
        err = io.StringIO()
        self.patch(sys, "stderr", err)
        with progressBar(b"x", 10, True) as progress:
            progress(10)
        self.assertEqual(err.getvalue(), "")

    def test_bar(self) -> None:
        """
        A bar with the file's name on a terminal.
        """

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        terminal = Terminal()
        self.patch(sys, "stderr", terminal)
        with progressBar(b"folder/name", 1024, True) as progress:
            progress(1024)
        self.assertIn("name: 100%", terminal.getvalue())
