"""
Tests of L{pnfs.nfs4.ops.admission}: who may see an export, and by which flavour.
"""

from __future__ import annotations

import struct
from ipaddress import ip_network
from typing import Any, Optional

from pnfs.namespace.clients import ClientRule, Terms
from pnfs.namespace.exports import Export, ExportTable
from pnfs.nfs4 import requests
from pnfs.nfs4.status import nfsstat4
from pnfs.values import ANONYMOUS, FileType
from tests.nfs4.ops.namespace import (
    ALICE,
    GETATTR,
    GETFH,
    LOOKUP,
    LOOKUPP,
    PUTFH,
    PUTPUBFH,
    PUTROOTFH,
    RESTOREFH,
    SAVEFH,
    SUPERUSER,
    NamespaceCase,
    named,
)
from tests.nfs4.ops.test_readdir import READDIR, decode

STALE = nfsstat4.NFS4ERR_STALE
NOENT = nfsstat4.NFS4ERR_NOENT
WRONGSEC = nfsstat4.NFS4ERR_WRONGSEC
XDEV = nfsstat4.NFS4ERR_XDEV
ROFS = nfsstat4.NFS4ERR_ROFS

INSIDE = ("10.0.0.1", 700)
OUTSIDE = ("192.0.2.1", 700)
SECINFO_NO_NAME = struct.pack(">II", 52, 0)


def only(*networks: str, **terms: Any) -> tuple[ClientRule, ...]:
    """
    A client list of one rule.
    """
    found = tuple(ip_network(network) for network in networks)
    return (ClientRule(found, Terms(**terms)),)


class AdmissionCase(NamespaceCase):
    """
    C{/data/export}, C{/data/other} and C{/deep/down/third}, and a client at
    C{INSIDE}.
    """

    def setUp(self) -> None:
        """
        The client may see everything.
        """
        super().setUp()
        self.other = Export("/data/other", self.backend)
        self.third = Export("/deep/down/third", self.backend)
        self.exports = [self.export, self.other, self.third]
        self.fixture.server.exports = ExportTable(self.exports, 7)
        self.come(INSIDE)
        self.file = self.make(b"f")

    def come(self, address: Optional[tuple[str, int]]) -> None:
        """
        The client's requests come from here.
        """
        self.fixture.connection.address = address

    def restrict(self, export: Export, **changes: Any) -> None:
        """
        Change an export.
        """
        for name, value in changes.items():
            setattr(export, name, value)
        export.settle()

    def handle(self, export: Export, inode: Any = None) -> bytes:
        """
        PUTFH of an object in an export; of its root by default.
        """
        server = self.fixture.server
        return PUTFH(server.filehandles.encode(export, inode or self.root))


class ClientListTests(AdmissionCase):
    """
    Exports that are not for everybody.
    """

    def test_admitted(self) -> None:
        """
        Who is on the list works as ever; nobody else has ever heard of it.
        """
        self.restrict(self.export, rules=only("10.0.0.0/8"))
        path = LOOKUP(b"data", b"export", b"f")
        for address, status in ((INSIDE, 0), (OUTSIDE, NOENT), (None, NOENT)):
            self.come(address)
            self.assertEqual(self.status(PUTROOTFH, *path), status)
            expected = STALE if status else 0
            self.assertEqual(self.status(self.handle(self.export, self.file)), expected)
            self.assertEqual(self.status(PUTROOTFH, *LOOKUP(b"data", b"other")), 0)

    def names(self, *path: bytes) -> list[bytes]:
        """
        What READDIR shows in a directory of the pseudo file system.
        """
        found, _ = decode(self.last(PUTROOTFH, *LOOKUP(*path), READDIR()))
        return [entry[1] for entry in found]

    def test_readdir(self) -> None:
        """
        An export is listed for its clients alone, and so are directories that lead
        nowhere else. One that cannot be resolved hides no other
        (an unresolvable export must not break READDIR: chimera #942).
        """
        self.restrict(self.other, backend=object())
        self.restrict(self.third, rules=only("10.0.0.0/8"))
        self.restrict(self.export, rules=only("10.0.0.0/8"))
        self.assertEqual(self.names(), [b"data", b"deep"])
        self.assertEqual(self.names(b"data"), [b"export", b"other"])
        self.come(OUTSIDE)
        self.assertEqual(self.names(), [b"data"])
        self.assertEqual(self.names(b"data"), [b"other"])
        self.assertEqual(self.status(PUTROOTFH, *LOOKUP(b"deep")), NOENT)

    def test_secinfo(self) -> None:
        """
        SECINFO of a hidden name is NOENT; else it lists the flavours that work for
        this client (SECINFO lists only flavours that work: chimera #386).
        """
        self.restrict(self.export, rules=only("10.0.0.0/8", flavors=(1,)))
        ask = (PUTROOTFH, *LOOKUP(b"data"), named(33, b"export"))
        self.assertEqual(self.last(*ask), struct.pack(">II", 1, 1))
        self.come(OUTSIDE)
        self.assertEqual(self.status(*ask), NOENT)

    def test_slash(self) -> None:
        """
        Where the only export is the whole name space, others find it empty.
        """
        whole = Export("/", self.backend, rules=only("10.0.0.0/8"))
        self.fixture.server.exports = ExportTable([whole], 7)
        for start in (PUTROOTFH, PUTPUBFH):
            self.come(INSIDE)
            self.assertEqual(self.status(start, *LOOKUP(b"f")), 0)
            self.come(OUTSIDE)
            fh = self.last(start, GETFH)
            fh = fh[4 : 4 + int.from_bytes(fh[:4], "big")]
            self.assertEqual(self.status(start, *LOOKUP(b"f")), NOENT)
            self.assertEqual(self.status(start, READDIR()), 0)
            self.assertEqual(self.status(PUTFH(fh), GETATTR(1)), 0)

    def test_readOnly(self) -> None:
        """
        The same export is writable for one client and read-only for another, in
        each operation that changes something (ROFS: chimera #941).
        """
        rules = only("10.0.0.0/8") + only("0.0.0.0/0", readOnly=True)
        self.restrict(self.export, rules=rules)
        root = self.handle(self.export)
        create = struct.pack(">II", 6, 2)
        mode = requests.fattr([requests.modeAttribute(0o755)])
        for status, address, suffix in ((ROFS, OUTSIDE, b"1"), (0, INSIDE, b"2")):
            self.come(address)
            victim = b"f" if status else b"l"
            for ops in (
                (root, create + requests.opaque(b"d" + suffix) + mode),
                (root, SAVEFH, root, named(29, b"f", b"g")),
                (root, SAVEFH, root, named(29, b"g", b"f")),
                (
                    self.handle(self.export, self.file),
                    SAVEFH,
                    root,
                    named(11, b"l"),
                ),
                (root, named(28, victim)),
                (
                    self.handle(self.export, self.file),
                    requests.setattr_([requests.modeAttribute(0o600)], bytes(16)),
                ),
            ):
                self.assertEqual(self.status(*ops), status)

    def test_squash(self) -> None:
        """
        What one client's root makes is root's, and nobody's from another client.
        """
        rules = only("10.0.0.0/8", rootSquash=False) + only(
            "0.0.0.0/0", anonymous=(77, 78)
        )
        self.restrict(self.export, rules=rules)
        create = struct.pack(">II", 6, 2)
        mode = requests.fattr([requests.modeAttribute(0o755)])
        for address, name, owner in ((INSIDE, b"r", 0), (OUTSIDE, b"n", 77)):
            self.come(address)
            op = create + requests.opaque(name) + mode
            status = self.run_(self.handle(self.export), op, as_=SUPERUSER).status
            self.assertEqual(status, 0)
            made = self.backend.cachedChild(self.root, name)
            assert made is not None
            self.assertEqual(made.uid, owner)

    def test_otherExport(self) -> None:
        """
        LINK and RENAME go into no other export, and so not around its client list,
        squash or flavours (RENAME and LINK check the destination export too:
        chimera #1048); nor does a handle of one export work as one of another.
        """
        self.restrict(self.other, rules=only("192.0.2.0/24", readOnly=True))
        here, file = self.handle(self.export), self.handle(self.export, self.file)
        there = self.handle(self.other)
        for address, status in ((INSIDE, STALE), (OUTSIDE, XDEV)):
            self.come(address)
            self.assertEqual(
                self.status(here, SAVEFH, there, named(29, b"f", b"g")), status
            )
            self.assertEqual(self.status(file, SAVEFH, there, named(11, b"l")), status)
        forged = bytearray(here)
        forged[9:13] = self.other.id.to_bytes(4, "big")
        self.assertEqual(self.status(bytes(forged)), nfsstat4.NFS4ERR_BADHANDLE)

    def test_parent(self) -> None:
        """
        LOOKUPP out of an export, also as one of its clients sees it.
        """
        self.restrict(self.export, rules=only("10.0.0.0/8"))
        self.assertEqual(
            self.last(self.handle(self.export), LOOKUPP, GETFH),
            self.last(PUTROOTFH, *LOOKUP(b"data"), GETFH),
        )


class FlavorTests(AdmissionCase):
    """
    An export that wants AUTH_SYS, and a client that comes with AUTH_NONE.
    """

    def setUp(self) -> None:
        """
        It has a directory with a file.
        """
        super().setUp()
        self.restrict(self.export, flavors=(1,))
        self.folder = self.make(b"d", FileType.DIR, 0o777)
        self.make(b"g", parent=self.folder)

    def ends(self, *ops: bytes) -> tuple[int, int]:
        """
        Operation and status that a COMPOUND ends with.
        """
        reply = self.run_(*ops, as_=ANONYMOUS)
        return reply.count - 1, reply.status

    def test_putfh(self) -> None:
        """
        A handle of it is refused before anything uses it, and not if nothing does
        or the next operation sets another (RFC 8881, section 2.6.3.1.1).
        """
        put = self.handle(self.export)
        for ops, expected in (
            ((put,), (1, 0)),
            ((put, GETATTR(1)), (1, WRONGSEC)),
            ((put, GETFH), (1, WRONGSEC)),
            ((put, PUTROOTFH), (2, 0)),
            ((put, SAVEFH), (2, 0)),
            ((put, SAVEFH, PUTROOTFH, GETATTR(1)), (4, 0)),
            ((put, SAVEFH, GETATTR(1)), (1, WRONGSEC)),
            ((put, SAVEFH, PUTROOTFH, RESTOREFH), (4, 0)),
            ((put, SAVEFH, PUTROOTFH, RESTOREFH, GETATTR(1)), (4, WRONGSEC)),
            ((put, *LOOKUP(b"d")), (2, WRONGSEC)),
            ((put, SECINFO_NO_NAME), (2, 0)),
            ((put, named(33, b"d")), (2, 0)),
            ((put, LOOKUPP, GETATTR(1)), (3, 0)),
            ((self.handle(self.export, self.folder), LOOKUPP), (2, WRONGSEC)),
        ):
            self.assertEqual(self.ends(*ops), expected)

    def test_lookup(self) -> None:
        """
        LOOKUP from above tells it, and SECINFO then what would be right.
        """
        self.assertEqual(
            self.ends(PUTROOTFH, *LOOKUP(b"data", b"export")), (3, WRONGSEC)
        )
        self.assertEqual(
            self.ends(PUTROOTFH, *LOOKUP(b"data"), named(33, b"export")), (3, 0)
        )
        self.assertEqual(self.status(PUTROOTFH, *LOOKUP(b"data", b"export", b"d")), 0)

    def test_nothingLeaks(self) -> None:
        """
        The wrong flavour does not learn which names there are.
        """
        put = self.handle(self.export)
        self.assertEqual(self.ends(put, *LOOKUP(b"no such name")), (2, WRONGSEC))

    def test_readdir(self) -> None:
        """
        In a listing its entry says so to who asks, and else is the directory it
        covers.
        """
        data = (PUTROOTFH, *LOOKUP(b"data"))
        for wanted, expected in (
            (1 << 11 | 1 << 8, (1 << 11, struct.pack(">I", WRONGSEC))),
            (1 << 8, (1 << 8, bytes(16))),
        ):
            reply = self.run_(*data, READDIR(attributes=wanted), as_=ANONYMOUS)
            self.assertEqual(reply.status, 0)
            found, _ = decode(self.rest(reply, 3))
            entries = {entry[1]: tuple(entry[2:]) for entry in found}
            self.assertEqual(entries[b"export"], expected)

    def rest(self, reply: Any, operations: int) -> bytes:
        """
        The result of the last operation, after some without a result body.
        """
        reply.pos += 8 * operations
        return bytes(reply.rest)

    def test_slash(self) -> None:
        """
        The root of the name space is no exception.
        """
        whole = Export("/", self.backend, flavors=(1,))
        self.fixture.server.exports = ExportTable([whole], 7)
        self.assertEqual(self.ends(PUTROOTFH, GETATTR(1)), (1, WRONGSEC))
        self.assertEqual(self.ends(PUTROOTFH, SECINFO_NO_NAME), (2, 0))
        self.assertEqual(self.status(PUTROOTFH, GETATTR(1), as_=ALICE), 0)
