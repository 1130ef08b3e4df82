"""
Tests of L{pnfs.mds.membership}; over connections in L{tests.mds.commands.test_ds}.
"""

from __future__ import annotations

from typing import Any

import attrs

from pnfs.admin.control import Refused
from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.config import DataServerConfig
from pnfs.mds.fences import FenceLog
from pnfs.mds.inventory import Inventory, Record
from pnfs.mds.membership import Membership
from pnfs.values import DSState
from tests.mds.faulty import DataFilesCase, Faulty

NEW = ("192.0.2.7", 2050)


class MembershipTests(DataFilesCase):
    """
    Data servers come, go, and are given orders.
    """

    def setUp(self) -> None:
        """
        Three that are configured, and one that is not.
        """
        super().setUp()
        self.enlist()
        self.fresh = Faulty(
            "new",
            MemoryDataServerBackend(b"start--9", b"9" * 16, 1 << 30, self.wallTime),
        )
        self.at[NEW] = self.fresh
        self.export.dataServers = ()

    def enlist(self) -> None:
        """
        Administer what runs.
        """
        self.membership = Membership(self.servers, lambda: [self.export])

    def boot(self) -> None:
        """
        A metadata server starts.
        """
        super().boot()
        if hasattr(self, "export"):
            self.enlist()

    def config(self, name: str = "new", address: Any = NEW, **more: Any) -> Any:
        """
        How one is reached.
        """
        return DataServerConfig(name, address, (address,), **more)

    def add(self, **more: Any) -> Any:
        """
        Add the new one.
        """
        return self.now(self.membership.add(self.config(**more)))

    def refused(self, coroutine: Any, *words: str) -> None:
        """
        It is refused in one line with these words.
        """
        line = str(self.fails(coroutine, Refused))
        for word in words:
            self.assertIn(word, line)
        self.assertNotIn("\n", line)

    def order(self, name: str, state: DSState, force: bool = False) -> Any:
        """
        Give an order.
        """
        member = self.membership.member(name)
        return self.membership.setState(member, state, force)

    def test_add(self) -> None:
        """
        New files go to a new data server at once, and it is known after a restart.
        """
        changed: list[int] = []
        self.servers.onChange.append(lambda: changed.append(1))
        member = self.add(label="nvme")
        self.assertTrue(member.up)
        self.assertEqual(len(changed), 1)
        self.now(self.data.ensure(self.export, self.inode))
        self.assertIn(b"9" * 16, self.placement().dataServers)
        self.boot()
        found = self.membership.member("new")
        self.assertEqual((found.uuid, found.config.label), (b"9" * 16, "nvme"))
        self.assertTrue(found.up)

    def test_addSilent(self) -> None:
        """
        One that does not answer is not added, and its connection is given up.
        """
        self.fresh.down = True
        self.refused(self.membership.add(self.config()), "192.0.2.7:2050", "key")
        self.assertIsNone(self.servers.byName("new"))
        self.assertIn("stop", self.fresh.calls)

    def test_addTwice(self) -> None:
        """
        Neither name, address nor identity can be that of another one; also if two
        are added at the same time.
        """
        held = self.fresh.hold("after start")
        first = self.begin(self.membership.add(self.config()))
        self.add(name="quick")
        held.callback(None)
        self.failureResultOf(first, Refused)
        self.refused(self.membership.add(self.config("new")), "quick already")
        self.refused(self.membership.add(self.config("quick")), "already", "show")
        other = ("192.0.2.8", 2050)
        self.at[other] = self.ds[0]
        self.refused(
            self.membership.add(self.config("x", other)), "answers ds0", "ds add ds0"
        )
        self.at[other] = self.fresh
        self.refused(self.membership.add(self.config("ds1", other)), "answers quick")

    def test_addOther(self) -> None:
        """
        A name that is known does not become another data server.
        """
        self.refused(
            self.membership.add(self.config("ds1")),
            "another data server",
            "another name",
        )

    def test_moved(self) -> None:
        """
        One that is found at another address keeps its files: they are read there.
        """
        self.put(0, b"hello")
        changes: list[Any] = []
        here = ("192.0.2.8", 2050)
        self.servers.onChange.append(
            lambda: changes.append(
                [m.backend is self.at[here] for m in self.servers.members]
            )
        )
        uuid = self.placement().columns[0][0]
        ds = self.byUUID(uuid)
        self.at[here] = ds
        member = self.now(self.membership.add(self.config(ds.name, here)))
        self.assertEqual(member.uuid, uuid)
        # It is reached there already when others hear of it.
        self.assertEqual(len(changes), 1)
        self.assertIn(True, changes[0])
        self.assertEqual(member.describe().addresses, (here,))
        self.assertEqual(self.get(0, 5), (b"hello", True))
        self.boot()
        self.assertEqual(self.servers.byUUID(uuid).config.address, here)
        self.assertEqual(self.get(0, 5), (b"hello", True))

    def test_nfs3(self) -> None:
        """
        An export with files layouts is not given a data server that it cannot use.
        """
        config = self.config(protocol="nfs3")
        self.refused(self.membership.add(config), "/export", "nfs3")
        self.assertIsNone(self.servers.byName("new"))

    def test_assign(self) -> None:
        """
        New files go only where their export is served.
        """
        self.refused(self.membership.add(self.config(), ["/nope"]), "/nope", "/export")
        for n in range(2):
            member = self.membership.member(f"ds{n}")
            other = attrs.evolve(self.export, path="/other")
            self.membership.exports = lambda: [self.export, other]
            self.membership.assign(member, ["/other"])
        self.now(self.data.ensure(self.export, self.inode))
        self.assertEqual(self.placement().dataServers, (self.ds[2].uuid,))
        self.boot()
        self.assertEqual(self.membership.member("ds0").record.exports, ("/other",))
        self.membership.assign(self.membership.member("ds0"), [])
        self.assertEqual(len(self.servers.serving(self.export)), 2)

    def test_drain(self) -> None:
        """
        A data server that is drained gets no new files, and what it has is used.
        """
        self.put(0, b"hello" * 50000)
        states: list[Any] = []
        self.servers.onState.append(lambda m, before: states.append((before, m.state)))
        self.now(self.order("ds1", DSState.DRAINING))
        self.assertEqual(states, [(DSState.ACTIVE, DSState.DRAINING)])
        self.assertEqual(self.get(0, 250000)[0], b"hello" * 50000)
        self.inode = self.make(b"g")
        self.put(0, b"x")
        self.assertNotIn(self.ds[1].uuid, self.placement().dataServers)
        self.boot()
        self.assertIs(self.membership.member("ds1").state, DSState.DRAINING)
        self.now(self.order("ds1", DSState.ACTIVE))
        self.refused(self.order("ds1", DSState.ACTIVE), "active already")

    def test_disabled(self) -> None:
        """
        One that is disabled is not used, though it answers, also after a restart;
        enabled, it is at once.
        """
        uuid = self.ds[1].uuid
        self.now(self.order("ds1", DSState.DISABLED))
        self.assertFalse(self.servers.up(uuid))
        self.boot()
        self.probe()
        self.assertFalse(self.servers.up(uuid))
        self.assertTrue(self.servers.byUUID(uuid).answers)
        self.now(self.order("ds1", DSState.ACTIVE))
        self.assertTrue(self.servers.up(uuid))

    def test_objections(self) -> None:
        """
        An order that would leave files without a place is refused, with what to do.
        """
        self.export.mirrors = 3
        self.refused(self.order("ds1", DSState.DRAINING), "/export", "ds add")
        self.now(self.order("ds1", DSState.DRAINING, force=True))
        self.now(self.order("ds1", DSState.ACTIVE))
        self.export.mirrors = 1
        space = self.servers.members[0].space
        for member in self.servers.members:
            member.space = attrs.evolve(
                space, spaceTotal=900, spaceFree=100, spaceAvailable=100
            )
        self.refused(self.order("ds1", DSState.DRAINING), "800", "200", "ds add")

        async def never(member: Any, state: Any) -> str:
            return "not today; ask tomorrow"

        self.membership.objections.append(never)
        self.refused(self.order("ds1", DSState.DISABLED), "tomorrow")
        self.assertTrue(all(m.state is DSState.ACTIVE for m in self.servers.members))

    def test_remove(self) -> None:
        """
        A data server can be removed when nothing is left there, and not before. It
        stays away though the configuration file still names it.
        """
        self.put(0, b"hello")
        name = self.column(0).name
        member = self.membership.member(name)
        self.refused(self.membership.remove(member), "drain")
        self.now(self.order(name, DSState.DRAINING))
        self.refused(self.membership.remove(member), "files are left")
        self.column(0).down = True
        self.probe()
        self.refused(self.membership.remove(member), "not known")
        self.column(0).down = False
        self.probe()
        self.now(self.column(0).inner.remove(self.placement().name))
        changed: list[int] = []
        self.servers.onChange.append(lambda: changed.append(1))
        self.now(self.membership.remove(member))
        self.assertEqual((len(self.servers.members), len(changed)), (2, 1))
        self.assertFalse(self.servers.up(member.uuid))
        self.boot()
        self.assertIsNone(self.servers.byName(name))
        error = self.assertRaises(Refused, self.membership.member, name)
        self.assertIn("no data server", str(error))

    def test_probesEnd(self) -> None:
        """
        Nobody asks for one that is gone.
        """
        self.now(self.order("ds1", DSState.DRAINING))
        self.now(self.membership.remove(self.membership.member("ds1")))
        calls = len(self.ds[1].calls)
        self.probe()
        self.probe()
        self.assertEqual(len(self.ds[1].calls), calls)

    def test_configured(self) -> None:
        """
        The configuration file read again: one more, and one elsewhere; what is not
        named any more stays.
        """
        changes: list[int] = []
        self.servers.onChange.append(lambda: changes.append(1))
        here = ("192.0.2.8", 2050)
        self.at[here] = self.ds[1]
        configs = [self.config("ds1", here), self.config()]
        self.now(self.servers.seed(configs))
        names = [member.record.name for member in self.servers.members]
        self.assertEqual(names, ["ds1", "new", "ds0", "ds2"])
        self.assertEqual(self.membership.member("ds1").describe().addresses, (here,))
        self.assertEqual(changes, [1])
        self.assertTrue(
            all(member.up or member.probe for member in self.servers.members)
        )
        self.probe()
        self.assertTrue(all(member.up for member in self.servers.members))
        self.now(self.servers.seed(configs))
        self.assertEqual(changes, [1])

    def test_fencesKept(self) -> None:
        """
        One that was configured long ago and is named again is fenced before anything
        else: also if the metadata server is killed before that could be done.
        """
        inventory = Inventory(self.folder)
        fenced = Record("new", b"9" * 16, fences={b"00ff": 3})
        inventory.save([*inventory.load(), fenced])
        self.boot()
        self.fresh.down = True
        self.now(self.servers.seed([*self.configs(), self.config()]))
        self.assertTrue(self.servers.byUUID(b"9" * 16).record.served)
        self.boot()
        self.assertEqual(self.servers.byUUID(b"9" * 16).fences, {b"00ff": 3})
        self.fresh.down = False
        self.probe()
        self.assertIn("fence", self.fresh.calls)
        self.boot()
        self.assertEqual(self.servers.byUUID(b"9" * 16).fences, {})

    def test_fencesClaimed(self) -> None:
        """
        So is one that comes back under another name.
        """
        FenceLog(self.folder).add(b"9" * 16, b"00ff", 3)
        self.boot()
        self.add(name="again")
        self.assertIn("fence", self.fresh.calls)
