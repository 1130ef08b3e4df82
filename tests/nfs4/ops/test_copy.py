"""
Tests of L{pnfs.nfs4.ops.copy}, C{offload_status} and C{offload_cancel}, and of
L{pnfs.nfs4.copyjob}.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import IOFailed, Unreachable
from pnfs.callbacks.channel import BackChannels
from pnfs.namespace.exports import Export, ExportTable
from pnfs.nfs4 import copyjob
from pnfs.nfs4.copy_types import COPY4resok, networkLocation
from pnfs.nfs4.ops.copy import ANSWER_SECONDS, copy
from pnfs.nfs4.ops.offload_cancel import OFFLOAD_CANCEL4args, offload_cancel
from pnfs.nfs4.ops.offload_status import (
    OFFLOAD_STATUS4args,
    OFFLOAD_STATUS4resok,
    offload_status,
)
from pnfs.nfs4.ops.savefh import savefh
from pnfs.nfs4.requests import SAVEFH, copy as copyArgs, putfh
from pnfs.nfs4.status import nfsstat4
from pnfs.nfs4.types import ANONYMOUS_STATEID, CURRENT_STATEID
from pnfs.state.copies import UNDER_WAY_LIMIT, CopyTable
from pnfs.values import ROOT, FileType, SetAttributes
from tests.nfs4.fixture import Reply, args
from tests.nfs4.ops.files import (
    ALICE,
    BOB,
    BOTH,
    CLAIM_FH,
    READ,
    WRITE,
    FileFixture,
    Opened,
    closeArgs,
    now,
    openArgs,
)

TEXT = bytes(range(256)) * 16


class Offloads:
    """
    Remembers whose copies have ended.
    """

    def __init__(self) -> None:
        self.ended: list[Any] = []

    def copyEnded(self, copy: Any) -> None:
        """
        Note it.
        """
        self.ended.append(copy)


class CopyCase(SynchronousTestCase):
    """
    A client, with a file of 4096 bytes and an empty one open.
    """

    def setUp(self) -> None:
        """
        Open them.
        """
        self.files = FileFixture(savefh, copy, offload_cancel, offload_status)
        server = self.files.server
        server.channels = BackChannels(self.files.clock, server.sessions)
        server.copies = CopyTable(server.stateids)
        self.offloads = server.offloads = Offloads()
        server.clients.listeners.append(server.copies.dropClient)
        self.data = self.files.data
        self.files.mount(minor=2, back=True)
        self.source = self.make(b"a", TEXT)
        self.target = self.make(b"b", b"")
        self.reading = self.open(self.source, READ)
        self.writing = self.open(self.target, WRITE)

    def make(self, name: bytes, data: bytes) -> Any:
        """
        A file with bytes in it.
        """
        inode = self.files.make(name)
        self.data.files[inode.handle] = bytearray(data)
        now(self.files.backend.setattr(inode, SetAttributes(size=len(data))))
        return inode

    def open(self, inode: Any, access: int) -> bytes:
        """
        Open a file. @return: the stateid.
        """
        reply = self.files.at(inode, openArgs(access=access, claim=CLAIM_FH))
        return Opened(reply).stateid

    def send(
        self,
        sourceOffset: int = 0,
        offset: int = 0,
        count: int = 0,
        stateids: Optional[tuple[bytes, bytes]] = None,
        synchronous: bool = True,
        source: Any = None,
        target: Any = None,
        servers: Any = (),
        **more: Any,
    ) -> list[Any]:
        """
        COPY. @return: a list with the L{Reply} as soon as there is one.
        """
        files = self.files
        return files.sendRun(
            putfh(files.fh(source or self.source)),
            SAVEFH,
            putfh(files.fh(target or self.target)),
            copyArgs(
                sourceOffset,
                offset,
                count,
                servers,
                stateids or (self.reading, self.writing),
                synchronous,
            ),
            **more,
        )

    def result(self, outcome: list[Any]) -> tuple[int, Any]:
        """
        Status and result of a COPY that has been answered.
        """
        self.assertEqual(len(outcome), 1, "no answer yet")
        reply: Reply = outcome[0]
        reply.takeSequence()
        for number in (22, 32, 22):
            reply.take(number)
        return reply.take(60, COPY4resok)

    def status(self, *arguments: Any, **more: Any) -> str:
        """
        How a COPY ends, without C{NFS4ERR_}.
        """
        status, _ = self.result(self.send(*arguments, **more))
        return nfsstat4(status).name.replace("NFS4ERR_", "")

    def copied(self, *arguments: Any, **more: Any) -> Any:
        """
        The result of a COPY that works.
        """
        status, found = self.result(self.send(*arguments, **more))
        self.assertEqual(status, 0)
        return found

    def content(self) -> bytes:
        """
        Of the destination.
        """
        return bytes(self.data.files[self.target.handle])


class ArgumentTests(CopyCase):
    """
    What is copied, and what is refused.
    """

    def test_all(self) -> None:
        """
        A count of 0 means to the end of the source (chimera #344); what is told is
        consistent: done, in order, before the answer.
        """
        found = self.copied()
        response = found.cr_response
        self.assertEqual(response.wr_callback_id, [])
        self.assertEqual((response.wr_count, response.wr_committed), (4096, 0))
        self.assertEqual(response.wr_writeverf, b"verifier")
        self.assertTrue(found.cr_requirements.cr_consecutive)
        self.assertTrue(found.cr_requirements.cr_synchronous)
        self.assertEqual(self.content(), TEXT)
        self.assertEqual(self.data.calls[-1], ("refresh",))

    def test_range(self) -> None:
        """
        A range goes to its place; what is behind the destination's end is a hole.
        """
        self.assertEqual(self.copied(10, 100, 50).cr_response.wr_count, 50)
        self.assertEqual(self.content(), bytes(100) + TEXT[10:60])

    def test_nothing(self) -> None:
        """
        From the end of the source on there is nothing to copy, which is no error.
        """
        response = self.copied(4096).cr_response
        self.assertEqual((response.wr_count, response.wr_committed), (0, 2))
        self.assertNotIn("copy", [call[0] for call in self.data.calls])

    def test_beyondEnd(self) -> None:
        """
        A range that the source does not have is refused (chimera #1382), also if the
        sum of offset and count is beyond 64 bits.
        """
        for offset, count in (
            (4097, 0),
            (4097, 1),
            (0, 4097),
            (4096, 1),
            (1, (1 << 64) - 1),
            ((1 << 64) - 1, 1),
        ):
            self.assertEqual(self.status(offset, 0, count), "INVAL")
        self.assertEqual(self.content(), b"")

    def test_tooBig(self) -> None:
        """
        A destination cannot become longer than a file can be.
        """
        for offset in ((1 << 63) - 4096, (1 << 63), (1 << 64) - 1):
            self.assertEqual(self.status(0, offset), "FBIG")

    def test_sameFile(self) -> None:
        """
        Source and destination are different files (chimera #417).
        """
        both = self.open(self.source, BOTH)
        self.assertEqual(
            self.status(0, 1 << 20, 10, (both, both), target=self.source), "INVAL"
        )

    def test_wrongType(self) -> None:
        """
        Only regular files are copied (chimera #1095).
        """
        folder = self.files.make(b"d", ftype=FileType.DIR)
        link = self.files.make(b"l", ftype=FileType.LNK)
        for other in (folder, link, self.files.root):
            self.assertEqual(self.status(source=other), "WRONG_TYPE")
            self.assertEqual(self.status(target=other), "WRONG_TYPE")

    def test_noFilehandle(self) -> None:
        """
        Both filehandles must be there.
        """
        files = self.files
        op = copyArgs(0, 0, 0, (), (self.reading, self.writing))
        nofh = nfsstat4.NFS4ERR_NOFILEHANDLE
        self.assertEqual(files.run(op).status, nofh)
        self.assertEqual(files.run(putfh(files.fh(self.target)), op).status, nofh)

    def test_otherServer(self) -> None:
        """
        Other servers are not copied from.
        """
        servers = [networkLocation("192.0.2.1", 2049)]
        self.assertEqual(self.status(servers=servers), "NOTSUPP")


class RightsTests(CopyCase):
    """
    Who may copy.
    """

    def test_openModes(self) -> None:
        """
        The source must be open for reading, the destination for writing (chimera #947).
        """
        onlyWriting = self.open(self.make(b"c", TEXT), WRITE)
        other = self.files.make(b"e")
        onlyReading = self.open(other, READ)
        source = now(self.files.backend.lookup(self.files.root, b"c"))
        self.assertEqual(
            self.status(stateids=(onlyWriting, self.writing), source=source),
            "OPENMODE",
        )
        self.assertEqual(
            self.status(stateids=(self.reading, onlyReading), target=other),
            "OPENMODE",
        )

    def test_stateids(self) -> None:
        """
        Stateids of other files are refused; special ones are good (chimera #406, #948).
        """
        self.assertEqual(
            self.status(stateids=(self.writing, self.writing)), "BAD_STATEID"
        )
        self.assertEqual(
            self.status(stateids=(self.reading, self.reading)), "BAD_STATEID"
        )
        both = (ANONYMOUS_STATEID, ANONYMOUS_STATEID)
        self.assertEqual(self.status(stateids=both), "NFS4_OK")

    def test_denied(self) -> None:
        """
        A special stateid does not get by a share reservation.
        """
        self.files.at(self.target, closeArgs(self.writing))
        deny = self.files.at(
            self.target, openArgs(access=READ, deny=WRITE, claim=CLAIM_FH)
        )
        Opened(deny)
        self.assertEqual(
            self.status(stateids=(self.reading, ANONYMOUS_STATEID)), "LOCKED"
        )

    def test_currentStateid(self) -> None:
        """
        The current stateid is that of the destination; for the source it is the one
        saved with it.
        """
        self.assertEqual(
            self.status(stateids=(CURRENT_STATEID, self.writing)), "BAD_STATEID"
        )
        self.assertEqual(
            self.status(stateids=(self.reading, CURRENT_STATEID)), "BAD_STATEID"
        )
        files = self.files
        reply = files.run(
            putfh(files.fh(self.source)),
            openArgs(access=READ, claim=CLAIM_FH),
            SAVEFH,
            putfh(files.fh(self.target)),
            openArgs(access=WRITE, claim=CLAIM_FH),
            copyArgs(0, 0, 0, (), (CURRENT_STATEID, CURRENT_STATEID)),
        )
        self.assertEqual(reply.status, 0)

    def test_permissions(self) -> None:
        """
        Others need the permissions of both files.
        """
        self.assertEqual(self.status(credential=BOB), "ACCESS")
        now(self.files.backend.setattr(self.target, SetAttributes(mode=0o666)))
        self.assertEqual(self.status(credential=BOB), "NFS4_OK")
        now(self.files.backend.setattr(self.source, SetAttributes(mode=0o600)))
        self.assertEqual(self.status(credential=BOB), "ACCESS")
        self.assertEqual(self.status(credential=ALICE), "NFS4_OK")

    def test_flavor(self) -> None:
        """
        Nothing is read from an export that wants another security flavour, which
        its saved filehandle has not been refused for.
        """
        other = Export("/other", self.files.backend, rootSquash=False, flavors=(0,))
        handles = self.files.server.exports.handles
        handles[self.files.fh(self.source)] = (other, self.source.handle)
        self.assertEqual(self.status(), "ACCESS")

    def test_readOnly(self) -> None:
        """
        Nothing is copied into a read-only export.
        """
        self.files.export.readOnly = True
        self.assertEqual(self.status(), "ROFS")

    def test_setuid(self) -> None:
        """
        What is copied over a setuid program does not run as its owner.
        """
        now(self.files.backend.setattr(self.target, SetAttributes(mode=0o4755)))
        self.copied()
        self.assertEqual(self.target.mode, 0o755)

    def test_minorVersion(self) -> None:
        """
        NFSv4.1 has no COPY.
        """
        self.files.mount(b"old", minor=1)
        reply = self.files.run(copyArgs(0, 0, 0))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_OP_ILLEGAL)


class TimeTests(CopyCase):
    """
    Copies that take long.
    """

    def slow(self, seconds: float) -> None:
        """
        Have each slice take so long.
        """
        inner = self.data.copy

        async def later(*call: Any) -> Any:
            waiter: Deferred[None] = Deferred()
            self.files.clock.callLater(seconds, waiter.callback, None)
            await waiter
            return await inner(*call)

        self.data.copy = later  # type: ignore[method-assign]

    def test_short(self) -> None:
        """
        A copy that would occupy the slot for long ends early, and tells how far it
        has come.
        """
        self.slow(2)
        outcome = self.send()
        self.files.clock.advance(2)
        self.files.clock.advance(2)
        self.assertEqual(outcome, [])
        self.files.clock.advance(1)
        self.assertEqual(outcome, [], "a slice is under way still")
        self.files.clock.advance(1)
        status, found = self.result(outcome)
        self.assertEqual((status, found.cr_response.wr_count), (0, 3000))
        self.assertEqual(self.content(), TEXT[:3000])
        self.files.clock.advance(100)
        self.assertEqual(len(self.content()), 3000)
        self.assertEqual(self.files.clock.getDelayedCalls(), [])

    def begin(self) -> bytes:
        """
        A copy that goes on behind its answer. @return: its stateid.
        """
        outcome = self.send(synchronous=False)
        self.files.clock.advance(ANSWER_SECONDS)
        status, found = self.result(outcome)
        self.assertEqual(status, 0)
        response, requirements = found.cr_response, found.cr_requirements
        self.assertFalse(requirements.cr_synchronous)
        self.assertEqual(response.wr_count, 0)
        (stateid,) = response.wr_callback_id
        return bytes(stateid)

    def ask(self, stateid: bytes) -> tuple[int, Any]:
        """
        OFFLOAD_STATUS.
        """
        reply = self.files.at(self.target, args(67, OFFLOAD_STATUS4args(stateid)))
        status, found = reply.take(67, OFFLOAD_STATUS4resok)
        if found is None:
            return status, None
        return status, (found.osr_count, found.osr_complete)

    def test_goesOn(self) -> None:
        """
        A client that does not want to wait is answered after a second, can ask how far
        it is, and is told of the end (async COPY and OFFLOAD_STATUS: chimera #411).
        """
        self.slow(2)
        stateid = self.begin()
        self.assertEqual(self.ask(stateid), (0, (0, [])))
        self.files.clock.advance(2)
        self.files.clock.advance(2)
        self.assertEqual(self.ask(stateid), (0, (2000, [])))
        self.files.clock.pump([1] * 8)
        (ended,) = self.offloads.ended
        self.assertEqual(ended.stateid, stateid)
        self.assertEqual((ended.status, ended.done), (0, 4096))
        self.assertEqual((ended.committed, ended.verifier), (0, b"verifier"))
        self.assertEqual(self.ask(stateid), (0, (4096, [0])))
        self.assertEqual(self.content(), TEXT)

    def test_quick(self) -> None:
        """
        One that is done within a second is answered at once with the result.
        """
        found = self.copied(synchronous=False)
        self.assertEqual(found.cr_response.wr_callback_id, [])
        self.assertTrue(found.cr_requirements.cr_synchronous)

    def cancel(self, stateid: bytes) -> list[Any]:
        """
        OFFLOAD_CANCEL.
        """
        return self.files.sendRun(
            putfh(self.files.fh(self.target)), args(66, OFFLOAD_CANCEL4args(stateid))
        )

    def test_cancel(self) -> None:
        """
        When OFFLOAD_CANCEL is answered nothing is written any more, and the stateid
        means nothing (OFFLOAD_*: chimera #413).
        """
        self.slow(2)
        stateid = self.begin()
        outcome = self.cancel(stateid)
        self.assertEqual(outcome, [])
        self.files.clock.advance(1)
        self.assertEqual(outcome[0].status, 0)
        before = self.content()
        self.files.clock.advance(100)
        self.assertEqual(self.content(), before)
        self.assertEqual(self.ask(stateid), (nfsstat4.NFS4ERR_BAD_STATEID, None))
        self.assertEqual(self.cancel(stateid)[0].status, nfsstat4.NFS4ERR_BAD_STATEID)
        self.assertEqual(self.files.clock.getDelayedCalls(), [])

    def test_others(self) -> None:
        """
        Nobody else can ask for a copy, or cancel it; nor is its stateid good for
        anything else.
        """
        self.slow(2)
        stateid = self.begin()
        with self.files.another(b"other"):
            self.files.minor = 2
            self.assertEqual(
                self.cancel(stateid)[0].status, nfsstat4.NFS4ERR_BAD_STATEID
            )
        reply = self.files.at(self.source, args(66, OFFLOAD_CANCEL4args(stateid)))
        self.assertEqual(reply.status, nfsstat4.NFS4ERR_BAD_STATEID)
        self.assertEqual(self.ask(self.writing)[0], nfsstat4.NFS4ERR_BAD_STATEID)
        self.assertEqual(
            self.files.at(
                self.target, struct.pack(">I16sQI", 25, stateid, 0, 10)
            ).status,
            nfsstat4.NFS4ERR_BAD_STATEID,
        )

    def test_expiry(self) -> None:
        """
        The copies of a client that is gone end.
        """
        self.slow(2)
        self.begin()
        server = self.files.server
        server.clients.revoke(self.files.client)
        self.files.clock.pump([1] * 10)
        self.assertLess(len(self.content()), 4096)
        self.assertEqual(server.copies.count, 0)
        self.assertIsNone(self.target.state)
        self.assertEqual(self.files.clock.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """
        Both files may be closed meanwhile: the copy goes on.
        """
        self.slow(2)
        self.begin()
        for inode, stateid in (
            (self.source, self.reading),
            (self.target, self.writing),
        ):
            self.assertEqual(self.files.at(inode, closeArgs(stateid)).status, 0)
            self.assertIsNotNone(inode.state)
        self.files.clock.pump([1] * 10)
        self.assertEqual(self.content(), TEXT)
        self.assertIsNone(self.source.state)
        self.assertIsNone(self.target.state)

    def test_noCallbacks(self) -> None:
        """
        A client that cannot be called back is made to wait: it would never hear of
        the end.
        """
        self.files.connection.connectionLost()
        self.slow(0.9)
        outcome = self.send(synchronous=False, connection=self.files.connect())
        self.files.clock.pump([0.1] * 30)
        self.assertEqual(outcome, [])
        self.files.clock.pump([0.1] * 30)
        status, found = self.result(outcome)
        self.assertEqual((status, found.cr_response.wr_count), (0, 4096))

    def test_tooMany(self) -> None:
        """
        A client can have many copies go on, but not without end.
        """
        self.slow(100)
        for _ in range(UNDER_WAY_LIMIT):
            self.begin()
        outcome = self.send(synchronous=False)
        self.files.clock.advance(ANSWER_SECONDS)
        self.assertEqual(outcome, [])

    def test_failed(self) -> None:
        """
        A failure behind the answer is told, with the bytes done before it.
        """
        self.slow(2)
        stateid = self.begin()
        self.files.clock.advance(1)
        self.data.failure = IOFailed("broken")
        self.files.clock.advance(2)
        self.assertEqual(self.ask(stateid), (0, (1000, [nfsstat4.NFS4ERR_IO])))
        self.assertEqual(len(self.offloads.ended), 1)

    def test_patience(self) -> None:
        """
        A data server that is down for a while only delays a copy that goes on; one
        that stays away fails it in time.
        """
        self.slow(2)
        stateid = self.begin()
        self.data.failure = Unreachable("down")
        self.files.clock.pump([1] * 20)
        self.data.failure = None
        self.files.clock.pump([1] * 20)
        self.assertEqual(self.ask(stateid), (0, (4096, [0])))
        self.data.failure = None
        stateid = self.begin()
        self.data.failure = Unreachable("down")
        self.files.clock.pump([1] * int(4 * copyjob.PATIENCE_SECONDS))
        self.assertEqual(self.ask(stateid)[1][1], [nfsstat4.NFS4ERR_IO])


class FailureTests(CopyCase):
    """
    Copies that fail before they are answered.
    """

    def test_unreachable(self) -> None:
        """
        A client is told to come again when nothing can be copied now.
        """
        self.data.failure = Unreachable("down")
        self.assertEqual(self.status(), "DELAY")

    def test_half(self) -> None:
        """
        One that fails in the middle tells how far it has come; the client meets the
        error when it goes on.
        """
        inner = self.data.copy

        async def failing(*call: Any) -> Any:
            if call[2] >= 2000:
                raise IOFailed("broken")
            return await inner(*call)

        self.data.copy = failing  # type: ignore[method-assign]
        self.assertEqual(self.copied().cr_response.wr_count, 2000)
        self.assertEqual(self.status(2000, 2000), "IO")

    def test_restart(self) -> None:
        """
        When a data server restarts in the middle all is copied again, so that the
        verifier told is good for every byte.
        """
        inner = self.data.copy
        offsets: list[int] = []

        async def restarting(*call: Any) -> Any:
            offsets.append(call[2])
            if len(offsets) == 3:
                self.data.verifier = b"verifie2"
            return await inner(*call)

        self.data.copy = restarting  # type: ignore[method-assign]
        response = self.copied().cr_response
        self.assertEqual(
            (response.wr_count, response.wr_writeverf), (4096, b"verifie2")
        )
        self.assertEqual(offsets, [0, 1000, 2000, 0, 1000, 2000, 3000, 4000])

    def test_defect(self) -> None:
        """
        A defect of ours is logged, and is the client's SERVERFAULT.
        """
        self.data.failure = KeyError("oops")
        self.assertEqual(self.status(), "SERVERFAULT")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)


class ExportsTests(CopyCase):
    """
    Between exports.
    """

    def test_otherExport(self) -> None:
        """
        From another export of this server one may copy, with the rights that one has
        there.
        """
        files = self.files
        server = files.server
        other = Export("/other", files.backend, rootSquash=True)
        server.exports = ExportTable([files.export, other])
        fh = server.filehandles.encode(other, self.source)

        def attempt(**more: Any) -> int:
            return files.run(
                putfh(fh),
                SAVEFH,
                putfh(files.fh(self.target)),
                copyArgs(0, 0, 0, (), (ANONYMOUS_STATEID, self.writing)),
                **more,
            ).status

        self.assertEqual(attempt(), 0)
        self.assertEqual(self.content(), TEXT)
        now(files.backend.setattr(self.source, SetAttributes(mode=0o600)))
        self.assertEqual(attempt(credential=ROOT), nfsstat4.NFS4ERR_ACCESS)
