"""
Credentials.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.auth import encodeAuthSys, parseCredential
from pnfs.rpc.errors import AuthError
from pnfs.values import ANONYMOUS
from tests.rpc.wire import authSys


def body(wire: bytes) -> bytes:
    """
    The body of a credential that is followed by an empty verifier.
    """
    return wire[8:-8]


class AuthTests(SynchronousTestCase):
    """
    AUTH_NONE and AUTH_SYS.
    """

    def refused(
        self, flavor: int, data: bytes, verf: int = 0, more: bytes = b""
    ) -> int:
        error = self.assertRaises(AuthError, parseCredential, flavor, data, verf, more)
        stat: int = error.stat
        return stat

    def test_none(self) -> None:
        """
        Without a credential one is nobody.
        """
        self.assertIs(parseCredential(0, b"", 0, b""), ANONYMOUS)
        self.assertEqual(self.refused(0, b"x"), 1)

    def test_sys(self) -> None:
        """
        The user's groups are the primary one and the others.
        """
        credential = parseCredential(1, body(authSys(5, 6, (7, 8))), 0, b"")
        self.assertEqual((credential.uid, credential.gid), (5, 6))
        self.assertEqual(credential.groups, {6, 7, 8})

    def test_encode(self) -> None:
        """
        What we send is what the RFC says; more than 16 groups cannot be told.
        """
        self.assertEqual(
            encodeAuthSys(5, 6, (7, 8), b"host1")[12:],
            authSys(5, 6, (7, 8), b"host1")[12:],
        )
        wire = encodeAuthSys(5, 6, range(100, 140), b"m" * 300)
        credential = parseCredential(1, body(wire), 0, b"")
        self.assertEqual(credential.groups, {6, *range(100, 116)})

    def test_limits(self) -> None:
        """
        A machine name of 255 bytes and 16 groups are served, one more is not.
        """
        parseCredential(1, body(authSys(1, 1, tuple(range(16)), b"m" * 255)), 0, b"")
        self.assertEqual(self.refused(1, body(authSys(1, 1, tuple(range(17))))), 1)
        self.assertEqual(self.refused(1, body(authSys(1, 1, (), b"m" * 256))), 1)

    def test_malformed(self) -> None:
        """
        A body cut off anywhere, or with something after it, is a bad credential.
        """
        good = body(authSys())
        for end in range(len(good)):
            self.assertEqual(self.refused(1, good[:end]), 1)
        self.assertEqual(self.refused(1, good + bytes(4)), 1)
        huge = struct.pack(">II", 0, 0xFFFFFFFC) + bytes(40)
        self.assertEqual(self.refused(1, huge), 1)

    def test_otherFlavours(self) -> None:
        """
        A client that tries Kerberos learns that it should try something else.
        """
        for flavor in (2, 3, 6, 390003):
            self.assertEqual(self.refused(flavor, b""), 2)

    def test_verifier(self) -> None:
        """
        AUTH_SYS comes with an empty verifier.
        """
        self.assertEqual(self.refused(1, body(authSys()), 1, b""), 3)
        self.assertEqual(self.refused(1, body(authSys()), 0, b"data"), 3)
