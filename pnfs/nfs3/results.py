# -*- test-case-name: tests.nfs3.test_client -*-
"""
Results of NFSv3 procedures as a client reads them (RFC 1813, section 3.3), and
those of MOUNT (appendix I): what follows a status of 0.

READ is not here: its data stays in the record (L{pnfs.nfs3.client}).
"""

from __future__ import annotations

from typing import Annotated, Optional

import attrs

from pnfs.nfs3.types import NFS3_FHSIZE, nfstime3, uint32, uint64
from pnfs.xdr.codec import Array, Fixed, Maybe, Opaque

NFS3_NAME_LIMIT = 4096
"""Longer names in a READDIR are taken for garbage."""

nfs_fh3 = Annotated[bytes, Opaque(NFS3_FHSIZE)]
verifier3 = Annotated[bytes, Fixed("8s")]


@attrs.define
class fattr3:
    """
    Attributes of a file system object.

    @ivar used: bytes of storage.
    @ivar rdev_major: with C{rdev_minor}, the number of a device.
    """

    type: uint32
    mode: uint32
    nlink: uint32
    uid: uint32
    gid: uint32
    size: uint64
    used: uint64
    rdev_major: uint32
    rdev_minor: uint32
    fsid: uint64
    fileid: uint64
    atime: nfstime3
    mtime: nfstime3
    ctime: nfstime3


def nanoseconds(time: nfstime3) -> int:
    """
    A time as the rest of the service has it.
    """
    return time.seconds * 1_000_000_000 + time.nseconds


post_op_attr = Annotated[Optional[fattr3], Maybe(fattr3)]
post_op_fh3 = Annotated[Optional[bytes], Maybe(nfs_fh3)]


@attrs.define
class wcc_attr:
    """
    What tells a client whether its cache was right before the operation.
    """

    size: uint64
    mtime: nfstime3
    ctime: nfstime3


@attrs.define
class wcc_data:
    """
    Attributes before and after, either of which a server may leave out.
    """

    before: Annotated[Optional[wcc_attr], Maybe(wcc_attr)]
    after: post_op_attr


@attrs.define
class GETATTR3resok:
    """
    C{GETATTR3resok}.
    """

    obj_attributes: fattr3


@attrs.define
class SETATTR3resok:
    """
    C{SETATTR3resok}; that of REMOVE has the same shape.
    """

    obj_wcc: wcc_data


@attrs.define
class LOOKUP3resok:
    """
    C{LOOKUP3resok}.
    """

    object: nfs_fh3
    obj_attributes: post_op_attr
    dir_attributes: post_op_attr


@attrs.define
class ACCESS3resok:
    """
    @ivar access: those of the rights asked for that the caller has.
    """

    obj_attributes: post_op_attr
    access: uint32


@attrs.define
class WRITE3resok:
    """
    @ivar count: bytes written.
    @ivar committed: C{stable_how}.
    """

    file_wcc: wcc_data
    count: uint32
    committed: uint32
    verf: verifier3


@attrs.define
class CREATE3resok:
    """
    @ivar obj: the filehandle, which a server may leave out.
    """

    obj: post_op_fh3
    obj_attributes: post_op_attr
    dir_wcc: wcc_data


@attrs.define
class READDIR3head:
    """
    C{READDIR3resok} up to its entries.
    """

    dir_attributes: post_op_attr
    cookieverf: verifier3


@attrs.define
class entry3:
    """
    One entry, without the pointer to the next.
    """

    fileid: uint64
    name: Annotated[bytes, Opaque(NFS3_NAME_LIMIT)]
    cookie: uint64


@attrs.define
class FSSTAT3resok:
    """
    @ivar tbytes: size in bytes; C{fbytes}: free; C{abytes}: free for the caller.
    @ivar tfiles: likewise in files.
    @ivar invarsec: seconds for which this will not change.
    """

    obj_attributes: post_op_attr
    tbytes: uint64
    fbytes: uint64
    abytes: uint64
    tfiles: uint64
    ffiles: uint64
    afiles: uint64
    invarsec: uint32


@attrs.define
class FSINFO3resok:
    """
    @ivar rtmax: largest READ; C{wtmax}: largest WRITE.
    @ivar maxfilesize: largest offset of a file's last byte, plus one.
    """

    obj_attributes: post_op_attr
    rtmax: uint32
    rtpref: uint32
    rtmult: uint32
    wtmax: uint32
    wtpref: uint32
    wtmult: uint32
    dtpref: uint32
    maxfilesize: uint64
    time_delta: nfstime3
    properties: uint32


@attrs.define
class COMMIT3resok:
    """
    C{COMMIT3resok}.
    """

    file_wcc: wcc_data
    verf: verifier3


@attrs.define
class mountres3_ok:
    """
    @ivar auth_flavors: RPC flavours that the export takes.
    """

    fhandle: nfs_fh3
    auth_flavors: Annotated[list[int], Array(uint32, 64)]
