# -*- test-case-name: tests.test_config -*-
"""
Values of configuration files: tables whose keys are taken one by one, and
converters that say what to write instead of what they refuse.
"""

from __future__ import annotations

import os
import re
import stat
from ipaddress import ip_address
from typing import Any, Callable, Optional

from pnfs.backends.errors import BadConfiguration

KEY_BYTES = 32
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_SIZE = re.compile(r"^\s*(\d+)\s*([KMGT]iB)?\s*$", re.IGNORECASE)
_LABEL = re.compile(r"^[a-z0-9][a-z0-9-]{0,31}$")
_SOCKET_BYTES = 104
_MISSING = object()

Address = tuple[str, int]


class Table:
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


def string(value: Any) -> str:
    """
    A text that is not empty.

    @raise ValueError: it is none; the text says what to write.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("is no text; write it in quotes")
    return value


def label(value: Any) -> str:
    """
    A word of small letters, digits and dashes.

    @raise ValueError: it is none; the text says what to write.
    """
    text = string(value)
    if _LABEL.match(text) is None:
        raise ValueError(f"{text!r}: write a word such as 'nvme', 'ssd' or 'hdd'")
    return text


def boolean(value: Any) -> bool:
    """
    True or false.

    @raise ValueError: it is none; the text says what to write.
    """
    if not isinstance(value, bool):
        raise ValueError("write true or false")
    return value


def options(value: Any) -> dict[str, Any]:
    """
    A table whose keys mean something to a plugin.

    @raise ValueError: it is none; the text says what to write.
    """
    if not isinstance(value, dict):
        raise ValueError("is no table; write it in brackets of its own")
    return value


def choice(*choices: str) -> Callable[[Any], str]:
    """
    A converter: one of a few texts.
    """

    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"write one of {', '.join(map(repr, choices))}")
        return str(value)

    return convert


def count(least: int, most: int) -> Callable[[Any], int]:
    """
    A converter: a whole number from C{least} to C{most}.
    """

    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("is no whole number")
        if not least <= value <= most:
            raise ValueError(f"write a number from {least} to {most}")
        return value

    return convert


def seconds(value: Any) -> float:
    """
    A duration.

    @raise ValueError: it is none; the text says what to write.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("write a number of seconds")
    if not 1 <= value <= 3600:
        raise ValueError("write 1 to 3600 seconds")
    return float(value)


def courtesy(value: Any) -> float:
    """
    A duration up to a month; 0 for none.

    @raise ValueError: it is none; the text says what to write.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("write a number of seconds")
    if not 0 <= value <= 2678400:
        raise ValueError("write 0 to 2678400 seconds")
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
    text = string(value)
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


def listOf(convert: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """
    A converter: a list of at least one, each converted, none twice.
    """

    def all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError('write a list, such as ["…"]')
        items = tuple(convert(item) for item in value)
        if len(set(items)) != len(items):
            raise ValueError("something stands there twice; remove one")
        return items

    return all


def metricsAddress(value: Any) -> Optional[Address]:
    """
    An address, or an empty text for none.

    @raise ValueError: it is none; the text says what to write.
    """
    return None if value == "" else parseAddress(value)


def folder(value: Any) -> str:
    """
    A folder that this process may write.

    @raise ValueError: it is none; the text says what to write.
    """
    path = os.path.abspath(string(value))
    if not os.path.isdir(path):
        raise ValueError(f"{path} is no folder; make it")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ValueError(f"{path} cannot be written by this user; change its owner")
    return path


def socketPath(value: Any) -> str:
    """
    Where a UNIX socket may be made.

    @raise ValueError: it cannot be there; the text says what to write.
    """
    path = os.path.abspath(string(value))
    if len(os.fsencode(path)) > _SOCKET_BYTES:
        raise ValueError(
            f"{path} is too long for a socket; write at most {_SOCKET_BYTES} bytes"
        )
    return path


def readableFile(value: Any) -> str:
    """
    A file that this process may read.

    @raise ValueError: it cannot; the text says what to write.
    """
    path = os.path.abspath(string(value))
    if not os.path.isfile(path):
        raise ValueError(f"{path} is no file; name one")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{path} cannot be read by this user; change its owner")
    return path


def readKey(value: Any) -> bytes:
    """
    The cluster key in a file.

    @raise ValueError: there is none, or others may read it.
    """
    path = string(value)
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


def exportPath(value: Any) -> str:
    """
    Where clients find an export.

    @raise ValueError: it is none; the text says what to write.
    """
    path = string(value)
    if not path.startswith("/") or "//" in path or (path != "/" and path.endswith("/")):
        raise ValueError(f"{path!r}: write an absolute path, such as '/export'")
    if any(part in (".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r}: write it without '.' and '..'")
    return path


DEFAULT_CHUNK = 0
"""Bytes of a chunk; none unless wanted: see docs/layout-flexfiles.md."""


def chunkSize(value: Any) -> int:
    """
    The bytes of a mirrored file that are on the same data servers; 0: all.

    @raise ValueError: it is none; the text says what to write.
    """
    size = parseSize(value)
    if size and (size < 1 << 20 or size % 65536 or size > 1 << 50):
        raise ValueError(
            "write a multiple of 64KiB, from 1MiB to 1024TiB, or 0 for none"
        )
    return size


def stripeUnit(value: Any) -> int:
    """
    A size that layouts can stripe by.

    @raise ValueError: it is none; the text says what to write.
    """
    unit = parseSize(value)
    if unit < 65536 or unit % 65536 or unit > 1 << 30:
        raise ValueError("write a multiple of 64KiB, up to 1GiB")
    return unit
