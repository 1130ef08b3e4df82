# -*- test-case-name: tests.nfs4.ops.test_exchange_id -*-
"""
EXCHANGE_ID (RFC 8881, section 18.35): a client says who it is.
"""

from __future__ import annotations

from typing import Annotated, Any, Optional

import attrs

from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.operation import operation
from pnfs.nfs4.ops.protection import (
    MAY_ALLOW,
    MUST_ENFORCE,
    isProtected,
    principalOf,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import (
    NFS4_OPAQUE_LIMIT,
    bitmap4,
    clientid4,
    nfstime4,
    owner4,
    sequenceid4,
    uint32_t,
    uint64_t,
    verifier4,
)
from pnfs.values import Credential
from pnfs.xdr.codec import Array, Opaque, Union

EXCHGID4_FLAG_SUPP_MOVED_REFER = 0x1
EXCHGID4_FLAG_SUPP_MOVED_MIGR = 0x2
EXCHGID4_FLAG_SUPP_FENCE_OPS = 0x4
EXCHGID4_FLAG_BIND_PRINC_STATEID = 0x100
EXCHGID4_FLAG_USE_NON_PNFS = 0x10000
EXCHGID4_FLAG_USE_PNFS_MDS = 0x20000
EXCHGID4_FLAG_USE_PNFS_DS = 0x40000
EXCHGID4_FLAG_MASK_PNFS = 0x70000
EXCHGID4_FLAG_UPD_CONFIRMED_REC_A = 0x40000000
EXCHGID4_FLAG_CONFIRMED_R = 0x80000000

_ALLOWED = (
    EXCHGID4_FLAG_SUPP_MOVED_REFER
    | EXCHGID4_FLAG_SUPP_MOVED_MIGR
    | EXCHGID4_FLAG_BIND_PRINC_STATEID
    | EXCHGID4_FLAG_MASK_PNFS
    | EXCHGID4_FLAG_UPD_CONFIRMED_REC_A
)

SP4_NONE = 0
SP4_MACH_CRED = 1
SP4_SSV = 2

sec_oid4 = Annotated[bytes, Opaque(256)]
utf8str = Annotated[bytes, Opaque(NFS4_OPAQUE_LIMIT)]


@attrs.define
class client_owner4:
    """
    @ivar co_verifier: changes when the client restarts.
    @ivar co_ownerid: never does.
    """

    co_verifier: verifier4
    co_ownerid: owner4


@attrs.define
class state_protect_ops4:
    """
    Operations that must, and may, use the machine credential.
    """

    spo_must_enforce: bitmap4
    spo_must_allow: bitmap4


@attrs.define
class ssv_sp_parms4:
    """
    What a client offers for a secret state verifier.
    """

    ssp_ops: state_protect_ops4
    ssp_hash_algs: Annotated[list[bytes], Array(sec_oid4, 64)]
    ssp_encr_algs: Annotated[list[bytes], Array(sec_oid4, 64)]
    ssp_window: uint32_t
    ssp_num_gss_handles: uint32_t


@attrs.define
class nfs_impl_id4:
    """
    Which implementation this is; for humans only.
    """

    nii_domain: utf8str
    nii_name: utf8str
    nii_date: nfstime4


@attrs.define
class server_owner4:
    """
    @ivar so_major_id: the same for all addresses of one server, and no other.
    """

    so_minor_id: uint64_t
    so_major_id: Annotated[bytes, Opaque(NFS4_OPAQUE_LIMIT)]


state_protect4_a = Annotated[
    tuple[int, Any],
    Union({SP4_NONE: None, SP4_MACH_CRED: state_protect_ops4, SP4_SSV: ssv_sp_parms4}),
]
state_protect4_r = Annotated[
    tuple[int, Any], Union({SP4_NONE: None, SP4_MACH_CRED: state_protect_ops4})
]
implementations = Annotated[list[nfs_impl_id4], Array(nfs_impl_id4, 1)]


@attrs.define
class EXCHANGE_ID4args:
    """
    The arguments, as in the RFC.
    """

    eia_clientowner: client_owner4
    eia_flags: uint32_t
    eia_state_protect: state_protect4_a
    eia_client_impl_id: implementations


@attrs.define
class EXCHANGE_ID4resok:
    """
    @ivar eir_sequenceid: for the client's next CREATE_SESSION.
    """

    eir_clientid: clientid4
    eir_sequenceid: sequenceid4
    eir_flags: uint32_t
    eir_state_protect: state_protect4_r
    eir_server_owner: server_owner4
    eir_server_scope: Annotated[bytes, Opaque(NFS4_OPAQUE_LIMIT)]
    eir_server_impl_id: implementations


def _protection(
    how: int, parameters: Optional[Any], credential: Credential
) -> Optional[tuple[int, int]]:
    """
    What is agreed of state protection (RFC 8881, section 18.35.3).

    @raise NFSError: INVAL: it needs a request with integrity. A secret state
        verifier is not offered at all, by saying that none of its algorithms is
        known, or INVAL if there are none.
    """
    if how == SP4_NONE:
        return None
    assert parameters is not None
    if how == SP4_SSV and parameters.ssp_hash_algs:
        raise NFSError(nfsstat4.NFS4ERR_HASH_ALG_UNSUPP)
    if how == SP4_SSV or not isProtected(credential):
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    return MUST_ENFORCE, parameters.spo_must_allow & MAY_ALLOW


@operation(
    42,
    "EXCHANGE_ID",
    args=EXCHANGE_ID4args,
    resok=EXCHANGE_ID4resok,
    errors=frozenset(
        {
            nfsstat4.NFS4ERR_BADCHAR,
            nfsstat4.NFS4ERR_BADXDR,
            nfsstat4.NFS4ERR_CLID_INUSE,
            nfsstat4.NFS4ERR_DEADSESSION,
            nfsstat4.NFS4ERR_DELAY,
            nfsstat4.NFS4ERR_ENCR_ALG_UNSUPP,
            nfsstat4.NFS4ERR_HASH_ALG_UNSUPP,
            nfsstat4.NFS4ERR_INVAL,
            nfsstat4.NFS4ERR_NOENT,
            nfsstat4.NFS4ERR_NOT_ONLY_OP,
            nfsstat4.NFS4ERR_NOT_SAME,
            nfsstat4.NFS4ERR_OP_NOT_IN_SESSION,
            nfsstat4.NFS4ERR_PERM,
            nfsstat4.NFS4ERR_REP_TOO_BIG,
            nfsstat4.NFS4ERR_REP_TOO_BIG_TO_CACHE,
            nfsstat4.NFS4ERR_REQ_TOO_BIG,
            nfsstat4.NFS4ERR_RETRY_UNCACHED_REP,
            nfsstat4.NFS4ERR_SERVERFAULT,
            nfsstat4.NFS4ERR_TOO_MANY_OPS,
        }
    ),
    modifies=True,
    sessionless=True,
)
def exchange_id(ctx: CompoundContext, args: EXCHANGE_ID4args) -> EXCHANGE_ID4resok:
    """
    Find or make the record. Of what the client offers nothing is taken up but
    pNFS and state protection: there are no referrals and no migration to be told of.
    SUPP_FENCE_OPS belongs to minor version 2 (RFC 7862, section 14.1).
    """
    flags = args.eia_flags
    allowed = _ALLOWED | (EXCHGID4_FLAG_SUPP_FENCE_OPS if ctx.minor >= 2 else 0)
    if flags & ~allowed:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    server = ctx.server
    credential = ctx.credential
    protection = _protection(*args.eia_state_protect, credential)
    owner = args.eia_clientowner
    client = server.clients.exchange(
        owner.co_ownerid,
        owner.co_verifier,
        principalOf(credential),
        bool(flags & EXCHGID4_FLAG_UPD_CONFIRMED_REC_A),
        ctx.now,
    )
    if not client.confirmed:
        client.protection = protection
    client.flags = flags
    for implementation in args.eia_client_impl_id:
        client.implementation = (implementation.nii_domain, implementation.nii_name)
    return EXCHANGE_ID4resok(
        client.clientid,
        client.sequence + 1 & 0xFFFFFFFF,
        (server.exchangeFlags or EXCHGID4_FLAG_USE_NON_PNFS)
        | (EXCHGID4_FLAG_CONFIRMED_R if client.confirmed else 0),
        (
            (SP4_NONE, None)
            if client.protection is None
            else (SP4_MACH_CRED, state_protect_ops4(*client.protection))
        ),
        server_owner4(0, server.owner),
        server.scope,
        [],
    )
