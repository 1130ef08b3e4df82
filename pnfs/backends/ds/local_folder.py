# -*- test-case-name: tests.backends.ds.test_local -*-
"""
The folder of a data server on disk; blocking calls only.

::

    uuid              identity: see L{Identity}
    ds0/ ... ds19/    data files, named as the objects; the number is
                      crc32(name) modulo the number of directories

A second server on the same folder is kept out by C{flock}.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import os
import re
import uuid as uuids
import zlib
from typing import Callable, Iterator

import attrs

from pnfs.backends.ds import local_record
from pnfs.backends.ds.local_record import ObjectRecord
from pnfs.backends.errors import BadConfiguration, InvalidArgument, NoSuchObject

_IDENTITY = "uuid"
_NAME = re.compile(rb"[0-9a-f]{1,80}")
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HOLD = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW

LARGE = 64 << 20
"""Bytes on the disk of a file whose space is not freed before it is said to be gone."""


@attrs.frozen
class Identity:
    """
    What was decided when the folder was first used. As text::

        0f3c...-....            the data server's UUID
        directories 20          how many ds<n> there are
        attribute trusted.pnfsd.object

    @ivar uuid: 16 bytes.
    """

    uuid: bytes
    directories: int
    attribute: str

    def encode(self) -> bytes:
        """
        The contents of the file.
        """
        return (
            f"{uuids.UUID(bytes=self.uuid)}\n"
            f"directories {self.directories}\n"
            f"attribute {self.attribute}\n"
        ).encode("ascii")


def decodeIdentity(text: bytes) -> Identity:
    """
    @raise ValueError: this is no identity.
    """
    lines = text.decode("ascii").split("\n")
    fields = dict(line.split(" ", 1) for line in lines[1:] if line)
    identity = Identity(
        uuids.UUID(lines[0]).bytes,
        int(fields["directories"]),
        fields["attribute"],
    )
    if not 1 <= identity.directories <= 10000:
        raise ValueError("directories must be 1 to 10000")
    if identity.attribute not in (local_record.TRUSTED, local_record.USER):
        raise ValueError(f"attribute {identity.attribute} is unknown")
    return identity


class DataFolder:
    """
    A folder that this process owns between L{open} and L{close}.

    @ivar path: where it is.
    @ivar identity: set by L{open}.
    @ivar privileged: data files get their object's owner and mode.
    @ivar directoryFDs: of C{ds0}, C{ds1}, ...
    @ivar removed: descriptors of large files that have no name any more. Their space is
        free when a thread has closed them, which takes a third of a second for a GiB.
    """

    identity: Identity

    def __init__(
        self, path: str, directories: int, entropy: Callable[[int], bytes]
    ) -> None:
        """
        @param directories: how many to make when the folder is first used.
        @param entropy: gives random bytes for the identity.
        """
        self.path = path
        self.privileged = False
        self.directoryFDs: list[int] = []
        self.removed: list[int] = []
        self._wanted = directories
        self._entropy = entropy
        self._fd = -1

    # -- the whole folder --------------------------------------------------------

    def open(self) -> None:
        """
        Lock the folder, read or make its identity, make its directories.

        @raise BadConfiguration:
        """
        try:
            self._fd = os.open(self.path, _DIRECTORY)
            self._lock()
            self.identity = self._identify()
            # In a folder of user attributes an unprivileged server must go on being
            # able to open every file, so they keep its owner and mode.
            self.privileged = (
                os.geteuid() == 0 and self.identity.attribute == local_record.TRUSTED
            )
            for number in range(self.identity.directories):
                self.directoryFDs.append(self._openDirectory(f"ds{number}"))
            os.fsync(self._fd)
        except BadConfiguration:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise BadConfiguration(
                f"{self.path}: cannot be used as a data server's folder:"
                f" {error.strerror}"
            ) from error

    def close(self) -> None:
        """
        Unlock the folder.
        """
        for fd in self.directoryFDs + self.removed:
            os.close(fd)
        self.directoryFDs.clear()
        self.removed.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lock(self) -> None:
        """
        Keep others out for as long as the folder is open.
        """
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadConfiguration(
                f"{self.path}: another data server is running on this folder;"
                " stop it or choose another folder"
            ) from error

    def _identify(self) -> Identity:
        """
        Read the identity, or make one in a folder never used before.
        """
        try:
            fd = os.open(_IDENTITY, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._fd)
        except FileNotFoundError:
            return self._found()
        with open(fd, "rb") as stream:
            text = stream.read(4096)
        try:
            identity = decodeIdentity(text)
        except (ValueError, KeyError) as error:
            raise BadConfiguration(
                f"{self.path}/{_IDENTITY}: is damaged; restore it from a backup"
            ) from error
        if not local_record.canUse(self._fd, identity.attribute):
            raise BadConfiguration(
                f"{self.path}: this process cannot write the attribute"
                f" {identity.attribute} that the folder was made with; run as the"
                " same user as before"
            )
        return identity

    def _found(self) -> Identity:
        """
        Make the identity of a new folder, durably and at once as a whole.
        """
        if "ds0" in os.listdir(self._fd):
            raise BadConfiguration(
                f"{self.path}: has data but no file {_IDENTITY};"
                " restore it from a backup"
            )
        attribute = local_record.usableAttribute(self._fd)
        if attribute is None:
            raise BadConfiguration(
                f"{self.path}: this file system has no extended attributes;"
                " choose a folder on ext4, xfs, btrfs, zfs or tmpfs"
            )
        made = uuids.UUID(bytes=self._entropy(16), version=4)
        identity = Identity(made.bytes, self._wanted, attribute)
        temporary = _IDENTITY + ".new"
        fd = os.open(
            temporary,
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
            0o644,
            dir_fd=self._fd,
        )
        with open(fd, "wb") as stream:
            stream.write(identity.encode())
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, _IDENTITY, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        os.fsync(self._fd)
        return identity

    def _openDirectory(self, name: str) -> int:
        """
        Open one of C{ds<n>}, making it if need be.
        """
        try:
            os.mkdir(name, 0o700, dir_fd=self._fd)
        except FileExistsError:
            # As it is at every start but the first.
            pass
        return os.open(name, _DIRECTORY, dir_fd=self._fd)

    def statvfs(self) -> os.statvfs_result:
        """
        Space of the file system.
        """
        return os.fstatvfs(self._fd)

    # -- objects -------------------------------------------------------------------

    def directoryOf(self, name: bytes) -> int:
        """
        The number of the directory where an object is.

        @raise NoSuchObject: no object can have that name.
        """
        if _NAME.fullmatch(name) is None:
            raise NoSuchObject(f"{name!r} cannot be an object's name")
        return zlib.crc32(name) % len(self.directoryFDs)

    def load(self, name: bytes) -> tuple[int, ObjectRecord]:
        """
        Open an object.

        @return: descriptor and record.
        @raise NoSuchObject:
        """
        directory = self.directoryFDs[self.directoryOf(name)]
        try:
            fd = os.open(name, _OPEN, dir_fd=directory)
        except FileNotFoundError as error:
            raise NoSuchObject(name.decode("ascii")) from error
        try:
            record = local_record.loadRecord(fd, self.identity.attribute)
            if record is None:
                # Its creation was cut short, so nobody has been told of it.
                raise NoSuchObject(name.decode("ascii"))
        except BaseException:
            os.close(fd)
            raise
        return fd, record

    def create(self, name: bytes, record: ObjectRecord) -> tuple[int, ObjectRecord]:
        """
        Make an object, or give an existing one this record; the fence epoch is
        never lowered. The caller flushes the directory.

        @return: descriptor and record.
        """
        if _NAME.fullmatch(name) is None:
            raise InvalidArgument(f"{name!r} cannot be an object's name")
        directory = self.directoryFDs[self.directoryOf(name)]
        fd = os.open(name, _OPEN | os.O_CREAT, 0o600, dir_fd=directory)
        try:
            before = local_record.loadRecord(fd, self.identity.attribute)
            if before is not None and before.epoch > record.epoch:
                record = attrs.evolve(record, epoch=before.epoch)
            self.store(fd, record)
            os.fsync(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd, record

    def store(self, fd: int, record: ObjectRecord) -> None:
        """
        Write an object's record, and show owner and mode to ordinary tools.
        """
        local_record.storeRecord(fd, self.identity.attribute, record)
        if not self.privileged:
            return
        try:
            os.fchown(fd, record.uid, record.gid)
        except OSError as error:
            # A user namespace without that number: the record is what counts.
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
        os.fchmod(fd, record.mode & 0o7777)

    def remove(self, name: bytes) -> None:
        """
        Delete an object. The caller flushes the directory, and has what is L{removed}
        closed.

        @raise NoSuchObject:
        """
        directory = self.directoryFDs[self.directoryOf(name)]
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if found.st_blocks * 512 >= LARGE:
                self.removed.append(os.open(name, _HOLD, dir_fd=directory))
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError as error:
            raise NoSuchObject(name.decode("ascii")) from error

    def list(self, after: bytes, limit: int) -> list[bytes]:
        """
        The names that follow C{after}. Reads every directory: a walk should ask
        for many at once.
        """
        return heapq.nsmallest(limit, (name for name in self._names() if name > after))

    def _names(self) -> Iterator[bytes]:
        """
        Every object, in no order.
        """
        for number in range(self.identity.directories):
            directory = os.path.join(os.fsencode(self.path), b"ds%d" % number)
            with os.scandir(directory) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name) is not None:
                        yield entry.name
