# -*- test-case-name: tests.mds.test_settings -*-
"""
What new files are to be like: what is said of the directories above them, the nearest
one first, and then of the export.

Nothing of this is kept in memory but policies and drivers: what is said of a directory
is looked up on the way from a file to the root when its data files are made, so that
there is nothing to be forgotten when something else is said or a directory moves.
"""

from __future__ import annotations

from typing import Any, Iterable, Optional, Sequence

import attrs
from twisted.logger import Logger

from pnfs.backends.errors import BadConfiguration, Unsupported
from pnfs.placement.roundrobin import RoundRobinPolicy
from pnfs.plugin import Kind, loadDriver
from pnfs.values import (
    SETTING_NAMES,
    DataServer,
    FileType,
    Inode,
    Placement,
    PlacementSettings,
    PlaceRequest,
)

_IN_TURN = RoundRobinPolicy({})
_DEPTH_LIMIT = 4096

_log = Logger()


class Impossible(Exception):
    """
    No file can be placed as wanted; one line that says why, and what to do instead.
    """


@attrs.frozen
class Wanted:
    """
    What a new file is to be like.

    @ivar settings: without any None.
    @ivar driver: places it; policy: chooses its data servers.
    """

    settings: PlacementSettings
    driver: Any
    policy: Any

    def among(self, servers: Iterable[DataServer]) -> list[DataServer]:
        """
        Those that it may go to.
        """
        label = self.settings.label
        names = self.settings.dataServers
        return [
            server
            for server in servers
            if label in ("", server.label) and (not names or server.name in names)
        ]

    @property
    def nobody(self) -> str:
        """
        What to say if L{among} finds none.
        """
        label = self.settings.label
        names = self.settings.dataServers
        return (
            f"no data server{' of class ' + label if label else ''}"
            f"{' among ' + ', '.join(names) if names else ''} takes new files"
        )


def ofExport(export: Any) -> PlacementSettings:
    """
    What is said of an export. Its list of data servers is the roster's business.
    """
    return PlacementSettings(
        mirrors=export.mirrors,
        stripeCount=export.stripeCount,
        stripeUnit=export.stripeUnit,
        chunk=export.chunk,
        label=export.label,
        policy="" if export.policy is None else export.policy.name,
        layout=export.layout,
        dataServers=(),
    )


class Settings:
    """
    Finds what is wanted of new files.
    """

    def __init__(self) -> None:
        self._policies: dict[tuple[int, str], Any] = {}
        self._drivers: dict[str, Any] = {}

    async def said(
        self, export: Any, inode: Inode
    ) -> list[tuple[Inode, PlacementSettings]]:
        """
        What is said of the directories above a file, or of a directory and those
        above, the nearest one first.
        """
        backend = export.backend
        found = []
        directory: Optional[Inode] = inode
        if inode.ftype != FileType.DIR:
            directory = await backend.directoryOf(inode)
        for _ in range(_DEPTH_LIMIT):
            if directory is None:
                break
            settings = await backend.loadSettings(directory)
            if settings is not None:
                found.append((directory, settings))
            directory = await backend.directoryOf(directory)
        return found

    async def wanted(self, export: Any, inode: Inode) -> Wanted:
        """
        What a new file is to be like. What cannot be had any more, such as a policy
        that is not installed, is as the export says instead.

        @raise Unsupported: there is nothing to place files.
        """
        settings = ofExport(export)
        for _, said in reversed(await self.said(export, inode)):
            settings = said.over(settings)
        driver = _driverOf(export)
        try:
            driver = self.driver(export, settings.layout or "")
        except BadConfiguration as error:
            _log.error("export {path}: {error}", path=export.path, error=error)
        try:
            policy = self.policy(export, settings.policy or "")
        except BadConfiguration as error:
            _log.error("export {path}: {error}", path=export.path, error=error)
            policy = export.policy
        return Wanted(settings, driver, policy or _IN_TURN)

    def policy(self, export: Any, name: str) -> Any:
        """
        An export's placement policy of that name.

        @raise BadConfiguration: there is none, or not without options.
        """
        if export.policy is None or name == export.policy.name:
            return export.policy
        key = (export.id, name)
        if key not in self._policies:
            self._policies[key] = loadDriver(Kind.PLACEMENT, name, {})
        return self._policies[key]

    def driver(self, export: Any, name: str) -> Any:
        """
        The driver of that name, to place files of an export.

        @raise BadConfiguration: there is none, or clients are not offered its layouts.
        """
        for driver in export.drivers.values():
            if driver.name == name:
                return driver
        if name not in self._drivers:
            self._drivers[name] = loadDriver(Kind.LAYOUT, name)
        driver = self._drivers[name]
        if driver.layoutType not in export.drivers:
            offered = ", ".join(driver.name for driver in export.drivers.values())
            raise BadConfiguration(
                f"clients of {export.path} are offered {offered or 'no'} layouts, not "
                f"{name}; name one of these"
            )
        return driver

    # -- can it be? ---------------------------------------------------------------

    def require(
        self,
        export: Any,
        settings: PlacementSettings,
        servers: Sequence[DataServer],
    ) -> Placement:
        """
        Could files be placed so?

        @param settings: without any None.
        @param servers: all that serve the export, whether they answer or not.
        @return: how they would be, such as here.
        @raise Impossible: they could not.
        """
        try:
            driver = self.driver(export, settings.layout or "")
            self.policy(export, settings.policy or "")
        except BadConfiguration as error:
            raise Impossible(str(error)) from None
        fitting = self._requireServers(export, settings, servers)
        kind = f" of class {settings.label}" if settings.label else ""
        for number, what, remedy in (
            (settings.mirrors or 1, "mirrors", ""),
            (settings.stripeCount or 1, "stripes", ", or 0 for all"),
        ):
            if number > len(fitting):
                raise Impossible(
                    f"{number} {what} need as many data servers{kind}, and there are "
                    f"{len(fitting)}; say fewer{remedy}, or add some: 'pnfs ds add'"
                )
        request = PlaceRequest(
            stripeUnit=settings.stripeUnit or 0,
            stripeCount=settings.stripeCount or 0,
            mirrors=settings.mirrors or 1,
            name=b"ab",
            sequence=0,
            chunk=settings.chunk or 0,
        )
        try:
            placement: Placement = driver.place(
                request, [attrs.evolve(server, available=True) for server in fitting]
            )
        except ValueError as error:
            raise Impossible(
                f"{settings.layout} layouts cannot be like that: {error}; say something "
                "else, or have the export offer other layouts"
            ) from None
        if not any(d.supports(placement) for d in export.drivers.values()):
            raise Impossible(
                f"no layouts that clients of {export.path} are offered serve such files"
            )
        return placement

    def _requireServers(
        self,
        export: Any,
        settings: PlacementSettings,
        servers: Sequence[DataServer],
    ) -> list[DataServer]:
        """
        @raise Impossible: one that is named does not serve the export, or none is of
            the class.
        """
        names = [server.name for server in servers]
        for name in settings.dataServers or ():
            if name not in names:
                raise Impossible(
                    f"{name} is no data server for new files of {export.path}; there "
                    f"are {', '.join(names) or 'none'}"
                )
        fitting = Wanted(settings, None, None).among(servers)
        if not fitting:
            raise Impossible(
                f"no data server that may be used is of class {settings.label}; "
                f"'pnfs ds class NAME {settings.label}' says that one is"
                if settings.label
                else f"no data server serves {export.path}; add one: 'pnfs ds add'"
            )
        return fitting


def described(settings: PlacementSettings) -> dict[str, Any]:
    """
    For JSON: what is said, as administrators call it.
    """
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, name in SETTING_NAMES.items()
        if (value := getattr(settings, name)) is not None
    }


def _driverOf(export: Any) -> Any:
    """
    The driver that places an export's new files.
    """
    for driver in export.drivers.values():
        if driver.name == export.layout:
            return driver
    raise Unsupported(f"export {export.path} has no data servers")
