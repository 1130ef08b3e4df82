# -*- test-case-name: tests.nfs4.test_optable -*-
"""
Which operations a metadata server and a data server know.

What a data server does not have of NFSv4.1 it answers with NFS4ERR_NOTSUPP; a
metadata server does everything but what later versions of it will add.
"""

from __future__ import annotations

from typing import Sequence

from pnfs.nfs4.dsops import capability, contents, control, io, sparse
from pnfs.nfs4.dsops import copy as dscopy
from pnfs.nfs4.operation import Operation, tableOf
from pnfs.nfs4.ops.access import access
from pnfs.nfs4.ops.allocate import allocate
from pnfs.nfs4.ops.backchannel_ctl import backchannel_ctl
from pnfs.nfs4.ops.bind_conn_to_session import bind_conn_to_session
from pnfs.nfs4.ops.clone import clone
from pnfs.nfs4.ops.close import close
from pnfs.nfs4.ops.commit import commit
from pnfs.nfs4.ops.copy import copy
from pnfs.nfs4.ops.create import create
from pnfs.nfs4.ops.create_session import create_session
from pnfs.nfs4.ops.deallocate import deallocate
from pnfs.nfs4.ops.delegpurge import delegpurge
from pnfs.nfs4.ops.delegreturn import delegreturn
from pnfs.nfs4.ops.destroy_clientid import destroy_clientid
from pnfs.nfs4.ops.destroy_session import destroy_session
from pnfs.nfs4.ops.exchange_id import exchange_id
from pnfs.nfs4.ops.free_stateid import free_stateid
from pnfs.nfs4.ops.get_dir_delegation import get_dir_delegation
from pnfs.nfs4.ops.getattr import getattr
from pnfs.nfs4.ops.getdeviceinfo import getdeviceinfo
from pnfs.nfs4.ops.getfh import getfh
from pnfs.nfs4.ops.getxattr import getxattr
from pnfs.nfs4.ops.io_advise import io_advise
from pnfs.nfs4.ops.layoutcommit import layoutcommit
from pnfs.nfs4.ops.layouterror import layouterror
from pnfs.nfs4.ops.layoutget import layoutget
from pnfs.nfs4.ops.layoutreturn import layoutreturn
from pnfs.nfs4.ops.layoutstats import layoutstats
from pnfs.nfs4.ops.link import link
from pnfs.nfs4.ops.listxattrs import listxattrs
from pnfs.nfs4.ops.lock import lock
from pnfs.nfs4.ops.lockt import lockt
from pnfs.nfs4.ops.locku import locku
from pnfs.nfs4.ops.lookup import lookup
from pnfs.nfs4.ops.lookupp import lookupp
from pnfs.nfs4.ops.nverify import nverify
from pnfs.nfs4.ops.offload_cancel import offload_cancel
from pnfs.nfs4.ops.offload_status import offload_status
from pnfs.nfs4.ops.open import open_
from pnfs.nfs4.ops.open_downgrade import open_downgrade
from pnfs.nfs4.ops.putfh import putfh
from pnfs.nfs4.ops.putpubfh import putpubfh
from pnfs.nfs4.ops.putrootfh import putrootfh
from pnfs.nfs4.ops.read import read
from pnfs.nfs4.ops.read_plus import read_plus
from pnfs.nfs4.ops.readdir import readdir
from pnfs.nfs4.ops.readlink import readlink
from pnfs.nfs4.ops.reclaim_complete import reclaim_complete
from pnfs.nfs4.ops.remove import remove
from pnfs.nfs4.ops.removexattr import removexattr
from pnfs.nfs4.ops.rename import rename
from pnfs.nfs4.ops.restorefh import restorefh
from pnfs.nfs4.ops.savefh import savefh
from pnfs.nfs4.ops.secinfo import secinfo
from pnfs.nfs4.ops.secinfo_no_name import secinfo_no_name
from pnfs.nfs4.ops.seek import seek
from pnfs.nfs4.ops.sequence import sequence
from pnfs.nfs4.ops.setattr import setattr
from pnfs.nfs4.ops.setxattr import setxattr
from pnfs.nfs4.ops.test_stateid import test_stateid
from pnfs.nfs4.ops.verify import verify
from pnfs.nfs4.ops.want_delegation import want_delegation
from pnfs.nfs4.ops.write import write

SESSION_OPERATIONS: Sequence[Operation] = (
    backchannel_ctl,
    bind_conn_to_session,
    create_session,
    destroy_clientid,
    destroy_session,
    exchange_id,
    reclaim_complete,
    sequence,
)
"""What every NFSv4.1 server has."""

MDS_OPERATIONS: Sequence[Operation] = (
    *SESSION_OPERATIONS,
    access,
    allocate,
    clone,
    close,
    commit,
    copy,
    create,
    deallocate,
    delegpurge,
    delegreturn,
    free_stateid,
    get_dir_delegation,
    getattr,
    getdeviceinfo,
    getfh,
    getxattr,
    io_advise,
    layoutcommit,
    layouterror,
    layoutget,
    layoutreturn,
    layoutstats,
    link,
    listxattrs,
    lock,
    lockt,
    locku,
    lookup,
    lookupp,
    nverify,
    offload_cancel,
    offload_status,
    open_,
    open_downgrade,
    putfh,
    putpubfh,
    putrootfh,
    read,
    read_plus,
    readdir,
    readlink,
    remove,
    removexattr,
    rename,
    restorefh,
    savefh,
    secinfo,
    secinfo_no_name,
    seek,
    setattr,
    setxattr,
    test_stateid,
    verify,
    want_delegation,
    write,
)

DS_OPERATIONS: Sequence[Operation] = (
    *SESSION_OPERATIONS,
    capability.getfh,
    capability.putfh,
    capability.putrootfh,
    control.getattr_,
    control.lookup,
    control.open_,
    control.readdir,
    control.remove,
    control.setattr_,
    control.setxattr,
    contents.getxattr,
    dscopy.clone,
    dscopy.copy,
    dscopy.savefh,
    io.commit,
    io.read,
    io.write,
    sparse.allocate,
    sparse.deallocate,
    sparse.io_advise,
    sparse.read_plus,
    sparse.seek,
)

MINOR_VERSIONS = (1, 2)


def mdsTables() -> dict[int, dict[int, Operation]]:
    """
    A metadata server's operations by minor version and number.
    """
    return {minor: tableOf(*MDS_OPERATIONS, minor=minor) for minor in MINOR_VERSIONS}


def dsTables() -> dict[int, dict[int, Operation]]:
    """
    A data server's operations by minor version and number.
    """
    return {minor: tableOf(*DS_OPERATIONS, minor=minor) for minor in MINOR_VERSIONS}
