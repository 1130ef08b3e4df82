# -*- test-case-name: tests.test_plugin -*-
"""
Layout drivers, placement policies and backends as plugins: found by name, imported
when chosen.

A package adds one by a module in C{twisted/plugins/} (without an C{__init__.py}
there or above) that holds L{DriverMaker}s; the bundled ones are found the same
way.
"""

from __future__ import annotations

import enum
from typing import Any, Callable, Iterable, Optional

import attrs
from twisted.plugin import IPlugin, getPlugins
from twisted.python.reflect import InvalidName, namedAny
from zope.interface import Attribute, Interface, implementer
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyClass, verifyObject

import twisted.plugins
from pnfs.backends.errors import BadConfiguration
from pnfs.interfaces import (
    IDataServerBackend,
    ILayoutDriver,
    IMetadataBackend,
    IPlacementPolicy,
)


class Kind(enum.Enum):
    """
    What a plugin is for; the value is what an operator reads.
    """

    LAYOUT = "layout driver"
    METADATA = "metadata backend"
    DATA = "data backend"
    PLACEMENT = "placement policy"


_interfaces: dict[Kind, Any] = {
    Kind.METADATA: IMetadataBackend,
    Kind.DATA: IDataServerBackend,
    Kind.LAYOUT: ILayoutDriver,
    Kind.PLACEMENT: IPlacementPolicy,
}
_NAMED = (Kind.LAYOUT, Kind.PLACEMENT)
"""These carry their name themselves, and are complete as soon as they are made."""


class IDriverMaker(Interface):
    """
    A driver or backend that can be chosen by its name.
    """

    name = Attribute("The name used in configuration files.")
    dottedPath = Attribute(
        "What to import and call when it is chosen: a class or a function, such as "
        "C{pnfs.layouts.files.FilesLayoutDriver}."
    )
    kind = Attribute("A L{Kind}.")


@implementer(IPlugin, IDriverMaker)
@attrs.frozen
class DriverMaker:
    """
    Names a driver or backend without importing it.
    """

    name: str
    dottedPath: str
    kind: Kind


def knownMakers(
    kind: Kind, makers: Optional[Iterable[Any]] = None
) -> dict[str, IDriverMaker]:
    """
    What is installed of a kind, by name.

    @param makers: L{IDriverMaker}s to choose from instead of the installed ones.
    @raise BadConfiguration: two have the same name.
    """
    found: dict[str, Any] = {}
    if makers is None:
        makers = getPlugins(IDriverMaker, twisted.plugins)
    for maker in makers:
        if maker.kind is not kind:
            continue
        earlier = found.setdefault(maker.name, maker)
        if earlier.dottedPath != maker.dottedPath:
            raise BadConfiguration(
                f"two plugins are called {kind.value} {maker.name!r}: "
                f"{earlier.dottedPath} and {maker.dottedPath}; uninstall one"
            )
    return found


def loadFactory(
    kind: Kind, name: str, makers: Optional[Iterable[Any]] = None
) -> Callable[..., Any]:
    """
    Import what has that name.

    @return: its class, or the function that makes it.
    @raise BadConfiguration: nothing has that name, or it cannot be imported.
    """
    known = knownMakers(kind, makers)
    maker = known.get(name)
    if maker is None:
        names = ", ".join(sorted(known)) or "none"
        raise BadConfiguration(f"no {kind.value} is called {name!r}; known: {names}")
    try:
        factory: Callable[..., Any] = namedAny(  # type: ignore[no-untyped-call]
            maker.dottedPath
        )
    except (ImportError, AttributeError, InvalidName) as error:
        raise BadConfiguration(
            f"{kind.value} {name!r}: {maker.dottedPath} cannot be imported: {error}"
        ) from error
    return factory


def loadDriver(
    kind: Kind,
    name: str,
    *args: Any,
    makers: Optional[Iterable[Any]] = None,
    **kw: Any,
) -> Any:
    """
    Make a driver or backend of that name and verify that it is one.

    @param args: and C{kw}: for its class, or the function that makes it; layout
        drivers take none, placement policies their options.
    @raise BadConfiguration: nothing has that name, it cannot be imported, or it
        does not provide the interface of its kind.
    """
    driver = loadFactory(kind, name, makers)(*args, **kw)
    try:
        if kind in _NAMED:
            verifyObject(_interfaces[kind], driver)
        else:
            # Their attributes are there only once they have started.
            verifyClass(_interfaces[kind], type(driver))
    except Invalid as error:
        reason = " ".join(str(error).split())
        raise BadConfiguration(f"{kind.value} {name!r} is none: {reason}") from error
    if kind in _NAMED and driver.name != name:
        raise BadConfiguration(
            f"{kind.value} {name!r} calls itself {driver.name!r}: what it is used for "
            "would name another one"
        )
    return driver
