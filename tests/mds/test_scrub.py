"""
Tests of L{pnfs.mds.scrub}: a whole site is looked through.
"""

from __future__ import annotations

import os
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

import pnfs.mds.scrub
from pnfs.mds.scrub import Scrub
from pnfs.mds.scrubstate import (
    FILE,
    PROBLEMS,
    Orphan,
    Problem,
    ScrubState,
    encode,
    load,
    store,
)
from pnfs.namespace.filehandles import objectName
from pnfs.nfs4 import requests
from tests.mds.faulty import pattern
from tests.mds.test_repairs import RepairsCase


class ScrubCase(RepairsCase):
    """
    Some files with two mirrors each.
    """

    def setUp(self) -> None:
        """
        All is well.
        """
        super().setUp()
        self.names = [b"f%d" % number for number in range(6)]
        self.files = {name: self.put(name, pattern(5000, 2)) for name in self.names}
        self.mds.repairs.automatic = False
        self.rest(3)

    @property
    def scrub(self) -> Scrub:
        """
        That of the metadata server.
        """
        return self.mds.scrub  # type: ignore[no-any-return]

    @property
    def found(self) -> ScrubState:
        """
        What it says.
        """
        return self.scrub.state

    def run_(self, **options: Any) -> ScrubState:
        """
        From the beginning to the end.
        """
        self.scrub.begin(ScrubState(**options))
        self.rest(100)
        self.assertFalse(self.scrub.running)
        self.assertEqual(self.found.phase, "done")
        return self.found

    def wipe(self, name: bytes) -> int:
        """
        The second mirror of a file is gone. @return: from where.
        """
        placement = self.placement(name)
        number = self.number(placement.columns[0][1])
        self.now(self.backends[number].remove(placement.name))
        return number

    def leave(self, handle: bytes) -> bytes:
        """
        There is a data file of a file that there is not. @return: its name.
        """
        name = objectName(self.export.id, handle)
        self.now(self.backends[0].create(name, 0, 0, 0o600, 1))
        return name


class ScrubTests(ScrubCase):
    """
    L{Scrub}.
    """

    def test_well(self) -> None:
        """
        Where all is well nothing is found, and everything has been looked at.
        """
        state = self.run_()
        self.assertEqual((state.files, state.bytes), (6, 30_000))
        self.assertEqual((state.wrong, state.busy, state.orphans), (0, 0, []))
        self.assertGreater(state.ended, state.began)

    def test_wrong(self) -> None:
        """
        What is wrong is told, with the path, and stays as it is.
        """
        number = self.wipe(b"f2")
        state = self.run_()
        (problem,) = state.problems
        self.assertEqual(problem.path, "/export/f2")
        self.assertEqual(problem.text, f"ds{number} has no data file")
        self.assertEqual((state.wrong, state.repaired), (1, 0))
        self.assertEqual(self.placement(b"f2").stale, ())
        self.assertEqual(load(self.state).problems, [problem])

    def test_repair(self) -> None:
        """
        With C{--repair} it is repaired, although that is not automatic.
        """
        self.wipe(b"f2")
        state = self.run_(repair=True)
        self.assertEqual((state.wrong, state.repaired), (1, 1))
        self.assertEqual(self.placement(b"f2").stale, ())
        self.assertEqual(set(self.copies(b"f2")), {pattern(5000, 2)})
        self.assertEqual(self.run_().wrong, 0)

    def test_orphans(self) -> None:
        """
        A data file that belongs to nothing is told of when a lease has passed, and
        removed only if that is wanted.
        """
        name = self.leave(b"nobody")
        self.scrub.begin(ScrubState())
        self.rest(85)
        self.assertEqual([each.name for each in self.found.suspects], [name])
        self.rest(10)
        (orphan,) = self.found.orphans
        self.assertEqual((orphan.name, orphan.size, orphan.removed), (name, 0, False))
        self.assertIsNotNone(self.backends[0].peek(name))
        self.run_(removeOrphans=True)
        self.assertTrue(self.found.orphans[0].removed)
        self.assertIsNone(self.backends[0].peek(name))

    def test_limit(self) -> None:
        """
        It reads no more in a second than it may.
        """
        self.scrub.begin(ScrubState(limit=1000))
        self.rest(12)
        self.assertLess(self.found.files, 4)
        self.assertGreater(self.found.files, 1)
        self.rest(120)
        self.assertEqual(self.found.files, 6)
        self.assertFalse(self.scrub.running)

    def test_halt(self) -> None:
        """
        It can be stopped, and goes on where it was, with what it had found.
        """
        self.wipe(self.first())
        self.scrub.begin(ScrubState(limit=1000))
        self.rest(12)
        self.now(self.scrub.halt())
        files = self.found.files
        self.rest(30)
        self.assertFalse(self.scrub.running)
        self.assertEqual(self.found.files, files)
        self.scrub.resume()
        self.rest(120)
        self.assertEqual((self.found.files, self.found.wrong), (6, 1))

    def first(self) -> bytes:
        """
        The file that is looked at first.
        """
        return min(self.names, key=lambda name: self.placement(name).name)

    def again(self) -> Scrub:
        """
        The metadata server has been killed, and is started anew: its scrub.
        """
        return Scrub(
            self.mds.context,
            self.mds._servers,
            self.mds.context.data,
            self.mds.repairs,
            self.state,
            self.mds.inThread,
        )

    def test_restart(self) -> None:
        """
        After a restart it goes on from where it was at most some seconds before, and no
        file is passed over.
        """
        self.patch(pnfs.mds.scrub, "SAVE_SECONDS", 1.0)
        self.wipe(self.first())
        self.scrub.begin(ScrubState(limit=1000))
        self.rest(14)
        self.scrub.stop()
        self.rest(1)
        before = self.found
        scrub = self.mds.scrub = self.again()
        self.assertTrue(0 < scrub.state.files <= before.files)
        self.assertEqual(scrub.state.wrong, 1)
        scrub.start()
        self.rest(120)
        self.assertEqual((scrub.state.files, scrub.state.wrong), (6, 1))
        self.assertEqual(scrub.state.phase, "done")

    def test_halted(self) -> None:
        """
        One that was stopped stays so.
        """
        self.scrub.begin(ScrubState(limit=1000))
        self.rest(12)
        self.now(self.scrub.halt())
        scrub = self.again()
        scrub.start()
        self.rest(5)
        self.assertFalse(scrub.running)
        self.assertNotEqual(scrub.state.phase, "done")

    def test_silent(self) -> None:
        """
        What a data server has that does not answer is not judged, and that is told.
        """
        uuid = self.placement(b"f0").columns[0][0]
        number = self.number(uuid)
        self.killDataServer(number)
        self.rest(3)
        state = self.run_(repair=True, removeOrphans=True)
        self.assertEqual((state.silent, state.wrong), ([f"ds{number}"], 0))
        busy = [n for n in self.names if uuid in self.placement(n).dataServers]
        self.assertEqual(state.busy, len(busy))

    def test_indexNotWhole(self) -> None:
        """
        As long as the index of files is being made it waits.
        """
        whole = set(self.mds.index.whole)
        self.mds.index.whole.clear()
        self.scrub.begin(ScrubState(removeOrphans=True))
        self.rest(30)
        self.assertTrue(self.scrub.running)
        self.assertEqual(self.found.phase, "list")
        self.mds.index.whole.update(whole)
        self.rest(160)
        self.assertEqual((self.found.phase, self.found.orphans), ("done", []))

    def test_interval(self) -> None:
        """
        With C{scrub_interval} one begins by itself when the last one began so long ago,
        and nothing waits for one any more when that is taken back.
        """
        self.run_()
        config = self.mds._config
        self.mds._adjust(
            config, attrs.evolve(config, scrubInterval=1000.0, scrubLimit=7)
        )
        self.rest(850)
        self.assertFalse(self.scrub.running)
        self.rest(60)
        self.assertTrue(self.scrub.running)
        self.assertEqual(self.found.limit, 7)
        self.now(self.scrub.halt())
        self.scrub.configure(0.0, 0)
        self.rest(1000)
        self.assertFalse(self.scrub.running)

    def test_removedMeanwhile(self) -> None:
        """
        A file that is removed while it is looked at is none that is wrong.
        """
        held: Deferred[None] = Deferred()
        inspect = self.scrub._inspection.inspect

        async def slowly(*args: Any) -> Any:
            await held
            return await inspect(*args)

        self.patch(self.scrub._inspection, "inspect", slowly)
        self.scrub.begin(ScrubState())
        self.rest(2)
        root = [requests.PUTROOTFH, requests.lookup(b"export")]
        for name, (fh, stateid) in self.files.items():
            self.mounted.run(requests.putfh(fh), requests.close(stateid))
            self.assertEqual(self.mounted.run(root, requests.remove(name)).status, 0)
        held.callback(None)
        self.rest(100)
        self.assertEqual((self.found.wrong, self.found.phase), (0, "done"))


class StateTests(SynchronousTestCase):
    """
    L{ScrubState} on disk.
    """

    def folder(self) -> str:
        """
        An empty one.
        """
        folder = self.mktemp()
        os.mkdir(folder)
        return folder

    def test_roundTrip(self) -> None:
        """
        Everything comes back as it was.
        """
        folder = self.folder()
        self.assertEqual(load(folder), ScrubState())
        state = ScrubState(
            repair=True,
            running=True,
            phase="compare",
            position=b"00ff",
            silent=["ds1"],
            orphans=[Orphan(b"\xff" * 16, b"ab", 5, True)],
            suspects=[Orphan(b"\0" * 16, b"cd")],
        )
        state.problem(Problem(7, b"\1\2", "is gone", True, "/export/\xe4"))
        store(folder, encode(state))
        self.assertEqual(load(folder), state)

    def test_damaged(self) -> None:
        """
        What cannot be understood does not keep the server from starting.
        """
        folder = self.folder()
        whole = encode(ScrubState(silent=["ds1"], position=b"ab"))
        for content in (
            b"",
            whole[:50],
            b"[]",
            b'{"phase": 3}',
            b'{"position": "x"}',
            b'{"what": 1}',
            b'{"suspects": {}}',
            b'{"suspects": [{"uuid": "00"}]}',
            b'{"files": "many"}',
        ):
            with open(os.path.join(folder, FILE), "wb") as file:
                file.write(content)
            self.assertEqual(load(folder), ScrubState())

    def test_bounded(self) -> None:
        """
        However much is wrong, the report stays readable; all is counted.
        """
        state = ScrubState()
        for number in range(PROBLEMS + 5):
            state.problem(Problem(1, b"%d" % number, "is gone"))
        self.assertEqual((len(state.problems), state.wrong), (PROBLEMS, PROBLEMS + 5))
