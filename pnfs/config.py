# -*- test-case-name: tests.test_config -*-
"""
Configuration of both services: TOML files parsed into frozen objects.

Whatever is wrong is said before any port opens, in one line that names file, key
and remedy: L{pnfs.backends.errors.BadConfiguration}.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import tomllib
from ipaddress import ip_address
from typing import Any, Callable, Mapping, Optional

import attrs

from pnfs.backends.errors import BadConfiguration

KEY_BYTES = 32
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_SIZE = re.compile(r"^\s*(\d+)\s*([KMGT]iB)?\s*$", re.IGNORECASE)
_MISSING = object()

Address = tuple[str, int]


@attrs.frozen
class LimitsConfig:
    """
    @ivar io: the largest READ or WRITE in bytes.
    @ivar slots: requests of one session at a time.
    @ivar connections: at a time.
    @ivar queued: reply bytes waiting for one connection.
    """

    io: int = 1 << 20
    slots: int = 64
    connections: int = 10000
    queued: int = 8 << 20


@attrs.frozen
class DataServerConfig:
    """
    A data server as the metadata server reaches it.

    @ivar address: where to control it.
    @ivar advertise: what clients are told.
    @ivar protocol: what clients speak: C{"nfs4.1"} or C{"nfs3"}.
    """

    name: str
    address: Address
    advertise: tuple[Address, ...]
    protocol: str = "nfs4.1"


@attrs.frozen
class ExportConfig:
    """
    An exported tree; sizes in bytes.
    """

    path: str
    root: Optional[str]
    metadata: str
    layout: str
    stripeUnit: int
    stripeCount: int
    mirrors: int
    dataServers: tuple[str, ...]
    readOnly: bool
    rootSquash: bool


@attrs.frozen
class MDSConfig:
    """
    A metadata server. Durations in seconds.

    @ivar file: where it was read from.
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


class _Table:
    """
    A TOML table whose keys are taken one by one; what is left over is unknown.
    """

    def __init__(self, file: str, name: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise BadConfiguration(f"{file}: {name}: is no table; write [{name}]")
        self._file = file
        self._name = name
        self._values = dict(values)
        self._known: list[str] = []

    def refuse(self, key: str, problem: str) -> BadConfiguration:
        """
        The error for a key.
        """
        where = f"{self._name}.{key}" if self._name else key
        return BadConfiguration(f"{self._file}: {where}: {problem}")

    def take(
        self, key: str, convert: Callable[[Any], Any], default: Any = _MISSING
    ) -> Any:
        """
        The converted value; C{convert} raises ValueError with what to write.
        """
        self._known.append(key)
        if key not in self._values:
            if default is _MISSING:
                raise self.refuse(key, "is missing; add it")
            return default
        try:
            return convert(self._values.pop(key))
        except ValueError as error:
            raise self.refuse(key, str(error)) from None

    def tables(self, key: str) -> list[Any]:
        """
        An array of tables, as it is.
        """
        self._known.append(key)
        value = self._values.pop(key, [])
        if not isinstance(value, list):
            raise self.refuse(key, f"is no list; write [[{key}]]")
        return value

    def table(self, key: str) -> Any:
        """
        A sub-table, or None.
        """
        self._known.append(key)
        return self._values.pop(key, None)

    def finish(self) -> None:
        """
        Refuse what nobody has taken.
        """
        for key in self._values:
            raise self.refuse(
                key,
                f"is no known key; remove it, or write one of {', '.join(self._known)}",
            )


def _string(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("is no text; write it in quotes")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("write true or false")
    return value


def _choice(*choices: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"write one of {', '.join(map(repr, choices))}")
        return str(value)

    return convert


def _count(least: int, most: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("is no whole number")
        if not least <= value <= most:
            raise ValueError(f"write a number from {least} to {most}")
        return value

    return convert


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("write a number of seconds")
    if not 1 <= value <= 3600:
        raise ValueError("write 1 to 3600 seconds")
    return float(value)


def parseSize(value: Any) -> int:
    """
    Bytes as a number, or a string such as C{"1MiB"}.

    @raise ValueError: neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write bytes, or a size such as '1MiB'")
    return int(found.group(1)) * _UNITS[(found.group(2) or "").upper()]


def parseAddress(value: Any) -> Address:
    """
    C{"host:port"} or C{"[ipv6]:port"}.

    @raise ValueError: it is not.
    """
    text = _string(value)
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write an IPv6 address as '[::1]:2049'")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address; write 'host:port'")
    return host, int(port)


def parseReachableAddress(value: Any) -> Address:
    """
    As L{parseAddress}, to connect to.

    @raise ValueError: it is not.
    """
    host, port = parseAddress(value)
    if not port:
        raise ValueError(f"{value!r}: write the port that is listened at")
    return host, port


def parseNumericAddress(value: Any) -> Address:
    """
    As L{parseReachableAddress}, the host a numeric one: what clients can be told.

    @raise ValueError: it is not.
    """
    host, port = parseReachableAddress(value)
    try:
        unspecified = ip_address(host).is_unspecified
    except ValueError:
        raise ValueError(
            f"{host!r} is no numeric address; clients can only be told numeric ones"
        ) from None
    if unspecified:
        raise ValueError(f"{host!r} is every address; write one that clients reach")
    return host, port


def _list(convert: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError('write a list, such as ["…"]')
        items = tuple(convert(item) for item in value)
        if len(set(items)) != len(items):
            raise ValueError("something stands there twice; remove one")
        return items

    return all


def _metrics(value: Any) -> Optional[Address]:
    return None if value == "" else parseAddress(value)


def _folder(value: Any) -> str:
    path = os.path.abspath(_string(value))
    if not os.path.isdir(path):
        raise ValueError(f"{path} is no folder; make it")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ValueError(f"{path} cannot be written by this user; change its owner")
    return path


def readKey(value: Any) -> bytes:
    """
    The cluster key in a file.

    @raise ValueError: there is none, or others may read it.
    """
    path = _string(value)
    try:
        with open(path, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            key = stream.read(KEY_BYTES + 1)
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}; make it with 'pnfs key new {path}'"
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise ValueError(f"{path} can be read by others; 'chmod 600 {path}'")
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{path} does not hold {KEY_BYTES} bytes; make it with 'pnfs key new'"
        )
    return key


def _exportPath(value: Any) -> str:
    path = _string(value)
    if not path.startswith("/") or "//" in path or (path != "/" and path.endswith("/")):
        raise ValueError(f"{path!r}: write an absolute path, such as '/export'")
    if any(part in (".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r}: write it without '.' and '..'")
    return path


def _stripeUnit(value: Any) -> int:
    unit = parseSize(value)
    if unit < 65536 or unit % 65536 or unit > 1 << 30:
        raise ValueError("write a multiple of 64KiB, up to 1GiB")
    return unit


def _limits(file: str, values: Any) -> LimitsConfig:
    if values is None:
        return LimitsConfig()
    table = _Table(file, "limits", values)
    limits = LimitsConfig(
        io=table.take("io", parseSize, 1 << 20),
        slots=table.take("slots", _count(1, 1024), 64),
        connections=table.take("connections", _count(1, 1000000), 10000),
        queued=table.take("queued", parseSize, 8 << 20),
    )
    if not 65536 <= limits.io <= 16 << 20:
        raise table.refuse("io", "write 64KiB to 16MiB")
    if not limits.io <= limits.queued <= 1 << 30:
        raise table.refuse("queued", "write a size from that of io to 1GiB")
    table.finish()
    return limits


def _load(file: str, overrides: Mapping[str, Any]) -> _Table:
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
    return _Table(file, "", values)


def _dataServer(file: str, values: Any) -> DataServerConfig:
    table = _Table(file, "data_server", values)
    address = table.take("address", parseReachableAddress)
    advertise = table.take("advertise", _list(parseNumericAddress), None)
    if advertise is None:
        try:
            advertise = (parseNumericAddress(f"[{address[0]}]:{address[1]}"),)
        except ValueError as error:
            raise table.refuse("advertise", f"is missing, and {error}") from None
    config = DataServerConfig(
        name=table.take("name", _string),
        address=address,
        advertise=advertise,
        protocol=table.take("protocol", _choice("nfs4.1", "nfs3"), "nfs4.1"),
    )
    table.finish()
    return config


def _export(file: str, values: Any, servers: tuple[str, ...]) -> ExportConfig:
    table = _Table(file, "export", values)
    metadata = table.take("metadata", _string, "xattr")
    config = ExportConfig(
        path=table.take("path", _exportPath),
        root=table.take("root", _folder, *((None,) if metadata == "memory" else ())),
        metadata=metadata,
        layout=table.take("layout", _string, "files"),
        stripeUnit=table.take("stripe_unit", _stripeUnit, 1 << 20),
        stripeCount=table.take("stripe_count", _count(0, 256), 0),
        mirrors=table.take("mirrors", _count(1, 16), 1),
        dataServers=table.take("data_servers", _list(_string), servers),
        readOnly=table.take("read_only", _boolean, False),
        rootSquash=table.take("root_squash", _boolean, True),
    )
    table.finish()
    for name in config.dataServers:
        if name not in servers:
            raise table.refuse(
                "data_servers",
                f"{name!r} is no data server; add a [[data_server]] of that name",
            )
    if config.mirrors > len(config.dataServers):
        raise table.refuse(
            "mirrors",
            f"{config.mirrors} copies need as many data servers, "
            f"there are {len(config.dataServers)}; add some",
        )
    if config.stripeCount > len(config.dataServers):
        raise table.refuse(
            "stripe_count",
            f"{config.stripeCount} stripes need as many data servers, "
            f"there are {len(config.dataServers)}; add some, or write 0 for all",
        )
    if config.mirrors > 1 and config.layout == "files":
        raise table.refuse(
            "mirrors", 'files layouts have no mirrors; layout = "flexfiles"'
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
    servers = tuple(_dataServer(file, v) for v in table.tables("data_server"))
    if not servers:
        raise BadConfiguration(
            f"{file}: data_server: there is none; add a [[data_server]]"
        )
    _unique(file, "data_server.name", [server.name for server in servers])
    _unique(file, "data_server.address", [server.address for server in servers])
    names = tuple(server.name for server in servers)
    exports = tuple(_export(file, v, names) for v in table.tables("export"))
    for export in exports:
        for server in servers:
            if (
                export.layout == "files"
                and server.protocol == "nfs3"
                and server.name in export.dataServers
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
    lease = table.take("lease", _seconds, 90.0)
    config = MDSConfig(
        listen=table.take("listen", _list(parseAddress), (("0.0.0.0", 2049),)),
        state=table.take("state", _folder),
        key=table.take("key", readKey),
        lease=lease,
        grace=table.take("grace", _seconds, lease),
        recall=table.take("recall", _seconds, 2 * lease),
        metrics=table.take("metrics", _metrics, None),
        limits=_limits(file, table.table("limits")),
        dataServers=servers,
        exports=exports,
        file=file,
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
    backend = table.take("backend", _string, "local")
    upstream = table.table("upstream")
    config = DSConfig(
        name=table.take("name", _string, socket.gethostname()),
        listen=table.take("listen", _list(parseAddress), (("0.0.0.0", 2050),)),
        state=table.take("state", _folder),
        key=table.take("key", readKey),
        backend=backend,
        data=table.take("data", _folder, *(() if backend == "local" else (None,))),
        metrics=table.take("metrics", _metrics, None),
        limits=_limits(file, table.table("limits")),
        upstream=None if upstream is None else _upstream(file, upstream),
        file=file,
    )
    table.finish()
    if backend == "proxied" and config.upstream is None:
        raise BadConfiguration(
            f'{file}: upstream: is missing; backend = "proxied" needs an [upstream]'
        )
    return config


def _upstream(file: str, values: Any) -> UpstreamConfig:
    table = _Table(file, "upstream", values)
    config = UpstreamConfig(
        address=table.take("address", parseReachableAddress),
        protocol=table.take("protocol", _choice("nfs4.1", "nfs3"), "nfs4.1"),
        path=table.take("path", _exportPath),
        mountPort=table.take("mount_port", _count(0, 65535), 0),
    )
    table.finish()
    return config
