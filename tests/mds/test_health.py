"""
Tests of L{pnfs.mds.health}: who is lost, and when.
"""

from __future__ import annotations

import os

from pnfs.backends.errors import IOFailed, Unreachable
from pnfs.mds.member import Member
from pnfs.mds.health import Health
from tests.mds.faulty import DataFilesCase, MirroredCase, pattern


class HealthTests(DataFilesCase):
    """
    Three data servers; five seconds of silence condemn.
    """

    def setUp(self) -> None:
        """
        They all answer.
        """
        super().setUp()
        self.health = self.listen()

    def listen(self) -> Health:
        """
        Look after the data servers.
        """
        self.events: list[tuple[str, str]] = []
        health = Health(self.servers, self.clock, 5.0)
        health.enabled = True
        health.onCondemned.append(lambda member: self.note("lost", member))
        health.onReturned.append(lambda member: self.note("back", member))
        self.servers.onUp = health.answers
        health.start()
        self.addCleanup(health.stop)
        return health

    def note(self, what: str, member: Member) -> None:
        """
        Something has been told.
        """
        self.events.append((what, member.config.name))

    def pass_(self, seconds: float) -> None:
        """
        Time goes by, evenly.
        """
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def test_silence(self) -> None:
        """
        A data server that has not answered for five seconds is lost; as soon as it
        answers it is back. The others are not concerned.
        """
        self.pass_(10)
        self.assertEqual(self.events, [])
        self.ds[1].down = True
        self.pass_(3)
        self.assertEqual(self.events, [])
        self.pass_(4.5)
        self.assertEqual(self.events, [("lost", "ds1")])
        self.assertEqual(self.servers.condemned, {self.ds[1].uuid})
        self.ds[1].down = False
        self.pass_(2.5)
        self.assertEqual(self.events, [("lost", "ds1"), ("back", "ds1")])
        self.assertEqual(self.servers.condemned, frozenset())
        self.assertTrue(self.servers.up(self.ds[1].uuid))

    def test_shortSilence(self) -> None:
        """
        A restart that takes three seconds costs no data server its good name.
        """
        self.ds[1].down = True
        self.pass_(3)
        self.ds[1].down = False
        self.pass_(10)
        self.assertEqual(self.events, [("back", "ds1")])

    def test_hangs(self) -> None:
        """
        One that takes orders and never answers is lost as well, although nothing has
        failed yet.
        """
        self.ds[2].hold("statfs")
        self.pass_(8)
        self.assertEqual(self.events, [("lost", "ds2")])
        self.assertFalse(self.servers.up(self.ds[2].uuid))

    def test_busy(self) -> None:
        """
        One that is too busy for probes, but does other things, is not lost.
        """
        self.ds[2].hold("statfs")
        name = self.now(self.data.ensure(self.export, self.inode)).name
        uuid = self.ds[2].uuid
        for _ in range(12):
            self.pass_(1)
            self.now(self.servers.on(uuid, lambda ds: ds.getattr(name)))
        self.assertEqual(self.events, [])

    def test_stoppedItself(self) -> None:
        """
        A metadata server that was suspended for a minute does not take all its data
        servers for lost.
        """
        for ds in self.ds:
            ds.hold("statfs")
        self.pass_(2)
        self.clock.advance(60)
        self.pass_(2)
        self.assertEqual(self.events, [])
        self.pass_(5)
        self.assertEqual(len(self.events), 3)

    def test_start(self) -> None:
        """
        A data server that has never answered is not lost: nothing is known to be
        there. One that has answered before this start, and does not now, is.
        """
        self.ds[0].down = True
        self.health.stop()
        self.now(self.servers.stop())
        self.boot()
        self.health = self.listen()
        self.pass_(6)
        self.assertEqual(self.events, [("lost", "ds0")])

    def test_unknown(self) -> None:
        """
        A data server that is configured before it exists is not lost.
        """
        self.health.stop()
        self.now(self.servers.stop())
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.ds[0].down = True
        self.boot()
        self.health = self.listen()
        self.pass_(10)
        self.assertEqual(self.events, [])

    def test_off(self) -> None:
        """
        Where files are not to go on without mirrors silence condemns nobody.
        """
        self.health.enabled = False
        self.ds[1].down = True
        self.pass_(20)
        self.assertEqual(self.events, [])

    def test_killed(self) -> None:
        """
        One that the operator has killed stays so although it answers, until he
        takes that back.
        """
        (member,) = [m for m in self.servers.members if m.config.name == "ds1"]
        self.health.kill(member)
        self.assertEqual(self.events, [("lost", "ds1")])
        self.pass_(10)
        self.assertEqual(self.events, [("lost", "ds1")])
        self.assertFalse(member.up)
        self.fails(self.servers.on(member.uuid, lambda ds: ds.statfs()), Unreachable)
        self.health.kill(member)
        self.assertEqual(len(self.events), 1)
        self.health.enable(member)
        self.assertEqual(self.events, [("lost", "ds1"), ("back", "ds1")])
        self.assertTrue(member.up)

    def test_suspected(self) -> None:
        """
        What is said of a data server has it asked at once, and no more than that: if
        it answers, nothing has happened.
        """
        self.pass_(1)
        calls = [ds.calls.count("statfs") for ds in self.ds]
        self.health.suspect(self.ds[1].uuid)
        self.health.suspect(b"?" * 16)
        calls[1] += 1
        self.assertEqual([ds.calls.count("statfs") for ds in self.ds], calls)
        self.assertTrue(self.servers.up(self.ds[1].uuid))
        self.ds[1].down = True
        self.health.suspect(self.ds[1].uuid)
        self.assertFalse(self.servers.up(self.ds[1].uuid))
        self.assertEqual(self.events, [])

    def test_fencedFirst(self) -> None:
        """
        What has to be fenced at a lost data server is, before it is back.
        """
        name = self.now(self.data.ensure(self.export, self.inode)).name
        self.ds[1].down = True
        self.pass_(7)
        self.now(self.data.fence(self.export, self.inode))
        self.ds[1].down = False
        self.ds[1].failing["fence"] = Unreachable("gone again")
        self.pass_(3)
        self.assertEqual(self.events, [("lost", "ds1")])
        del self.ds[1].failing["fence"]
        self.pass_(3)
        self.assertEqual(self.events[1:], [("back", "ds1")])
        found = self.ds[1].inner.peek(name)
        assert found is not None
        self.assertEqual(found.epoch, 2)

    def test_stripes(self) -> None:
        """
        Without mirrors what a lost data server alone has cannot be read: for a minute
        the reader is told to come again, then that it fails, and when it is back
        everything is there. The other stripes can be read all the time. What the
        operator has taken out fails at once.
        """
        data = pattern(3 * 65536)
        self.put(0, data)
        lost = self.column(1)
        lost.down = True
        self.pass_(2.5)
        for error in (Unreachable, IOFailed):
            self.fails(self.data.read(self.export, self.inode, 65536, 10), error)
            self.pass_(60)
        seeking = self.data.seek(self.export, self.inode, 65536, True)
        self.fails(seeking, IOFailed)
        self.assertEqual(self.get(0, 65536)[0], data[:65536])
        self.assertEqual(self.get(131072, 65536)[0], data[131072:])
        self.fails(self.write(65536, b"x"), Unreachable)
        lost.down = False
        self.pass_(2.5)
        self.assertEqual(self.get(0, len(data))[0], data)
        self.health.kill(self.servers.byUUID(lost.uuid))
        self.fails(self.data.read(self.export, self.inode, 65536, 10), IOFailed)


class MirroredHealthTests(MirroredCase):
    """
    With another mirror reading goes on, lost or not.
    """

    def test_read(self) -> None:
        """
        The other mirror is read.
        """
        health = Health(self.servers, self.clock, 5.0)
        self.put(0, b"abc")
        member = self.servers.byUUID(self.placement().columns[0][0])
        health.kill(member)
        self.assertEqual(self.get(0, 3)[0], b"abc")
