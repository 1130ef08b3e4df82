# -*- test-case-name: tests.nfs4.ops.test_create_session -*-
"""
What a client accepts as our credential in callbacks: C{callback_sec_parms4}
(RFC 8881, section 18.36.1), in CREATE_SESSION and BACKCHANNEL_CTL.
"""

from __future__ import annotations

from typing import Annotated, Any, Sequence

import attrs

from pnfs.nfs4.types import uint32_t
from pnfs.rpc.auth import AUTH_NONE, AUTH_SYS, NO_CREDENTIAL, RPCSEC_GSS, encodeAuthSys
from pnfs.xdr.codec import Array, Opaque, Union


@attrs.define
class authsys_parms:
    """
    An AUTH_SYS credential (RFC 5531, appendix A).
    """

    stamp: uint32_t
    machinename: Annotated[bytes, Opaque(255)]
    uid: uint32_t
    gid: uint32_t
    gids: Annotated[list[int], Array(uint32_t, 16)]


@attrs.define
class gss_cb_handles4:
    """
    RPCSEC_GSS contexts to be used backwards.
    """

    gcbp_service: uint32_t
    gcbp_handle_from_server: Annotated[bytes, Opaque(1024)]
    gcbp_handle_from_client: Annotated[bytes, Opaque(1024)]


callback_sec_parms4 = Annotated[
    tuple[int, Any],
    Union({AUTH_NONE: None, AUTH_SYS: authsys_parms, RPCSEC_GSS: gss_cb_handles4}),
]
callback_sec_parms = Annotated[list[tuple[int, Any]], Array(callback_sec_parms4, 32)]


def callbackCredential(offered: Sequence[tuple[int, Any]]) -> bytes:
    """
    Credential and verifier for callbacks, as on the wire: the first that we can
    use, AUTH_NONE if nothing is offered, empty if only RPCSEC_GSS is.
    """
    for flavor, parameters in offered:
        if flavor == AUTH_NONE:
            return NO_CREDENTIAL
        if flavor == AUTH_SYS:
            return encodeAuthSys(
                parameters.uid,
                parameters.gid,
                parameters.gids,
                parameters.machinename,
            )
    return b"" if offered else NO_CREDENTIAL
