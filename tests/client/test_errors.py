"""
Tests of L{pnfs.client.errors}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import Unreachable
from pnfs.client.errors import explain
from pnfs.nfs4.results import OperationFailed
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.errors import RPCRefused
from pnfs.xdr.errors import XDRError


class ExplainTests(SynchronousTestCase):
    """
    People read sentences, not numbers.
    """

    def test_asTheSystemSays(self) -> None:
        """
        What has an errno is said as the system says it.
        """
        error = OperationFailed(15, nfsstat4.NFS4ERR_NOENT)
        self.assertEqual(explain(error), "No such file or directory")
        self.assertEqual(explain(FileNotFoundError(2, "gone")), "gone")

    def test_others(self) -> None:
        """
        Everything else is one line too, also what nobody has heard of.
        """
        for error, part in (
            (NFSError(nfsstat4.NFS4ERR_BADSESSION), "NFS4ERR_BADSESSION"),
            (NFSError(nfsstat4.NFS4ERR_GRACE), "waiting"),
            (OperationFailed(9, 99999), "99999"),
            (Unreachable("refused"), "refused"),
            (RPCRefused(False, 2), "no NFS server"),
            (XDRError("truncated"), "truncated"),
            (ValueError("odd"), "odd"),
            (ValueError(), "ValueError"),
        ):
            text = explain(error)
            self.assertIn(part, text)
            self.assertNotIn("\n", text)
