# -*- test-case-name: tests.mds.test_failover -*-
"""
What a lost data server means to those who hold layouts, and what clients say of data
servers.

Files that may be written through a layout that names it are marked
(L{pnfs.mds.degrade}) as soon as it is condemned: their writers have to go on without
it. Layouts for reading are recalled. Where the lost mirror is the last one nothing is
recalled: no other layout would be any better, and what the client has not written
yet it keeps.

A file is looked into by the metadata server itself when a client reports an I/O error:
a data server that answers but cannot read what it has of that file loses it, not
the others.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.backends.errors import BackendError, IOFailed, NoSuchObject
from pnfs.callbacks.recall import DATA_SERVER_LOST
from pnfs.mds.dataservers import DataServers
from pnfs.mds.degrade import Degrading
from pnfs.mds.health import Health
from pnfs.mds.member import Member
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.status import nfsstat4
from pnfs.state.files import FileState
from pnfs.values import Inode, LayoutReport

_INNOCENT = frozenset(
    {
        nfsstat4.NFS4_OK,
        nfsstat4.NFS4ERR_ACCESS,
        nfsstat4.NFS4ERR_STALE,
        nfsstat4.NFS4ERR_BADHANDLE,
        nfsstat4.NFS4ERR_PNFS_NO_LAYOUT,
        nfsstat4.NFS4ERR_NOSPC,
        nfsstat4.NFS4ERR_DQUOT,
        nfsstat4.NFS4ERR_DELAY,
        nfsstat4.NFS4ERR_GRACE,
    }
)
"""What a data server in good health may say: of a fence, a full disk, a restart."""

_CHECKS = 64
"""Files being looked into at the same time; further reports are let go."""

_log = Logger()


def _failed(failure: Failure) -> None:
    if isinstance(failure.value, BackendError):
        _log.warn("a layout stays as it is: {e}", e=failure.value)
    else:
        _log.failure("a data server could not be taken out of a layout", failure)


class Failover:
    """
    Layouts follow the health of data servers.
    """

    def __init__(
        self,
        server: ServerContext,
        servers: DataServers,
        health: Health,
        degrading: Degrading,
    ) -> None:
        self._server = server
        self._servers = servers
        self._health = health
        self._degrading = degrading
        self._checking: set[tuple[int, bytes]] = set()
        degrading.recall = self._recall
        health.onCondemned.append(self.condemned)
        health.onReturned.append(lambda member: server.layouts.forgetGrants())
        server.layouts.listeners.append(self.reported)

    def _recall(self, inode: Inode) -> None:
        file = inode.state
        if file is not None and (file.layouts or file.recall):
            self._server.recaller.recallLayouts(file, DATA_SERVER_LOST)

    # -- a data server is lost -----------------------------------------------------

    def condemned(self, member: Member) -> None:
        """
        Take it out of all layouts, bit by bit.
        """
        server = self._server
        server.layouts.forgetGrants()
        if not self._degrading.enabled:
            return
        uuid = member.uuid
        files = {id(held.file): held.file for held in server.layouts.onServer(uuid)}
        for client in server.clients:
            for state in client.opens:
                # Who reclaims an open may have had a layout before the restart.
                if state.file.reclaimed:
                    files[id(state.file)] = state.file
        server.recaller.turns.each(
            lambda file: self._run(self._leave(file, uuid)), list(files.values())
        )

    async def _leave(self, file: FileState, uuid: bytes) -> None:
        placement = await file.export.backend.loadPlacement(file.inode)
        if placement is None or uuid not in placement.live.dataServers:
            # A file that may have been written before a restart, but not there.
            return
        if not self._servers.spare(placement, uuid):
            return
        written = file.reclaimed or any(
            held.mayHaveWritten() for held in file.layouts.values()
        )
        if written and uuid in self._servers.condemned:
            await self._degrading.markStale(file.export, file.inode, uuid)
        else:
            self._recall(file.inode)

    def _run(self, work: Any) -> None:
        running = Deferred.fromCoroutine(work)
        running.addErrback(_failed)

    # -- what clients say ----------------------------------------------------------

    def reported(self, client: Any, file: Any, report: LayoutReport) -> None:
        """
        A listener for L{pnfs.state.layouts.LayoutTable}.
        """
        for error in report.errors:
            if error.status in _INNOCENT:
                continue
            device = self._server.devices.lookup(error.deviceid)
            for described in () if device is None else device.servers:
                self._health.suspect(described.uuid)
                if error.status == nfsstat4.NFS4ERR_IO and file is not None:
                    self._check(file, described.uuid, error.offset)

    def _check(self, file: FileState, uuid: bytes, offset: int) -> None:
        key = (id(file), uuid)
        if (
            not self._degrading.enabled
            or key in self._checking
            or len(self._checking) >= _CHECKS
        ):
            return
        self._checking.add(key)
        self._run(self._look(file, uuid, offset, key))

    async def _look(
        self, file: FileState, uuid: bytes, offset: int, key: tuple[int, bytes]
    ) -> None:
        """
        Can a data server read and keep what it has of a file?
        """
        try:
            placement = await file.export.backend.loadPlacement(file.inode)
            if placement is None or uuid not in placement.live.dataServers:
                return
            name = placement.name
            await self._servers.onFile(uuid, lambda ds: ds.read(name, offset, 4096))
            await self._servers.onFile(uuid, lambda ds: ds.commit(name, 0, 0))
        except (IOFailed, NoSuchObject) as error:
            _log.warn(
                "fileid {fileid} goes on without data server {uuid}: {error}",
                fileid=file.inode.fileid,
                uuid=uuid.hex(),
                error=error,
            )
            await self._degrading.markStale(file.export, file.inode, uuid)
        except BackendError:
            # It does not answer, or is full: that is told otherwise.
            return
        finally:
            self._checking.discard(key)
