"""
Tests of L{pnfs.mds.mover} and L{pnfs.mds.jobs}: files move in a whole site.
"""

from __future__ import annotations

import os
from typing import Any

import attrs
from twisted.internet.defer import Deferred

import pnfs.mds.transfer
from pnfs.admin.control import Refused, Request
from pnfs.backends.errors import BackendError
from pnfs.config import MDSConfig
from pnfs.layouts.striping import pieces
from pnfs.nfs4 import requests
from tests.contracts.data import readBytes
from tests.mds.faulty import pattern
from tests.mds.test_repairs import RepairsCase

FILES = 1
SIZE = 300_000


class MoverCase(RepairsCase):
    """
    Files in two stripes on four data servers.
    """

    layout = "files"
    mirrors = 1
    count = 4

    def setUp(self) -> None:
        """
        Everything is large enough to be copied ahead.
        """
        super().setUp()
        self.patch(pnfs.mds.transfer, "SMALL", 1024)
        self.rest(3)
        self.progress: list[Any] = []
        self.connected = True

    def configuration(self) -> MDSConfig:
        """
        Two stripes.
        """
        config = super().configuration()
        exports = [attrs.evolve(e, stripeCount=self.stripes()) for e in config.exports]
        return attrs.evolve(config, exports=tuple(exports))

    def stripes(self) -> int:
        """
        So many.
        """
        return 2

    def begin(self, command: str, /, **args: Any) -> Deferred[Any]:
        """
        Have a command begun.
        """
        request = Request(command, args, self.progress.append, lambda: self.connected)
        commands = self.mds.administration.commands
        return Deferred.fromCoroutine(commands.run(request))

    def command(self, command: str, /, **args: Any) -> Any:
        """
        Have it carried out.
        """
        return self.successResultOf(self.begin(command, **args))

    def refused(self, command: str, /, **args: Any) -> str:
        """
        It is refused. @return: why.
        """
        failure = self.failureResultOf(
            self.begin(command, **args), Refused, BackendError
        )
        line = str(failure.value)
        self.assertNotIn("\n", line)
        return line

    def done(self, told: Any, seconds: float = 30) -> Any:
        """
        Wait for a job. @return: what is told of it then.
        """
        waiting = self.begin("jobs.wait", id=told["id"])
        self.rest(seconds)
        return self.successResultOf(waiting)

    def name(self, uuid: bytes) -> str:
        """
        Of a data server.
        """
        return f"ds{self.number(uuid)}"

    def others(self, name: bytes) -> list[str]:
        """
        Data servers that have nothing of a file.
        """
        there = self.placement(name).dataServers
        return [self.name(ds.uuid) for ds in self.backends if ds.uuid not in there]

    def objects(self) -> list[int]:
        """
        How many data files each data server has.
        """
        return [len(self.now(ds.list(b"", 1000))) for ds in self.backends]

    def content(self, name: bytes) -> bytes:
        """
        What a client without layouts reads.
        """
        fh = self.mds.context.filehandles.encode(self.export, self.inode(name))
        return b"".join(
            self.mounted.read(fh, bytes(16), at, 100_000)
            for at in range(0, self.inode(name).size, 100_000)
        )

    def assertThere(self, name: bytes, data: bytes) -> None:
        """
        A file is right, nowhere else, and not on its way.
        """
        placement = self.placement(name)
        self.assertIsNone(placement.next)
        self.assertEqual(self.content(name), data)
        for column, at, part in pieces(placement, 0, len(data)):
            for uuid in placement.columns[column]:
                ds = self.backends[self.number(uuid)]
                found = readBytes(self.now(ds.read(placement.name, at, part)))
                self.assertEqual(found, data[at : at + part])
        for ds in self.backends:
            self.assertEqual(
                ds.peek(placement.name) is not None, ds.uuid in placement.dataServers
            )
        self.assertEqual(len(self.mds.context.data._turns), 0)

    def write(self, name: bytes, offset: int, data: bytes) -> None:
        """
        Write through the metadata server.
        """
        fh = self.mds.context.filehandles.encode(self.export, self.inode(name))
        self.mounted.write(fh, bytes(16), offset, data, 2)


class MoverTests(MoverCase):
    """
    One file.
    """

    def setUp(self) -> None:
        """
        It is open, and large.
        """
        super().setUp()
        self.data = pattern(SIZE)
        self.fh, self.stateid = self.put(b"f", self.data)
        self.leaving, self.staying = (
            self.name(column[0]) for column in self.placement(b"f").columns
        )
        self.to = self.others(b"f")

    def move(self, **more: Any) -> Any:
        """
        Have one of its stripes moved.
        """
        args = {"paths": ["/export/f"], "to": self.to[:1], "from": self.leaving}
        return self.command("file.move", **(args | more))

    def assertMoved(self) -> None:
        """
        The stripe is elsewhere.
        """
        there = [self.name(c[0]) for c in self.placement(b"f").columns]
        self.assertEqual(there, [self.to[0], self.staying])
        self.assertThere(b"f", self.data)

    def test_move(self) -> None:
        """
        A stripe goes where it is to go; the job is told of, and forgotten on disk.
        """
        told = self.done(self.move())
        self.assertEqual(
            (told["state"], told["files"], told["failed"], told["problem"]),
            ("done", 1, 0, ""),
        )
        self.assertGreaterEqual(told["bytes"], SIZE // 2 - 65536)
        self.assertMoved()
        self.assertEqual(os.listdir(os.path.join(self.state, "jobs")), [])

    def test_asksOnceOfClosed(self) -> None:
        """
        Of a file that no client has open it is asked once what has changed while it was
        copied, of another one also before clients have to wait.
        """
        asked = self.askedForChanges()
        self.done(self.move())
        self.assertMoved()
        self.assertEqual(len(asked), 2)
        self.closed(self.fh, self.stateid)
        asked.clear()
        back = self.command(
            "file.move", paths=["/export/f"], to=[self.leaving], **{"from": self.to[0]}
        )
        self.done(back)
        self.assertEqual(len(asked), 1)

    def test_quiet(self) -> None:
        """
        When nothing is left to be tidied up a server without jobs looks for nothing any
        more; what a job will have to do is known before it begins.
        """
        self.done(self.move())
        self.rest(15)
        self.assertEqual(self.mds.jobs._sweeping, None)
        self.assertTrue(self.mds.jobs.site.known)

    def test_layouts(self) -> None:
        """
        A layout that is out is recalled before the switch, and no other is given until
        it is done; the next one names where the file is then.
        """
        layout, before = self.mounted.layout(self.fh, self.stateid, FILES)
        told = self.move()
        self.rest(3)
        self.assertEqual(self.placement(b"f").columns[0], (self.uuidOf(self.leaving),))
        busy = self.mounted.run(
            requests.putfh(self.fh), requests.layoutget(FILES, 2, self.stateid)
        )
        self.assertNotEqual(busy.status, 0)
        self.write(b"f", 7, b"meanwhile")
        self.data = self.data[:7] + b"meanwhile" + self.data[16:]
        self.mounted.run(
            requests.putfh(self.fh), requests.layoutreturn(FILES, layout, b"")
        )
        self.assertEqual(self.done(told)["state"], "done")
        self.assertMoved()
        _, after = self.mounted.layout(self.fh, self.stateid, FILES)
        self.assertNotEqual(before[:16], after[:16])

    def uuidOf(self, name: str) -> bytes:
        """
        Of a data server.
        """
        return self.backends[int(name[2:])].uuid

    def test_keepsLayout(self) -> None:
        """
        A client that never returns its layout stops nobody: it is fenced at the
        recall's deadline, at the old data server too.
        """
        self.mounted.layout(self.fh, self.stateid, FILES)
        self.mds.context.recaller.deadlineSeconds = 20
        epoch = self.placement(b"f").epoch
        self.assertEqual(self.done(self.move(), 40)["state"], "done")
        self.assertMoved()
        self.assertGreater(self.placement(b"f").epoch, epoch)
        self.assertEqual(self.mds.context.recaller.counts["revoked"], 1)

    def test_removed(self) -> None:
        """
        A file that is removed while it moves leaves nothing anywhere, whether it is
        open or not.
        """
        for opened in (False, True):
            name = b"open" if opened else b"closed"
            fh, stateid = self.put(name, self.data)
            if not opened:
                self.mounted.run(requests.putfh(fh), requests.close(stateid))
            before = self.objects()
            leaving = self.name(self.placement(name).columns[0][0])
            told = self.command(
                "file.move",
                paths=["/export/" + name.decode()],
                to=self.others(name)[:1],
                limit=100_000,
                **{"from": leaving},
            )
            self.rest(1)
            self.assertNotEqual(self.objects(), before)
            root = [requests.PUTROOTFH, requests.lookup(b"export")]
            self.assertEqual(self.mounted.run(root, requests.remove(name)).status, 0)
            self.done(told)
            if opened:
                self.assertEqual(self.mounted.read(fh, stateid, 0, 9), self.data[:9])
                self.mounted.run(requests.putfh(fh), requests.close(stateid))
            self.rest(20)
            self.assertEqual(sum(self.objects()), 2)
            self.assertEqual(self.now(self.export.backend.pendingRemovals()), [])

    def test_refused(self) -> None:
        """
        What cannot be is refused at once with one line that says what to do instead.
        """
        self.command("ds.drain", name=self.to[1])
        for word, more in (
            ("no data server", {"to": ["ds9"]}),
            ("no data server", {"from": "ds9"}),
            ("draining", {"to": [self.to[1]]}),
            ("cannot be left", {"to": [self.leaving]}),
            ("--to", {"to": []}),
            ("--from", {"from": ""}),
            ("no export", {"paths": ["/nowhere"]}),
            ("there is no", {"paths": ["/export/nothing"]}),
            ("path", {"paths": []}),
        ):
            args = {"paths": ["/export/f"], "to": self.to[:1], "from": self.leaving}
            self.assertIn(word, self.refused("file.move", **(args | more)), more)
        self.killDataServer(int(self.to[0][2:]))
        self.rest(5)
        self.assertIn(
            "does not answer",
            self.refused("file.move", paths=["/export/f"], to=self.to[:1]),
        )

    def test_noRoom(self) -> None:
        """
        A file does not go where it has no room.
        """
        self.backends[int(self.to[0][2:])].capacity = 100_000
        self.mds._servers.reserve = 0
        self.rest(3)
        args = {"paths": ["/export/f"], "to": self.to[:1], "from": self.leaving}
        self.assertIn("100000 bytes free", self.refused("file.move", **args))

    def test_twoMovers(self) -> None:
        """
        While a file is being moved another command to move it is refused.
        """
        told = self.move(limit=50_000)
        self.rest(1)
        args = {"paths": ["/export/f"], "to": self.to[1:], "from": self.leaving}
        self.assertIn("being moved already", self.refused("file.move", **args))
        self.assertEqual(self.move(limit=0)["id"], told["id"])
        self.assertEqual(self.done(told)["state"], "done")
        self.assertMoved()

    def test_cancel(self) -> None:
        """
        A job that is called off leaves the file where it was, and nothing elsewhere.
        """
        told = self.move(limit=20_000)
        self.rest(1)
        self.assertEqual(sum(self.objects()), 3)
        listed = self.command("jobs.list")
        self.assertEqual(
            [(job["id"], job["state"]) for job in listed], [(told["id"], "running")]
        )
        cancelling = self.begin("jobs.cancel", id=told["id"])
        self.rest(20)
        self.assertEqual(self.successResultOf(cancelling)["state"], "cancelled")
        self.assertThere(b"f", self.data)
        self.assertEqual(self.name(self.placement(b"f").columns[0][0]), self.leaving)
        self.assertEqual(sum(self.objects()), 2)
        self.assertIn("already", self.refused("jobs.cancel", id=told["id"]))
        self.assertIn("no job", self.refused("jobs.cancel", id=99))

    def test_leaves(self) -> None:
        """
        Who begins a job and goes away does not stop it.
        """
        told = self.move(limit=100_000)
        waiting = self.begin("jobs.wait", id=told["id"])
        self.rest(1)
        self.assertTrue(self.progress)
        self.connected = False
        self.rest(1)
        self.assertEqual(self.successResultOf(waiting)["state"], "running")
        self.connected = True
        self.assertEqual(self.done(told)["state"], "done")
        self.assertMoved()

    def test_limit(self) -> None:
        """
        C{--limit} is kept: 169 kB at 50 kB/s take more than three seconds.
        """
        told = self.move(limit=50_000)
        self.rest(3)
        self.assertEqual(self.command("jobs.list")[0]["state"], "running")
        self.assertEqual(self.done(told)["state"], "done")

    def test_restarted(self) -> None:
        """
        Whenever the metadata server dies, the job goes on when it is back, and the file
        reads right all the time.
        """
        for moment in range(1, 12):
            self.to[0], self.leaving = self.leaving, self.to[0]
            self.leaving, self.to[0] = (
                self.name(self.placement(b"f").columns[0][0]),
                self.others(b"f")[0],
            )
            self.move(limit=100_000)
            self.rest(0.2 * moment)
            self.restartMetadataServer()
            self.rest(3)
            self.mount()
            self.assertEqual(self.content(b"f"), self.data)
            self.rest(120)
            for job in self.command("jobs.list"):
                self.assertEqual((job["state"], job["failed"]), ("done", 0))
            self.assertMoved()

    def test_dies(self) -> None:
        """
        Whoever of the data servers dies while the file moves: the job goes on when it
        is back, and the file reads right.
        """
        for victim in (self.leaving, self.staying, self.to[0]):
            number = int(victim[2:])
            leaving = self.name(self.placement(b"f").columns[0][0])
            to = [n for n in self.others(b"f") if n in (self.leaving, self.to[0])]
            told = self.command(
                "file.move",
                paths=["/export/f"],
                to=to,
                limit=100_000,
                **{"from": leaving},
            )
            self.rest(1)
            self.killDataServer(number)
            self.rest(20)
            self.startDataServer(number)
            self.rest(10)
            self.assertEqual(self.done(told)["state"], "done", victim)
            self.assertEqual(
                [self.name(self.placement(b"f").columns[0][0])], to, victim
            )
            self.assertThere(b"f", self.data)

    def test_index(self) -> None:
        """
        The index names the data servers where the file is, and no others.
        """
        self.done(self.move())
        counts = self.now(self.mds.index.counts())
        self.assertEqual(
            {self.name(uuid) for uuid, (files, _) in counts.items() if files},
            {self.to[0], self.staying},
        )
        self.assertEqual(self.now(self.mds.index.moving()), [])


class DrainTests(MoverCase):
    """
    C{ds.drain}: everything goes away from a data server.
    """

    def setUp(self) -> None:
        """
        Many files, small and large, some of them open, and one without data.
        """
        super().setUp()
        self.contents = {b"n%02d" % n: pattern(10 + n * 7001, n) for n in range(24)}
        for name, data in self.contents.items():
            fh, stateid = self.put(name, data)
            if name[-1] % 2:
                self.mounted.run(requests.putfh(fh), requests.close(stateid))
        self.mounted.create(b"empty")

    def assertAll(self) -> None:
        """
        All are there, right, and not on their way.
        """
        for name, data in self.contents.items():
            self.assertThere(name, data)

    def test_drain(self) -> None:
        """
        When it is drained it has nothing, and can be removed; files that are made
        meanwhile are elsewhere.
        """
        told = self.command("ds.drain", name="ds1")
        self.assertEqual(told["state"], "draining")
        self.contents[b"new"] = pattern(9)
        self.put(b"new", pattern(9))
        told = self.done(told["job"], 60)
        self.assertEqual((told["state"], told["failed"]), ("done", 0))
        self.assertEqual(told["total"], told["files"])
        self.assertEqual(self.objects()[1], 0)
        self.assertAll()
        self.assertEqual(self.command("ds.show", name="ds1")["files"], 0)
        removing = self.begin("ds.remove", name="ds1")
        self.rest(1)
        self.successResultOf(removing)
        self.assertEqual(len(self.command("ds.list")), 3)

    def test_walked(self) -> None:
        """
        Without an index all files are looked at.
        """
        self.mds.jobs.site.index = None
        self.done(self.command("ds.drain", name="ds1")["job"], 60)
        self.assertEqual(self.objects()[1], 0)
        self.assertAll()

    def test_enabled(self) -> None:
        """
        Who is used again is not drained any more.
        """
        told = self.command("ds.drain", name="ds1", limit=10_000)
        self.rest(2)
        self.command("ds.enable", name="ds1")
        self.rest(30)
        self.assertEqual(self.done(told["job"])["state"], "cancelled")
        self.assertAll()
        self.assertGreater(self.objects()[1], 0)

    def test_restarted(self) -> None:
        """
        Draining goes on after a restart.
        """
        self.command("ds.drain", name="ds1", limit=100_000)
        self.rest(3)
        self.restartMetadataServer()
        self.rest(5)
        self.mount()
        self.rest(60)
        self.assertEqual(self.objects()[1], 0)
        self.assertAll()
        self.assertEqual(os.listdir(os.path.join(self.state, "jobs")), [])

    def test_restartedAlone(self) -> None:
        """
        After a restart data servers may take a while until they answer: draining waits
        for them.
        """
        self.command("ds.drain", name="ds1", limit=100_000)
        self.rest(3)
        for number in range(self.count):
            self.killDataServer(number)
        self.restartMetadataServer()
        self.rest(20)
        self.mount()
        (job,) = self.command("jobs.list")
        self.assertEqual(job["state"], "running")
        for number in range(self.count):
            self.startDataServer(number)
        self.rest(60)
        self.assertEqual(self.objects()[1], 0)
        self.assertAll()

    def test_noRoom(self) -> None:
        """
        Files that fit nowhere stay, and why is told; the job ends.
        """
        self.patch(self.mds.jobs.site.placing, "ranked", self.nowhere)
        told = self.done(self.command("ds.drain", name="ds1")["job"])
        self.assertEqual((told["state"], told["files"]), ("failed", 0))
        self.assertGreater(told["failed"], 5)
        self.assertIn("ds add", told["problem"])
        self.assertAll()

    async def nowhere(self, *args: Any) -> list[Any]:
        """
        Nobody has room.
        """
        return []

    def test_damagedJob(self) -> None:
        """
        A job that cannot be read is told in the log and left alone; others go on.
        """
        with open(os.path.join(self.state, "jobs", "77"), "wb") as file:
            file.write(b"{nonsense")
        self.restartMetadataServer()
        self.rest(3)
        self.mount()
        self.assertEqual(self.command("jobs.list"), [])
        self.assertGreater(self.command("ds.drain", name="ds1")["job"]["id"], 77)


class MirroredDrainTests(MoverCase):
    """
    Draining mirrors.
    """

    layout = "flexfiles"
    mirrors = 2

    def stripes(self) -> int:
        """
        None.
        """
        return 1

    def test_dead(self) -> None:
        """
        A data server that is dead is drained as well, from the other mirrors; what is
        left on it is nobody's business any more when the operator says that it is
        dead, and then it can be removed.
        """
        contents = {b"n%02d" % n: pattern(10 + n * 7001, n) for n in range(12)}
        for name, data in contents.items():
            self.put(name, data)
        self.killDataServer(1)
        self.rest(15)
        told = self.done(self.command("ds.drain", name="ds1")["job"], 60)
        self.assertEqual((told["state"], told["failed"]), ("done", 0))
        dead = self.backends[1].uuid
        for name, data in contents.items():
            placement = self.placement(name)
            self.assertNotIn(dead, placement.dataServers)
            self.assertEqual(placement.stale, ())
            self.assertEqual(self.content(name), data)
        self.assertIn("left on ds1", self.refused("ds.remove", name="ds1"))
        self.command("ds.kill", name="ds1")
        self.rest(30)
        removing = self.begin("ds.remove", name="ds1")
        self.rest(1)
        self.successResultOf(removing)

    def test_stale(self) -> None:
        """
        A stale mirror goes with the data server that has it.
        """
        self.mds.repairs.automatic = False
        self.put(b"f", pattern(SIZE))
        stale = self.placement(b"f").columns[0][1]
        self.lose(b"f", stale)
        told = self.done(self.command("ds.drain", name=self.name(stale))["job"])
        self.assertEqual(told["state"], "done")
        self.assertEqual(self.placement(b"f").stale, ())
        self.assertThere(b"f", pattern(SIZE))
