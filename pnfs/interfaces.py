"""
Every seam of the service.

Methods declared C{async} return an awaitable; those that need not wait finish at
the first step, which costs about a microsecond. Backends raise
L{pnfs.backends.errors}, know no NFS status, never block the reactor and own
their timeouts.
"""

from __future__ import annotations

from typing import Any, Callable, Collection, Mapping, Optional, Sequence

from zope.interface import Attribute, Interface

from pnfs.values import (
    CopySource,
    DataServer,
    DirectoryEntry,
    FSStatistics,
    Inode,
    LayoutReport,
    LayoutRequest,
    LayoutSegment,
    NewObject,
    ObjectAttributes,
    PlaceRequest,
    Placement,
    ReadResult,
    Removed,
    SegmentsResult,
    SetAttributes,
    SetXattr,
    WriteResult,
)


class ILayoutDriver(Interface):
    """
    A layout type: turns placements into what clients understand.

    Pure: no I/O, no state, no clock. The core owns stateids, segments, conflicts,
    recalls and deadlines.
    """

    name = Attribute("The name used in configuration and placements, e.g. C{files}.")
    layoutType = Attribute("C{layouttype4} on the wire (RFC 8881, section 3.3.13).")

    def place(request: PlaceRequest, servers: Sequence[DataServer]) -> Placement:
        """
        Choose the data servers of a new file.

        @param servers: those that may be used now, at least one, in the order of
            the configuration.
        @raise ValueError: there are too few of them for the shape wanted.
        """

    def supports(placement: Placement) -> bool:
        """
        May this driver serve a file placed so? It need not have placed it.
        """

    def grant(request: LayoutRequest, placement: Placement) -> Sequence[LayoutSegment]:
        """
        Encode the layout of a file: whole-file segments whose bodies together fit
        C{request.maxcount}.

        @raise ValueError: it does not fit in C{maxcount} (NFS4ERR_TOOSMALL).
        """

    def device(servers: Sequence[DataServer]) -> bytes:
        """
        Encode C{da_addr_body} for the ordered servers a deviceid stands for.
        """

    def decodeReturn(body: bytes) -> LayoutReport:
        """
        Decode C{lrf_body} of a LAYOUTRETURN.

        @raise pnfs.xdr.errors.XDRError: it is malformed.
        """

    def decodeStatistics(body: bytes) -> Optional[bytes]:
        """
        Decode the C{layoutupdate4} body of a LAYOUTSTATS.

        @return: the data server's filehandle it speaks of, if it says.
        @raise pnfs.xdr.errors.XDRError: it is malformed.
        """


class IMetadataBackend(Interface):
    """
    A tree of files, directories and special files with names, attributes and
    placements; regular files' bytes are elsewhere.

    Permissions are not its concern. C{.} and C{..} are never given to it. Names
    are bytes. Every change that has been acknowledged survives C{kill -9};
    creations, removals and renames also survive a power cut as far as the
    underlying file system keeps its own order.
    """

    root = Attribute("The root L{Inode}; set once C{start} has finished.")
    fsid = Attribute("(major, minor): two 64-bit numbers, stable over restarts.")
    recovery = Attribute("The L{IRecoveryStore} kept beside the tree.")
    xattrs = Attribute("Whether objects can have extended attributes of users.")

    async def start() -> None:
        """
        Make ready.

        @raise BadConfiguration: the storage cannot be used; one clear line.
        """

    async def stop() -> None:
        """
        Flush and close; nothing may be called afterwards.
        """

    def cached(handle: bytes) -> Optional[Inode]:
        """
        The object if it is in memory: never waits, never touches storage.
        """

    def cachedChild(directory: Inode, name: bytes) -> Optional[Inode]:
        """
        An entry if it is known in memory to be there: as L{cached}.
        """

    async def byHandle(handle: bytes) -> Inode:
        """
        @raise NoSuchObject: it is gone, or the handle is not one of ours.
        """

    async def lookup(directory: Inode, name: bytes) -> Inode:
        """
        @raise NoSuchName: @raise NotDirectory: @raise NameTooLong:
        """

    async def parent(directory: Inode) -> Inode:
        """
        The directory above; the root's is the root.
        """

    def pathOf(inode: Inode) -> tuple[bytes, ...]:
        """
        Names from the root to the directory that holds a file, as far as they can
        be told without waiting; else empty. A hint, for placing data files.
        """

    async def readdir(
        directory: Inode, cookie: int, limit: int
    ) -> tuple[Sequence[DirectoryEntry], bool]:
        """
        Up to C{limit} entries after C{cookie} (0: from the beginning), without
        C{.} and C{..}, and whether the last of them is the directory's last. An
        entry that stays is given exactly once in a walk, whatever else changes.
        """

    async def create(directory: Inode, name: bytes, what: NewObject) -> Inode:
        """
        Make a new object of any type.

        @raise NameExists:
        """

    async def createVerifier(inode: Inode) -> bytes:
        """
        The verifier it was created with, or C{b""}.
        """

    async def link(inode: Inode, directory: Inode, name: bytes) -> None:
        """
        Give a further name. @raise NameExists: @raise IsDirectory:
        """

    async def remove(directory: Inode, name: bytes, keep: bool) -> Removed:
        """
        Take a name away (an empty directory's too).

        @param keep: if that was the last name of a regular file, keep the object
            reachable by its handle until L{release}: it is open.
        @raise DirectoryNotEmpty: @raise NoSuchName:
        """

    async def rename(
        olddir: Inode, oldname: bytes, newdir: Inode, newname: bytes, keep: bool
    ) -> Optional[Removed]:
        """
        Move a name, replacing what is there as rename(2) does.

        @param keep: as for L{remove}, of what is replaced.
        @return: what was replaced, or None (also if both names were one object).
        @raise NameExists: a directory would replace a non-directory, or the other
            way round (RFC 8881, section 18.26.3). @raise DirectoryNotEmpty:
        @raise InvalidArgument: a directory would become its own descendant.
        """

    async def release(inode: Inode) -> None:
        """
        The last user of a removed-but-kept object has closed it.
        """

    async def setattr(inode: Inode, changes: SetAttributes) -> None:
        """
        Change attributes; ctime and change move. C{size} of a regular file sets
        what dsattr says (the data files are the caller's business).

        @raise Unsupported: C{acl} of something else than a file or a directory.
        """

    async def getxattr(inode: Inode, name: bytes) -> bytes:
        """
        The value of an extended attribute of users: C{user.} on Linux. Those that
        the backend itself keeps are never seen.

        @param name: without a prefix for the name space.
        @raise NoSuchAttribute: @raise InvalidArgument: no attribute has that name.
        """

    async def setxattr(
        inode: Inode, name: bytes, value: bytes, option: SetXattr
    ) -> None:
        """
        Give a regular file or a directory an extended attribute; ctime and change
        move.

        @raise NameExists: C{option} is CREATE, and it is there.
        @raise NoSuchAttribute: C{option} is REPLACE, and it is not there.
        @raise AttributeTooBig: more than 65536 bytes.
        @raise NameTooLong: @raise InvalidArgument: @raise NoSpace:
        @raise PermissionRefused: objects of this type have none.
        """

    async def listxattrs(inode: Inode) -> Sequence[bytes]:
        """
        The names of all extended attributes of users.
        """

    async def removexattr(inode: Inode, name: bytes) -> None:
        """
        @raise NoSuchAttribute: @raise PermissionRefused:
        """

    async def readlink(inode: Inode) -> bytes:
        """
        @raise InvalidArgument: not a symbolic link.
        """

    async def loadPlacement(inode: Inode) -> Optional[Placement]:
        """
        The C{dsfile} record, None if data files have never been made. Cached in
        memory with the inode.
        """

    async def storePlacement(inode: Inode, placement: Placement) -> None:
        """
        Durable before it returns.
        """

    async def storeDataAttributes(
        inode: Inode, size: int, used: int, mtime: Optional[int], atime: Optional[int]
    ) -> None:
        """
        Store what the data servers said (C{dsattr}). If anything differs, change
        and ctime move.
        """

    async def enqueueRemoval(placement: Placement, orphan: bool) -> None:
        """
        Remember durably that these data files are to be deleted. To be called
        B{before} the last name goes away.

        @param orphan: not yet (the file is still open); after a restart it is
            due all the same.
        """

    async def pendingRemovals() -> Sequence[Placement]:
        """
        What is due.
        """

    async def finishRemoval(placement: Placement, done: bool) -> None:
        """
        @param done: True: the data files are deleted (or the removal did not take
            place): forget it. False: an orphan has become due.
        """

    async def statfs() -> FSStatistics:
        """
        Space and inodes of the metadata storage.
        """


class IRecoveryStore(Interface):
    """
    What must survive a restart so that clients can reclaim (RFC 8881, section
    8.4.2). Each method is durable when it returns. Small, rare calls: they may
    block for a few hundred microseconds.
    """

    def beginEpoch() -> int:
        """
        Count this start: a number greater than ever before, 1 to 2**32-1.
        """

    def clients() -> Mapping[bytes, bool]:
        """
        Recorded owners (C{co_ownerid}), and whether each may reclaim: those that
        were recorded when the last epoch ended.
        """

    def addClient(owner: bytes) -> None:
        """
        A client has finished its reclaims; it may hold new state from now on.

        @raise BackendError: it is not recorded.
        """

    def removeClients(owners: Collection[bytes]) -> None:
        """
        These are gone with all their state. Those not recorded do not matter.

        @raise BackendError: some may still be recorded.
        """

    def promisedLease() -> float:
        """
        The longest lease, in seconds, on which a client may rely; 0.0 at first.
        """

    def promiseLease(seconds: float) -> None:
        """
        Clients rely on this lease at the most from now on.

        @raise BackendError: it is not recorded.
        """

    def identity(name: str, make: Any) -> bytes:
        """
        A named identity (such as the server's UUID), made by C{make()} at first use.
        """


class IDataServerBackend(Interface):
    """
    Objects by name, flat: the data files of a data server. Names are
    C{[0-9a-f]{1,80}}. All methods may be called concurrently.
    """

    verifier = Attribute(
        "8 bytes that change with every start that may lose unstable writes."
    )
    uuid = Attribute(
        "16 bytes: this data server's identity, set once C{start} has finished."
    )

    async def start() -> None:
        """
        @raise BadConfiguration: the storage cannot be used; one clear line.
        """

    async def stop() -> None:
        """
        Flush and close.
        """

    def peek(name: bytes) -> Optional[ObjectAttributes]:
        """
        Attributes needed for access checks (C{epoch}, C{uid}, C{gid}, C{mode}), if in
        memory: never waits. C{size} and times may be stale.
        """

    def readNow(name: bytes, offset: int, count: int) -> Optional[ReadResult]:
        """
        As L{read}, if it can be answered without waiting for a device; else None.
        """

    def writeNow(
        name: bytes, offset: int, data: memoryview, stable: int
    ) -> Optional[WriteResult]:
        """
        As L{write}, if it can be answered without waiting for a device; else None.
        C{data} is only used during the call.
        """

    async def getattr(name: bytes) -> ObjectAttributes:
        """
        @raise NoSuchObject:
        """

    async def create(name: bytes, uid: int, gid: int, mode: int, epoch: int) -> None:
        """
        Make an empty object; if it exists, leave its bytes and set the rest.
        Durable when it returns.
        """

    async def remove(name: bytes) -> None:
        """
        @raise NoSuchObject:
        """

    async def setattr(name: bytes, changes: SetAttributes) -> None:
        """
        Owner, mode, times, and size (truncates or grows with a hole).
        """

    async def extend(name: bytes, size: int) -> None:
        """
        Grow with a hole to C{size} if smaller; never shrinks, also not in a race
        with writes.
        """

    async def fence(name: bytes, epoch: int) -> None:
        """
        Raise the fence epoch (never lowers it). Durable when it returns; writes
        that were accepted with an older one have finished by then.
        """

    async def read(name: bytes, offset: int, count: int) -> ReadResult:
        """
        Up to C{count} bytes; fewer only at the end. Holes read as zeros.
        """

    async def write(
        name: bytes, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        Write all of C{data}. The caller leaves C{data} unchanged until it returns.

        @raise NoSpace: @raise QuotaExceeded: @raise TooBig: @raise NoSuchObject:
        """

    async def commit(name: bytes, offset: int, count: int) -> bytes:
        """
        Bring written bytes to stable storage (C{count} 0: to the end).

        @return: the verifier, read after the flush.
        """

    async def seek(name: bytes, offset: int, hole: bool) -> Optional[int]:
        """
        Where the next data begins, or the next hole, at C{offset} or behind it. The
        end of the object is a hole; who does not know holes has no other one.

        @return: None if C{offset} is at the end or behind it, or no data follows.
        """

    async def readSegments(name: bytes, offset: int, count: int) -> SegmentsResult:
        """
        As L{read}, without the bytes of holes. A hole may be told as data.
        """

    async def allocate(name: bytes, ranges: Sequence[tuple[int, int]]) -> None:
        """
        Reserve space for ranges of (offset, length), none of them empty, also behind
        the end. Bytes that were there stay, others are zero; so does the size: what
        fails half-way must not leave a larger file. Durable after a C{commit}.

        @raise NoSpace: @raise QuotaExceeded: @raise TooBig: @raise Unsupported:
        """

    async def deallocate(name: bytes, offset: int, length: int) -> None:
        """
        Make a range zeros, and give back its space as far as the storage can. The
        size stays as it is, also if the range ends behind it. Durable when it
        returns.

        @raise Unsupported:
        """

    async def advise(name: bytes, offset: int, length: int, hints: int) -> int:
        """
        How a range will be used.

        @param length: 0 means to the end.
        @param hints: a bitmap of C{IO_ADVISE_type4} (RFC 7862, section 15.5).
        @return: those that make a difference here.
        """

    async def copy(
        name: bytes, offset: int, source: CopySource, sourceOffset: int, count: int
    ) -> WriteResult:
        """
        Make C{count} bytes of an object equal to those of another. What lies behind
        the end of the source counts as zeros; holes stay holes where that is cheap.
        It may end early, so that progress is seen and it can be stopped: the caller
        goes on after C{count} of the result, which is 0 only if nothing was asked
        for.

        @raise InvalidArgument: the ranges overlap in one object.
        @raise Unsupported: the source lies elsewhere, and cannot be fetched.
        @raise PartnerFailed: the data server that has it does not give it.
        """

    async def clone(
        name: bytes, offset: int, source: bytes, sourceOffset: int, count: int
    ) -> None:
        """
        As L{copy}, all of it, by sharing the bytes of an object here: takes no time
        and no space. Offsets are multiples of C{cloneBlock} (L{statfs}), and so is
        C{count} unless the source has no byte behind the range. Durable when it
        returns.

        @raise InvalidArgument: the ranges overlap in one object, or are not aligned.
        @raise Unsupported: the storage cannot.
        """

    async def checksums(
        name: bytes, offset: int, count: int, unit: int
    ) -> Sequence[bytes]:
        """
        Digests of the pieces of a range, by which mirrors are compared: BLAKE2b of
        16 bytes; C{b""} for a piece of zeros. What lies in holes and behind the end
        counts as zeros. What is written meanwhile may count or not.

        @param unit: bytes of a piece, from 512 to 64 MiB; the last may be shorter.
        @return: of as many pieces, from the first on, as can be told at once: the
            caller goes on behind them. None only if C{count} is 0.
        @raise InvalidArgument: pieces cannot be so small or large.
        @raise Unsupported: it cannot tell.
        """

    async def track(name: bytes) -> bytes:
        """
        Follow what is changed in an object from now on, in memory only, as long as
        it is asked about now and then.

        @return: a token for this moment, up to 32 bytes; empty if it cannot tell.
        """

    async def changes(name: bytes, token: bytes) -> Optional[list[tuple[int, int]]]:
        """
        What has been changed since a token was given, by whatever path: written,
        copied there, deallocated, cut off. The size is not part of it: to grow with
        a hole changes nothing.

        @return: ranges of (offset, length), in order, apart from each other,
            rounded to a megabyte or more, also behind the end; None: it is not
            known, as after a restart.
        """

    async def list(after: bytes, limit: int) -> Sequence[bytes]:
        """
        Up to C{limit} object names greater than C{after}, in order.
        """

    async def statfs() -> FSStatistics:
        """
        Space.
        """


class IFileData(Interface):
    """
    The bytes of the files of a metadata server, wherever their data servers keep
    them. What clients without layouts read and write passes here; so does
    everything the metadata server itself does to data files.
    """

    def mint(placement: Placement, iomode: int, squash: Any = None) -> bytes:
        """
        The capability filehandle for the data servers.

        @param iomode: an L{pnfs.values.IOMode}.
        @param squash: L{pnfs.namespace.squash.Squash}: whom these are to take its
            bearers for; None: for whom they say they are.
        @raise ValueError: the handle would be too long.
        """

    async def ensure(export: Any, inode: Inode, write: bool = False) -> Placement:
        """
        The file's placement; makes the data files if there are none yet.

        @param write: something of it is to be written: mirrors that are lost are
            stale in it.
        @raise Unreachable: a data server needed for it does not answer.
        @raise NoSpace: no data server can take it.
        """

    def usable(placement: Placement) -> Placement:
        """
        What clients may be told of a placement: without stale mirrors, and those at
        data servers that are lost, as far as there are others.
        """

    def roomFor(placement: Placement) -> bool:
        """
        As far as is known, do all data servers of a file have any room left?
        """

    async def misplaced(
        export: Any, inode: Inode, sourceExport: Any, source: Inode
    ) -> bool:
        """
        Is a file empty that would better be placed like another one, and can be?
        Linux asks for the layout of a new file before it says what to copy there.
        """

    async def move(
        export: Any,
        inode: Inode,
        sourceExport: Any,
        source: Inode,
        free: Callable[[], bool],
    ) -> None:
        """
        Place an empty file like another one, if it is empty still. Handles minted
        until now are worthless then.

        @param free: no client holds a layout of it.
        """

    async def refresh(export: Any, inode: Inode) -> None:
        """
        Ask the data servers for size and times, store them with the inode, and
        grow data files that are shorter than the file. Concurrent calls for one
        file share one round of questions.
        """

    async def truncate(export: Any, inode: Inode, size: int) -> None:
        """
        Set the size of the file's data files, if there are any, and of the inode.
        """

    async def read(export: Any, inode: Inode, offset: int, count: int) -> ReadResult:
        """
        As L{IDataServerBackend.read}, from the stripes or any one mirror.
        """

    async def write(
        export: Any, inode: Inode, offset: int, data: memoryview, stable: int
    ) -> WriteResult:
        """
        As L{IDataServerBackend.write}, to the stripes and to all mirrors. The
        verifier combines those of all data servers of the file. The inode's size
        and times are brought up to date.
        """

    async def commit(export: Any, inode: Inode, offset: int, count: int) -> bytes:
        """
        As L{IDataServerBackend.commit}, on all data servers of the file.
        """

    async def seek(export: Any, inode: Inode, offset: int, hole: bool) -> Optional[int]:
        """
        As L{IDataServerBackend.seek}, in the file as a whole.
        """

    async def readSegments(
        export: Any, inode: Inode, offset: int, count: int
    ) -> SegmentsResult:
        """
        As L{read}, without the bytes of holes.
        """

    async def allocate(export: Any, inode: Inode, offset: int, length: int) -> None:
        """
        Reserve space on all data servers concerned, and grow the file to the end of
        the range if it is smaller. Durable when it returns; if it fails the size is
        as it was.
        """

    async def deallocate(export: Any, inode: Inode, offset: int, length: int) -> None:
        """
        As L{IDataServerBackend.deallocate}, on all data servers of the file.
        """

    async def advise(
        export: Any, inode: Inode, offset: int, length: int, hints: int
    ) -> int:
        """
        As L{IDataServerBackend.advise}: what makes a difference on all data servers
        of the file.
        """

    async def copy(
        export: Any,
        inode: Inode,
        offset: int,
        sourceExport: Any,
        source: Inode,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        Make a range of a file equal to one of another file, which ends before that
        file does. The data servers do it among themselves. It may end early, at a
        place from which on the caller goes on; verifier and size as for L{write}.
        """

    async def clone(
        export: Any,
        inode: Inode,
        offset: int,
        sourceExport: Any,
        source: Inode,
        sourceOffset: int,
        count: int,
    ) -> None:
        """
        As L{IDataServerBackend.clone}, on all data servers of the file.

        @raise CrossDevice: the bytes are on other data servers than they are to be
            on, or in another order.
        """

    async def applyOwner(export: Any, inode: Inode) -> None:
        """
        Bring owner and mode of the data files in line with the inode.
        """

    async def applyTimes(export: Any, inode: Inode) -> None:
        """
        Give the data files the inode's modification time, which a client has set:
        else L{refresh} would bring back the time of the last write.
        """

    async def fence(export: Any, inode: Inode) -> None:
        """
        Make every handle minted until now worthless: raises the epoch on the data
        servers and in the placement. A data server that does not answer is fenced
        as soon as it does, before anything else is done there.
        """

    def forget(export: Any, placement: Placement) -> None:
        """
        Delete data files in the background; they are in the durable queue already.
        """


class IRecaller(Interface):
    """
    Starts recalls; never waits.
    """

    def recallLayouts(file: Any, reason: str, exclude: Any = None) -> Any:
        """
        Recall every layout of a file (except that of client C{exclude}).

        @param file: the C{FileState} of L{pnfs.state}.
        @return: a Deferred that fires with None when none is left, by return or
            by revocation and fence at the deadline; already fired if none is held.
        """


class IDelegationRecaller(Interface):
    """
    Speaks to the holders of delegations.
    """

    counts = Attribute("How many recalls have ended, by how they did, to count.")

    def recallConflicting(file: Any, client: Any, write: bool) -> bool:
        """
        Recall the delegations of other clients that an access by this one
        conflicts with. Repeating is cheap.

        @param file: the C{FileState} of L{pnfs.state}.
        @param write: the access changes something; else only write delegations
            conflict with it.
        @return: there are some: the access has to wait.
        """

    def recall(delegation: Any) -> None:
        """
        Recall one, the C{DelegationState} of L{pnfs.state}.
        """

    def prove(client: Any) -> None:
        """
        Find out, soon, whether a client answers callbacks: else it gets none.
        """

    def proof(client: Any) -> Any:
        """
        If that is being found out now: a Deferred that fires with None when it is
        known, or after half a second; else None.
        """

    async def ask(delegation: Any) -> Any:
        """
        What the holder of a write delegation knows of the file (CB_GETATTR): a
        L{pnfs.values.HeldAttributes}. It may have lost the delegation by then.

        @raise Unreachable: it does not answer; the delegation is being recalled.
        """

    def settle(file: Any) -> None:
        """
        A delegation of a file has gone; maybe that was all that was held on it.
        """

    def push(
        client: Any, file: Any, credential: Any, write: bool, timestamps: bool
    ) -> bool:
        """
        A client waits for a delegation of a file: push it when there is no contention
        any more (CB_PUSH_DELEG).

        @param credential: whose it will be, after root squash.
        @return: that will be done.
        """

    def signal(client: Any) -> bool:
        """
        A client waits for delegations as such: tell it when there are some again
        (CB_RECALLABLE_OBJ_AVAIL).

        @return: that will be done.
        """

    def wants(client: Any, file: Any) -> bool:
        """
        Does it wait for one of that file?
        """

    def cancelWant(client: Any, file: Any) -> None:
        """
        It does not any more.
        """

    def press() -> None:
        """
        There are nearly too many: ask clients to give some back (CB_RECALL_ANY).
        """
