# -*- test-case-name: tests.nfs4.ops.test_open_delegation -*-
"""
Delegations on the wire: C{open_delegation4} (RFC 8881, section 18.16.2; RFC 9754), in
the results of OPEN and WANT_DELEGATION, and in CB_PUSH_DELEG.
"""

from __future__ import annotations

import struct

from pnfs.namespace.access import EXECUTE, READ, WRITE, permissions
from pnfs.nfs4.fattr import opaque
from pnfs.state.delegations import DelegationState
from pnfs.values import NFS4_UINT64_MAX, Credential, Inode

OPEN_DELEGATE_NONE = 0
OPEN_DELEGATE_READ = 1
OPEN_DELEGATE_WRITE = 2
OPEN_DELEGATE_NONE_EXT = 3
OPEN_DELEGATE_READ_ATTRS_DELEG = 4
OPEN_DELEGATE_WRITE_ATTRS_DELEG = 5

WND4_NOT_WANTED = 0
WND4_CONTENTION = 1
WND4_RESOURCE = 2
WND4_NOT_SUPP_FTYPE = 3
WND4_WRITE_DELEG_NOT_SUPP_FTYPE = 4
WND4_NOT_SUPP_UPGRADE = 5
WND4_NOT_SUPP_DOWNGRADE = 6
WND4_CANCELLED = 7
WND4_IS_DIR = 8

WANT_MASK = 0xFF00
WANT_NO_PREFERENCE = 0x0000
WANT_READ_DELEG = 0x0100
WANT_WRITE_DELEG = 0x0200
WANT_ANY_DELEG = 0x0300
WANT_NO_DELEG = 0x0400
WANT_CANCEL = 0x0500
WANT_SIGNAL_WHEN_AVAILABLE = 0x10000
WANT_PUSH_WHEN_UNCONTENDED = 0x20000
WANT_TIMESTAMPS = 0x100000
WANT_OPEN_XOR_DELEGATION = 0x200000

_NFS_LIMIT_SIZE = 1
_ACE4_ACCESS_ALLOWED_ACE_TYPE = 0
_ACE4_READ_DATA = 0x1
_ACE4_WRITE_DATA = 0x2
_ACE4_APPEND_DATA = 0x4
_ACE4_EXECUTE = 0x20

_packNumber = struct.Struct(">I").pack
_packTwo = struct.Struct(">II").pack
_packThree = struct.Struct(">III").pack
_packHead = struct.Struct(">I16sI").pack
_packLimit = struct.Struct(">IQ").pack

NO_DELEGATION = _packNumber(OPEN_DELEGATE_NONE)


def whyNone(why: int, later: bool = False) -> bytes:
    """
    C{OPEN_DELEGATE_NONE_EXT}: none, and the reason.

    @param later: with WND4_CONTENTION: it will be pushed when there is none;
        with WND4_RESOURCE: the client will be told when there are some.
    """
    if why in (WND4_CONTENTION, WND4_RESOURCE):
        return _packThree(OPEN_DELEGATE_NONE_EXT, why, later)
    return _packTwo(OPEN_DELEGATE_NONE_EXT, why)


def openDelegation(
    state: DelegationState, inode: Inode, credential: Credential, recall: bool = False
) -> bytes:
    """
    C{open_delegation4} of a delegation that is given.

    The ACE names the user whose OPEN it is, and what this one may do: other users of
    the client ask the server. Nothing needs to be flushed on close, since no space
    is promised.

    @param credential: after root squash.
    @param recall: it is being recalled already.
    """
    rights = permissions(inode, credential)
    mask = 0
    if rights & READ:
        mask |= _ACE4_READ_DATA
    if rights & EXECUTE:
        mask |= _ACE4_EXECUTE
    kind = OPEN_DELEGATE_READ
    limit = b""
    if state.writes:
        kind = OPEN_DELEGATE_WRITE
        limit = _packLimit(_NFS_LIMIT_SIZE, NFS4_UINT64_MAX)
        if rights & WRITE:
            mask |= _ACE4_WRITE_DATA | _ACE4_APPEND_DATA
    if state.timestamps:
        kind += OPEN_DELEGATE_READ_ATTRS_DELEG - OPEN_DELEGATE_READ
    return b"".join(
        (
            _packHead(kind, state.stateid, recall),
            limit,
            _packThree(_ACE4_ACCESS_ALLOWED_ACE_TYPE, 0, mask),
            opaque(b"%d" % credential.uid),
        )
    )
