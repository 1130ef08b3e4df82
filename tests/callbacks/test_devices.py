"""
Tests of L{pnfs.callbacks.devices}.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.callbacks.channel import CallbackFailed, NoBackChannel
from pnfs.callbacks.devices import PER_CALL, DeviceNotifier
from pnfs.nfs4.ops.getdeviceinfo import GETDEVICEINFO4args, GETDEVICEINFO4resok
from pnfs.nfs4.status import nfsstat4
from pnfs.state import clients
from pnfs.values import DataServer
from tests.layouts.test_files import servers
from tests.nfs4.fixture import args
from tests.nfs4.layoutfixture import LayoutFixture

ONE, TWO = b"\1" * 16, b"\2" * 16
OK = nfsstat4.NFS4_OK
NOENT = nfsstat4.NFS4ERR_NOENT


class Channels:
    """
    Back channels that note what goes out.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, bytes, Deferred[int]]] = []
        self._client: Any = None

    def channelOf(self, client: Any) -> Any:
        """
        That of a client, until the next one is asked for.
        """
        self._client = client
        return self

    def call(self, op: bytes, timeout: float) -> Deferred[int]:
        """
        Note the call.
        """
        answer: Deferred[int] = Deferred()
        self.calls.append((self._client, op, answer))
        return answer


class DeviceNotifierTests(SynchronousTestCase):
    """
    A data server moves while clients have layouts that name it.
    """

    def setUp(self) -> None:
        """
        A client with a layout and the device that it names.
        """
        self.fixture = LayoutFixture(leaseSeconds=10.0)
        self.server = self.fixture.server
        self.channels = self.server.channels = Channels()
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.notifier = DeviceNotifier(self.server, self.answers)
        self.devices = self.server.devices
        self.held = self.fixture.hold()
        self.deviceid = self.now()
        self.assertEqual(self.info(self.deviceid), OK)

    async def answers(self, server: DataServer) -> bool:
        """
        Does a data server answer, where it says that it is?
        """
        host, _ = server.addresses[0]
        self.asked.append(host)
        return host not in self.silent

    def now(self) -> bytes:
        """
        The device ID that layouts have now.
        """
        return self.devices.deviceid(self.fixture.files, (ONE, TWO))

    def info(self, deviceid: bytes, notify: int = 6, maxcount: int = 65536) -> int:
        """
        How GETDEVICEINFO ends.
        """
        wire = args(47, GETDEVICEINFO4args(deviceid, 1, maxcount, notify))
        status, _ = self.fixture.run(wire).take(47, GETDEVICEINFO4resok)
        return int(status)

    def move(self, host: str = "10.9.9.9", uuid: bytes = TWO) -> None:
        """
        A data server is reached elsewhere.
        """
        here = [
            attrs.evolve(s, addresses=((host, 2049),)) if s.uuid == uuid else s
            for s in self.devices._servers.values()
        ]
        self.notifier.withdraw(self.devices.setServers(here))

    def moveBack(self) -> None:
        """
        It is where it was in the beginning.
        """
        self.notifier.withdraw(self.devices.setServers(servers(2)))

    def giveBack(self, number: int = -1) -> None:
        """
        The client returns what was recalled.
        """
        said, answer = self.fixture.recalled[number]
        answer.callback(0)
        self.assertEqual(self.fixture.giveBack(said[4]), (OK, None))
        self.fixture.clock.advance(5)

    def told(self) -> list[bytes]:
        """
        The notifications so far.
        """
        return [op for _, op, _ in self.channels.calls]

    def deleted(self, *deviceids: bytes) -> bytes:
        """
        CB_NOTIFY_DEVICEID as Linux takes it: a bitmap of one word with DELETE alone,
        and 20 bytes: layout type and device ID.
        """
        return bytes.fromhex("0000000e" + f"{len(deviceids):08x}") + b"".join(
            bytes.fromhex("00000001 00000004 00000014 00000001") + deviceid
            for deviceid in deviceids
        )

    def test_deleted(self) -> None:
        """
        Layouts that name it are recalled, as changed, and name another device from
        now on. The old one is deleted when nobody has such a layout any more, not
        before: until then it means what it has meant, afterwards nothing.
        """
        self.move()
        ((said, _),) = self.fixture.recalled
        self.assertTrue(said[2])
        self.assertEqual(self.told(), [])
        self.assertEqual(self.info(self.deviceid), OK)
        after = self.now()
        self.assertNotEqual(after, self.deviceid)
        self.giveBack()
        self.assertEqual(self.told(), [self.deleted(self.deviceid)])
        self.channels.calls[0][2].callback(0)
        self.assertEqual(self.notifier.told, 1)
        self.assertEqual(self.info(self.deviceid), NOENT)
        self.assertEqual(self.info(after), OK)

    def test_silent(self) -> None:
        """
        When nothing answers at the old address nobody is told: Linux would wait there,
        and answer no other callback meanwhile. The device means nothing any more all
        the same. One that is gone for other reasons is told of then.
        """
        other = self.devices.deviceid(self.fixture.files, (ONE,))
        self.info(other)
        _, there = self.addresses()
        self.silent.add(there)
        self.move()
        self.giveBack()
        self.assertIn(there, self.asked)
        self.assertEqual(self.told(), [])
        self.assertEqual(self.info(self.deviceid), NOENT)
        self.move(uuid=ONE)
        self.fixture.clock.advance(5)
        self.assertEqual(self.told(), [self.deleted(other)])

    def test_othersSilent(self) -> None:
        """
        It is enough that another one that the device names does not answer.
        """
        here, _ = self.addresses()
        self.silent.add(here)
        self.move()
        self.giveBack()
        self.assertEqual(self.told(), [])

    def addresses(self) -> list[str]:
        """
        The host of each data server.
        """
        return [s.addresses[0][0] for s in self.devices._servers.values()]

    def test_revoked(self) -> None:
        """
        A client that does not return its layout loses it, and is told then.
        """
        self.move()
        self.fixture.clock.advance(19)
        self.assertEqual(self.told(), [])
        # As long as others renew their leases, it keeps its own.
        self.fixture.run()
        self.fixture.clock.advance(2)
        self.assertEqual(self.told(), [self.deleted(self.deviceid)])

    def test_only(self) -> None:
        """
        Who has not been given the device, or does not want to hear of it, is not told;
        neither is who has changed its mind, with maxcount 0.
        """
        with self.fixture.other(b"never asked"):
            pass
        with self.fixture.other(b"does not care"):
            self.info(self.deviceid, notify=2)
        with self.fixture.other(b"not any more"):
            self.info(self.deviceid)
            self.info(self.deviceid, notify=0, maxcount=0)
        with self.fixture.other(b"cares later"):
            self.info(self.deviceid, notify=0)
            self.info(self.deviceid, notify=4, maxcount=0)
        self.move()
        self.giveBack()
        self.assertEqual(
            {client.owner for client, _, _ in self.channels.calls},
            {self.fixture.client.owner, b"cares later"},
        )

    def test_tooSmall(self) -> None:
        """
        Who was not given the device because it took too few bytes is not told.
        """
        with self.fixture.other(b"small"):
            status = self.info(self.deviceid, maxcount=8)
            self.assertEqual(status, nfsstat4.NFS4ERR_TOOSMALL)
        self.move()
        self.giveBack()
        self.assertEqual(len(self.told()), 1)

    def test_stays(self) -> None:
        """
        Devices that do not name it stay.
        """
        other = self.devices.deviceid(self.fixture.files, (ONE,))
        self.info(other)
        self.move()
        self.giveBack()
        self.assertEqual(self.told(), [self.deleted(self.deviceid)])
        self.assertEqual(self.info(other), OK)

    def test_backAgain(self) -> None:
        """
        A data server that comes back to where it was gets a device ID that no client
        has been told is deleted.
        """
        self.move()
        self.giveBack()
        self.channels.calls[0][2].callback(0)
        second = self.now()
        self.moveBack()
        third = self.now()
        self.assertEqual(len({self.deviceid, second, third}), 3)
        self.assertEqual(self.info(self.deviceid), NOENT)
        self.assertEqual(self.info(third), OK)
        self.fixture.hold()
        self.move()
        self.giveBack()
        self.assertEqual(self.told()[1:], [self.deleted(third)])
        self.moveBack()
        self.assertNotIn(self.now(), {self.deviceid, second, third})

    def test_backInTime(self) -> None:
        """
        One that is back before the layouts are returned keeps its device ID.
        """
        self.move()
        self.moveBack()
        self.giveBack()
        self.assertEqual(self.now(), self.deviceid)
        self.assertEqual(self.told(), [])
        self.assertEqual(self.info(self.deviceid), OK)

    def test_twice(self) -> None:
        """
        One that moves on before the layouts are returned: the device that was given
        in between is not deleted as long as somebody has a layout of that.
        """
        self.move("10.7.7.7")
        between = self.now()
        self.info(between)
        inode = self.fixture.make(b"second")
        with self.fixture.other(b"quick"):
            self.info(between)
            opened = self.fixture.open(inode=inode)
            status, _ = self.fixture.get(opened.stateid, inode=inode)
            self.assertEqual(status, OK)
        self.move("10.8.8.8")
        self.giveBack(0)
        self.assertEqual(self.told(), [self.deleted(self.deviceid)])
        self.channels.calls[0][2].callback(0)
        self.fixture.recalled[1][1].callback(nfsstat4.NFS4ERR_NOMATCHING_LAYOUT)
        self.fixture.clock.advance(5)
        self.assertEqual(self.told()[1:], [self.deleted(between)] * 2)

    def test_unreachable(self) -> None:
        """
        Who cannot be called now is told when it can be, and not tried any more when
        it is no client of ours any more.
        """
        self.move()
        self.giveBack()
        self.channels.calls[0][2].errback(NoBackChannel())
        self.assertEqual(self.told(), [self.deleted(self.deviceid)] * 2)
        self.server.clients.revoke(self.fixture.client)
        self.channels.calls[1][2].errback(NoBackChannel())
        self.assertEqual(len(self.told()), 2)

    def test_notUnderstood(self) -> None:
        """
        One that does not understand it is left alone; nothing else stops.
        """
        self.move()
        self.giveBack()
        self.channels.calls[0][2].errback(CallbackFailed("nonsense"))
        self.assertEqual(len(self.told()), 1)

    def test_many(self) -> None:
        """
        Many devices go in several calls, one after the other, which every back channel
        has room for.
        """
        driver = self.fixture.files
        made = [
            attrs.evolve(server, uuid=b"%016d" % n)
            for n, server in enumerate(servers(1) * (PER_CALL + 3))
        ]
        self.devices.setServers([*self.devices._servers.values(), *made])
        for server in made:
            self.info(self.devices.deviceid(driver, (TWO, server.uuid)))
        self.move()
        self.giveBack()
        self.assertEqual(len(self.told()), 1)
        self.assertLess(len(self.told()[0]), 1500)
        self.move("10.3.3.3")
        self.channels.calls[0][2].callback(0)
        self.channels.calls[1][2].callback(0)
        self.assertEqual(len(self.told()), 2)
        counts = [int.from_bytes(op[4:8], "big") for op in self.told()]
        self.assertEqual(counts, [PER_CALL, 4])

    def test_bounded(self) -> None:
        """
        Not more devices of a client are remembered than there is room for.
        """
        self.patch(clients, "DEVICES_LIMIT", 2)
        for n in range(5):
            self.fixture.client.wantsDeviceNews(b"%016d" % n, True)
        self.assertEqual(len(self.fixture.client.devices), 2)

    def test_gone(self) -> None:
        """
        A data server that was removed takes its devices along.
        """
        self.fixture.giveBack(self.held)
        here = [s for s in self.devices._servers.values() if s.uuid == ONE]
        self.notifier.withdraw(self.devices.setServers(here))
        self.assertEqual(self.told(), [self.deleted(self.deviceid)])
        self.assertEqual(self.info(self.deviceid), NOENT)

    def test_notCounted(self) -> None:
        """
        A data server that fills up or is new does not concern anybody.
        """
        one, two = self.devices._servers.values()
        found = self.devices.setServers(
            [attrs.evolve(one, spaceFree=1), two, attrs.evolve(two, uuid=b"3" * 16)]
        )
        self.assertEqual(found, set())
