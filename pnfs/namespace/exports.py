# -*- test-case-name: tests.namespace.test_exports -*-
"""
Exports: the trees a metadata server gives out, and how they hang together.

Above them is the pseudo file system (L{pnfs.namespace.pseudofs}), itself an
L{Export}. An export covers the pseudo directory at its path: looking that name up
gives the export's root instead, and the parent of an export's root is the parent
of what it covers.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Callable, Mapping, Optional, Sequence

import attrs

from pnfs.backends.errors import BadConfiguration, Unreachable
from pnfs.namespace.identity import Identities
from pnfs.namespace.pseudofs import PseudoBackend
from pnfs.values import NOBODY, Credential, FSStatistics, Inode

PSEUDO_ID = 0
"""The export id of the pseudo file system."""

AUTH_NONE = 0
AUTH_SYS = 1

_SQUASHED_LIMIT = 1024
_HANDLES_LIMIT = 65536


def exportId(path: str) -> int:
    """
    The id of the export of that path: 32 bits that depend on nothing else, so that
    editing the list of exports cannot make an old filehandle mean another one.
    """
    digest = blake2b(path.encode("utf-8"), digest_size=4, person=b"pnfs export")
    return int.from_bytes(digest.digest(), "big") or 1


@attrs.define(eq=False)
class Export:
    """
    One exported tree.

    @ivar path: where clients find it: C{/}, or components each after a C{/}.
    @ivar backend: the L{pnfs.interfaces.IMetadataBackend} with its tree.
    @ivar drivers: the layout drivers by C{layouttype4}, preferred ones first.
    @ivar layout: name of the driver that places new files.
    @ivar stripeUnit: bytes; stripeCount: columns, 0 for all; mirrors: copies.
    @ivar readOnly: nothing may be changed through it.
    @ivar rootSquash: uid and gid 0 of clients mean nobody.
    @ivar dataServers: names of the data servers new files may go to.
    @ivar identities: the user and group names known.
    @ivar flavors: RPC security flavours, preferred ones first.
    @ivar space: gives the space of its data servers as last heard, or None if
        not known; then the metadata backend's is told.
    @ivar id: what filehandles carry; from the path.
    @ivar fsid: major and minor.
    @ivar mounts: exports that cover a directory of this one, by its handle.
    @ivar parent: the export this one is in, covering C{covered}; None at the top.
    @ivar plans: attribute plans of GETATTR per minor version; C{entryPlans}: of
        READDIR. They belong to the protocol layer.
    """

    path: str
    backend: Any
    drivers: Mapping[int, Any] = attrs.field(factory=dict)
    layout: str = ""
    stripeUnit: int = 1 << 20
    stripeCount: int = 0
    mirrors: int = 1
    readOnly: bool = False
    rootSquash: bool = True
    dataServers: Sequence[str] = ()
    identities: Identities = attrs.field(factory=Identities)
    flavors: Sequence[int] = (AUTH_SYS, AUTH_NONE)
    space: Optional[Callable[[], Optional[FSStatistics]]] = None
    id: int = attrs.field()
    fsid: tuple[int, int] = attrs.field()
    mounts: dict[bytes, "Export"] = attrs.field(init=False, factory=dict)
    parent: Optional["Export"] = attrs.field(init=False, default=None)
    covered: Optional[Inode] = attrs.field(init=False, default=None)
    plans: tuple[dict[bytes, Any], ...] = attrs.field(
        init=False, factory=lambda: ({}, {}, {})
    )
    entryPlans: tuple[dict[int, Any], ...] = attrs.field(
        init=False, factory=lambda: ({}, {}, {})
    )
    _squashed: dict[Credential, Credential] = attrs.field(init=False, factory=dict)

    @id.default
    def _idOfPath(self) -> int:
        return exportId(self.path)

    @fsid.default
    def _fsidOfId(self) -> tuple[int, int]:
        return (self.id, 0)

    def effective(self, credential: Credential) -> Credential:
        """
        Who a caller is here. With root squash the superuser is nobody, and group 0
        of others the group of nobody.
        """
        if not self.rootSquash or (credential.uid and 0 not in credential.groups):
            return credential
        found = self._squashed.get(credential)
        if found is None:
            found = Credential(
                credential.uid or NOBODY,
                credential.gid or NOBODY,
                frozenset(gid or NOBODY for gid in credential.groups),
                credential.flavor,
            )
            if len(self._squashed) >= _SQUASHED_LIMIT:
                self._squashed.clear()
            self._squashed[credential] = found
        return found

    def root(self) -> Inode:
        """
        The topmost directory.

        @raise Unreachable: the backend is not ready.
        """
        root: Optional[Inode] = getattr(self.backend, "root", None)
        if root is None:
            raise Unreachable(f"export {self.path} is not ready")
        return root

    def mountedOn(self, inode: Inode) -> int:
        """
        The C{mounted_on_fileid} of an object here (RFC 8881, section 5.8.2.23).
        """
        if self.covered is not None and inode.handle == self.root().handle:
            return self.covered.fileid
        return inode.fileid

    def enter(self, child: Inode) -> tuple["Export", Inode]:
        """
        Where looking up C{child} in this export really leads: to itself, or into
        the export that covers it.

        @raise Unreachable: that one's backend is not ready.
        """
        inner = self.mounts.get(child.handle)
        return (self, child) if inner is None else (inner, inner.root())

    async def above(self, directory: Inode) -> Optional[tuple["Export", Inode]]:
        """
        The export and directory that hold a directory; None above the very top.
        """
        if directory.handle != self.root().handle:
            return self, await self.backend.parent(directory)
        if self.parent is None or self.covered is None:
            return None
        return self.parent, await self.parent.backend.parent(self.covered)


def pathComponents(path: str) -> tuple[bytes, ...]:
    """
    The names in an export's path.

    @raise BadConfiguration: it cannot be one.
    """
    names = path.split("/")[1:]
    if path == "/":
        return ()
    if not path.startswith("/") or any(
        name in ("", ".", "..") or "\0" in name or len(name.encode("utf-8")) > 255
        for name in names
    ):
        raise BadConfiguration(
            f"export path {path!r}: write an absolute path without //, . and .."
        )
    return tuple(name.encode("utf-8") for name in names)


class ExportTable:
    """
    All exports of a server.

    @ivar root: the export PUTROOTFH leads to: the pseudo file system, or the
        only export, if its path is C{/}.
    @ivar byId: every export by id, the pseudo file system included.
    @ivar handles: filehandle to export and backend handle, for those seen lately.
    """

    def __init__(self, exports: Sequence[Export], now: int = 0) -> None:
        """
        @param now: the time of day in nanoseconds.
        @raise BadConfiguration: they cannot be together.
        """
        self.byId: dict[int, Export] = {}
        self.byPath: dict[str, Export] = {}
        self.handles: dict[bytes, tuple[Export, bytes]] = {}
        paths = {export: pathComponents(export.path) for export in exports}
        self._checkNesting(paths)
        for export in exports:
            if export.id == PSEUDO_ID or export.id in self.byId:
                raise BadConfiguration(
                    f"export {export.path}: its id is that of "
                    f"another export; choose another path"
                )
            self.byId[export.id] = export
            self.byPath[export.path] = export
        if len(exports) == 1 and not paths[exports[0]]:
            self.root = exports[0]
            return
        pseudo = PseudoBackend(now)
        self.root = Export(
            "/",
            pseudo,
            readOnly=True,
            rootSquash=False,
            id=PSEUDO_ID,
            fsid=(0, 0),
        )
        self.byId[PSEUDO_ID] = self.root
        for export, names in paths.items():
            covered = pseudo.add(names)
            export.parent = self.root
            export.covered = covered
            self.root.mounts[covered.handle] = export

    def _checkNesting(self, paths: Mapping[Export, tuple[bytes, ...]]) -> None:
        ordered = sorted((names, export.path) for export, names in paths.items())
        for (outer, outerPath), (inner, innerPath) in zip(ordered, ordered[1:]):
            if inner[: len(outer)] == outer:
                raise BadConfiguration(
                    f"export {innerPath} lies in export {outerPath}: "
                    f"exports must be side by side"
                )

    def remember(self, fh: bytes, export: Export, handle: bytes) -> None:
        """
        Keep what a filehandle means in C{handles}.
        """
        if len(self.handles) >= _HANDLES_LIMIT:
            self.handles.clear()
        self.handles[fh] = (export, handle)
