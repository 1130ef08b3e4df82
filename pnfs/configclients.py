# -*- test-case-name: tests.test_config -*-
"""
The client lists of exports in the configuration: who, and on what terms. What
stands with the export itself holds for whom nothing else is said.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any, Optional

import attrs

from pnfs.configvalues import Table, boolean, choice, count, listOf, string
from pnfs.values import NOBODY

EVERYBODY = "*"

_HOST = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$")
_FLAVORS = ("sys", "none")
_UID_MAX = 0xFFFFFFFE


@attrs.frozen
class TermsConfig:
    """
    What an export is to a client.

    @ivar squash: C{"root"}, C{"all"} or C{"none"}.
    @ivar anonymous: uid and gid.
    @ivar flavors: C{"sys"}, C{"none"}, preferred ones first.
    """

    readOnly: bool = False
    squash: str = "root"
    anonymous: tuple[int, int] = (NOBODY, NOBODY)
    flavors: tuple[str, ...] = _FLAVORS
    pnfs: bool = True


@attrs.frozen
class ClientConfig:
    """
    @ivar who: addresses, networks, host names; or C{"*"} alone.
    """

    who: tuple[str, ...]
    terms: TermsConfig


def takeTerms(table: Table, default: TermsConfig) -> TermsConfig:
    """
    Terms from the keys of an export, or of a client of it.

    @param default: what counts where a key is absent.
    @raise BadConfiguration: one line.
    """
    access = table.take("access", choice("rw", "ro"), None)
    readOnly = table.take("read_only", boolean, None)
    if access is not None and readOnly is not None:
        raise table.refuse(
            "read_only", 'stands beside access; remove it: access = "ro"'
        )
    squash = table.take("squash", choice("root", "all", "none"), None)
    rootSquash = table.take("root_squash", boolean, None)
    if squash is not None and rootSquash is not None:
        raise table.refuse(
            "root_squash", 'stands beside squash; remove it: squash = "none"'
        )
    if access is not None:
        readOnly = access == "ro"
    if rootSquash is not None:
        squash = "root" if rootSquash else "none"
    uid, gid = default.anonymous
    number = count(0, _UID_MAX)
    return TermsConfig(
        readOnly=default.readOnly if readOnly is None else readOnly,
        squash=default.squash if squash is None else squash,
        anonymous=(
            table.take("anonuid", number, uid),
            table.take("anongid", number, gid),
        ),
        flavors=table.take("sec", listOf(_flavor), default.flavors),
        pnfs=table.take("pnfs", boolean, default.pnfs),
    )


def takeClients(
    file: str, table: Table, terms: TermsConfig
) -> Optional[tuple[ClientConfig, ...]]:
    """
    The client list of an export; None if it has none, and is for everybody.

    @raise BadConfiguration: one line.
    """
    items = table.take("clients", _items, None)
    if items is None:
        return None
    found = []
    for item in items:
        if isinstance(item, dict):
            inner = Table(file, "export.clients", item)
            who = inner.take("match", _matches)
            found.append(ClientConfig(who, takeTerms(inner, terms)))
            inner.finish()
        else:
            try:
                found.append(ClientConfig((_match(item),), terms))
            except ValueError as error:
                raise table.refuse("clients", str(error)) from None
    return tuple(found)


def _items(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise ValueError(
            'write a list, such as ["10.0.0.0/8", { match = "*", access = "ro" }]; '
            "without it everybody is a client"
        )
    return value


def _flavor(value: Any) -> str:
    text = string(value)
    if text.startswith("krb5"):
        raise ValueError(
            f"{text!r}: Kerberos is not served yet; write 'sys', and let only "
            "networks you trust reach the server"
        )
    return choice(*_FLAVORS)(text)


def _matches(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_match(value),)
    return listOf(_match)(value)


def _match(value: Any) -> str:
    """
    One of those that a rule is for.

    @raise ValueError: it is none; the text says what to write.
    """
    text = string(value)
    if text == EVERYBODY:
        return text
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if "/" in text:
        try:
            return str(ip_network(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is no network: {error}") from None
    if text.startswith("@") or "*" in text or "?" in text:
        raise ValueError(
            f"{text!r}: netgroups and names with wildcards are not served; write an "
            "address, a network such as '10.0.0.0/8', a whole host name, or '*'"
        )
    if not _HOST.match(text):
        raise ValueError(
            f"{text!r} is no client; write an address, a network such as "
            "'10.0.0.0/8', a host name, or '*' for everybody"
        )
    return text
