# -*- test-case-name: tests.rpc.test_auth -*-
"""
Credentials: AUTH_NONE and AUTH_SYS (RFC 5531, section 8.2 and appendix A).
"""

from __future__ import annotations

import struct
from typing import Sequence

from pnfs.rpc.errors import AuthError
from pnfs.values import ANONYMOUS, Credential

AUTH_NONE = 0
AUTH_SYS = 1
RPCSEC_GSS = 6

AUTH_OK = 0
AUTH_BADCRED = 1
AUTH_REJECTEDCRED = 2
AUTH_BADVERF = 3
AUTH_REJECTEDVERF = 4
AUTH_TOOWEAK = 5

MAX_MACHINE_NAME = 255
MAX_GROUPS = 16

NO_CREDENTIAL = bytes(16)
"""An AUTH_NONE credential and an AUTH_NONE verifier, as on the wire."""

_U = struct.Struct(">I")


def parseCredential(
    flavor: int, body: bytes, verifierFlavor: int, verifier: bytes
) -> Credential:
    """
    Decode the credential of a call.

    @raise AuthError: it is malformed, or its flavour is not served.
    """
    if flavor == AUTH_SYS:
        credential = _parseAuthSys(body)
    elif flavor == AUTH_NONE:
        if body:
            raise AuthError(AUTH_BADCRED)
        credential = ANONYMOUS
    else:
        raise AuthError(AUTH_REJECTEDCRED)
    if verifierFlavor != AUTH_NONE or verifier:
        raise AuthError(AUTH_BADVERF)
    return credential


def _parseAuthSys(body: bytes) -> Credential:
    try:
        length = _U.unpack_from(body, 4)[0]
        if length > MAX_MACHINE_NAME:
            raise AuthError(AUTH_BADCRED)
        pos = 8 + (length + 3 & ~3)
        uid, gid, count = struct.unpack_from(">III", body, pos)
        if count > MAX_GROUPS or len(body) != pos + 12 + 4 * count:
            raise AuthError(AUTH_BADCRED)
        groups = struct.unpack_from(f">{count}I", body, pos + 12)
    except struct.error:
        raise AuthError(AUTH_BADCRED) from None
    return Credential(uid, gid, frozenset((gid, *groups)), AUTH_SYS)


def encodeAuthSys(
    uid: int, gid: int, gids: Sequence[int] = (), machine: bytes = b"pnfs"
) -> bytes:
    """
    An AUTH_SYS credential and an AUTH_NONE verifier, as on the wire.

    @param gids: further groups; only the first 16 can be told.
    @param machine: name of this machine; cut to 255 bytes.
    """
    groups = tuple(gids)[:MAX_GROUPS]
    name = machine[:MAX_MACHINE_NAME]
    body = b"".join(
        (
            struct.pack(">II", 0, len(name)),
            name,
            bytes(-len(name) % 4),
            struct.pack(f">III{len(groups)}I", uid, gid, len(groups), *groups),
        )
    )
    return struct.pack(">II", AUTH_SYS, len(body)) + body + bytes(8)
