"""
Tests of L{pnfs.nfs3.server}, L{pnfs.nfs3.procs.refused} and L{pnfs.nfs3.status}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends import errors
from pnfs.namespace.filehandles import CONTROL, READ, WRITE
from pnfs.nfs3.server import PROCEDURES
from pnfs.nfs3.status import FAILURES, NFS3Error, nfsstat3, statusOf
from tests.nfs3.serving import GARBAGE_ARGS, NUMBERS, DataServerTestCase, opaque
from tests.rpc import wire

WORDS_BEHIND_STATUS = {
    "GETATTR": 0,
    "SETATTR": 2,
    "LOOKUP": 1,
    "ACCESS": 1,
    "READLINK": 1,
    "READ": 1,
    "WRITE": 2,
    "CREATE": 2,
    "MKDIR": 2,
    "SYMLINK": 2,
    "MKNOD": 2,
    "REMOVE": 2,
    "RMDIR": 2,
    "RENAME": 4,
    "LINK": 3,
    "READDIR": 1,
    "READDIRPLUS": 1,
    "FSSTAT": 1,
    "FSINFO": 1,
    "PATHCONF": 1,
    "COMMIT": 2,
}
"""How long the failed arm of each result is (RFC 1813, section 3.3)."""


class ProcedureTests(DataServerTestCase):
    """
    Every procedure answers.
    """

    def test_numbers(self) -> None:
        """
        All 22 of them, and no other.
        """
        self.assertEqual(len(PROCEDURES), 22)
        self.assertEqual((NUMBERS["COMMIT"], NUMBERS["READDIRPLUS"]), (21, 17))
        self.assertEqual(self.ask("NULL"), b"")
        call = wire.call(22, program=100003, version=3)
        self.assertEqual(self.record(call)[0], 3)

    def test_failedArms(self) -> None:
        """
        A failure has the shape that its procedure's result has on the wire.
        """
        for name, words in WORDS_BEHIND_STATUS.items():
            results = self.ask(name, opaque(bytes(32)) + bytes(64))
            expected = struct.pack(">I", nfsstat3.NFS3ERR_BADHANDLE) + bytes(4 * words)
            self.assertEqual(results, expected, name)

    def test_longHandle(self) -> None:
        """
        A handle longer than 64 bytes is bad, and so is any announced length that
        the record has not got.
        """
        for name in WORDS_BEHIND_STATUS:
            status = self.status(name, opaque(bytes(65)) + bytes(64))
            self.assertEqual(status, nfsstat3.NFS3ERR_BADHANDLE, name)
            for length in (b"\0\0\0\x41", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"):
                call = wire.call(NUMBERS[name], length, program=100003, version=3)
                self.assertEqual(self.record(call)[0], GARBAGE_ARGS, name)

    def test_names(self) -> None:
        """
        There is no name space here, whatever the rights.
        """
        for rights in (READ, WRITE, CONTROL):
            for name, file, folder in (
                ("LOOKUP", 20, 2),
                ("READLINK", 22, 22),
                ("CREATE", 20, 13),
                ("MKDIR", 20, 13),
                ("SYMLINK", 10004, 10004),
                ("MKNOD", 10004, 10004),
                ("REMOVE", 20, 13),
                ("RMDIR", 20, 13),
                ("RENAME", 20, 13),
                ("LINK", 10004, 10004),
                ("READDIR", 20, 13),
                ("READDIRPLUS", 20, 13),
            ):
                self.assertEqual(self.status(name, self.mint(rights)), file)
                root = self.mint(rights, 0, b"")
                self.assertEqual(self.status(name, root), folder)


class StatusTests(SynchronousTestCase):
    """
    From exceptions to numbers.
    """

    def test_complete(self) -> None:
        """
        Every error that a backend may raise has a status, and never OK.
        """
        for kind in vars(errors).values():
            if not isinstance(kind, type) or kind is errors.BackendError:
                continue
            if issubclass(kind, errors.BackendError):
                error = kind("x")
                self.assertIsInstance(error, FAILURES)
                self.assertNotEqual(statusOf(error), nfsstat3.NFS3_OK)

    def test_given(self) -> None:
        """
        An error with a status keeps it; a defect stays an exception.
        """
        self.assertEqual(statusOf(NFS3Error(nfsstat3.NFS3ERR_PERM)), 1)
        self.assertRaises(KeyError, statusOf, KeyError("x"))
