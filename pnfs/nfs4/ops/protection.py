# -*- test-case-name: tests.nfs4.ops.test_protection -*-
"""
State protection by the machine credential (RFC 8881, sections 2.10.8.3 and 18.35.3).

A client that has asked for SP4_MACH_CRED has its client ID and sessions managed by
the principal only that has sent its EXCHANGE_ID, with integrity: whoever merely sits
on its network, or is a user of its machine, can neither end them nor take a
connection into them. Stateids are not bound to principals here, so what the client
may do with that credential for its users (C{spo_must_allow}) it may do anyway.
"""

from __future__ import annotations

from typing import Any

from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import Credential

RPCSEC_GSS = 6

PROTECTED_FLAVORS = frozenset({390004, 390005})
"""RPCSEC_GSS with integrity, or privacy: the pseudo flavours of krb5i and krb5p."""


def _bitmap(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


MUST_ENFORCE = _bitmap(41, 42, 43, 44, 57)
"""
BIND_CONN_TO_SESSION, EXCHANGE_ID, CREATE_SESSION, DESTROY_SESSION, DESTROY_CLIENTID.
"""

MAY_ALLOW = _bitmap(4, 7, 8, 14, 21, 45, 51, 55)
"""
CLOSE, DELEGPURGE, DELEGRETURN, LOCKU, OPEN_DOWNGRADE, FREE_STATEID, LAYOUTRETURN,
TEST_STATEID: none of them looks at who asks.
"""


def isProtected(credential: Credential) -> bool:
    """
    Has nobody on the way been able to change the request?
    """
    return credential.flavor in PROTECTED_FLAVORS


def principalOf(credential: Credential) -> tuple[int, int]:
    """
    Who a client record belongs to. Integrity and privacy are the same principal; a
    request without either is not known to be from it.
    """
    if isProtected(credential):
        return RPCSEC_GSS, credential.uid
    return credential.flavor, credential.uid


def requireMachine(client: Any, credential: Credential) -> None:
    """
    A client's ID or session is to be managed.

    @param client: L{pnfs.state.clients.Client}.
    @raise NFSError: WRONG_CRED: it is protected, and this is not its principal.
    """
    if client.protection is not None and client.principal != principalOf(credential):
        raise NFSError(nfsstat4.NFS4ERR_WRONG_CRED)
