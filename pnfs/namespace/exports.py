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
from pnfs.namespace.clients import (
    AUTH_NONE,
    AUTH_SYS,
    ClientRule,
    Terms,
    termsFor,
)
from pnfs.namespace.identity import Identities
from pnfs.namespace.pseudofs import PseudoBackend
from pnfs.namespace.squash import Squash, squashOf
from pnfs.values import NOBODY, Credential, FSStatistics, Inode

PSEUDO_ID = 0
"""The export id of the pseudo file system."""

_HANDLES_LIMIT = 65536
_CLIENTS_LIMIT = 65536


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
    One exported tree; or, where clients get different terms, what it is to some of
    them: then C{base} is the export itself.

    @ivar path: where clients find it: C{/}, or components each after a C{/}.
    @ivar backend: the L{pnfs.interfaces.IMetadataBackend} with its tree.
    @ivar drivers: the layout drivers by C{layouttype4}, preferred ones first.
    @ivar layout: name of the driver that places new files.
    @ivar stripeUnit: bytes; stripeCount: columns, 0 for all; mirrors: copies; chunk:
        bytes of mirrored files that are on the same data servers, 0 for all.
    @ivar readOnly: nothing may be changed through it.
    @ivar rootSquash: uid and gid 0 of clients mean C{anonymous}; allSquash:
        everybody's do.
    @ivar anonymous: uid and gid of who is squashed, or has not said who he is.
    @ivar delegations: clients may be given delegations here.
    @ivar dataServers: names of the data servers new files may go to; empty: all.
    @ivar policy: the L{pnfs.interfaces.IPlacementPolicy} that chooses data servers for
        new files; None: round robin.
    @ivar label: the class of storage new files go to; empty: to any.
    @ivar threshold: clients are to read and write files with fewer bytes through the
        metadata server.
    @ivar identities: the user and group names known.
    @ivar flavors: RPC security flavours, preferred ones first.
    @ivar pnfs: clients get layouts.
    @ivar rules: who it is for, on what terms; None: for everybody, on these.
    @ivar space: gives the space of its data servers as last heard, or None if
        not known; then the metadata backend's is told.
    @ivar id: what filehandles carry; from the path.
    @ivar fsid: major and minor.
    @ivar mounts: exports that cover a directory of this one, by its handle.
    @ivar below: of the pseudo file system: the exports below a directory.
    @ivar parent: the export this one is in, covering C{covered}; None at the top.
    @ivar base: the export itself.
    @ivar picky: some flavour that clients use is not served here.
    @ivar guarded: not everybody is served alike.
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
    chunk: int = 0
    readOnly: bool = False
    rootSquash: bool = True
    delegations: bool = True
    dataServers: Sequence[str] = ()
    policy: Any = None
    label: str = ""
    threshold: int = 0
    identities: Identities = attrs.field(factory=Identities)
    flavors: Sequence[int] = (AUTH_SYS, AUTH_NONE)
    space: Optional[Callable[[], Optional[FSStatistics]]] = None
    allSquash: bool = False
    anonymous: tuple[int, int] = (NOBODY, NOBODY)
    pnfs: bool = True
    rules: Optional[Sequence[ClientRule]] = None
    id: int = attrs.field()
    fsid: tuple[int, int] = attrs.field()
    mounts: dict[bytes, "Export"] = attrs.field(init=False, factory=dict)
    below: dict[bytes, list["Export"]] = attrs.field(init=False, factory=dict)
    parent: Optional["Export"] = attrs.field(init=False, default=None)
    covered: Optional[Inode] = attrs.field(init=False, default=None)
    base: "Export" = attrs.field(init=False)
    picky: bool = attrs.field(init=False, default=False)
    guarded: bool = attrs.field(init=False, default=False)
    plans: tuple[dict[bytes, Any], ...] = attrs.field(init=False)
    entryPlans: tuple[dict[int, Any], ...] = attrs.field(init=False)
    _maps: bool = attrs.field(init=False, default=False)
    _views: dict[Optional[str], Optional["Export"]] = attrs.field(
        init=False, factory=dict
    )
    _byTerms: dict[Terms, "Export"] = attrs.field(init=False, factory=dict)

    @id.default
    def _idOfPath(self) -> int:
        return exportId(self.path)

    @fsid.default
    def _fsidOfId(self) -> tuple[int, int]:
        return (self.id, 0)

    @base.default
    def _itself(self) -> "Export":
        return self

    def __attrs_post_init__(self) -> None:
        self.settle()

    def settle(self) -> None:
        """
        To be called after a change of anything: forget what was derived from it.
        """
        self.plans = ({}, {}, {})
        self.entryPlans = ({}, {}, {})
        self.picky = not {AUTH_NONE, AUTH_SYS} <= set(self.flavors)
        self.guarded = self.picky or self.rules is not None
        self._maps = self.allSquash or self.anonymous != (NOBODY, NOBODY)
        self._views.clear()
        self._byTerms.clear()

    def seenBy(self, host: Optional[str]) -> Optional["Export"]:
        """
        What the export is to a client; the same object for all with the same
        terms.

        @param host: the numeric address that its connection comes from.
        @return: None if it may not know of the export.
        """
        if self.rules is None:
            return self
        try:
            return self._views[host]
        except KeyError:
            pass
        terms = termsFor(self.rules, host)
        found = None if terms is None else self._onTerms(terms)
        if len(self._views) >= _CLIENTS_LIMIT:
            self._views.clear()
        self._views[host] = found
        return found

    def _onTerms(self, terms: Terms) -> "Export":
        view = self._byTerms.get(terms)
        if view is None:
            view = attrs.evolve(
                self,
                rules=None,
                readOnly=terms.readOnly,
                rootSquash=terms.rootSquash,
                allSquash=terms.allSquash,
                anonymous=terms.anonymous,
                flavors=terms.flavors,
                pnfs=terms.pnfs,
            )
            view.base = self
            view.mounts, view.below = self.mounts, self.below
            view.parent, view.covered = self.parent, self.covered
            view.guarded = True
            if view.pnfs == self.pnfs:
                view.plans, view.entryPlans = self.plans, self.entryPlans
            self._byTerms[terms] = view
        return view

    @property
    def cloneBlock(self) -> int:
        """
        Alignment of ranges that files here may share; 0: they cannot, or that is not
        known yet.
        """
        space = None if self.space is None else self.space()
        return 0 if space is None else space.cloneBlock

    @property
    def squash(self) -> Squash:
        """
        Whom callers are taken for.
        """
        return squashOf(  # type: ignore[no-any-return]
            self.rootSquash, self.allSquash, *self.anonymous
        )

    def effective(self, credential: Credential) -> Credential:
        """
        Who a caller is here. With root squash the superuser is nobody, and group 0
        of others the group of nobody.
        """
        if not self.rootSquash or (credential.uid and 0 not in credential.groups):
            if not self._maps:
                return credential
        return self.squash.effective(credential)

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


def checkNesting(paths: Sequence[tuple[bytes, ...]]) -> None:
    """
    May these be exported together?

    @param paths: of each export, as from L{pathComponents}.
    @raise BadConfiguration: one lies in another.
    """
    ordered = sorted(paths)
    for outer, inner in zip(ordered, ordered[1:]):
        if inner[: len(outer)] == outer:
            raise BadConfiguration(
                f"export {_pathOf(inner)} lies in export {_pathOf(outer)}: "
                f"exports must be side by side"
            )


def checkPaths(paths: Sequence[str]) -> None:
    """
    May these be exported together?

    @raise BadConfiguration: no.
    """
    checkNesting([pathComponents(path) for path in paths])
    ids = {PSEUDO_ID}
    for path in paths:
        number = exportId(path)
        if number in ids:
            raise BadConfiguration(
                f"export {path}: its id is that of another export; choose another path"
            )
        ids.add(number)


def _pathOf(names: tuple[bytes, ...]) -> str:
    return "/" + b"/".join(names).decode("utf-8")


class ExportTable:
    """
    All exports of a server.

    @ivar root: the export PUTROOTFH leads to: the pseudo file system, or the
        only export, if its path is C{/}.
    @ivar byId: every export by id, the pseudo file system included.
    @ivar nothing: the root for those who may not see any export.
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
        checkNesting(list(paths.values()))
        for export in exports:
            if export.id == PSEUDO_ID or export.id in self.byId:
                raise BadConfiguration(
                    f"export {export.path}: its id is that of "
                    f"another export; choose another path"
                )
            self.byId[export.id] = export
            self.byPath[export.path] = export
        pseudo = PseudoBackend(now)
        self.nothing = self.byId[PSEUDO_ID] = Export(
            "/",
            pseudo,
            readOnly=True,
            rootSquash=False,
            delegations=False,
            id=PSEUDO_ID,
            fsid=(0, 0),
        )
        if len(exports) == 1 and not paths[exports[0]]:
            self.root = exports[0]
            self.root.parent = self.root.covered = None
            return
        self.root = self.nothing
        for export, names in paths.items():
            self._cover(export, names, pseudo)

    def _cover(
        self, export: Export, names: tuple[bytes, ...], pseudo: PseudoBackend
    ) -> None:
        """
        Hang an export into the pseudo file system.
        """
        for depth in range(1, len(names)):
            handle = pseudo.add(names[:depth]).handle
            self.root.below.setdefault(handle, []).append(export)
        covered = pseudo.add(names)
        export.parent = self.root
        export.covered = covered
        self.root.mounts[covered.handle] = export

    def forgetPlans(self) -> None:
        """
        An attribute that is the same for all objects has changed: encode all anew.
        """
        for export in self.byId.values():
            export.settle()

    def remember(self, fh: bytes, export: Export, handle: bytes) -> None:
        """
        Keep what a filehandle means in C{handles}.
        """
        if len(self.handles) >= _HANDLES_LIMIT:
            self.handles.clear()
        self.handles[fh] = (export, handle)
