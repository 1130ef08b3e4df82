"""
Tests of L{pnfs.nfs4.ops.getxattr}.
"""

from __future__ import annotations

from pnfs.nfs4.status import nfsstat4
from pnfs.values import SetXattr
from tests.nfs4.ops.namespace import BOB, PUTFH, opaque
from tests.nfs4.ops.test_setxattr import GETXATTR, XattrCase


class GetXattrTests(XattrCase):
    """
    GETXATTR tells one value.
    """

    def test_value(self) -> None:
        """
        All of it comes back, whatever its length.
        """
        for value in (b"", b"1", b"\0" * 65536):
            self.wait(self.backend.setxattr(self.file, b"x", value, SetXattr.EITHER))
            self.assertEqual(self.last(self.here, GETXATTR(b"x")), opaque(value))

    def test_absent(self) -> None:
        """
        There is a word for one that is not there.
        """
        status = self.status(self.here, GETXATTR(b"x"))
        self.assertEqual(status, nfsstat4.NFS4ERR_NOXATTR)

    def test_permission(self) -> None:
        """
        Who may not read the file may not read its attributes.
        """
        secret = PUTFH(self.fh(self.make(b"s", mode=0o600)))
        self.assertEqual(
            self.status(secret, GETXATTR(b"x"), as_=BOB), nfsstat4.NFS4ERR_ACCESS
        )
