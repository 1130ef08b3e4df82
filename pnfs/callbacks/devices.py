# -*- test-case-name: tests.callbacks.test_devices -*-
"""
CB_NOTIFY_DEVICEID (RFC 8881, section 20.12): what a device ID has meant is no more.

A data server that is reached elsewhere has another device ID, so the old one is
deleted, and never changed in place. Linux treats both notifications alike: it forgets
the device, and layouts that name it go on with it. So, as the RFC demands, layouts
come first:

  - every layout that names the data server is recalled (C{clora_changed}: nothing
    answers at the old address), and new ones have the new device ID already;
  - when the last one has been returned or revoked, the old device ID is forgotten
    here, and those that were given it and have asked for that are told.

Who cannot be told now is told later, as long as it is a client: it may have the
device cached, and forget it a little later than others.

Nobody is told of a device with a data server that does not answer where the device says
that it is. Linux, when it forgets a device of NFSv4.1, ends its session there, and does
that in the one thread that answers callbacks (C{nfs4_delete_deviceid}, down to
C{nfs4_proc_destroy_session}): until a dead address has timed out, twelve minutes, it
would answer no recall, and soon stand still altogether. Without being told it keeps a
few hundred bytes that no layout names any more.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Collection, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.callbacks.channel import CallbackFailed, NoBackChannel
from pnfs.callbacks.ops import cbNotifyDeviceid
from pnfs.callbacks.recall import DATA_SERVER_MOVED
from pnfs.nfs4.context import ServerContext
from pnfs.state.clients import Client
from pnfs.state.devices import Device
from pnfs.state.errors import StaleClientid
from pnfs.values import DataServer

PER_CALL = 32
"""Devices in one call: about 1 KiB, which every back channel takes."""

_log = Logger()


class DeviceNotifier:
    """
    Withdraws device IDs.

    @ivar told: notifications that clients have answered.
    """

    def __init__(
        self,
        server: ServerContext,
        answers: Callable[[DataServer], Awaitable[bool]],
    ) -> None:
        """
        @param answers: does a data server answer, where it says that it is?
        """
        self.told = 0
        self._server = server
        self._answers = answers
        self._due: dict[Client, dict[tuple[int, bytes], None]] = {}

    def withdraw(self, uuids: Collection[bytes]) -> None:
        """
        Some data servers are reached elsewhere now, or are gone.
        """
        server = self._server
        # Now: what is outdated later may be named by layouts that are given until
        # then, and these are recalled by whoever makes it so.
        outdated = server.devices.outdated(uuids)
        left = len(uuids)

        def over(result: None) -> None:
            nonlocal left
            left -= 1
            if not left:
                retiring = Deferred.fromCoroutine(self._retire(outdated))
                retiring.addErrback(_failed)

        for uuid in uuids:
            server.recaller.recallDataServer(uuid, DATA_SERVER_MOVED).addCallback(over)

    async def _retire(self, devices: Sequence[Device]) -> None:
        """
        No layout names some devices any more.
        """
        retired = self._server.devices.retire(devices)
        silent = await self._silent(
            dict.fromkeys(s for device in retired for s in device.servers)
        )
        gone = {
            device.deviceid: device.driver.layoutType
            for device in retired
            if silent.isdisjoint(device.servers)
        }
        for client in self._server.clients:
            known = client.devices
            if not known:
                continue
            told = [deviceid for deviceid in gone if deviceid in known]
            known.difference_update(device.deviceid for device in retired)
            if told:
                self._tell(client, [(gone[deviceid], deviceid) for deviceid in told])

    async def _silent(self, servers: Iterable[DataServer]) -> set[DataServer]:
        """
        Those that do not answer where they were.
        """
        silent = set()
        for server in servers:
            if not await self._answers(server):
                silent.add(server)
                _log.info(
                    "nothing answers for data server {name} at {addresses}: clients "
                    "are not told to forget that address, where they would wait",
                    name=server.name,
                    addresses=", ".join(f"{h}:{p}" for h, p in server.addresses),
                )
        return silent

    def _tell(self, client: Client, deleted: Sequence[tuple[int, bytes]]) -> None:
        waiting = client in self._due
        self._due.setdefault(client, {}).update(dict.fromkeys(deleted))
        if waiting:
            return
        telling = Deferred.fromCoroutine(self._telling(client))
        telling.addErrback(_failed)

    async def _telling(self, client: Client) -> None:
        """
        Tell a client all that is due, one call at a time.
        """
        server = self._server
        due = self._due[client]
        try:
            while due and self._here(client):
                some = list(due)[:PER_CALL]
                try:
                    await self._call(client, some)
                except NoBackChannel:
                    # It may come back yet.
                    continue
                except CallbackFailed as error:
                    _log.info(
                        "client {client!r} does not understand that devices are "
                        "deleted: {error}",
                        client=client.owner,
                        error=error,
                    )
                for each in some:
                    due.pop(each, None)
        finally:
            del self._due[client]

    def _call(self, client: Client, some: Sequence[tuple[int, bytes]]) -> Any:
        server = self._server
        assert server.channels is not None
        called = server.channels.channelOf(client).call(
            cbNotifyDeviceid(deleted=some), timeout=server.leaseSeconds
        )
        return called.addCallback(self._answered)

    def _answered(self, status: int) -> None:
        self.told += 1

    def _here(self, client: Client) -> bool:
        try:
            return self._server.clients.find(client.clientid) is client
        except StaleClientid:
            return False


def _failed(failure: Failure) -> None:
    _log.failure("CB_NOTIFY_DEVICEID failed", failure)
