# -*- test-case-name: tests.backends.metadata.test_xattr -*-
"""
Starting and stopping the xattr backend: what the process may do on this file
system is found out once, by trying.

The state folder holds:

================ ========================================================
C{lock}          locked while a server uses the folder
C{recovery/}     L{FileRecoveryStore}, with the identity of the tree
C{removals}      L{FileRemovals}
C{handles.db}    L{IndexedHandles}, if kernel handles cannot be opened
================ ========================================================

The namespace of the records is chosen when a tree is first used and written
down, because records of another namespace would silently not be seen.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Any, Callable, Optional

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pnfs.backends.errors import BadConfiguration, NoSuchObject, BackendError
from pnfs.backends.metadata.recovery import FileRecoveryStore
from pnfs.backends.metadata.removals import FileRemovals, InThread
from pnfs.backends.metadata.xattr_handles import (
    IndexedHandles,
    KernelHandles,
    kernelHandlesWork,
)
from pnfs.backends.metadata.xattr_owners import RealOwners, RecordedOwners
from pnfs.backends.metadata.xattr_records import unpackPlacement
from pnfs.backends.metadata.xattr_tree import XattrTree

_CHECK_SECONDS = 1.0
_PROBE = "pnfsd.probe"


class XattrStorage(XattrTree):
    """
    @ivar fsid: see L{pnfs.interfaces.IMetadataBackend}; random, kept in the state
        folder.
    @ivar recovery: see L{pnfs.interfaces.IMetadataBackend}.
    """

    fsid: tuple[int, int]

    def __init__(
        self,
        root: str,
        stateFolder: str,
        clock: IReactorTime,
        now: Callable[[], int],
        entropy: Callable[[int], bytes],
        *,
        privileged: Optional[bool] = None,
        cacheLimit: int = 200_000,
        directoryLimit: int = 512,
        inThread: Optional[InThread] = None,
    ) -> None:
        """
        @param root: the directory that is the root of the tree; it must exist.
        @param stateFolder: outside of the tree; made if absent.
        @param clock: for the check once a second.
        @param now: wall time in nanoseconds.
        @param privileged: False: do without privileges even if the process has
            them. None: use what there is. True: refuse to start without them.
        @param cacheLimit: objects in memory.
        @param directoryLimit: open directories.
        @param inThread: calls blocking functions elsewhere, such as
            C{partial(deferToThread, ...)}; None: flushes block the caller.
        """
        super().__init__(now, cacheLimit, directoryLimit)
        self.root: Any = None
        self.fsid = (0, 0)
        self.xattrs = False
        self._path = root
        self._folder = stateFolder
        self._clock = clock
        self._entropy = entropy
        self._privileged = privileged
        self._inThread = inThread
        self._rootFD = self._lock = -1
        self._timer: Optional[IDelayedCall] = None
        self.recovery = FileRecoveryStore(os.path.join(stateFolder, "recovery"))
        self._removals = FileRemovals(os.path.join(stateFolder, "removals"), inThread)

    async def start(self) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.start}.
        """
        try:
            self._openRoot()
            self._openFolder()
            self._choose()
            self._removals.open()
            fd = os.dup(self._rootFD)
            try:
                self.root = self._adopt(fd, os.stat(fd))
            finally:
                os.close(fd)
            await self._forgetSurvivors()
        except BadConfiguration:
            self._close()
            raise
        except (BackendError, OSError) as error:
            self._close()
            raise BadConfiguration(f"metadata tree {self._path}: {error}") from error
        self._timer = self._clock.callLater(_CHECK_SECONDS, self._advance)

    async def stop(self) -> None:
        """
        See L{pnfs.interfaces.IMetadataBackend.stop}. What was acknowledged is
        stored already.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for node in list(self._inodes.values()):
            if node.fd >= 0:
                os.close(node.fd)
                node.fd = -1
        self._close()

    def _close(self) -> None:
        """
        Close everything but objects, and let go of the lock.
        """
        if hasattr(self, "_handles"):
            self._handles.close()
        self._removals.close()
        self.recovery.close()
        for fd in (self._rootFD, self._lock):
            if fd >= 0:
                os.close(fd)
        self._rootFD = self._lock = -1

    def _advance(self) -> None:
        """
        What is in memory must be compared again.
        """
        self.tick += 1
        self._timer = self._clock.callLater(_CHECK_SECONDS, self._advance)

    async def _flush(self, fd: int) -> None:
        """
        Make a file durable.
        """
        if self._inThread is None:
            os.fsync(fd)
        else:
            await self._inThread(os.fsync, fd)

    async def _forgetSurvivors(self) -> None:
        """
        Files queued for removal whose names were not taken away before a crash.
        """
        for entry in self._removals.entries():
            try:
                node = self._find(entry.handle)
            except NoSuchObject:
                continue
            if (
                node.record
                and unpackPlacement(node.record).name == entry.placement.name
            ):
                await self._removals.forget(entry.placement.name)

    # -- finding out what may be done ---------------------------------------------

    def _openRoot(self) -> None:
        """
        Open the root of the tree.
        """
        try:
            self._rootFD = os.open(
                self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            )
        except OSError as error:
            raise BadConfiguration(
                f"metadata tree {self._path}: {error.strerror}; it must be an"
                " existing directory that the server may write"
            ) from error
        self._device = os.stat(self._rootFD).st_dev

    def _openFolder(self) -> None:
        """
        Make and lock the state folder.
        """
        root = os.path.realpath(self._path)
        folder = os.path.realpath(self._folder)
        if os.path.commonpath([root, folder]) == root:
            raise BadConfiguration(
                f"state folder {self._folder}: lies inside the tree {self._path},"
                " where clients would see it; choose another place"
            )
        os.makedirs(self._folder, 0o700, exist_ok=True)
        self._lock = os.open(
            os.path.join(self._folder, "lock"),
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
            0o600,
        )
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadConfiguration(
                f"state folder {self._folder}: in use by another server; stop that"
                " one or choose another folder"
            ) from None

    def _choose(self) -> None:
        """
        Namespace, owners, handles and identity.
        """
        mayAll = self._privileged is not False
        works = self._namespacesThatWork()
        if not works:
            raise BadConfiguration(
                f"metadata tree {self._path}: the file system keeps no extended"
                " attributes for this process; use one that does (ext4, XFS, btrfs,"
                " ZFS, tmpfs)"
            )
        best = works[0] if mayAll else "user."
        chosen = self.recovery.identity("namespace", lambda: best.encode("ascii"))
        self._namespace = chosen.decode("ascii")
        self.xattrs = "user." in works
        if self._namespace not in works:
            raise BadConfiguration(
                f"metadata tree {self._path}: its records are in the"
                f" {self._namespace}* namespace, which this process may not use;"
                " run it as the user who made them"
            )
        gives = mayAll and self._mayGiveAway()
        self._owners = RealOwners() if gives else RecordedOwners(self._namespace)
        exist, refusal = kernelHandlesWork(self._rootFD)
        if self._privileged and not (gives and exist and refusal is None):
            raise BadConfiguration(
                f"metadata tree {self._path}: privileged operation was asked for, but"
                " this process may not change owners or open file handles here; run"
                " it as root"
            )
        if mayAll and exist and refusal is None:
            self._handles = KernelHandles(self._rootFD)
        else:
            self._handles = IndexedHandles(
                os.path.join(self._folder, "handles.db"), self._entropy, exist
            )
        identity = self.recovery.identity("fsid", lambda: self._entropy(16))
        self.fsid = (
            int.from_bytes(identity[:8], "big"),
            int.from_bytes(identity[8:16], "big"),
        )

    def _probe(self) -> int:
        """
        A nameless file in the tree to try things on.
        """
        try:
            return os.open(self._path, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
                raise
        name = ".pnfsd-" + self._entropy(8).hex()
        fd = os.open(
            name,
            os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
            0o600,
            dir_fd=self._rootFD,
        )
        os.unlink(name, dir_fd=self._rootFD)
        return fd

    def _namespacesThatWork(self) -> list[str]:
        """
        Those in which the process may keep records here, the best one first.
        """
        works = []
        fd = self._probe()
        try:
            for namespace in ("trusted.", "user."):
                try:
                    os.setxattr(fd, namespace + _PROBE, b"x" * 128)
                    works.append(namespace)
                except OSError as error:
                    if error.errno not in (
                        errno.EPERM,
                        errno.EACCES,
                        errno.EOPNOTSUPP,
                        errno.ENOSPC,
                    ):
                        raise
        finally:
            os.close(fd)
        return works

    def _mayGiveAway(self) -> bool:
        """
        Whether the process may change owners here.
        """
        fd = self._probe()
        try:
            other = os.stat(fd).st_uid + 1
            os.fchown(fd, other, other)
            return True
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
            return False
        finally:
            os.close(fd)
