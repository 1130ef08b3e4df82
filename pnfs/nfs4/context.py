"""
What a COMPOUND carries from one operation to the next.
"""

from __future__ import annotations

from typing import Any, Optional

import attrs

from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import CURRENT_STATEID, INVALID_STATEID
from pnfs.values import Credential, FileType, Inode, Piece

NFS4ERR_NOFILEHANDLE = nfsstat4.NFS4ERR_NOFILEHANDLE
_INODE_KIND_ERRORS = {
    FileType.DIR: nfsstat4.NFS4ERR_ISDIR,
    FileType.LNK: nfsstat4.NFS4ERR_SYMLINK,
}


class Replay(Exception):
    """
    The request is a retry: C{args[0]} is the list of pieces of the reply kept.
    """


@attrs.define(eq=False)
class ServerContext:
    """
    The parts of a server that operations use; put together by the service.

    @ivar clock: IReactorTime on the monotonic clock.
    @ivar wallTime: the time of day in nanoseconds, for file attributes only.
    @ivar entropy: random bytes, by count.
    @ivar leaseSeconds: the lease.
    @ivar owner: C{so_major_id}, of this server alone.
    @ivar scope: C{eir_server_scope}.
    @ivar exchangeFlags: the role bits of EXCHANGE_ID (USE_PNFS_MDS, USE_PNFS_DS).
    @ivar clients: L{pnfs.state.clients.ClientTable}.
    @ivar sessions: L{pnfs.state.sessions.SessionTable}.
    @ivar recovery: L{pnfs.state.recovery.Grace}: who may reclaim, until when.
    @ivar stateids: L{pnfs.state.stateids.StateidTable}.
    @ivar opens: L{pnfs.state.opens.OpenTable}.
    @ivar locks: L{pnfs.state.locks.LockTable}.
    @ivar waiting: L{pnfs.state.waiting.WaitingTable}, or None: nobody is told.
    @ivar layouts: L{pnfs.state.layouts.LayoutTable}.
    @ivar delegations: L{pnfs.state.delegations.DelegationTable}; None: none are given.
    @ivar delegating: L{pnfs.interfaces.IDelegationRecaller} if there is such a table.
    @ivar copies: L{pnfs.state.copies.CopyTable}.
    @ivar offloads: L{pnfs.callbacks.offload.OffloadReporter}: tells clients what has
        come of copies.
    @ivar devices: L{pnfs.state.devices.DeviceTable}.
    @ivar exports: L{pnfs.namespace.exports.ExportTable}, with the pseudo file system.
    @ivar filehandles: L{pnfs.namespace.filehandles.FilehandleCodec}.
    @ivar data: L{pnfs.interfaces.IFileData} on a metadata server,
        L{pnfs.interfaces.IDataServerBackend} on a data server.
    @ivar partners: of a data server, L{pnfs.backends.ds.partners.Partners}.
    @ivar recaller: L{pnfs.interfaces.IRecaller}.
    @ivar channels: L{pnfs.callbacks.channel}'s factory: told of each back channel.
    @ivar walks: listings of a data server's objects under way, by cookie verifier.
    @ivar readBytes: bytes read and C{writeBytes} written by clients, to count.
    @ivar unsure: when the server was started clients held state of an earlier start:
        through layouts they may have written what it has never heard of.
    @ivar unasked: handles of files of which that is so, as data servers that were to
        be asked for the size did not answer.
    @ivar latency: L{pnfs.metrics.Latency}, told of one COMPOUND in 64, or None.
    @ivar served: COMPOUNDs so far.
    @ivar done: successful operations by number; failed: (number, status) to count.
    """

    clock: Any
    wallTime: Any
    entropy: Any
    leaseSeconds: float = 90.0
    owner: bytes = b""
    scope: bytes = b""
    exchangeFlags: int = 0
    clients: Any = None
    sessions: Any = None
    recovery: Any = None
    stateids: Any = None
    opens: Any = None
    locks: Any = None
    waiting: Any = None
    layouts: Any = None
    delegations: Any = None
    delegating: Any = None
    copies: Any = None
    offloads: Any = None
    devices: Any = None
    exports: Any = None
    filehandles: Any = None
    data: Any = None
    partners: Any = None
    recaller: Any = None
    channels: Any = None
    walks: dict[bytes, list[bytes]] = attrs.Factory(dict)
    readBytes: int = 0
    writeBytes: int = 0
    latency: Any = None
    unsure: bool = False
    unasked: set[bytes] = attrs.Factory(set)
    served: int = 0
    done: list[int] = attrs.Factory(lambda: [0] * 128)
    failed: dict[tuple[int, int], int] = attrs.Factory(dict)


class CompoundContext:
    """
    One COMPOUND being served.

    On a metadata server the current filehandle is C{fh}, with its C{inode} and
    C{export} always set beside it; on a data server C{fh} with C{capability}.

    There is one for every request, so what most of them never touch stands in the
    class and costs nothing to set up.

    @ivar server: L{ServerContext}.
    @ivar call: L{pnfs.rpc.program.Call}.
    @ivar now: the monotonic clock, read once.
    @ivar stateid: the current stateid (RFC 8881, section 16.2.3.1.2), or None.
    @ivar out: the pieces of C{COMPOUND4res} so far, the first of them yet empty.
    @ivar size: the bytes of the results so far.
    @ivar limitBytes: what the results may come to.
    @ivar index: of this operation in the COMPOUND; count: of all of them.
    @ivar mark: where this operation's result begins in C{out}.
    @ivar operation: the one that waits, if one does.
    @ivar status: of the COMPOUND.
    @ivar session: and C{slot}, C{client}: set by SEQUENCE.
    @ivar request: the record; C{requestStart}: where C{COMPOUND4args} begins in it.
    @ivar copied: by a data server from another one, in this COMPOUND: what
        C{Partners.compare} is to be told.
    @ivar asked: the inode whose size the data servers were asked for last; askedAt:
        when that was begun.
    """

    size: int = 0
    limitBytes: int = 1 << 20
    index: int = 0
    mark: int = 1
    operation: Any = None
    status: int = 0
    fh: bytes = b""
    inode: Any = None
    export: Any = None
    capability: Any = None
    savedFH: bytes = b""
    savedInode: Any = None
    savedExport: Any = None
    savedStateid: Optional[bytes] = None
    stateid: Optional[bytes] = None
    session: Any = None
    slot: Any = None
    client: Any = None
    copied: Any = None
    asked: Any = None
    askedAt: float = 0.0

    def __init__(
        self,
        server: Any,
        call: Any,
        credential: Credential,
        minor: int,
        now: float,
        count: int,
        request: Any,
        requestStart: int,
    ) -> None:
        self.server = server
        self.call = call
        self.credential = credential
        self.minor = minor
        self.now = now
        self.count = count
        self.request = request
        self.requestStart = requestStart
        self.out: list[Piece] = [b""]

    def setCurrent(self, fh: bytes, inode: Any, export: Any) -> None:
        """
        Change the current filehandle; the current stateid is lost by it.
        """
        self.fh = fh
        self.inode = inode
        self.export = export
        self.stateid = None

    def requireFH(self) -> bytes:
        """
        The current filehandle. @raise NFSError: NOFILEHANDLE.
        """
        if not self.fh:
            raise NFSError(NFS4ERR_NOFILEHANDLE)
        return self.fh

    def requireInode(self) -> Inode:
        """
        The current object. @raise NFSError: NOFILEHANDLE.
        """
        if self.inode is None:
            raise NFSError(NFS4ERR_NOFILEHANDLE)
        return self.inode  # type: ignore[no-any-return]

    def requireDirectory(self) -> Inode:
        """
        The current object, a directory. @raise NFSError: NOTDIR, or SYMLINK.
        """
        inode = self.requireInode()
        if inode.ftype != FileType.DIR:
            raise NFSError(
                nfsstat4.NFS4ERR_SYMLINK
                if inode.ftype == FileType.LNK
                else nfsstat4.NFS4ERR_NOTDIR
            )
        return inode

    def requireFile(self) -> Inode:
        """
        The current object, a regular file.

        @raise NFSError: ISDIR, SYMLINK, or WRONG_TYPE.
        """
        inode = self.requireInode()
        if inode.ftype != FileType.REG:
            raise NFSError(
                _INODE_KIND_ERRORS.get(
                    FileType(inode.ftype), nfsstat4.NFS4ERR_WRONG_TYPE
                )
            )
        return inode

    def resolveStateid(self, stateid: bytes) -> bytes:
        """
        Put the current stateid where a request asks for it.

        @raise NFSError: BAD_STATEID if there is none.
        """
        if stateid == CURRENT_STATEID:
            if self.stateid is None:
                raise NFSError(nfsstat4.NFS4ERR_BAD_STATEID)
            return self.stateid
        if stateid == INVALID_STATEID:
            raise NFSError(nfsstat4.NFS4ERR_BAD_STATEID)
        return stateid
