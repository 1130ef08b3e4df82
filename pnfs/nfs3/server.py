# -*- test-case-name: tests.nfs3.test_server -*-
"""
The NFSv3 procedures of a data server by number (RFC 1813, section 3).

An MDS hands out layouts whose devices speak NFSv3 (flexible files, RFC 8435); a
client then sends NULL, READ, WRITE and COMMIT, and nothing else. The others
answer what a curious administrator or a checking tool asks. There is no MOUNT:
nothing here is to be mounted, and every handle comes from the MDS.
"""

from __future__ import annotations

from typing import Callable

from pnfs.nfs3.dataserver import DataServer3, answering
from pnfs.nfs3.procs import refused
from pnfs.nfs3.procs.access import access
from pnfs.nfs3.procs.commit import commit
from pnfs.nfs3.procs.fs import fsinfo, fsstat, pathconf
from pnfs.nfs3.procs.getattr import getattr as getattr3
from pnfs.nfs3.procs.read import read
from pnfs.nfs3.procs.setattr import setattr as setattr3
from pnfs.nfs3.procs.write import write
from pnfs.nfs3.types import NFS_PROGRAM, NFS_V3, NO_ATTRIBUTES, NO_WCC
from pnfs.rpc.program import Procedure, Program, null

_NAMES = (
    "NULL GETATTR SETATTR LOOKUP ACCESS READLINK READ WRITE CREATE MKDIR SYMLINK MKNOD"
    " REMOVE RMDIR RENAME LINK READDIR READDIRPLUS FSSTAT FSINFO PATHCONF COMMIT"
)

PROCEDURES = dict(enumerate(_NAMES.split()))
"""Procedure numbers and names."""

_BINDERS: dict[str, Callable[[DataServer3], Procedure]] = {
    "NULL": lambda server: null,
    "GETATTR": answering(getattr3, b""),
    "SETATTR": answering(setattr3, NO_WCC),
    "LOOKUP": answering(refused.lookup, NO_ATTRIBUTES),
    "ACCESS": answering(access, NO_ATTRIBUTES),
    "READLINK": answering(refused.readlink, NO_ATTRIBUTES),
    "READ": answering(read, NO_ATTRIBUTES),
    "WRITE": answering(write, NO_WCC),
    "CREATE": answering(refused.change, NO_WCC),
    "MKDIR": answering(refused.change, NO_WCC),
    "SYMLINK": answering(refused.special, NO_WCC),
    "MKNOD": answering(refused.special, NO_WCC),
    "REMOVE": answering(refused.change, NO_WCC),
    "RMDIR": answering(refused.change, NO_WCC),
    "RENAME": answering(refused.change, NO_WCC + NO_WCC),
    "LINK": answering(refused.special, NO_ATTRIBUTES + NO_WCC),
    "READDIR": answering(refused.change, NO_ATTRIBUTES),
    "READDIRPLUS": answering(refused.change, NO_ATTRIBUTES),
    "FSSTAT": answering(fsstat, NO_ATTRIBUTES),
    "FSINFO": answering(fsinfo, NO_ATTRIBUTES),
    "PATHCONF": answering(pathconf, NO_ATTRIBUTES),
    "COMMIT": answering(commit, NO_WCC),
}


def dataServerProcedures(server: DataServer3) -> dict[int, Procedure]:
    """
    The procedures of a server, for C{versions[3]} of the NFS program.
    """
    return {number: _BINDERS[name](server) for number, name in PROCEDURES.items()}


def dataServerProgram(server: DataServer3) -> Program:
    """
    An NFS program that speaks version 3 only.
    """
    return Program(NFS_PROGRAM, {NFS_V3: dataServerProcedures(server)})
