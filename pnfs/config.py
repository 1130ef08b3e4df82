# -*- test-case-name: tests.test_config -*-
"""
Configuration of both services: TOML files parsed into frozen objects.

Whatever is wrong is said before any port opens, in one line that names file, key
and remedy: L{pnfs.backends.errors.BadConfiguration}.
"""

from __future__ import annotations

import os
import socket
import tomllib
from typing import Any, Mapping, Optional

import attrs

from pnfs.backends.errors import BadConfiguration
from pnfs.configadmin import AdminConfig, takeAdmin
from pnfs.configclients import ClientConfig, TermsConfig, takeClients, takeTerms
from pnfs.configregistration import RegistrationConfig, takeRegistration
from pnfs.configvalues import (
    Address,
    Table,
    boolean,
    DEFAULT_CHUNK,
    choice,
    chunkSize,
    count,
    courtesy,
    exportPath,
    folder,
    label,
    listOf,
    metricsAddress,
    options,
    parseAddress,
    parseNumericAddress,
    parseReachableAddress,
    parseSize,
    readKey,
    seconds,
    string,
    stripeUnit,
)


@attrs.frozen
class LimitsConfig:
    """
    @ivar io: the largest READ or WRITE of a client in bytes; data servers read more from
        each other at a time.
    @ivar slots: requests of one session at a time.
    @ivar connections: at a time.
    @ivar queued: reply bytes waiting for one connection.
    @ivar delegations: held by all clients together.
    """

    io: int = 1 << 20
    slots: int = 64
    connections: int = 10000
    queued: int = 8 << 20
    delegations: int = 65536


@attrs.frozen
class DataServerConfig:
    """
    A data server as the metadata server reaches it.

    @ivar address: where to control it.
    @ivar advertise: what clients are told.
    @ivar protocol: what clients speak: C{"nfs4.1"} or C{"nfs3"}.
    @ivar label: the class of its storage, such as C{"nvme"}; empty if not said.
    """

    name: str
    address: Address
    advertise: tuple[Address, ...]
    protocol: str = "nfs4.1"
    label: str = ""


@attrs.frozen
class ExportConfig:
    """
    An exported tree; sizes in bytes.

    @ivar dataServers: names of those new files may go to; empty: all that there are.
    @ivar chunk: of files in layouts with mirrors, so much is on the same data servers;
        0: all.
    @ivar terms: for those of whom C{clients} says nothing else.
    @ivar clients: who it is for; None: everybody.
    @ivar placement: name of the policy by which data servers are chosen for new files;
        placementOptions: what that is told.
    @ivar label: the class of storage new files go to; empty: to any.
    @ivar threshold: smaller files go through the metadata server.
    """

    path: str
    root: Optional[str]
    metadata: str
    layout: str
    stripeUnit: int
    stripeCount: int
    mirrors: int
    dataServers: tuple[str, ...]
    terms: TermsConfig = TermsConfig()
    clients: Optional[tuple[ClientConfig, ...]] = None
    delegations: bool = True
    placement: str = "weighted"
    placementOptions: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    label: str = ""
    threshold: int = 0
    chunk: int = DEFAULT_CHUNK


SCRUB_LIMIT = 100 << 20
"""Bytes in a second from a data server: less than a disk gives."""


@attrs.frozen
class MDSConfig:
    """
    A metadata server. Durations in seconds.

    @ivar delegations: clients may be given some; delegationWindow: how long none is
        given of a file that clients were at odds over.
    @ivar file: where it was read from.
    @ivar reserve: bytes of a data server that new files leave free; None: see
        L{pnfs.mds.dataservers}.
    @ivar degrade: files go on without mirrors at lost data servers; failure: how long
        a data server is silent until it is lost; readError: until what it alone has
        cannot be read.
    @ivar autoRepair: what a data server has missed is repaired when it returns.
    @ivar repairLimit: bytes copied for that in a second; 0: as many as possible.
    @ivar scrubInterval: seconds from the beginning of a scrub to that of the next; 0:
        none begins by itself. scrubLimit: bytes that one reads in a second.
    @ivar courtesy: how long a client that is silent keeps its state if nobody else
        wants it.
    @ivar register: data servers with the cluster key may add themselves.
    """

    listen: tuple[Address, ...]
    state: str
    key: bytes
    lease: float
    grace: float
    recall: float
    metrics: Optional[Address]
    limits: LimitsConfig
    dataServers: tuple[DataServerConfig, ...]
    exports: tuple[ExportConfig, ...]
    file: str = ""
    courtesy: float = 86400.0
    delegations: bool = True
    delegationWindow: float = 30.0
    reserve: Optional[int] = None
    degrade: bool = True
    failure: float = 5.0
    readError: float = 60.0
    admin: AdminConfig = AdminConfig()
    autoRepair: bool = True
    repairLimit: int = 0
    scrubInterval: float = 0.0
    scrubLimit: int = SCRUB_LIMIT
    register: bool = False


@attrs.frozen
class UpstreamConfig:
    """
    The NFS server behind a gateway data server.
    """

    address: Address
    protocol: str
    path: str
    mountPort: int


@attrs.frozen
class DSConfig:
    """
    A data server.

    @ivar file: where it was read from.
    @ivar registration: it registers itself; None: it is added by hand.
    """

    name: str
    listen: tuple[Address, ...]
    state: str
    key: bytes
    backend: str
    data: Optional[str]
    metrics: Optional[Address]
    limits: LimitsConfig
    upstream: Optional[UpstreamConfig]
    file: str = ""
    registration: Optional[RegistrationConfig] = None


def _limits(file: str, values: Any) -> LimitsConfig:
    if values is None:
        return LimitsConfig()
    table = Table(file, "limits", values)
    limits = LimitsConfig(
        io=table.take("io", parseSize, 1 << 20),
        slots=table.take("slots", count(1, 1024), 64),
        connections=table.take("connections", count(1, 1000000), 10000),
        queued=table.take("queued", parseSize, 8 << 20),
        delegations=table.take("delegations", count(1, 10000000), 65536),
    )
    if not 65536 <= limits.io <= 16 << 20:
        raise table.refuse("io", "write 64KiB to 16MiB")
    if not limits.io <= limits.queued <= 1 << 30:
        raise table.refuse("queued", "write a size from that of io to 1GiB")
    table.finish()
    return limits


def _load(file: str, overrides: Mapping[str, Any]) -> Table:
    try:
        with open(file, "rb") as stream:
            values = tomllib.load(stream)
    except OSError as error:
        raise BadConfiguration(
            f"{file}: {error.strerror}; name the file with --config"
        ) from None
    except UnicodeDecodeError:
        raise BadConfiguration(
            f"{file}: is not TOML: no UTF-8; save it in that encoding"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise BadConfiguration(
            f"{file}: is not TOML: {error}; mend that line"
        ) from None
    values.update({key: value for key, value in overrides.items() if value is not None})
    return Table(file, "", values)


def dataServerConfig(file: str, values: Any) -> DataServerConfig:
    """
    A data server as a table tells it.

    @param file: what errors name as its place.
    @raise BadConfiguration: one line that says what to mend.
    """
    table = Table(file, "data_server", values)
    address = table.take("address", parseReachableAddress)
    advertise = table.take("advertise", listOf(parseNumericAddress), None)
    if advertise is None:
        try:
            advertise = (parseNumericAddress(f"[{address[0]}]:{address[1]}"),)
        except ValueError as error:
            raise table.refuse("advertise", f"is missing, and {error}") from None
    config = DataServerConfig(
        name=table.take("name", string),
        address=address,
        advertise=advertise,
        protocol=table.take("protocol", choice("nfs4.1", "nfs3"), "nfs4.1"),
        label=table.take("class", label, ""),
    )
    table.finish()
    return config


def _export(
    file: str, values: Any, servers: tuple[str, ...], more: bool
) -> ExportConfig:
    """
    @param more: there may be other data servers than those.
    """
    table = Table(file, "export", values)
    metadata = table.take("metadata", string, "xattr")
    terms = takeTerms(table, TermsConfig())
    config = ExportConfig(
        path=table.take("path", exportPath),
        root=table.take("root", folder, *((None,) if metadata == "memory" else ())),
        metadata=metadata,
        layout=table.take("layout", string, "files"),
        stripeUnit=table.take("stripe_unit", stripeUnit, 1 << 20),
        stripeCount=table.take("stripe_count", count(0, 256), 0),
        mirrors=table.take("mirrors", count(1, 16), 1),
        chunk=table.take("chunk", chunkSize, DEFAULT_CHUNK),
        dataServers=table.take("data_servers", listOf(string), ()),
        terms=terms,
        clients=takeClients(file, table, terms),
        delegations=table.take("delegations", boolean, True),
        placement=table.take("placement", string, "weighted"),
        placementOptions=table.take("placement_options", options, {}),
        label=table.take("class", label, ""),
        threshold=table.take("mds_threshold", parseSize, 0),
    )
    table.finish()
    if config.layout == "files" and "chunk" in values:
        raise table.refuse(
            "chunk",
            "files layouts are striped, not in chunks; write stripe_unit, or "
            'layout = "flexfiles"',
        )
    if config.mirrors > 1 and config.layout == "files":
        raise table.refuse(
            "mirrors", 'files layouts have no mirrors; layout = "flexfiles"'
        )
    if more:
        return config
    for name in config.dataServers:
        if name not in servers:
            raise table.refuse(
                "data_servers",
                f"{name!r} is no data server; add a [[data_server]] of that name",
            )
    usable = len(config.dataServers or servers)
    if config.mirrors > usable:
        raise table.refuse(
            "mirrors",
            f"{config.mirrors} copies need as many data servers, "
            f"there are {usable}; add some",
        )
    if config.stripeCount > usable:
        raise table.refuse(
            "stripe_count",
            f"{config.stripeCount} stripes need as many data servers, "
            f"there are {usable}; add some, or write 0 for all",
        )
    return config


def _unique(file: str, key: str, names: list[Any]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadConfiguration(
                f"{file}: {key}: {name!r} stands there twice; rename one"
            )


def loadMDS(file: str, overrides: Mapping[str, Any] = {}) -> MDSConfig:
    """
    Read a metadata server's configuration.

    @param overrides: values of top-level keys that go before the file's.
    @raise BadConfiguration: one line that says what to mend.
    """
    table = _load(file, overrides)
    servers = tuple(dataServerConfig(file, v) for v in table.tables("data_server"))
    register = table.take("register", boolean, False)
    if not servers and not register:
        raise BadConfiguration(
            f"{file}: data_server: there is none; add a [[data_server]], or let them "
            "register themselves: register = true"
        )
    _unique(file, "data_server.name", [server.name for server in servers])
    _unique(file, "data_server.address", [server.address for server in servers])
    names = tuple(server.name for server in servers)
    exports = tuple(_export(file, v, names, register) for v in table.tables("export"))
    for export in exports:
        for server in servers:
            if (
                export.layout == "files"
                and server.protocol == "nfs3"
                and server.name in (export.dataServers or names)
            ):
                raise BadConfiguration(
                    f"{file}: export.data_servers: {server.name!r} speaks nfs3, which "
                    'files layouts cannot use; layout = "flexfiles"'
                )
    if not exports:
        raise BadConfiguration(f"{file}: export: there is none; add an [[export]]")
    _unique(file, "export.path", [export.path for export in exports])
    _unique(
        file,
        "export.root",
        [os.path.realpath(export.root) for export in exports if export.root],
    )
    lease = table.take("lease", seconds, 90.0)
    config = MDSConfig(
        listen=table.take("listen", listOf(parseAddress), (("0.0.0.0", 2049),)),
        state=table.take("state", folder),
        key=table.take("key", readKey),
        lease=lease,
        grace=table.take("grace", seconds, lease),
        recall=table.take("recall", seconds, 2 * lease),
        reserve=table.take("reserve", parseSize, None),
        autoRepair=table.take("auto_repair", boolean, True),
        repairLimit=table.take("repair_limit", parseSize, 0),
        scrubInterval=table.take("scrub_interval", courtesy, 0.0),
        scrubLimit=table.take("scrub_limit", parseSize, SCRUB_LIMIT),
        courtesy=table.take("courtesy", courtesy, 86400.0),
        metrics=table.take("metrics", metricsAddress, None),
        limits=_limits(file, table.table("limits")),
        dataServers=servers,
        exports=exports,
        file=file,
        delegations=table.take("delegations", boolean, True),
        delegationWindow=table.take("delegation_window", seconds, 30.0),
        degrade=table.take("degrade", boolean, True),
        failure=table.take("failure_seconds", seconds, 5.0),
        readError=table.take("read_error_seconds", seconds, 60.0),
        admin=takeAdmin(file, table.table("admin")),
        register=register,
    )
    table.finish()
    return config


def loadDS(file: str, overrides: Mapping[str, Any] = {}) -> DSConfig:
    """
    Read a data server's configuration.

    @param overrides: values of top-level keys that go before the file's.
    @raise BadConfiguration: one line that says what to mend.
    """
    table = _load(file, overrides)
    backend = table.take("backend", string, "local")
    upstream = table.table("upstream")
    listen = table.take("listen", listOf(parseAddress), (("0.0.0.0", 2050),))
    config = DSConfig(
        name=table.take("name", string, socket.gethostname()),
        listen=listen,
        state=table.take("state", folder),
        key=table.take("key", readKey),
        backend=backend,
        data=table.take("data", folder, *(() if backend == "local" else (None,))),
        metrics=table.take("metrics", metricsAddress, None),
        limits=_limits(file, table.table("limits")),
        upstream=None if upstream is None else _upstream(file, upstream),
        file=file,
        registration=takeRegistration(table, listen),
    )
    table.finish()
    if backend == "proxied" and config.upstream is None:
        raise BadConfiguration(
            f'{file}: upstream: is missing; backend = "proxied" needs an [upstream]'
        )
    return config


def _upstream(file: str, values: Any) -> UpstreamConfig:
    table = Table(file, "upstream", values)
    config = UpstreamConfig(
        address=table.take("address", parseReachableAddress),
        protocol=table.take("protocol", choice("nfs4.1", "nfs3"), "nfs4.1"),
        path=table.take("path", exportPath),
        mountPort=table.take("mount_port", count(0, 65535), 0),
    )
    table.finish()
    return config
