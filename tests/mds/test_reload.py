"""
Tests of L{pnfs.mds.reload} and L{pnfs.mds.withdrawal}: another configuration for a site
that runs.
"""

from __future__ import annotations

import struct
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

from pnfs.backends.errors import BadConfiguration, NoSpace, Unreachable
from pnfs.config import LimitsConfig, MDSConfig
from pnfs.configadmin import AdminConfig
from pnfs.configclients import ClientConfig, TermsConfig
from pnfs.namespace.filehandles import CapabilityCodec
from pnfs.namespace.squash import Squash
from pnfs.nfs4 import requests
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID
from pnfs.values import FileType, NewObject
from tests.mds.test_service import FILES, ROOT, Mounted, filesHandle
from tests.mds.world import KEY, MDS, SiteCase

STALE = nfsstat4.NFS4ERR_STALE
NO_LAYOUT = nfsstat4.NFS4ERR_PNFS_NO_LAYOUT
INSIDE = "10.0.0.1"
OUTSIDE = "192.0.2.77"
OPEN = TermsConfig(squash="none")


def only(*who: str, terms: TermsConfig = OPEN) -> tuple[ClientConfig, ...]:
    """
    A client list.
    """
    return (ClientConfig(who, terms),)


class ReloadCase(SiteCase):
    """
    A site with two clients, each with a file open and a layout of it.
    """

    def setUp(self) -> None:
        """
        Mount.
        """
        super().setUp()
        self.config: MDSConfig = self.mds._config
        self.inside = self.mount(INSIDE, b"inside")
        self.outside = self.mount(OUTSIDE, b"outside")
        self.direct = Mounted(self, self.client(self.address(0), b"direct"))
        self.now(self.direct.client.connect())
        self.files = {}
        for mount, name in ((self.inside, b"in"), (self.outside, b"out")):
            fh, stateid = mount.create(name)
            layout, body = mount.layout(fh, stateid, FILES)
            self.files[mount] = fh, stateid, layout, filesHandle(body)

    def mount(self, host: str, owner: bytes) -> Mounted:
        """
        A client that comes from an address.
        """
        self.wire.clientHost = host
        mount = Mounted(self, self.client(MDS, owner))
        mount.owner = owner
        self.now(mount.client.connect())
        return mount

    def changed(self, **changes: Any) -> MDSConfig:
        """
        The configuration with other properties of the export.
        """
        (export,) = self.config.exports
        return attrs.evolve(self.config, exports=(attrs.evolve(export, **changes),))

    def reload(self, config: MDSConfig) -> None:
        """
        It counts, and nothing is left to do.
        """
        done = Deferred.fromCoroutine(self.mds.apply(config))
        self.clock.pump([0.2] * 5)
        self.successResultOf(done)

    def refused(self, config: MDSConfig) -> str:
        """
        It does not count. @return: why.
        """
        return str(self.fails(self.mds.apply(config), BadConfiguration))

    def status(self, mount: Mounted, *ops: bytes) -> int:
        """
        How a COMPOUND with the client's file ends.
        """
        return mount.run(requests.putfh(self.files[mount][0]), *ops).status

    def direct_(self, mount: Mounted) -> int:
        """
        How a WRITE with the handle of a client's layout ends at a data server.
        """
        handle = self.files[mount][3]
        op = requests.writeHead(ANONYMOUS_STATEID, 0, 0, 4) + b"data"
        return self.direct.run(requests.putfh(handle), op).status

    def names(self, mount: Mounted) -> list[bytes]:
        """
        The exports that a client sees.
        """
        results = mount.run(requests.PUTROOTFH, requests.readdir(0, bytes(8), 65536, 0))
        results.operation(24)
        results.operation(26)
        results.fixed(8)
        names = []
        while results.uint32():
            results.uint64()
            names.append(results.opaque(255))
            # No attributes were asked for.
            self.assertEqual((results.uint32(), results.opaque(0)), (0, b""))
        return names


class ClientListTests(ReloadCase):
    """
    Changed client lists.
    """

    def test_shutOut(self) -> None:
        """
        Who loses an export loses at once what it held there, at the data servers
        too; who keeps it notices nothing.
        """
        self.assertEqual(self.status(self.outside), 0)
        self.reload(self.changed(clients=only(INSIDE)))
        self.assertEqual(self.status(self.outside), STALE)
        self.assertEqual(self.direct_(self.outside), NO_LAYOUT)
        self.assertEqual(self.outside.run(ROOT).status, nfsstat4.NFS4ERR_NOENT)
        self.assertEqual(self.direct_(self.inside), 0)
        fh, stateid, layout, _ = self.files[self.inside]
        self.assertEqual(self.inside.write(fh, stateid, 0, b"more"), 4)
        back = requests.layoutreturn(FILES, layout, b"")
        self.assertEqual(self.status(self.inside, back), 0)
        context = self.mds.context
        self.assertEqual((context.opens.count, context.layouts.count), (1, 0))
        self.reload(self.changed(clients=only(INSIDE, OUTSIDE)))
        self.assertEqual(self.status(self.outside), 0)

    def test_inNobodysWay(self) -> None:
        """
        What a client had reserved does not stand against the others when it is
        out.
        """
        fh, stateid, _, _ = self.files[self.outside]
        deny = struct.pack(
            ">IIIIQ", 18, 0, 1 | requests.WANT_NO_DELEG, 3, self.outside.client.clientid
        )
        deny += requests.opaque(b"second") + struct.pack(">II", 0, 4)
        self.assertEqual(self.status(self.outside, requests.close(stateid)), 0)
        self.assertEqual(self.status(self.outside, deny), 0)
        reading = requests.openAgain(b"reader", requests.SHARE_READ)
        read = requests.putfh(fh), reading
        denied = self.inside.run(*read)
        self.assertEqual(denied.status, nfsstat4.NFS4ERR_SHARE_DENIED)
        self.reload(self.changed(clients=only(INSIDE)))
        self.assertEqual(self.inside.run(*read).status, 0)

    def test_unreachable(self) -> None:
        """
        A client without a connection loses its layouts, as nobody can tell where
        it is, and finds the rest when it comes back.
        """
        self.outside.client._rpc.close()
        self.reload(self.changed(clients=only(INSIDE, OUTSIDE)))
        self.assertEqual(self.direct_(self.outside), NO_LAYOUT)
        self.assertEqual(self.direct_(self.inside), 0)
        self.wire.clientHost = OUTSIDE
        fh, stateid, _, _ = self.files[self.outside]
        self.assertEqual(self.outside.write(fh, stateid, 0, b"more"), 4)

    def test_narrower(self) -> None:
        """
        Layouts that allow more than the new terms are recalled from whom they are
        narrower for; the next ones are as they should be.
        """
        terms = TermsConfig(squash="all", anonymous=(0, 0))
        clients = only(INSIDE) + only(OUTSIDE, terms=terms)
        recaller = self.mds.context.recaller
        for repeated in range(2):
            self.reload(self.changed(clients=clients))
            (recall,) = recaller.active
            self.assertEqual(recall.file.fh, self.files[self.outside][0])
        fh, stateid, layout, _ = self.files[self.outside]
        back = requests.layoutreturn(FILES, layout, b"")
        self.assertEqual(self.status(self.outside, back), 0)
        self.clock.pump([1.0] * 20)
        _, body = self.outside.layout(fh, stateid, FILES)
        squash = CapabilityCodec(KEY).decode(filesHandle(body)).squash
        self.assertEqual(squash, Squash(root=False, all=True, uid=0, gid=0))
        self.assertEqual(self.direct_(self.inside), 0)

    def test_readOnly(self) -> None:
        """
        Layouts to write are recalled when an export becomes read-only; what is
        open can be closed.
        """
        self.reload(self.changed(terms=attrs.evolve(OPEN, readOnly=True)))
        self.assertEqual(len(self.mds.context.recaller.active), 2)
        fh, stateid, layout, _ = self.files[self.inside]
        write = requests.writeHead(stateid, 0, 0, 4) + b"data"
        self.assertEqual(self.status(self.inside, write), nfsstat4.NFS4ERR_ROFS)
        for op in (requests.layoutreturn(FILES, layout, b""), requests.close(stateid)):
            self.assertEqual(self.status(self.inside, op), 0)

    def delegation(self, mount: Mounted, access: int) -> Any:
        """
        A client is given one of its file.
        """
        context = self.mds.context
        (client,) = [c for c in context.clients if c.owner == mount.owner]
        (opened,) = client.opens
        return context.delegations.grant(opened.file, client, access)

    def test_delegations(self) -> None:
        """
        Who is out has no delegation any more; who may only read is asked for one
        to write, and whom C{delegations = false} concerns for each.
        """
        mine, others = (self.delegation(m, True) for m in (self.inside, self.outside))
        readOnly = attrs.evolve(OPEN, readOnly=True)
        self.reload(self.changed(clients=only(INSIDE, terms=readOnly)))
        self.assertIsNotNone(mine.recall)
        self.assertIsNotNone(others.revoked)
        self.assertEqual(len(self.mds.context.delegations), 1)
        self.mds.context.delegations.drop(mine)
        mine = self.delegation(self.inside, False)
        self.reload(self.changed(clients=only(INSIDE, terms=readOnly), mirrors=1))
        self.assertIdentical(mine.recall, None)
        self.reload(
            self.changed(clients=only(INSIDE, terms=readOnly), delegations=False)
        )
        self.assertIsNotNone(mine.recall)

    def test_withoutLayouts(self) -> None:
        """
        C{pnfs = false}: what is out is recalled and can be committed and returned.
        """
        self.reload(self.changed(terms=attrs.evolve(OPEN, pnfs=False)))
        self.assertEqual(len(self.mds.context.recaller.active), 2)
        self.assertEqual(self.direct_(self.inside), 0)
        fh, stateid, layout, _ = self.files[self.inside]
        commit = requests.layoutcommit(layout, 4, 3, FILES)
        self.assertEqual(self.status(self.inside, commit), 0)
        back = requests.layoutreturn(FILES, layout, b"")
        self.assertEqual(self.status(self.inside, back), 0)
        self.clock.pump([1.0] * 20)
        get = requests.layoutget(FILES, 2, stateid)
        self.assertEqual(
            self.status(self.inside, get), nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE
        )
        self.assertEqual(self.inside.attributes(fh, 62), {62: []})

    def test_nothing(self) -> None:
        """
        The same again: nobody notices.
        """
        table = self.mds.context.exports
        (export,) = table.byPath.values()
        self.reload(attrs.evolve(self.config))
        self.assertEqual(list(self.mds.context.exports.byPath.values()), [export])
        self.assertEqual(self.mds.context.recaller.active, set())
        for mount in (self.inside, self.outside):
            self.assertEqual(self.status(mount), 0)
            self.assertEqual(self.direct_(mount), 0)


class ExportsTests(ReloadCase):
    """
    Exports come and go.
    """

    def second(self, path: str = "/second", **more: Any) -> MDSConfig:
        """
        With a second export.
        """
        (export,) = self.config.exports
        other = attrs.evolve(export, path=path, **more)
        return attrs.evolve(self.config, exports=(export, other))

    def backendOf(self, path: str) -> Any:
        """
        Of an export.
        """
        return self.mds.context.exports.byPath[path].backend

    def test_added(self) -> None:
        """
        A new export is there at once, and takes files.
        """
        self.reload(self.second())
        self.assertEqual(self.names(self.inside), [b"export", b"second"])
        made = self.inside.run(
            requests.PUTROOTFH,
            requests.lookup(b"second"),
            requests.mkdir(b"folder", 0o755),
        )
        self.assertEqual(made.status, 0)
        for mount in (self.inside, self.outside):
            self.assertEqual(self.direct_(mount), 0)
            self.assertEqual(self.status(mount), 0)

    def test_removed(self) -> None:
        """
        Handles of an export that is gone are stale, its layouts worth nothing, its
        state and its backend let go.
        """
        stopped: list[str] = []

        async def stop() -> None:
            stopped.append("stopped")

        self.patch(self.backendOf("/export"), "stop", stop)
        _, other = self.second().exports
        self.reload(attrs.evolve(self.config, exports=(other,)))
        self.assertEqual(self.names(self.inside), [b"second"])
        for mount in (self.inside, self.outside):
            self.assertEqual(self.status(mount), STALE)
            self.assertEqual(self.direct_(mount), NO_LAYOUT)
        context = self.mds.context
        self.assertEqual((context.opens.count, context.layouts.count), (0, 0))
        self.assertEqual(stopped, ["stopped"])
        self.assertEqual(self.mds._backends, [self.backendOf("/second")])

    def test_inUse(self) -> None:
        """
        A request that is running in an export when it goes is answered, and only
        then is the backend stopped (removing an export while requests run:
        chimera #1060). What it opened is let go as well.
        """
        backend = self.backendOf("/export")
        gate: Deferred[None] = Deferred()
        create = backend.create
        order: list[str] = []

        async def slow(*args: Any) -> Any:
            await gate
            return await create(*args)

        async def stop() -> None:
            order.append("stopped")

        self.patch(backend, "create", slow)
        self.patch(backend, "stop", stop)
        opening = requests.open_(
            self.inside.client.clientid,
            self.inside.owner,
            b"late",
            requests.SHARE_BOTH,
            [requests.modeAttribute(0o644)],
        )
        call = [*ROOT, opening]
        asked = Deferred.fromCoroutine(self.inside.client.compound(call, 3))
        asked.addCallback(lambda results: order.append(f"answered {results.status}"))
        _, other = self.second().exports
        config = attrs.evolve(self.config, exports=(other,))
        done = Deferred.fromCoroutine(self.mds.apply(config))
        self.clock.pump([0.2] * 10)
        self.assertNoResult(done)
        self.assertEqual(order, [])
        gate.callback(None)
        self.clock.pump([0.2] * 3)
        self.successResultOf(done)
        self.assertEqual(order, ["answered 0", "stopped"])
        self.assertEqual(self.mds.context.opens.count, 0)

    def test_neverEnds(self) -> None:
        """
        A request that never ends keeps the backend from being stopped under it, and
        not the server from going on.
        """
        backend = self.backendOf("/export")
        gate: Deferred[None] = Deferred()

        stopped: list[str] = []

        async def never(*args: Any) -> None:
            await gate
            raise Unreachable("the disk")

        async def stop() -> None:
            stopped.append("stopped")

        self.patch(backend, "create", never)
        self.patch(backend, "stop", stop)
        call = [*ROOT, requests.mkdir(b"x", 0o755)]
        asked = Deferred.fromCoroutine(self.inside.client.compound(call, 3))
        _, other = self.second().exports
        config = attrs.evolve(self.config, exports=(other,))
        done = Deferred.fromCoroutine(self.mds.apply(config))
        self.clock.pump([1.0] * 70)
        self.successResultOf(done)
        gate.callback(None)
        self.clock.pump([1.0] * 5)
        self.assertEqual(stopped, [])
        self.failureResultOf(asked, Unreachable)

    def test_removalsStay(self) -> None:
        """
        Data files that are still to be deleted stay in the export's durable queue.
        """
        export = self.mds.context.exports.byPath["/export"]
        removals = self.mds._data.removals
        for number in range(self.count):
            self.killDataServer(number)
        self.clock.pump([1.0] * 20)
        fh, stateid, layout, _ = self.files[self.inside]
        placement = self.now(
            export.backend.loadPlacement(
                self.now(export.backend.lookup(export.backend.root, b"in"))
            )
        )
        removals.add(export, placement)
        self.clock.pump([1.0] * 3)
        self.assertEqual(len(removals), 1)
        self.mds._data.abandon(export)
        self.assertEqual(len(removals), 0)
        removals.add(export, placement)
        self.assertEqual(len(removals), 0)


class RefusedTests(ReloadCase):
    """
    What cannot be changed while the server runs changes nothing.
    """

    def test_restart(self) -> None:
        """
        It is said what needs a restart.
        """
        config = self.config
        (export,) = config.exports
        for key, other in (
            ("listen", attrs.evolve(config, listen=(("0.0.0.0", 1),))),
            ("state", attrs.evolve(config, state="/elsewhere")),
            ("key", attrs.evolve(config, key=b"x" * 32)),
            ("delegations", attrs.evolve(config, delegations=False)),
            ("delegation_window", attrs.evolve(config, delegationWindow=1.0)),
            ("metrics", attrs.evolve(config, metrics=("127.0.0.1", 1))),
            ("admin", attrs.evolve(config, admin=AdminConfig("/elsewhere"))),
            ("limits.io", attrs.evolve(config, limits=LimitsConfig(io=1 << 17))),
            ("limits.queued", attrs.evolve(config, limits=LimitsConfig(queued=9))),
            ("export.metadata of /export", self.changed(metadata="xattr")),
            ("export.root of /export", self.changed(root="/elsewhere")),
        ):
            line = self.refused(other)
            self.assertTrue(line.startswith(f"mds.toml: {key}: only a restart"), line)
        self.assertEqual(self.direct_(self.inside), 0)

    def test_exports(self) -> None:
        """
        Exports that cannot be together, or have no driver, are refused before
        anything has been changed; what was started for them is stopped.
        """
        (export,) = self.config.exports
        started = len(self.mds._backends)
        for others, words in (
            ((attrs.evolve(export, path="/export/in"),), "side by side"),
            (
                (
                    attrs.evolve(export, path="/good"),
                    attrs.evolve(export, path="/bad", layout="nonsense"),
                ),
                "export.layout of /bad",
            ),
            ((attrs.evolve(export, path="/bad", metadata="none"),), "export.metadata"),
            (
                (attrs.evolve(export, path="/bad", placement="none"),),
                "known: pinned, round-robin, weighted",
            ),
            (
                (attrs.evolve(export, path="/bad", placementOptions={"a": 1}),),
                "export.placement of /bad: placement policy 'round-robin' has no options",
            ),
        ):
            narrow = attrs.evolve(export, clients=only(INSIDE))
            config = attrs.evolve(self.config, exports=(narrow, *others))
            self.assertIn(words, self.refused(config))
            self.assertEqual(self.status(self.outside), 0)
            self.assertEqual(self.names(self.inside), [b"export"])
        self.assertEqual(len(self.mds._backends), started)

    def test_sameTree(self) -> None:
        """
        A tree gets another path in two steps: two backends must not have it at the
        same time.
        """
        self.config = self.mds._reloader.config = self.changed(root=self.state)
        config = self.changed(path="/renamed")
        self.assertIn("take that out and reload", self.refused(config))


class PlacementTests(ReloadCase):
    """
    New files go elsewhere after a reload.
    """

    def place(self, name: bytes, folder: bytes = b"") -> Any:
        """
        Make a file and its data files. @return: a coroutine.
        """
        (export,) = self.mds.context.exports.byPath.values()
        backend = export.backend
        directory = backend.root
        if folder:
            what = NewObject(FileType.DIR, 0o755, 0, 0)
            directory = self.now(backend.create(directory, folder, what))
        what = NewObject(FileType.REG, 0o644, 0, 0)
        inode = self.now(backend.create(directory, name, what))
        return self.mds._data.ensure(export, inode, True)

    def places(self, name: bytes, folder: bytes = b"") -> list[str]:
        """
        The data servers of a new file.
        """
        placement = self.now(self.place(name, folder))
        return [
            self.mds._servers.byUUID(uuid).record.name for uuid in placement.dataServers
        ]

    def test_class(self) -> None:
        """
        With a class of storage new files go to data servers of that class alone; to
        none at all where there is none, which the log says, once.
        """
        members = self.mds._servers.members
        self.mds.administration.membership.classify(members[1], "nvme")
        self.mds.administration.membership.classify(members[2], "hdd")
        self.reload(self.changed(label="nvme"))
        self.assertEqual(self.places(b"a"), ["ds1"])
        self.reload(self.changed(label="hdd"))
        self.assertEqual(self.places(b"b"), ["ds2"])
        self.reload(self.changed())
        self.assertEqual(len(self.places(b"c")), 3)
        self.reload(self.changed(label="tape"))
        said: list[str] = []

        def observe(event: Any) -> None:
            if event["log_namespace"] == "pnfs.mds.placing":
                said.append(str(formatEvent(event)))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        for name in (b"d", b"e"):
            self.fails(self.place(name), NoSpace)
        self.assertEqual(len(said), 1)
        self.assertIn("export /export: there is no place for a new file", said[0])
        self.assertIn("class tape", said[0])

    def test_policy(self) -> None:
        """
        With another policy new files go where that wants them, if need be on fewer
        data servers than they would be striped over.
        """
        pins = {"/video": ["ds2"]}
        self.reload(
            self.changed(placement="pinned", placementOptions=pins, stripeCount=2)
        )
        self.assertEqual(self.places(b"f", b"video"), ["ds2"])
        self.assertEqual(
            {tuple(self.places(b"f%d" % n)) for n in range(3)},
            {("ds0", "ds1"), ("ds2", "ds0"), ("ds1", "ds2")},
        )


class OtherTests(ReloadCase):
    """
    What is not about exports.
    """

    def test_lease(self) -> None:
        """
        Clients that ask are told the new lease.
        """
        fh = self.files[self.inside][0]
        self.assertEqual(self.inside.attributes(fh, 10), {10: 90})
        self.reload(attrs.evolve(self.config, lease=30.0, recall=60.0, reserve=5))
        self.assertEqual(self.mds._servers.reserve, 5)
        self.assertEqual(self.inside.attributes(fh, 10), {10: 30})
        self.assertEqual(self.mds.context.recaller.deadlineSeconds, 60)

    def test_register(self) -> None:
        """
        Data servers may add themselves from now on.
        """
        self.assertFalse(self.mds.registration.enabled)
        self.reload(attrs.evolve(self.config, register=True))
        self.assertTrue(self.mds.registration.enabled)

    def test_slots(self) -> None:
        """
        New sessions get as many slots as there are to be now.
        """
        self.reload(attrs.evolve(self.config, limits=LimitsConfig(slots=2)))
        self.assertEqual(self.mds.context.sessions.limits.maxSlots, 2)

    def test_dataServer(self) -> None:
        """
        A data server takes other limits of connections and slots, and nothing else.
        """
        service = self.ds[0]
        service.rpc.hub = self.wire.hosts[self.address(0)]
        limits = LimitsConfig(slots=3, connections=5)
        config = attrs.evolve(service._config, limits=limits, file="ds.toml")
        service._config = attrs.evolve(service._config, file="ds.toml")
        self.now(service.apply(config))
        self.assertEqual(service.context.sessions.limits.maxSlots, 3)
        self.assertEqual(service.rpc.hub.limits.connections, 5)
        for changes in ({"name": "x"}, {"limits": LimitsConfig(io=1 << 17)}):
            other = attrs.evolve(config, **changes)
            line = str(self.fails(service.apply(other), BadConfiguration))
            self.assertIn("restart", line)
