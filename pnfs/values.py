"""
Values that cross a seam: what interfaces take and give.

They know no wire format and do no I/O. Times are integers of nanoseconds since
the epoch; sizes, offsets and lengths are bytes; a range's end is exclusive.
"""

from __future__ import annotations

import enum
from typing import Any, Optional, Sequence, Union

import attrs

NFS4_UINT64_MAX = 0xFFFFFFFFFFFFFFFF
"""The length that means "to the end of the file" (RFC 8881, section 3.3)."""


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


class Stable(enum.IntEnum):
    """
    C{stable_how4} (RFC 8881, section 18.32): how durable a write is.
    """

    UNSTABLE = 0
    DATA_SYNC = 1
    FILE_SYNC = 2


class SetXattr(enum.IntEnum):
    """
    C{setxattr_option4} (RFC 8276, section 8.4.2): may the attribute be there already?
    """

    EITHER = 0
    CREATE = 1
    REPLACE = 2


class IOMode(enum.IntEnum):
    """
    C{layoutiomode4} (RFC 8881, section 3.3.20).
    """

    READ = 1
    RW = 2
    ANY = 3


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


# -- access control lists ------------------------------------------------------


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


# -- placement and layouts ---------------------------------------------------


@attrs.frozen
class Placement:
    """
    Where a file's bytes are (the C{dsfile} record).

    @ivar layout: name of the layout driver that made it.
    @ivar stripeUnit: bytes of one stripe unit; 0 when there is one column.
    @ivar columns: per column the data servers (16-byte UUIDs) of its mirrors.
        Striped: several columns of one; mirrored: one column of several.
    @ivar name: the object's name on every data server, 1 to 80 characters of
        C{[0-9a-f]}. A byte has its offset in the file on every data server.
    @ivar epoch: fence epoch: data servers refuse handles of an older one.
    @ivar chunk: if not 0, the columns are no stripes: each holds so many bytes, one
        after the other, and a file that grows beyond the last gets another one; see
        L{pnfs.layouts.striping}.
    @ivar stale: data servers whose data files miss something: they are neither read
        nor written until they have been repaired. Never all of a column.
    @ivar next: where the file is being moved to.
    """

    layout: str
    stripeUnit: int
    columns: tuple[tuple[bytes, ...], ...]
    name: bytes
    epoch: int = 1
    chunk: int = 0
    stale: tuple[bytes, ...] = ()
    next: Optional["Placement"] = None

    @property
    def dataServers(self) -> tuple[bytes, ...]:
        """
        Every data server once, in order of first appearance, stale ones included.
        """
        return tuple(dict.fromkeys(ds for column in self.columns for ds in column))

    @property
    def readOnlyLayouts(self) -> bool:
        """
        No layout to write is given of it: some chunk has mirrors; see
        L{pnfs.layouts.flexfiles}.
        """
        return bool(self.chunk) and any([len(column) > 1 for column in self.columns])

    @property
    def everywhere(self) -> tuple[bytes, ...]:
        """
        Every data server where there may be a data file.
        """
        if self.next is None:
            return self.dataServers
        return tuple(dict.fromkeys(self.dataServers + self.next.dataServers))

    @property
    def live(self) -> "Placement":
        """
        What may be read and written: without stale mirrors.
        """
        if not self.stale and self.next is None:
            return self
        stale = self.stale
        return attrs.evolve(
            self,
            columns=tuple(
                tuple(ds for ds in column if ds not in stale) for column in self.columns
            ),
            stale=(),
            next=None,
        )


class DSState(enum.Enum):
    """
    What is to be done with a data server.
    """

    ACTIVE = "active"
    """Used for everything."""

    DRAINING = "draining"
    """It gets no new files; what it has is read and written, and moves away."""

    DISABLED = "disabled"
    """Not to be used at all; said by the operator."""

    REPAIRING = "repairing"
    """Used, while it is given what it has missed."""

    LOST = "lost"
    """Not used, because it failed."""

    @property
    def used(self) -> bool:
        """
        Its files may be read and written.
        """
        return self is not DSState.DISABLED and self is not DSState.LOST

    @property
    def takesNew(self) -> bool:
        """
        New files may go there.
        """
        return self is DSState.ACTIVE or self is DSState.REPAIRING


@attrs.frozen
class DataServer:
    """
    A data server as a layout driver may name it to clients.

    @ivar uuid: 16 bytes, its identity for ever.
    @ivar name: the administrator's name for it.
    @ivar addresses: (numeric host, port) pairs for clients, best first.
    @ivar version: (NFS version, minor version) spoken there: (4, 1), (4, 2), (3, 0).
    @ivar tightlyCoupled: it checks capability handles and the user's credential.
    @ivar readSize: largest READ in bytes.
    @ivar writeSize: largest WRITE in bytes.
    @ivar available: reachable now and not being drained: new files may go there.
    @ivar spaceFree: bytes free, if known.
    @ivar label: the class of its storage, such as C{"nvme"}; empty if not said.
    """

    uuid: bytes
    name: str
    addresses: tuple[tuple[str, int], ...]
    version: tuple[int, int] = (4, 1)
    tightlyCoupled: bool = True
    readSize: int = 1 << 20
    writeSize: int = 1 << 20
    available: bool = True
    spaceFree: Optional[int] = None
    label: str = ""


@attrs.frozen
class PlaceRequest:
    """
    Where shall a new file's bytes go?

    @ivar stripeUnit: the export's stripe unit in bytes.
    @ivar stripeCount: columns wanted; 0 means every data server.
    @ivar mirrors: copies wanted, 1 or more.
    @ivar name: the object's name to put into the placement.
    @ivar sequence: a counter that grows by one with each file: for placement policies.
    @ivar path: names from the export's root to the file's directory, as far as
        known; drivers and policies may go by it.
    @ivar chunk: bytes of a chunk, for layouts with mirrors; 0: no chunks.
    """

    stripeUnit: int
    stripeCount: int
    mirrors: int
    name: bytes
    sequence: int
    path: tuple[bytes, ...] = ()
    chunk: int = 0


@attrs.frozen
class PlacementSettings:
    """
    What is said of new files below a directory; None: nothing, so what is said of the
    next directory above counts.

    @ivar mirrors: copies; stripeCount: columns, 0 for all; stripeUnit: bytes; chunk:
        bytes of mirrored files that are on the same data servers, 0 for all.
    @ivar label: the class of storage; empty: any.
    @ivar policy: name of the placement policy; layout: of the driver that places.
    @ivar dataServers: names of those they may go to; empty: all.
    """

    mirrors: Optional[int] = None
    stripeCount: Optional[int] = None
    stripeUnit: Optional[int] = None
    label: Optional[str] = None
    policy: Optional[str] = None
    layout: Optional[str] = None
    dataServers: Optional[tuple[str, ...]] = None
    chunk: Optional[int] = None

    def over(self, above: "PlacementSettings") -> "PlacementSettings":
        """
        What counts below a directory where this is said.

        @param above: what would count if nothing were said.
        """
        said = {
            name: value
            for name in SETTING_NAMES.values()
            if (value := getattr(self, name)) is not None
        }
        return attrs.evolve(above, **said)


SETTING_NAMES = {
    "mirrors": "mirrors",
    "stripe_count": "stripeCount",
    "stripe_unit": "stripeUnit",
    "chunk": "chunk",
    "class": "label",
    "placement": "policy",
    "layout": "layout",
    "data_servers": "dataServers",
}
"""The L{PlacementSettings} as administrators and records call them."""


@attrs.frozen
class LayoutRequest:
    """
    A LAYOUTGET that may be granted (RFC 8881, section 18.43).

    @ivar minlength: bytes from C{offset} on that must be in it, at least one.
    @ivar handle: the capability filehandle for the data servers, minted by the core
        for this placement, epoch and iomode: the same one for all of them.
    @ivar stateid: 16 bytes for C{ffds_stateid}.
    @ivar uid: the file's owner, for loosely coupled servers.
    @ivar tightlyCoupled: none of the file's servers is loosely coupled.
    @ivar deviceid: gives the 16-byte deviceid for an ordered tuple of UUIDs, and
        remembers what it means.
    """

    iomode: int
    offset: int
    length: int
    minlength: int
    maxcount: int
    handle: bytes
    stateid: bytes
    uid: int
    gid: int
    deviceid: Any
    tightlyCoupled: bool = False


@attrs.frozen
class LayoutSegment:
    """
    One C{layout4} (RFC 8881, section 3.3.13): a range and an encoded body.
    """

    offset: int
    length: int
    iomode: int
    body: bytes


@attrs.frozen
class DeviceError:
    """
    A client could not use a device (RFC 8435 section 9.1, RFC 7862 section 15.6).

    @ivar status: nfsstat4; opnum: the operation that failed.
    """

    deviceid: bytes
    offset: int
    length: int
    status: int
    opnum: int


@attrs.frozen
class DeviceStatistics:
    """
    I/O of a client on a device, cumulative (RFC 8435 section 9.2).
    """

    deviceid: bytes
    readCount: int
    readBytes: int
    writeCount: int
    writeBytes: int


@attrs.frozen
class LayoutReport:
    """
    What a client says about its devices in LAYOUTRETURN or LAYOUTSTATS.
    """

    errors: tuple[DeviceError, ...] = ()
    statistics: tuple[DeviceStatistics, ...] = ()


# -- data servers --------------------------------------------------------------


@attrs.define(slots=True, eq=False)
class FileSlice:
    """
    A piece of a reply that the transport sends from a file without copying.

    @ivar fd: open for reading and kept so until C{release} has been called.
    @ivar count: bytes; if the file has become shorter, zeros are sent instead.
    @ivar release: called once when the bytes are sent or the connection is gone.
    """

    fd: int
    offset: int
    count: int
    release: Any

    def __len__(self) -> int:
        return self.count


Piece = Union[bytes, memoryview, FileSlice]
"""A part of a reply. Views must stay unchanged until sent."""


@attrs.define(slots=True)
class ReadResult:
    """
    @ivar pieces: the bytes read; together C{count}.
    @ivar eof: the range reached the end of the object.
    """

    pieces: Sequence[Piece]
    count: int
    eof: bool


@attrs.define(slots=True)
class Segment:
    """
    A part of a file that is all data or all hole (RFC 7862, section 15.10).

    @ivar pieces: the bytes, together C{count}; None for a hole.
    """

    offset: int
    count: int
    pieces: Optional[Sequence[Piece]]


@attrs.define(slots=True)
class SegmentsResult:
    """
    @ivar segments: in order and without gaps, from the start of the range on.
    @ivar count: bytes of the range that they tell of.
    @ivar eof: the range reached the end of the object.
    """

    segments: Sequence[Segment]
    count: int
    eof: bool


@attrs.define(slots=True)
class WriteResult:
    """
    @ivar count: bytes written, from the start of the range.
    @ivar committed: a L{Stable}: never less than what was asked.
    @ivar verifier: 8 bytes; another one than before means that unstable writes
        since then may be lost.
    """

    count: int
    committed: int
    verifier: bytes


@attrs.define(slots=True)
class ObjectAttributes:
    """
    A data file. Times in nanoseconds.
    """

    size: int
    used: int
    atime: int
    mtime: int
    ctime: int
    change: int
    uid: int
    gid: int
    mode: int
    epoch: int


@attrs.frozen
class CopySource:
    """
    What a data server shall copy from.

    @ivar name: the object.
    @ivar uuid: the data server that has it; empty: the one that copies.
    @ivar addresses: (numeric host, port) pairs where that one may be reached.
    @ivar handle: a capability filehandle that may read it there.
    """

    name: bytes
    uuid: bytes = b""
    addresses: tuple[tuple[str, int], ...] = ()
    handle: bytes = b""
