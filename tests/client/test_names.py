"""
Tests of L{pnfs.client.names}.
"""

from __future__ import annotations

from typing import Any

from pnfs.client.mount import SHARE_BOTH, SHARE_READ
from pnfs.nfs4 import requests
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import FileType, NewObject
from tests.client.site import ClientCase


class NamesTests(ClientCase):
    """
    A tree on a server.
    """

    def fails(self, coroutine: Any, *status: Any) -> Any:
        """
        It ends with an error of the server.
        """
        error = self.failureResultOf(self.begin(coroutine), NFSError).value
        self.assertEqual(error.status, status[0])

    def link(self, name: bytes, target: bytes) -> None:
        """
        Make a symbolic link in the export.
        """
        export = self.mds.context.exports.byPath["/export"]
        tree = export.backend
        what = NewObject(FileType.LNK, 0o777, 0, 0, target=target)
        self.now(tree.create(tree.root, name, what))

    def test_directories(self) -> None:
        """
        Directories are made, listed and removed.
        """
        self.now(self.mount.mkdir("/export/d", 0o750))
        self.now(self.mount.mkdir("/export/d/e"))
        self.create("/export/d/f")
        listed = self.now(self.mount.listdir("/export/d"))
        self.assertEqual(
            sorted((name, each.ftype) for name, each in listed),
            [(b"e", FileType.DIR), (b"f", FileType.REG)],
        )
        self.assertEqual(self.now(self.mount.getattr("/export/d")).mode, 0o750)
        self.fails(self.mount.remove("/export/d"), nfsstat4.NFS4ERR_NOTEMPTY)
        self.now(self.mount.remove("/export/d/e"))
        self.fails(self.mount.getattr("/export/d/e"), nfsstat4.NFS4ERR_NOENT)
        self.fails(self.mount.listdir("/export/d/f"), nfsstat4.NFS4ERR_NOTDIR)
        self.fails(self.mount.remove("/"), nfsstat4.NFS4ERR_INVAL)

    def test_root(self) -> None:
        """
        The root shows the exports.
        """
        names = [name for name, _ in self.now(self.mount.listdir("/"))]
        self.assertEqual(names, [b"export"])

    def test_largeDirectory(self) -> None:
        """
        A directory that takes several READDIRs is listed whole.
        """
        export = self.mds.context.exports.byPath["/export"]
        tree = export.backend
        names = {b"%04d%s" % (n, b"x" * 200) for n in range(1500)}
        what = NewObject(FileType.REG, 0o600, 0, 0)
        for name in names:
            self.now(tree.create(tree.root, name, what))
        listed = [name for name, _ in self.now(self.mount.listdir("/export"))]
        self.assertEqual(len(listed), len(names))
        self.assertEqual(set(listed), names)

    def test_deep(self) -> None:
        """
        A path longer than one COMPOUND is walked in several.
        """
        path = b"/export"
        for number in range(20):
            path += b"/%d" % number
            self.now(self.mount.mkdir(path))
        self.assertEqual(self.now(self.mount.getattr(path)).ftype, FileType.DIR)
        self.fails(self.mount.getattr(path + b"/x"), nfsstat4.NFS4ERR_NOENT)

    def test_links(self) -> None:
        """
        Symbolic links are followed, on the way and at the end; those in a circle
        are an error.
        """
        self.now(self.mount.mkdir("/export/d"))
        file = self.create("/export/d/f")
        self.now(file.write(0, b"hello"))
        self.now(file.close())
        self.link(b"there", b"d")
        self.link(b"absolute", b"/export/d/f")
        self.link(b"chain", b"./there/../d/f")
        self.link(b"circle", b"circle")
        self.link(b"new", b"d/made")
        for path in ("there/f", "absolute", "chain"):
            file = self.now(self.mount.open(f"/export/{path}"))
            self.assertEqual(self.read(file), b"hello")
            self.now(file.close())
        self.fails(self.mount.getattr("/export/circle"), nfsstat4.NFS4ERR_SYMLINK)
        self.fails(self.mount.open("/export/circle"), nfsstat4.NFS4ERR_SYMLINK)
        found = self.now(self.mount.getattr("/export/there", follow=False))
        self.assertEqual(found.ftype, FileType.LNK)
        self.now(self.create("/export/new").close())
        self.assertEqual(self.now(self.mount.getattr("/export/d/made")).size, 0)

    def test_open(self) -> None:
        """
        What is not there is only made if wanted; what is there is kept or cut off.
        """
        self.fails(self.mount.open("/export/f"), nfsstat4.NFS4ERR_NOENT)
        file = self.create()
        self.now(file.write(0, b"hello"))
        self.now(file.close())
        file = self.now(self.mount.open("/export/f", SHARE_BOTH, create=True))
        self.assertEqual(self.read(file), b"hello")
        self.now(file.close())
        file = self.now(self.mount.open("/export/f", SHARE_BOTH, truncate=True))
        self.assertEqual(file.size, 0)
        self.now(file.close())
        self.now(file.close())
        self.fails(self.mount.open("/export", SHARE_READ), nfsstat4.NFS4ERR_ISDIR)

    def test_delay(self) -> None:
        """
        A server that asks for patience gets it.
        """
        asked: list[int] = []
        session = self.mount.session
        compound = session.compound

        async def slow(*args: Any, **more: Any) -> Any:
            results = await compound(*args, **more)
            asked.append(1)
            if len(asked) < 4:
                results.status = nfsstat4.NFS4ERR_DELAY
            return results

        session.compound = slow  # type: ignore[method-assign]
        started = self.begin(self.mount.compound([requests.PUTROOTFH], 1))
        self.assertNoResult(started)
        self.after(1, started).operation(24)
        self.assertEqual(len(asked), 4)
