"""
Tests of L{pnfs.mds.replacement}: a data server comes back with an empty disk.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

import tests.mds.world
from pnfs.admin.control import Refused, Request
from pnfs.backends.ds.memory import MemoryDataServerBackend
from tests.mds.faulty import pattern
from tests.mds.test_repairs import RepairsCase

NEW = b"N" * 16


class ReplacementCase(RepairsCase):
    """
    A file C{f} with mirrors, of which one has lost its disk.
    """

    def setUp(self) -> None:
        """
        It is killed.
        """
        super().setUp()
        self.data = pattern(100_000)
        self.fh, self.stateid = self.put(b"f", self.data)
        self.rest(3)
        self.uuid = self.placement(b"f").columns[0][0]
        self.lost = self.number(self.uuid)
        self.name = f"ds{self.lost}"

    def replaceDisk(self, identity: bytes = NEW) -> None:
        """
        The data server is started with another folder.
        """
        self.killDataServer(self.lost)
        self.rest(12)
        self.backends[self.lost] = MemoryDataServerBackend(
            b"started!", identity, 1 << 30, self.wallTime
        )
        self.startDataServer(self.lost)
        self.rest(5)

    def command(self, command: str, /, **args: Any) -> Any:
        """
        Have it carried out.
        """
        request = Request(command, args)
        done = Deferred.fromCoroutine(self.mds.administration.commands.run(request))
        self.rest(2)
        return self.successResultOf(done)

    def refused(self, command: str, /, **args: Any) -> str:
        """
        It is refused. @return: why.
        """
        request = Request(command, args)
        done = Deferred.fromCoroutine(self.mds.administration.commands.run(request))
        self.rest(40)
        line = str(self.failureResultOf(done, Refused).value)
        self.assertNotIn("\n", line)
        return line

    def shown(self) -> Any:
        """
        What is told of the data server.
        """
        return self.command("ds.show", name=self.name)

    def stored(self) -> list[bytes]:
        """
        What each of the file's data servers has of it.
        """
        name = self.placement(b"f").name
        servers = self.mds._servers
        found = []
        for uuid in self.placement(b"f").dataServers:
            identity = servers.byUUID(uuid).identity
            (ds,) = [each for each in self.backends if each.uuid == identity]
            result = self.now(ds.read(name, 0, 1 << 20))
            found.append(b"".join(result.pieces))
        return found


class ReplacementTests(ReplacementCase):
    """
    C{pnfs ds enable --empty}.
    """

    def test_stranger(self) -> None:
        """
        A data server that answers with another identity is not used, whatever it is,
        and it is said what to do if its disk has been replaced.
        """
        self.replaceDisk()
        shown = self.shown()
        self.assertFalse(shown["answers"])
        self.assertIn(f"pnfs ds enable --empty {self.name}", shown["problem"])
        self.assertEqual(self.now(self.backends[self.lost].list(b"", 1)), [])

    def test_refill(self) -> None:
        """
        Once that is said it gets everything that it had, and then counts as before:
        the other mirror may go.
        """
        self.replaceDisk()
        self.command("ds.kill", name=self.name, force=True)
        shown = self.command("ds.enable", name=self.name, empty=True)
        self.assertEqual((shown["uuid"], shown["lost"]), (self.uuid.hex(), 0))
        self.assertEqual(shown["identity"], NEW.hex())
        self.rest(10)
        self.assertEqual(self.placement(b"f").stale, ())
        self.assertEqual(self.stored(), [self.data, self.data])
        self.assertEqual(self.command("mirror.verify")["wrong"], 0)
        (other,) = set(self.placement(b"f").dataServers) - {self.uuid}
        self.killDataServer(self.number(other))
        self.rest(12)
        self.assertEqual(
            self.mounted.read(self.fh, self.stateid, 0, 100_000), self.data
        )

    def test_restart(self) -> None:
        """
        It stays so when the inventory is read again, and the old disk is a stranger
        then.
        """
        old = self.backends[self.lost]
        self.replaceDisk()
        self.command("ds.kill", name=self.name, force=True)
        self.command("ds.enable", name=self.name, empty=True)
        member = self.mds._servers.byUUID(self.uuid)
        (record,) = [
            each
            for each in self.mds._servers._inventory.load()
            if each.name == self.name
        ]
        self.assertEqual((record.uuid, record.identity), (self.uuid, NEW))
        self.killDataServer(self.lost)
        self.rest(12)
        self.backends[self.lost] = old
        self.startDataServer(self.lost)
        self.rest(5)
        self.assertFalse(member.up)
        self.assertIn("another data server", member.problem)

    def test_sameIdentity(self) -> None:
        """
        So it is if only the file with its identity was brought back.
        """
        self.replaceDisk(self.uuid)
        self.command("ds.kill", name=self.name, force=True)
        self.command("ds.enable", name=self.name, empty=True)
        self.rest(10)
        self.assertEqual(self.stored(), [self.data, self.data])

    def test_staleFirst(self) -> None:
        """
        Before it is used all its mirrors are stale: should everything die then, nobody
        looks there for what is not there.
        """
        self.replaceDisk()
        self.command("ds.kill", name=self.name, force=True)
        order = []
        servers = self.mds._servers
        update = servers.update

        def noted(member: Any, record: Any) -> None:
            order.append(self.placement(b"f").stale)
            update(member, record)

        self.patch(servers, "update", noted)
        self.command("ds.enable", name=self.name, empty=True)
        self.assertEqual(order, [(self.uuid,)])

    def test_refused(self) -> None:
        """
        What may be in use, does not answer, is not empty, is of another cluster or
        somebody else is not taken for an empty disk.
        """
        enable = "ds.enable"
        self.assertIn("pnfs ds kill", self.refused(enable, name=self.name, empty=True))
        self.command("ds.kill", name=self.name, force=True)
        self.assertIn("not empty", self.refused(enable, name=self.name, empty=True))
        other = self.placement(b"f").columns[0][1]
        number = self.number(other)
        self.replaceDisk(other)
        self.assertIn(
            f"answers ds{number}",
            self.refused(enable, name=self.name, empty=True),
        )
        self.killDataServer(self.lost)
        self.rest(12)
        self.assertIn(
            "does not answer", self.refused(enable, name=self.name, empty=True)
        )
        self.patch(tests.mds.world, "KEY", b"X" * 32)
        self.startDataServer(self.lost)
        self.rest(3)
        self.assertIn("cluster key", self.refused(enable, name=self.name, empty=True))
        self.assertEqual(self.shown()["state"], "disabled")
        self.assertEqual(self.placement(b"f").stale, ())


class LastCopyTests(ReplacementCase):
    """
    Files without mirrors.
    """

    mirrors = 1

    def test_lastCopy(self) -> None:
        """
        What nobody else has is not given up unless that is said, and it is told how
        many files that concerns.
        """
        self.replaceDisk()
        self.command("ds.kill", name=self.name, force=True)
        line = self.refused("ds.enable", name=self.name, empty=True)
        self.assertIn("restore it", line)
        shown = self.command("ds.enable", name=self.name, empty=True, force=True)
        self.assertEqual(shown["lost"], 1)
