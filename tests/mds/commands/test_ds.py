"""
Tests of L{pnfs.mds.commands.ds}: a whole site whose data servers change.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred

from pnfs.admin.control import Refused, Request
from pnfs.config import MDSConfig
from pnfs.ds.service import DataServerService
from pnfs.nfs4 import requests
from tests.callbacks.test_devices import Channels
from tests.mds.test_service import FILES, Mounted
from tests.mds.world import SiteCase


class SiteCommandCase(SiteCase):
    """
    A site of four data servers, of which the file names two; exports use all there
    are.
    """

    count = 4

    def configuration(self) -> MDSConfig:
        """
        See L{SiteCase.configuration}.
        """
        config = super().configuration()
        return attrs.evolve(
            config,
            dataServers=config.dataServers[:2],
            exports=tuple(attrs.evolve(e, dataServers=()) for e in config.exports),
        )

    def command(self, name: str, /, **args: Any) -> Any:
        """
        Have a command carried out. @return: its result.
        """
        commands = self.mds.administration.commands
        return self.now(commands.run(Request(name, args)))

    def refused(self, name: str, /, **args: Any) -> str:
        """
        A command is refused. @return: why.
        """
        commands = self.mds.administration.commands
        found = self.failureResultOf(
            Deferred.fromCoroutine(commands.run(Request(name, args))), Refused
        )
        line = str(found.value)
        self.assertNotIn("\n", line)
        return line

    def mount(self) -> Mounted:
        """
        A client with a session.
        """
        client = self.client()
        self.now(client.connect())
        return Mounted(self, client)

    def at(self, number: int) -> str:
        """
        The address of a data server, as it is written.
        """
        return "{}:{}".format(*self.address(number))


class DataServerCommandTests(SiteCommandCase):
    """
    C{pnfs ds}.
    """

    def width(self, mounted: Mounted, name: bytes) -> int:
        """
        Make a file and get a layout. @return: how many data servers it names.
        """
        fh, stateid = mounted.create(name)
        mounted.layout(fh, stateid, FILES)
        layouts = self.mds.context.layouts
        return max(len(servers) for servers in layouts._byServers)

    def test_add(self) -> None:
        """
        A client that has the export mounted gets layouts on a new data server, for
        new files; a restart does not forget it.
        """
        mounted = self.mount()
        self.assertEqual(self.width(mounted, b"a"), 2)
        told = self.command(
            "ds.add", name="third", address=self.at(2), **{"class": "nvme"}
        )
        self.assertEqual(
            (told["state"], told["answers"], told["class"], told["configured"]),
            ("active", True, "nvme", False),
        )
        self.assertEqual(told["uuid"], self.backends[2].uuid.hex())
        self.assertEqual(self.width(mounted, b"b"), 3)
        self.successResultOf(self.mds.stopService())
        self.startMetadataServer()
        names = [member["name"] for member in self.command("ds.list")]
        self.assertEqual(names, ["ds0", "ds1", "third"])

    def test_moved(self) -> None:
        """
        A client whose data server has moved returns its layout when that is recalled;
        then it is told that the device it was given is deleted.
        """
        mounted = self.mount()
        fh, stateid = mounted.create(b"f")
        held, body = mounted.layout(fh, stateid, FILES)
        deviceid = body[:16]
        results = mounted.run(requests.getdeviceinfo(deviceid, FILES, 65536))
        self.assertEqual(results.status, 0)
        context = self.mds.context
        channels = context.channels = Channels()
        other = ("192.0.2.44", 2050)
        self.wire.hosts[other] = self.wire.hosts[self.address(0)]
        self.command("ds.add", name="ds0", address="192.0.2.44:2050")
        self.assertEqual(len(context.recaller.active), 1)
        self.assertEqual(len(channels.calls), 0)
        results = mounted.run(
            requests.putfh(fh), requests.layoutreturn(FILES, held, b"")
        )
        self.assertEqual(results.status, 0)
        self.clock.pump([0.1] * 50)
        ((client, op, answer),) = channels.calls
        self.assertEqual((client.owner, op[-16:]), (b"me", deviceid))
        answer.callback(0)
        self.assertEqual(self.mds.deviceNotifier.told, 1)
        held, body = mounted.layout(fh, stateid, FILES)
        self.assertNotEqual(body[:16], deviceid)
        device = context.devices.lookup(body[:16])
        self.assertIn((other,), [server.addresses for server in device.servers])

    def test_otherKey(self) -> None:
        """
        A data server of another cluster is refused, and one that does not answer.
        """
        self.killDataServer(2)
        config = attrs.evolve(self.ds[2]._config, key=b"x" * 32)
        service = DataServerService(
            self.clock, config, self.backends[2], self.entropy, self.wallTime
        )
        self._serve(service, self.address(2))
        self.assertIn("key", self.refused("ds.add", name="x", address=self.at(2)))
        del self.wire.hosts[self.address(2)]
        self.wire.hangUp(self.address(2))
        commands = self.mds.administration.commands
        request = Request("ds.add", {"name": "x", "address": self.at(2)})
        running = Deferred.fromCoroutine(commands.run(request))
        self.clock.pump([0.5] * 30)
        error = self.failureResultOf(running, Refused).value
        self.assertIn("start pnfs-ds there", str(error))
        self.assertEqual(len(self.command("ds.list")), 2)

    def test_badInput(self) -> None:
        """
        What cannot be is refused, with what to do instead.
        """
        self.assertIn("no data server", self.refused("ds.show", name="x"))
        for args, word in (
            ({"address": "nonsense"}, "host:port"),
            ({"address": "192.0.2.1:0"}, "port"),
            ({"address": "host.example:1"}, "numeric"),
            ({"address": "192.0.2.1:1", "class": "N V"}, "nvme"),
            ({"address": "192.0.2.1:1", "protocol": "http"}, "nfs3"),
            ({"address": "192.0.2.1:1", "exports": ["/x"]}, "no export"),
            ({"address": "192.0.2.1:1", "wrong": 1}, "no argument"),
        ):
            self.assertIn(word, self.refused("ds.add", name="x", **args), args)
        self.assertIn("--all", self.refused("ds.assign", name="ds0"))
        self.assertIn("nvme", self.refused("ds.class", name="ds0", **{"class": "!"}))

    def test_orders(self) -> None:
        """
        Orders count at once and are told.
        """
        self.clock.pump([0.5] * 10)
        for command, state in (
            ("ds.drain", "draining"),
            ("ds.enable", "active"),
            ("ds.disable", "disabled"),
            ("ds.enable", "active"),
            ("ds.kill", "disabled"),
        ):
            told = self.command(command, name="ds0")
            told.pop("job", None)
            self.assertEqual(told["state"], state)
            shown = self.command("ds.show", name="ds0")
            self.assertEqual(shown, told | {"files": 0, "stale": 0, "alone": 0})
        self.assertIn("already", self.refused("ds.kill", name="ds0"))
        told = self.command("ds.class", name="ds0", **{"class": "hdd"})
        self.assertEqual(told["class"], "hdd")
        told = self.command("ds.assign", name="ds0", exports=["/export"])
        self.assertEqual(told["exports"], ["/export"])
        self.assertEqual(self.command("ds.assign", name="ds0", all=True)["exports"], [])
        self.assertEqual(self.command("ds.remove", name="ds0")["name"], "ds0")
        self.assertEqual(len(self.command("ds.list")), 1)

    def test_moved(self) -> None:
        """
        A data server that has moved: layouts that name it are recalled, and the next
        ones are of another device.
        """
        mounted = self.mount()
        fh, stateid = mounted.create(b"f")
        mounted.layout(fh, stateid, FILES)
        context = self.mds.context
        generation = context.devices.generation
        self.killDataServer(0)
        self.wire.hosts[("192.0.2.1", 3000)] = self.movedHub()
        self.command("ds.add", name="ds0", address="192.0.2.1:3000")
        self.assertGreater(context.devices.generation, generation)
        (recall,) = context.recaller.active
        self.assertTrue(recall.changed)
        self.assertEqual(
            self.command("ds.show", name="ds0")["address"], "192.0.2.1:3000"
        )

    def test_wiped(self) -> None:
        """
        A data server that has lost all it had, or does not answer, is not forgotten
        while there are files that name it; when there are none, it is.
        """
        mounted = self.mount()
        self.width(mounted, b"f")
        self.clock.pump([0.5] * 10)
        self.assertEqual(self.command("ds.show", name="ds0")["files"], 1)
        self.assertIn("--force", self.refused("ds.kill", name="ds0"))
        self.command("ds.kill", name="ds0", force=True)
        for name in self.now(self.backends[0].list(b"", 10)):
            self.now(self.backends[0].remove(name))
        self.assertIn("files are left", self.refused("ds.remove", name="ds0"))
        self.command("ds.add", name="third", address=self.at(2))
        self.command("ds.drain", name="third")
        self.killDataServer(2)
        self.clock.pump([1.0] * 20)
        self.assertFalse(self.command("ds.show", name="third")["answers"])
        self.command("ds.remove", name="third")
        self.assertEqual(len(self.command("ds.list")), 2)

    def movedHub(self) -> Any:
        """
        The data server 0 started at another address.
        """
        self.startDataServer(0)
        return self.wire.hosts.pop(self.address(0))
