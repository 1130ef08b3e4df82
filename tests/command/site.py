"""
Commands on a site in memory.
"""

from __future__ import annotations

import io
import sys

from pnfs.command.main import makeParser
from pnfs.command.remote import Mounts
from tests.client.site import ClientCase
from tests.mds.world import MDS

ROOT = f"pnfs://{MDS[0]}/export"


class CommandCase(ClientCase):
    """
    C{self.run("ls", URL)}.

    @ivar out: what was printed; C{err}: what was complained.
    """

    def setUp(self) -> None:
        """
        Catch what is printed.
        """
        super().setUp()
        self.out = self.err = ""

    def command(self, name: str, *words: str) -> int:
        """
        Run a command's coroutine. @return: the exit status.
        """
        parser, module = makeParser(name)
        args = parser.parse_args([name, *words])
        mounts = Mounts(self.clock, args, lambda reactor, url, args: self.mount)
        work = {
            "ls": "listAll",
            "cp": "copyAll",
            "stat": "statAll",
            "mkdir": "makeAll",
            "rm": "removeAll",
            "file": "showAll",
        }[name]
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        try:
            return int(self.now(getattr(module, work)(mounts, args)))
        finally:
            self.out, self.err = out.getvalue(), err.getvalue()

    def put(self, path: str, data: bytes) -> None:
        """
        Make a file.
        """
        file = self.create(path)
        self.now(file.write(0, data))
        self.now(file.close())

    def contents(self, path: str) -> bytes:
        """
        What is in a file.
        """
        file = self.now(self.mount.open(path))
        try:
            return self.read(file)
        finally:
            self.now(file.close())
