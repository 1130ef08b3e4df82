# -*- test-case-name: tests.mds.commands.test_file -*-
"""
Commands on files and directories.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

import attrs

from pnfs.admin.control import Command, Refused, Request
from pnfs.configvalues import chunkSize, label, stripeUnit
from pnfs.mds.commands.paths import trail
from pnfs.mds.dataservers import DataServers
from pnfs.mds.settings import Impossible, Settings, described, ofExport
from pnfs.mds.turns import Turns
from pnfs.namespace.exports import Export
from pnfs.nfs4.context import ServerContext
from pnfs.values import (
    FileType,
    Inode,
    Placement,
    PlacementSettings,
)

_ANY = "any"
"""The class, and the data server, that takes back what a directory above says."""

_MIRRORS_LIMIT = 16
_STRIPES_LIMIT = 256


class FileCommands:
    """
    C{file.*}.
    """

    def __init__(
        self, server: ServerContext, servers: DataServers, settings: Settings
    ) -> None:
        self._server = server
        self._servers = servers
        self._settings = settings
        self._turns = Turns()
        self.commands: Mapping[str, Command] = {
            "file.set": self.set,
            "file.show": self.show,
        }

    async def set(self, request: Request) -> Any:
        """
        Say what new files below a directory are to be like.
        """
        path = request.text("path")
        clear = request.flag("clear")
        said = _said(request)
        request.finish()
        if not clear and said == PlacementSettings():
            raise Refused("say what new files are to be like, or --clear")
        export, way = await trail(self._server, path)
        directory = way[-1][1]
        if directory.ftype != FileType.DIR:
            raise Refused(
                f"{path} is no directory: a file stays as it is; say it of "
                f"{way[-2][0]} for new files there"
            )
        key = (export.id, directory.handle)
        await self._turns.take(key)
        try:
            await self._store(path, export, directory, said, clear)
        finally:
            self._turns.give(key)
        return await self._describe(export, way)

    async def _store(
        self,
        path: str,
        export: Export,
        directory: Inode,
        said: PlacementSettings,
        clear: bool,
    ) -> None:
        """
        @raise Refused: no file could be like that; nothing has changed.
        """
        before = await self._settings.said(export, directory)
        own = PlacementSettings()
        if before and before[0][0].handle == directory.handle:
            if not clear:
                own = before[0][1]
            before = before[1:]
        own = said.over(own)
        whole = ofExport(export)
        for _, above in reversed(before):
            whole = above.over(whole)
        if own != PlacementSettings():
            try:
                found = self._settings.require(
                    export, own.over(whole), self._servers.serving(export)
                )
            except Impossible as error:
                raise Refused(f"{path}: {error}") from None
            if own.chunk and not found.chunk:
                raise Refused(
                    f"{path}: {found.layout} layouts have no chunks; say nothing of them"
                )
        await export.backend.storeSettings(
            directory, None if own == PlacementSettings() else own
        )

    async def show(self, request: Request) -> Any:
        """
        Where a file's bytes are, or what new files below a directory will be like.
        """
        path = request.text("path")
        request.finish()
        return await self._describe(*await trail(self._server, path))

    async def _describe(self, export: Export, way: list[tuple[str, Inode]]) -> Any:
        path, inode = way[-1]
        told: dict[str, Any] = {
            "path": path,
            "directory": inode.ftype == FileType.DIR,
            "settings": await self._inForce(export, way),
            "placement": None,
        }
        if inode.ftype == FileType.REG:
            placement = await export.backend.loadPlacement(inode)
            if placement is not None:
                told["placement"] = self._placement(placement)
        return told

    async def _inForce(
        self, export: Export, way: list[tuple[str, Inode]]
    ) -> dict[str, dict[str, Any]]:
        """
        What is said, and where.
        """
        paths = {inode.handle: path for path, inode in way}
        found = {
            key: {"value": value, "from": f"export {export.path}"}
            for key, value in described(ofExport(export)).items()
        }
        for directory, said in reversed(await self._settings.said(export, way[-1][1])):
            # A file with several names may be on the way to another one of them.
            where = paths.get(directory.handle, "another of its directories")
            for key, value in described(said).items():
                found[key] = {"value": value, "from": where}
        return found

    def _placement(self, placement: Placement) -> dict[str, Any]:
        def told(uuid: bytes) -> dict[str, Any]:
            member = self._servers.find(uuid)
            return {
                "name": uuid.hex() if member is None else member.record.name,
                "stale": uuid in placement.stale,
            }

        return {
            "layout": placement.layout,
            "stripe_unit": placement.stripeUnit,
            "chunk": placement.chunk,
            "columns": [[told(uuid) for uuid in c] for c in placement.columns],
            "object": placement.name.decode("ascii"),
            "epoch": placement.epoch,
        }


def _said(request: Request) -> PlacementSettings:
    """
    What the arguments say.

    @raise Refused: they cannot be meant.
    """
    mirrors = request.number("mirrors", 0, 0, _MIRRORS_LIMIT)
    stripes = request.number("stripe_count", -1, -1, _STRIPES_LIMIT)
    unit = request.number("stripe_unit", 0)
    chunk = request.number("chunk", -1, -1)
    names = request.texts("data_servers")
    said = PlacementSettings(
        mirrors=mirrors or None,
        stripeCount=None if stripes < 0 else stripes,
        policy=request.text("placement", "") or None,
        layout=request.text("layout", "") or None,
        label=_label(request.text("class", "")),
    )
    if names:
        wanted = () if names == [_ANY] else tuple(dict.fromkeys(names))
        said = attrs.evolve(said, dataServers=wanted)
    if unit:
        try:
            said = attrs.evolve(said, stripeUnit=stripeUnit(unit))
        except ValueError as error:
            raise Refused(f"stripe unit: {error}") from None
    if chunk >= 0:
        try:
            said = attrs.evolve(said, chunk=chunkSize(chunk))
        except ValueError as error:
            raise Refused(f"chunk: {error}") from None
    return said


def _label(text: str) -> Optional[str]:
    if text in ("", _ANY):
        return "" if text else None
    try:
        return label(text)
    except ValueError as error:
        raise Refused(f"class: {error}") from None
