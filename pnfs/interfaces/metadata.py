"""
Names, attributes and placements, and what must survive a restart.
"""

from __future__ import annotations

from typing import Any, Collection, Mapping, Optional, Sequence

from zope.interface import Attribute, Interface

from pnfs.values import (
    DirectoryEntry,
    FSStatistics,
    Inode,
    NewObject,
    Placement,
    PlacementSettings,
    Removed,
    SetAttributes,
    SetXattr,
)


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

    async def directoryOf(inode: Inode) -> Optional[Inode]:
        """
        A directory that has an object; None of the root, and of what is not known to
        be in any: after a restart that may be so of a file that has not been looked
        up yet.
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

    async def loadSettings(directory: Inode) -> Optional[PlacementSettings]:
        """
        What is said of the placement of new files below a directory, None if nothing
        is. Seen by no client.
        """

    async def storeSettings(
        directory: Inode, settings: Optional[PlacementSettings]
    ) -> None:
        """
        Say something else, or with None nothing any more. Durable before it returns.

        @raise NotDirectory: files have no files below them.
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
