# -*- test-case-name: tests.backends.metadata.test_xattr -*-
"""
Who owns an object and what its permission bits are.

L{RealOwners}: the process may give files away, so the tree itself says it, and
C{ls -l} shows the truth.

L{RecordedOwners}: it may not. Everything in the tree belongs to the process.
Regular files get at least mode 0600 and directories 0700 underneath, so that the
process can always open them; where that or the owner is not what was asked
for, the C{pnfsd.owner} record says the truth, and it then wins over what C{ls -l}
shows. Symbolic links and special files cannot carry C{user.} attributes: they
are owned by the process, their mode is the real one, and giving them to
somebody else is refused.
"""

from __future__ import annotations

import os
import stat
from typing import Optional, Protocol

from pnfs.backends.errors import PermissionRefused, Unsupported
from pnfs.backends.metadata.xattr_records import OWNER, packOwner, unpackOwner
from pnfs.values import FileType, Inode

_REG = int(FileType.REG)
_DIR = int(FileType.DIR)
_LNK = int(FileType.LNK)
_MODE = 0o7777


def reach(fd: int, ftype: int) -> int | bytes:
    """
    What to give to calls that take an open file or a path: descriptors of other
    types are O_PATH ones, which many calls refuse.
    """
    return fd if ftype == _REG or ftype == _DIR else b"/proc/self/fd/%d" % fd


class Owners(Protocol):
    """
    What the backend needs of either kind.

    @ivar real: the tree says it all: there are no records, and the process may
        also make devices.
    """

    real: bool

    def underneath(self, ftype: int, mode: int) -> int:
        """
        Permission bits to create an object with.
        """

    def establish(
        self, fd: int, ftype: int, mode: int, uid: int, gid: int
    ) -> os.stat_result:
        """
        Bring a new object to this owner and mode. @raise OSError:
        """

    def change(
        self,
        fd: int,
        inode: Inode,
        mode: Optional[int],
        uid: Optional[int],
        gid: Optional[int],
    ) -> None:
        """
        Change an object; None leaves alone. @raise OSError: @raise BackendError:
        """

    def view(self, status: os.stat_result, record: bytes) -> tuple[int, int, int]:
        """
        Mode, uid and gid to show.
        """


class RealOwners:
    """
    The tree says who owns what.
    """

    real = True

    def underneath(self, ftype: int, mode: int) -> int:
        """
        See L{Owners.underneath}.
        """
        return mode

    def establish(
        self, fd: int, ftype: int, mode: int, uid: int, gid: int
    ) -> os.stat_result:
        """
        See L{Owners.establish}. The mode comes last: chown takes setuid away.
        """
        status = os.stat(fd)
        if status.st_uid != uid or status.st_gid != gid:
            os.chown(reach(fd, ftype), uid, gid)
            status = os.stat(fd)
        if status.st_mode & _MODE != mode and ftype != _LNK:
            os.chmod(reach(fd, ftype), mode)
            status = os.stat(fd)
        return status

    def change(
        self,
        fd: int,
        inode: Inode,
        mode: Optional[int],
        uid: Optional[int],
        gid: Optional[int],
    ) -> None:
        """
        See L{Owners.change}.
        """
        where = reach(fd, inode.ftype)
        if uid is not None or gid is not None:
            os.chown(where, -1 if uid is None else uid, -1 if gid is None else gid)
        if mode is not None:
            if inode.ftype == _LNK:
                raise Unsupported("a symbolic link has no mode")
            os.chmod(where, mode & _MODE)

    def view(self, status: os.stat_result, record: bytes) -> tuple[int, int, int]:
        """
        See L{Owners.view}.
        """
        return status.st_mode & _MODE, status.st_uid, status.st_gid


class RecordedOwners:
    """
    Records say who owns what.
    """

    real = False

    def __init__(self, namespace: str) -> None:
        """
        @param namespace: what the full name of the C{owner} record begins with.
        """
        self._attribute = namespace + OWNER

    def underneath(self, ftype: int, mode: int) -> int:
        """
        See L{Owners.underneath}.
        """
        if ftype == _REG:
            return mode & 0o777 | 0o600
        if ftype == _DIR:
            return mode & 0o777 | 0o700
        return mode & 0o777

    def establish(
        self, fd: int, ftype: int, mode: int, uid: int, gid: int
    ) -> os.stat_result:
        """
        See L{Owners.establish}.
        """
        status = os.stat(fd)
        if ftype == _REG or ftype == _DIR:
            self._record(fd, status, ftype, mode, uid, gid, False)
        elif ftype != _LNK and status.st_mode & 0o777 != mode & 0o777:
            os.chmod(reach(fd, ftype), mode & 0o777)
        return os.stat(fd)

    def change(
        self,
        fd: int,
        inode: Inode,
        mode: Optional[int],
        uid: Optional[int],
        gid: Optional[int],
    ) -> None:
        """
        See L{Owners.change}.
        """
        wanted = (
            inode.mode if mode is None else mode & _MODE,
            inode.uid if uid is None else uid,
            inode.gid if gid is None else gid,
        )
        if inode.ftype == _REG or inode.ftype == _DIR:
            if (
                mode is None
                and inode.ftype == _REG
                and wanted[1:] != (inode.uid, inode.gid)
            ):
                # As chown(2): a file given away keeps no setuid or setgid.
                wanted = (wanted[0] & ~0o6000, wanted[1], wanted[2])
            self._record(fd, os.stat(fd), inode.ftype, *wanted, True)
            return
        if wanted[1:] != (inode.uid, inode.gid):
            raise PermissionRefused("the server may not give this type of file away")
        if mode is not None:
            if inode.ftype == _LNK:
                raise Unsupported("a symbolic link has no mode")
            os.chmod(reach(fd, inode.ftype), mode & 0o777)

    def view(self, status: os.stat_result, record: bytes) -> tuple[int, int, int]:
        """
        See L{Owners.view}.
        """
        if record:
            return unpackOwner(record)
        return status.st_mode & _MODE, status.st_uid, status.st_gid

    def _record(
        self,
        fd: int,
        status: os.stat_result,
        ftype: int,
        mode: int,
        uid: int,
        gid: int,
        old: bool,
    ) -> None:
        """
        Real bits as far as possible, and a record if they are not the truth.
        """
        bits = self.underneath(ftype, mode)
        if stat.S_IMODE(status.st_mode) != bits:
            os.chmod(fd, bits)
        if old or (bits, status.st_uid, status.st_gid) != (mode, uid, gid):
            os.setxattr(fd, self._attribute, packOwner(mode, uid, gid))
