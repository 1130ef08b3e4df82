"""
Tests of L{pnfs.nfs4.optable}: the tables as a whole.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.optable import (
    DS_OPERATIONS,
    MDS_OPERATIONS,
    dsTables,
    mdsTables,
)
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import nfs_opnum4
from tests.nfs4.fixture import Fixture

WANTED = """
EXCHANGE_ID CREATE_SESSION BIND_CONN_TO_SESSION BACKCHANNEL_CTL SEQUENCE
DESTROY_SESSION DESTROY_CLIENTID RECLAIM_COMPLETE SECINFO SECINFO_NO_NAME PUTROOTFH
PUTPUBFH PUTFH GETFH SAVEFH RESTOREFH LOOKUP LOOKUPP GETATTR SETATTR VERIFY NVERIFY
ACCESS READDIR READLINK CREATE REMOVE RENAME LINK OPEN OPEN_DOWNGRADE CLOSE READ WRITE
COMMIT LOCK LOCKT LOCKU TEST_STATEID FREE_STATEID LAYOUTGET LAYOUTCOMMIT LAYOUTRETURN
LAYOUTERROR LAYOUTSTATS GETDEVICEINFO ALLOCATE DEALLOCATE IO_ADVISE READ_PLUS SEEK
""".split()


class TableTests(SynchronousTestCase):
    """
    What the servers know.
    """

    def test_complete(self) -> None:
        """
        A metadata server has every operation that clients of it use.
        """
        names = {operation.name for operation in MDS_OPERATIONS}
        self.assertEqual(set(WANTED) - names, set())

    def test_numbers(self) -> None:
        """
        Every operation has its own number, that of the RFC, in its minor version.
        """
        for operations in (MDS_OPERATIONS, DS_OPERATIONS):
            numbers = [operation.number for operation in operations]
            self.assertEqual(len(numbers), len(set(numbers)))
            for operation in operations:
                self.assertEqual(
                    nfs_opnum4(operation.number).name, "OP_" + operation.name
                )
                self.assertEqual(operation.minor, 1 if operation.number < 59 else 2)

    def test_minors(self) -> None:
        """
        NFSv4.2 adds to 4.1.
        """
        for tables in (mdsTables(), dsTables()):
            self.assertEqual(set(tables), {1, 2})
            self.assertLess(set(tables[1]), set(tables[2]))

    def test_notClaimed(self) -> None:
        """
        What is not there is not in the tables, so the answer is NOTSUPP: WRITE_SAME
        (the op table must not claim them: chimera #409), COPY_NOTIFY (optional:
        chimera #416), and operations of NFSv4.0.
        """
        for tables in (mdsTables(), dsTables()):
            for name in (
                "WRITE_SAME",
                "COPY_NOTIFY",
                "OPENATTR",
                "OPEN_CONFIRM",
                "RENEW",
                "SETCLIENTID",
                "SETCLIENTID_CONFIRM",
                "RELEASE_LOCKOWNER",
            ):
                for table in tables.values():
                    self.assertNotIn(nfs_opnum4["OP_" + name].value, table)

    def test_notServed(self) -> None:
        """
        What is not served is refused, not claimed (GETDEVICELIST is rightly NOTSUPP:
        chimera #403; SET_SSV is refused as SSV is not advertised: #1420).
        """
        fixture = Fixture(mdsTables())
        fixture.mount()
        for minor in (1, 2):
            for number in (48, 54):
                reply = fixture.run(struct.pack(">I", number) + bytes(64), minor=minor)
                self.assertEqual(reply.head(), (number, nfsstat4.NFS4ERR_NOTSUPP))

    def test_errors(self) -> None:
        """
        Statuses are those of the protocol; what needs no session is what makes one.
        """
        for operation in (*MDS_OPERATIONS, *DS_OPERATIONS):
            for status in operation.errors:
                nfsstat4(status)
        sessionless = {o.name for o in MDS_OPERATIONS if o.sessionless}
        self.assertEqual(
            sessionless,
            {
                "BIND_CONN_TO_SESSION",
                "CREATE_SESSION",
                "DESTROY_CLIENTID",
                "DESTROY_SESSION",
                "EXCHANGE_ID",
            },
        )
