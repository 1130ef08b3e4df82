# -*- test-case-name: tests.namespace.test_access -*-
"""
Owner strings and numbers (RFC 8881, section 5.9).

The wire has strings. We send decimal numbers, which Linux and FreeBSD take with
AUTH_SYS, and accept numbers always, and C{name} or C{name@domain} as far as the
name is known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

import attrs

from pnfs.values import NOBODY

_UID_MAX = 0xFFFFFFFE


class BadOwner(Exception):
    """
    An owner string that stands for nobody known here.
    """


def _numberOf(text: str, known: Mapping[str, int], domain: str) -> int:
    # isdecimal() is true of digits of any script.
    if text.isascii() and text.isdecimal() and (text[0] != "0" or text == "0"):
        number = int(text) if len(text) <= 10 else _UID_MAX + 1
        if number > _UID_MAX:
            raise BadOwner(text)
        return number
    name, at, where = text.partition("@")
    if at and domain and where.lower() != domain.lower():
        raise BadOwner(text)
    try:
        return known[name]
    except KeyError:
        raise BadOwner(text) from None


@attrs.frozen
class Identities:
    """
    The names a server knows.

    @ivar users: name to uid.
    @ivar groups: name to gid.
    @ivar domain: what must stand behind C{@}; empty: anything may.
    """

    users: Mapping[str, int] = attrs.field(factory=lambda: {"nobody": NOBODY})
    groups: Mapping[str, int] = attrs.field(
        factory=lambda: {"nobody": NOBODY, "nogroup": NOBODY}
    )
    domain: str = ""

    def uid(self, owner: bytes) -> int:
        """
        @raise BadOwner: not a user known here.
        """
        return _numberOf(_text(owner), self.users, self.domain)

    def gid(self, group: bytes) -> int:
        """
        @raise BadOwner: not a group known here.
        """
        return _numberOf(_text(group), self.groups, self.domain)


def _text(owner: bytes) -> str:
    try:
        return owner.decode("utf-8")
    except UnicodeDecodeError:
        raise BadOwner(owner) from None


def _table(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return found
    for line in lines:
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdecimal():
            found.setdefault(fields[0], int(fields[2]))
    return found


def localIdentities(domain: str = "", folder: str = "/etc") -> Identities:
    """
    The users and groups of this host's own files, read once at start: asking a
    directory service could block, and the numbers are what matters on the wire.
    """
    users = {"nobody": NOBODY, **_table(Path(folder, "passwd"))}
    groups = {"nobody": NOBODY, "nogroup": NOBODY, **_table(Path(folder, "group"))}
    return Identities(users, groups, domain)
