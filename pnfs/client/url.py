# -*- test-case-name: tests.client.test_url -*-
"""
How people write where a remote file is: C{pnfs://host:port/export/path}.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

import attrs

SCHEME = "pnfs://"
NFS_PORT = 2049

_AUTHORITY = re.compile(r"^(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:/@]+))(?::([0-9]+))?$")


class BadURL(ValueError):
    """
    Not a C{pnfs://} URL; the text says why.
    """


@attrs.frozen
class URL:
    """
    A remote file or directory.

    @ivar host: name or numeric address.
    @ivar path: names from the server's root, without empty ones, C{.} and C{..}.
    """

    host: str
    port: int
    path: tuple[bytes, ...]

    @property
    def name(self) -> bytes:
        """
        The last name; empty for the root.
        """
        return self.path[-1] if self.path else b""

    def child(self, name: bytes) -> "URL":
        """
        An entry of this directory.
        """
        return attrs.evolve(self, path=self.path + (name,))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == NFS_PORT else f":{self.port}"
        return SCHEME + host + port + "/" + "/".join(map(quote_from_bytes, self.path))


def isRemote(text: str) -> bool:
    """
    Is this meant as a URL, not as the name of a local file?
    """
    return text.startswith(SCHEME)


def parseURL(text: str) -> URL:
    """
    Read a URL. C{%} and two hex digits stand for a byte in the path.

    @raise BadURL: it is none.
    """
    if not isRemote(text):
        raise BadURL(f"{text}: not a URL of the form pnfs://HOST[:PORT]/PATH")
    authority, _, path = text[len(SCHEME) :].partition("/")
    found = _AUTHORITY.match(authority)
    if found is None:
        raise BadURL(f"{text}: {authority!r} is not HOST or HOST:PORT")
    port = NFS_PORT if found[3] is None else int(found[3])
    if not 0 < port < 65536:
        raise BadURL(f"{text}: {port} is not a TCP port")
    return URL(found[1] or found[2], port, splitPath(unquote_to_bytes(path)))


def splitPath(path: bytes) -> tuple[bytes, ...]:
    """
    The names of a path from the root.

    @raise BadURL: a name is impossible.
    """
    names: list[bytes] = []
    for name in path.split(b"/"):
        if name == b"..":
            del names[-1:]
        elif name not in (b"", b"."):
            if b"\0" in name:
                raise BadURL("a name with a zero byte")
            names.append(name)
    return tuple(names)
