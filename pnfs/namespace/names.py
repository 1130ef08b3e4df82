# -*- test-case-name: tests.namespace.test_access -*-
"""
Which names a directory entry may have (RFC 8881, section 14.5).
"""

from __future__ import annotations

from pnfs.backends.errors import InvalidArgument, InvalidName, NameTooLong

NAME_LIMIT = 255


def checkName(name: bytes) -> None:
    """
    Refuse what cannot be a name.

    @raise InvalidArgument: it is empty, or not UTF-8.
    @raise NameTooLong: it has more than 255 bytes.
    @raise InvalidName: it is C{.} or C{..}, or has C{/} or NUL in it.
    """
    if not name:
        raise InvalidArgument("an empty name")
    if len(name) > NAME_LIMIT:
        raise NameTooLong()
    if name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise InvalidName()
    if not name.isascii():
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidArgument("a name that is not UTF-8") from None
