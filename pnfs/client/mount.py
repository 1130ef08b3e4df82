# -*- test-case-name: tests.client.test_mount -*-
"""
A connection to a metadata server: names, attributes, open files, devices.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any, Callable, Optional, Sequence

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pnfs.callbacks.ops import (
    LAYOUTRECALL4_ALL,
    LAYOUTRECALL4_FILE,
    CB_LAYOUTRECALL4args,
)
from pnfs.client.attributes import (
    LAYOUT_TYPES,
    LEASE_TIME,
    MASK,
    Attributes,
)
from pnfs.client.callbacks import CALLBACK_PROGRAM, Callbacks
from pnfs.client.dataservers import DataFile, DataServers, sleep
from pnfs.client.devices import Devices
from pnfs.client.errors import FAILURES
from pnfs.client.file import File
from pnfs.client.held import IMPATIENCE, HeldLayout
from pnfs.client.layout import Layout
from pnfs.client.names import LINKS, Names, Node, Path, namesOf
from pnfs.clock import MonotonicClock
from pnfs.nfs4 import requests
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.requests import SHARE_BOTH, SHARE_READ, SHARE_WRITE
from pnfs.nfs4.results import OperationFailed, Results
from pnfs.nfs4.sessions import EXCHGID4_FLAG_USE_PNFS_MDS
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.client import RPCClient
from pnfs.values import Piece

__all__ = ["Mount", "Node", "SHARE_BOTH", "SHARE_READ", "SHARE_WRITE"]

_CONNECT_SECONDS = 5.0
"""How long to try at first; later the deadline counts."""

_GRACE_SECONDS = 120.0
"""How long a server that has restarted may say GRACE."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_LATER = (nfsstat4.NFS4ERR_DELAY, nfsstat4.NFS4ERR_GRACE)
_CB_PATH_DOWN = 0x1 | 0x200
_REVOKED = 0x8 | 0x10 | 0x20 | 0x40

_log = Logger()


class Mount(Names):
    """
    One metadata server, as one user.

    @ivar clock: the monotonic clock.
    @ivar session: the L{SessionClient}.
    @ivar leaseSeconds: as the server says, once connected.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int = 2049,
        *,
        minor: int = 1,
        uid: Optional[int] = None,
        gid: Optional[int] = None,
        gids: Optional[Sequence[int]] = None,
        useLayouts: bool = True,
        ioBytes: int = 1 << 20,
        deadline: float = 60.0,
        entropy: Callable[[int], bytes] = os.urandom,
        clock: Optional[IReactorTime] = None,
        dial: Callable[..., Any] = RPCClient,
    ) -> None:
        """
        @param minor: NFSv4 minor version, 1 or 2.
        @param uid: who asks; by default the owner of this process. Likewise C{gid}
            and C{gids}, the further groups.
        @param useLayouts: False: all I/O goes through the metadata server.
        @param ioBytes: largest READ or WRITE.
        @param deadline: seconds that the metadata server may be away, or keep us
            waiting.
        @param dial: makes the RPC clients, as L{RPCClient} is made.
        """
        self.clock: IReactorTime = clock or MonotonicClock(reactor)
        self.session: SessionClient
        self._useLayouts = useLayouts
        self._reactor = reactor
        self._owner = b"pnfs-client " + entropy(16).hex().encode("ascii")
        self._verifier = entropy(8)
        self._credential = encodeAuthSys(
            os.geteuid() if uid is None else uid,
            os.getegid() if gid is None else gid,
            os.getgroups() if gids is None else gids,
            socket.gethostname().encode("utf-8", "replace")[:255],
        )
        self._callbacks = Callbacks(
            lambda: self.session.sessionid,
            minor,
            self._layoutRecall,
            self._devicesChanged,
            self._recallAny,
            lambda highest: self.session.limitSlots(highest),
        )
        self._dial = dial
        rpc = dial(
            reactor,
            host,
            port,
            programs=[self._callbacks.program()],
            onConnect=lambda peer: self.session.bindConnection(peer),
            clock=self.clock,
        )
        self._rpc = rpc
        self.session = SessionClient(
            rpc,
            self.clock,
            self._owner,
            self._verifier,
            self._credential,
            minor=minor,
            flags=EXCHGID4_FLAG_USE_PNFS_MDS,
            slots=32,
            ioBytes=ioBytes,
            callbackProgram=CALLBACK_PROGRAM,
            deadline=deadline,
        )
        self.session.onNewClientid = self._forgotten
        self.session.onStatusFlags = self._statusFlags
        self._deadline = deadline
        self.leaseSeconds = 0
        self._held: dict[bytes, HeldLayout] = {}
        self._opened = 0
        self._background: set[Deferred[Any]] = set()
        self._attending = False
        self._devices: Optional[Devices] = None

    # -- the connection ------------------------------------------------------------

    async def connect(self) -> None:
        """
        Have a session and keep it alive.

        @raise Unreachable: the server does not answer in time.
        @raise NFSError: it refuses.
        """
        await self.session.connect(_CONNECT_SECONDS)
        results = await self.compound(
            [requests.PUTROOTFH, requests.getattr_(LEASE_TIME)], 2
        )
        results.operation(24)
        results.operation(9)
        self.leaseSeconds = max(1, results.attributes().get(10, 90))
        keepAlive = self.leaseSeconds / 3
        self.session.keepAlive(keepAlive)
        servers = DataServers(
            partial(self._dial, self._reactor),
            self.clock,
            self._owner,
            self._verifier,
            self._credential,
            self.session.ioBytes,
            keepAlive,
        )
        self._devices = Devices(self, servers)

    async def close(self) -> None:
        """
        Give everything back and end all connections. Open files are not flushed.
        """
        if self._background:
            await DeferredList(list(self._background))
        if self._devices is not None:
            await self._devices.close()
        await self.session.close()

    def background(self, work: "Deferred[Any]") -> None:
        """
        Have L{close} wait for this.

        @param work: handles its own failures.
        """
        if not work.called:
            self._background.add(work)

            def done(result: Any) -> None:
                self._background.discard(work)

            work.addBoth(done)

    async def compound(
        self,
        operations: Sequence[Piece],
        count: int,
        *,
        cache: bool = False,
        patience: Optional[float] = None,
    ) -> Results:
        """
        As L{SessionClient.compound}, again and again while the last operation says
        DELAY or GRACE.

        @param patience: seconds after which that is taken for an answer.
        """
        results = await self.session.compound(operations, count, cache=cache)
        if results.status not in _LATER:
            return results
        begin = self.clock.seconds()
        pause = _FIRST_PAUSE
        while results.status in _LATER:
            limit = self._deadline if patience is None else patience
            if results.status == nfsstat4.NFS4ERR_GRACE:
                limit = max(limit, _GRACE_SECONDS)
            if self.clock.seconds() + pause > begin + limit:
                break
            await sleep(self.clock, pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            results = await self.session.compound(operations, count, cache=cache)
        return results

    # -- files -----------------------------------------------------------------------

    async def open(
        self,
        path: Path,
        share: int = SHARE_READ,
        create: bool = False,
        mode: int = 0o644,
        truncate: bool = False,
    ) -> File:
        """
        Open a regular file.

        @param share: L{SHARE_READ}, L{SHARE_WRITE} or both.
        @param create: make it if it is not there, with exactly these permissions.
        @param truncate: throw away what is in it.
        """
        names = namesOf(path)
        for _ in range(LINKS):
            directory, name = await self.parentOf(names)
            self._opened += 1
            owner = b"%d" % self._opened
            attributes = []
            if truncate:
                attributes.append(requests.sizeAttribute(0))
            attributes.append(requests.modeAttribute(mode))
            results = await self.compound(
                [
                    requests.putfh(directory),
                    requests.open_(
                        0, owner, name, share, attributes if create else None
                    ),
                    requests.GETFH,
                    requests.getattr_(MASK | LAYOUT_TYPES),
                ],
                4,
                cache=True,
            )
            results.operation(22)
            try:
                results.operation(18)
            except OperationFailed as failure:
                if failure.status != nfsstat4.NFS4ERR_SYMLINK:
                    raise
                names = await self.linked(names, len(names))
                continue
            stateid = results.opened()
            results.operation(10)
            fh = results.opaque(128)
            results.operation(9)
            found = results.attributes()
            held = self._held.get(fh)
            if held is None:
                types = found.get(62, ()) if self._useLayouts else ()
                held = self._held[fh] = HeldLayout(self, fh, types)
            file = File(self, held, fh, owner, stateid, share, Attributes.of(found))
            if truncate and not create:
                await file.truncate(0)
            return file
        raise NFSError(nfsstat4.NFS4ERR_SYMLINK)

    async def closed(self, file: File, held: HeldLayout, patient: bool) -> None:
        """
        A file is about to be closed: its layout goes with the last one.

        @param patient: wait until the server has it.
        """
        held.files.discard(file)
        if not held.files:
            try:
                await held.giveBack(patience=None if patient else IMPATIENCE)
            except FAILURES as error:
                # The server finds out by itself, at the latest with the lease.
                _log.info("returning a layout: {reason}", reason=error)
            finally:
                if not held.files and self._held.get(file.fh) is held:
                    del self._held[file.fh]

    async def decodeLayout(
        self, segments: Sequence[tuple[int, int, int, int, bytes]], file: Any
    ) -> Layout:
        """
        Make what LAYOUTGET gave usable.

        @raise XDRError: it makes no sense. @raise NFSError: a device is not known.
        """
        assert self._devices is not None
        return await self._devices.layout(segments, file)

    def throughMDS(self, file: File) -> DataFile:
        """
        The file as the metadata server itself serves it.
        """
        return _ProxiedFile(self, file)

    # -- what the server says of its own accord ------------------------------------

    def _forgotten(self) -> None:
        """
        A new client ID: nothing we held counts any more. Files are opened again
        when they are next used.
        """
        for held in self._held.values():
            held.forget()

    def _layoutRecall(self, arguments: CB_LAYOUTRECALL4args) -> int:
        changed = bool(arguments.clora_changed)
        kind, what = arguments.clora_recall
        if kind == LAYOUTRECALL4_FILE:
            held = self._held.get(what.lor_fh)
            if held is None:
                return nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
            return held.recall(what.lor_stateid, changed)
        statuses = [held.recall(None, changed) for held in list(self._held.values())]
        if nfsstat4.NFS4_OK not in statuses:
            return nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
        returned = self._returnMany(arguments.clora_type, kind)
        self.background(Deferred.fromCoroutine(returned))
        return nfsstat4.NFS4_OK

    async def _returnMany(self, layoutType: int, kind: int) -> None:
        """
        When all files' layouts are back, say so (RFC 8881, section 12.5.5.1).
        """
        try:
            node = None
            for fh, held in list(self._held.items()):
                await held.giveBack()
                node = fh
            if node is None:
                return
            operations = [requests.layoutreturnMany(layoutType, kind)]
            if kind != LAYOUTRECALL4_ALL:
                operations.insert(0, requests.putfh(node))
            await self.compound(operations, len(operations))
        except FAILURES as error:
            _log.info("returning all layouts: {reason}", reason=error)

    def _devicesChanged(self, deviceids: list[bytes]) -> None:
        if self._devices is not None:
            self._devices.forget(deviceids)

    def _recallAny(self) -> None:
        """
        Layouts that nothing uses at the moment are given back.
        """
        for held in list(self._held.values()):
            held.recall(None, False)

    def _statusFlags(self, flags: int) -> None:
        """
        SEQUENCE's flags: the back channel is down, or something was revoked.
        """
        if flags & (_CB_PATH_DOWN | _REVOKED) and not self._attending:
            self._attending = True
            work = Deferred.fromCoroutine(self._attend(flags))

            def done(result: Any) -> None:
                self._attending = False

            work.addBoth(done)
            self.background(work)

    async def _attend(self, flags: int) -> None:
        try:
            peer = self._rpc.peer
            if flags & _CB_PATH_DOWN and peer is not None:
                await self.session.bindConnection(peer)
            if flags & _REVOKED:
                await self._freeRevoked()
        except FAILURES as error:
            _log.warn("the server is not content: {reason}", reason=error)

    async def _freeRevoked(self) -> None:
        """
        Find out which stateids were revoked, and give them up.
        """
        owned = [(held, held.stateid) for held in self._held.values() if held.stateid]
        if not owned:
            return
        results = await self.compound(
            [requests.testStateid([stateid for _, stateid in owned])], 1
        )
        results.operation(55)
        if results.uint32() != len(owned):
            return
        for held, stateid in owned:
            if results.uint32() and held.stateid[4:] == stateid[4:]:
                held.forget()
                await self.compound([requests.freeStateid(stateid)], 1)


class _ProxiedFile(DataFile):
    """
    A file behind the metadata server: READ, WRITE and COMMIT go there, with the
    stateid of the open file.
    """

    def __init__(self, mount: Mount, file: File) -> None:
        self._mount = mount
        self._file = file
        self.fh = file.fh
        self._fh = requests.putfh(file.fh)
        self.server = None
        self.deviceid = b""

    @property
    def key(self) -> Any:
        """
        As L{DataFile.key}.
        """
        return None, self._fh

    @property
    def _stateid(self) -> bytes:  # type: ignore[override]
        return self._file.stateid

    async def _do(self, operation: Sequence[Piece], number: int) -> Results:
        results = await self._mount.compound([self._fh, *operation], 2)
        results.operation(22)
        results.operation(number)
        return results
