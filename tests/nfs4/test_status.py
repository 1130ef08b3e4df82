"""
Tests of L{pnfs.nfs4.status}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends import errors
from pnfs.namespace.filehandles import BadHandle
from pnfs.nfs4.status import NFSError, nfsstat4, statusOf
from pnfs.state import errors as state


class StatusTests(SynchronousTestCase):
    """
    From exceptions to numbers.
    """

    def test_everyBackendError(self) -> None:
        """
        Whatever a backend may raise, a client gets a status that means something.
        """
        kinds = [
            kind
            for kind in vars(errors).values()
            if isinstance(kind, type)
            and issubclass(kind, errors.BackendError)
            and kind is not errors.BackendError
        ]
        self.assertGreater(len(kinds), 15)
        for kind in kinds:
            status = statusOf(kind("x"))
            self.assertIsNotNone(status, kind)
            self.assertNotEqual(status, nfsstat4.NFS4ERR_SERVERFAULT)

    def test_everyStateError(self) -> None:
        """
        So does whatever the state tables raise.
        """
        kinds = [
            kind
            for kind in vars(state).values()
            if isinstance(kind, type)
            and issubclass(kind, state.StateError)
            and kind is not state.StateError
        ]
        self.assertGreater(len(kinds), 1)
        for kind in kinds:
            error = kind.__new__(kind)
            self.assertIsNotNone(statusOf(error), kind)

    def test_some(self) -> None:
        """
        A few that matter to clients.
        """
        for error, status in (
            (errors.NoSuchObject(), nfsstat4.NFS4ERR_STALE),
            (errors.NoSuchName(), nfsstat4.NFS4ERR_NOENT),
            (errors.Unreachable(), nfsstat4.NFS4ERR_DELAY),
            (errors.Fenced(), nfsstat4.NFS4ERR_PNFS_NO_LAYOUT),
            (BadHandle(), nfsstat4.NFS4ERR_BADHANDLE),
        ):
            self.assertEqual(statusOf(error), status)

    def test_derived(self) -> None:
        """
        A third party's error counts as what it is derived from.
        """

        class Full(errors.NoSpace):
            pass

        self.assertEqual(statusOf(Full()), nfsstat4.NFS4ERR_NOSPC)

    def test_defects(self) -> None:
        """
        Everything else is a defect of ours.
        """
        for error in (ValueError(), KeyError(), OSError(28, "x"), Exception()):
            self.assertIsNone(statusOf(error))

    def test_named(self) -> None:
        """
        An error in the log has its RFC's name.
        """
        self.assertEqual(str(NFSError(70)), "NFS4ERR_STALE")
