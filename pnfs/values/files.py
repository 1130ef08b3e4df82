"""
Files, who uses them, and what is said of them.
"""

from __future__ import annotations

import enum
from typing import Any, Optional

import attrs


class FileType(enum.IntEnum):
    """
    C{nfs_ftype4} (RFC 8881, section 3.2): the same numbers in NFSv3.
    """

    REG = 1
    DIR = 2
    BLK = 3
    CHR = 4
    LNK = 5
    SOCK = 6
    FIFO = 7


class SetXattr(enum.IntEnum):
    """
    C{setxattr_option4} (RFC 8276, section 8.4.2): may the attribute be there already?
    """

    EITHER = 0
    CREATE = 1
    REPLACE = 2


@attrs.define(slots=True, eq=False)
class Credential:
    """
    Who asks. Compared by identity: the RPC layer keeps one object per distinct
    credential of a connection, so it may key caches.

    @ivar uid: numeric user.
    @ivar gid: primary group.
    @ivar groups: all groups, the primary one included.
    @ivar flavor: the RPC flavour it came with (RFC 5531, section 8.2).
    """

    uid: int
    gid: int
    groups: frozenset[int]
    flavor: int = 1


NOBODY = 65534
"""The uid and gid of an anonymous caller."""


ANONYMOUS = Credential(NOBODY, NOBODY, frozenset({NOBODY}), 0)


ROOT = Credential(0, 0, frozenset({0}), 1)


class Who(enum.IntEnum):
    """
    The special identifiers of an access control list (RFC 8881, section 6.2.1.5),
    below every uid and gid.
    """

    OWNER = -1
    GROUP = -2
    EVERYONE = -3
    INTERACTIVE = -4
    NETWORK = -5
    DIALUP = -6
    BATCH = -7
    ANONYMOUS = -8
    AUTHENTICATED = -9
    SERVICE = -10


@attrs.frozen
class ACE:
    """
    One entry of an access control list (RFC 8881, section 6.2.1): C{nfsace4}.

    @ivar type: ALLOW (0) or DENY (1).
    @ivar flag: C{aceflag4}: inheritance, and whether C{who} is a group.
    @ivar mask: C{acemask4}: the rights.
    @ivar who: a uid, a gid, or a L{Who}.
    """

    type: int
    flag: int
    mask: int
    who: int


@attrs.frozen
class ACL:
    """
    An access control list; what it means is in L{pnfs.namespace.acl}.

    @ivar flags: C{aclflag4} of the C{dacl} attribute (RFC 8881, section 6.4.3.2).
    """

    aces: tuple[ACE, ...]
    flags: int = 0


MODE_ONLY = ACL((), -1)
"""For C{acl} in L{SetAttributes}: take the list away; the mode says it all."""


@attrs.define(slots=True, eq=False)
class Inode:
    """
    One file system object as a metadata backend knows it now.

    The backend owns it: it hands out the same object as long as it caches it,
    changes its fields in place and clears C{encoded} whenever a field moves.
    Everybody else only reads it, except that C{encoded} and C{state} belong to
    the protocol layer.

    @ivar handle: the backend's identity of the object, 1 to 40 bytes, stable
        over restarts and never used again for another object.
    @ivar fileid: the number shown to users, unique in the file system.
    @ivar ftype: a L{FileType}, as int.
    @ivar mode: permission bits with setuid, setgid, sticky (no file type).
    @ivar size: bytes; for regular files from dsattr.
    @ivar used: bytes of storage.
    @ivar rdev: major and minor number of a device.
    @ivar change: the change attribute; grows with every change.
    @ivar hasPlacement: a regular file whose data files have been made.
    @ivar encoded: attribute bitmap to encoded C{fattr4}; cleared by the backend.
    @ivar generation: grows by one each time a field moves or C{encoded} is cleared.
    @ivar state: the protocol layer's per-file state (opens, locks, layouts), or None.
    @ivar acl: the access control list, which then decides instead of the mode; None
        for the many that have none. The permission bits of C{mode} follow from it.
    @ivar asked: the protocol layer has asked the data servers for the size of this
        file since it was brought into memory.
    """

    handle: bytes
    fileid: int
    ftype: int
    mode: int
    nlink: int
    uid: int
    gid: int
    size: int
    used: int
    atime: int
    mtime: int
    ctime: int
    btime: int
    change: int
    rdev: tuple[int, int] = (0, 0)
    hasPlacement: bool = False
    encoded: dict[Any, bytes] = attrs.Factory(dict)
    generation: int = 0
    state: Any = None
    acl: Optional[ACL] = None
    asked: bool = False


@attrs.frozen
class NewObject:
    """
    What to create (RFC 8881, sections 18.4 and 18.16).

    @ivar ftype: a L{FileType}.
    @ivar mode: permission bits; the backend applies the directory's setgid rule
        (group inherited; directories inherit the bit).
    @ivar target: text of a symbolic link.
    @ivar rdev: major and minor of a device node.
    @ivar verifier: the 8 bytes of an exclusive create, kept with the file so that
        a retry of the same create is recognised (L{IMetadataBackend.createVerifier}).
    @ivar acl: of a regular file or a directory; C{mode} agrees with it.
    """

    ftype: int
    mode: int
    uid: int
    gid: int
    target: bytes = b""
    rdev: tuple[int, int] = (0, 0)
    verifier: bytes = b""
    atime: Optional[int] = None
    mtime: Optional[int] = None
    acl: Optional[ACL] = None


@attrs.frozen
class SetAttributes:
    """
    Attributes to change; None leaves one alone.

    C{NOW} for a time means the server's time; C{MODE_ONLY} takes the access control
    list away. Who gives a list gives the mode that follows from it as well.
    """

    mode: Optional[int] = None
    uid: Optional[int] = None
    gid: Optional[int] = None
    size: Optional[int] = None
    atime: Optional[int] = None
    mtime: Optional[int] = None
    acl: Optional[ACL] = None


NOW = -(1 << 63)
"""For a time in L{SetAttributes}: the server's time."""


@attrs.frozen
class HeldAttributes:
    """
    What the holder of a write delegation says of the file (CB_GETATTR, RFC 8881
    section 20.1); None: it did not.

    @ivar change: another number than it was given, if it has changed the file.
    @ivar size: bytes, with what it has not written back yet.
    @ivar atime: and C{mtime}: if it keeps the times (RFC 9754).
    """

    change: Optional[int] = None
    size: Optional[int] = None
    atime: Optional[int] = None
    mtime: Optional[int] = None


@attrs.frozen
class Removed:
    """
    What a REMOVE or a RENAME over a name took away.

    @ivar inode: the object that lost the name.
    @ivar gone: that was its last name.
    """

    inode: Inode
    gone: bool


@attrs.frozen
class DirectoryEntry:
    """
    One entry of READDIR.

    @ivar cookie: where to go on after this entry: 3 or more, stable while the
        directory's other entries come and go.
    @ivar inode: None if it vanished or cannot be read.
    """

    cookie: int
    name: bytes
    inode: Optional[Inode]


@attrs.frozen
class FSStatistics:
    """
    Space of a file system, in bytes and in inodes.

    @ivar cloneBlock: files can share ranges of their bytes that begin and end at
        multiples of this; 0: they cannot.
    """

    spaceTotal: int
    spaceFree: int
    spaceAvailable: int
    filesTotal: int
    filesFree: int
    filesAvailable: int
    cloneBlock: int = 0
