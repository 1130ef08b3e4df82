# -*- test-case-name: tests.nfs3.test_server -*-
"""
Procedures on names and directories: a data server has none to offer.

They are answered after a look at the first filehandle, so that a client learns
whether that one is bad before it learns that the rest is pointless.
"""

from __future__ import annotations

from typing import Callable

from pnfs.namespace.filehandles import Capability
from pnfs.nfs3.dataserver import DataServer3
from pnfs.nfs3.status import NFS3Error, nfsstat3
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Results

Refused = Callable[[DataServer3, Call, Buffer, int], Results]


def _refusing(file: nfsstat3, folder: nfsstat3, text: str) -> Refused:
    """
    @param file: the answer under the handle of a data file.
    @param folder: under that of the data server.
    """

    def refused(server: DataServer3, call: Call, buf: Buffer, pos: int) -> Results:
        capability: Capability = server.handle(buf, pos)[0]
        raise NFS3Error(file if capability.name else folder)

    refused.__doc__ = text
    return refused


lookup = _refusing(
    nfsstat3.NFS3ERR_NOTDIR,
    nfsstat3.NFS3ERR_NOENT,
    "LOOKUP (section 3.3.3): no name can be found.",
)

readlink = _refusing(
    nfsstat3.NFS3ERR_INVAL,
    nfsstat3.NFS3ERR_INVAL,
    "READLINK (section 3.3.5): no object is a symbolic link.",
)

change = _refusing(
    nfsstat3.NFS3ERR_NOTDIR,
    nfsstat3.NFS3ERR_ACCES,
    "CREATE, MKDIR, REMOVE, RMDIR, RENAME, READDIR, READDIRPLUS (sections 3.3.8 to"
    " 3.3.17): the metadata server has the name space.",
)

special = _refusing(
    nfsstat3.NFS3ERR_NOTSUPP,
    nfsstat3.NFS3ERR_NOTSUPP,
    "SYMLINK, MKNOD, LINK (sections 3.3.10, 3.3.11, 3.3.15): there are only data"
    " files, with one name each.",
)
