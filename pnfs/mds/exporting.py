# -*- test-case-name: tests.mds.test_exporting -*-
"""
Exports made of their configuration: backend, layout driver, and whom they are for.

Host names in client lists are looked up here, once; an address that has changed
since is known after the next reload. Going from an address back to its name for each
client was rejected: whoever runs the reverse zone would decide who may come in.
"""

from __future__ import annotations

import os
import socket
from ipaddress import ip_network
from typing import Any, Awaitable, Callable, Optional

from twisted.logger import Logger

from pnfs.backends.errors import BadConfiguration
from pnfs.config import ExportConfig, MDSConfig
from pnfs.configclients import EVERYBODY, ClientConfig, TermsConfig
from pnfs.namespace.clients import (
    AUTH_NONE,
    AUTH_SYS,
    ClientRule,
    Network,
    Terms,
)
from pnfs.namespace.exports import Export, exportId
from pnfs.namespace.identity import localIdentities
from pnfs.plugin import Kind, loadDriver
from pnfs.values import FSStatistics

_FLAVORS = {"sys": AUTH_SYS, "none": AUTH_NONE}

_log = Logger()


def termsOf(config: TermsConfig) -> Terms:
    """
    Terms as the name space knows them.
    """
    return Terms(
        readOnly=config.readOnly,
        rootSquash=config.squash == "root",
        allSquash=config.squash == "all",
        anonymous=config.anonymous,
        flavors=tuple(_FLAVORS[flavor] for flavor in config.flavors),
        pnfs=config.pnfs,
    )


def _numeric(who: str) -> Optional[Network]:
    """
    The network that a client is written as; None for a host name.
    """
    try:
        return ip_network(who)
    except ValueError:
        return None


class Exporting:
    """
    Makes exports.
    """

    def __init__(
        self,
        config: MDSConfig,
        clock: Any,
        wallTime: Callable[[], int],
        entropy: Callable[[int], bytes],
        inThread: Callable[..., Any],
        space: Callable[[Export], Optional[FSStatistics]],
    ) -> None:
        """
        @param inThread: runs a blocking function elsewhere.
        @param space: the space that an export's data servers have, if known.
        """
        self._file = config.file
        self._state = config.state
        self._clock = clock
        self._wallTime = wallTime
        self._entropy = entropy
        self._inThread = inThread
        self._space = space
        self._identities = localIdentities()

    async def start(self, config: ExportConfig) -> Export:
        """
        An export with its backend running, for nobody yet.

        @raise BadConfiguration: that cannot be.
        """
        folder = os.path.join(self._state, f"export-{exportId(config.path):08x}")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        backend = self._load(
            "metadata",
            config,
            Kind.METADATA,
            config.metadata,
            config,
            folder,
            self._clock,
            self._wallTime,
            self._entropy,
            self._inThread,
        )
        driver = self.driver(config)
        try:
            await backend.start()
        except BadConfiguration as error:
            raise self._refused("root", config, error) from None
        export = Export(
            config.path,
            backend,
            drivers={driver.layoutType: driver},
            identities=self._identities,
            rules=(),
        )
        export.space = lambda: self._space(export)
        return export

    def driver(self, config: ExportConfig) -> Any:
        """
        The layout driver that an export is to have.

        @raise BadConfiguration: there is no such driver.
        """
        return self._load("layout", config, Kind.LAYOUT, config.layout)

    def policy(self, config: ExportConfig) -> Any:
        """
        The placement policy that an export is to have.

        @raise BadConfiguration: there is no such policy, or not with these options.
        """
        return self._load(
            "placement",
            config,
            Kind.PLACEMENT,
            config.placement,
            config.placementOptions,
        )

    def apply(
        self,
        export: Export,
        config: ExportConfig,
        rules: Optional[tuple[ClientRule, ...]],
        driver: Any,
        policy: Any,
    ) -> None:
        """
        Have an export be as configured.

        @param rules: from L{rules}; driver: from L{driver}; policy: from L{policy}.
        """
        terms = termsOf(config.terms)
        # What earlier drivers have placed stays readable through them.
        export.drivers = {
            driver.layoutType: driver,
            **{n: old for n, old in export.drivers.items() if n != driver.layoutType},
        }
        export.layout = config.layout
        export.stripeUnit = config.stripeUnit
        export.stripeCount = config.stripeCount
        export.mirrors = config.mirrors
        export.chunk = config.chunk
        export.dataServers = config.dataServers
        export.policy = policy
        export.label = config.label
        export.threshold = config.threshold
        export.delegations = config.delegations
        export.readOnly = terms.readOnly
        export.rootSquash = terms.rootSquash
        export.allSquash = terms.allSquash
        export.anonymous = terms.anonymous
        export.flavors = terms.flavors
        export.pnfs = terms.pnfs
        export.rules = rules
        export.settle()

    async def rules(self, config: ExportConfig) -> Optional[tuple[ClientRule, ...]]:
        """
        The client list of an export, host names looked up. One that nobody knows
        now is nobody: said in the log, and no reason not to serve the others.
        """
        if config.clients is None:
            return None
        return tuple([await self._rule(config, client) for client in config.clients])

    async def _rule(self, config: ExportConfig, client: ClientConfig) -> ClientRule:
        terms = termsOf(client.terms)
        if EVERYBODY in client.who:
            return ClientRule(None, terms)
        found: list[Network] = []
        for who in client.who:
            network = _numeric(who)
            if network is not None:
                found.append(network)
                continue
            try:
                found += await self._addresses(who)
            except OSError as error:
                _log.warn(
                    "export {path}: client {who} is unknown, so nobody is let in for "
                    "it until the next reload: {error}",
                    path=config.path,
                    who=who,
                    error=error,
                )
        return ClientRule(tuple(found), terms)

    async def _addresses(self, host: str) -> list[Network]:
        looking: Awaitable[Any] = self._inThread(
            socket.getaddrinfo, host, None, 0, socket.SOCK_STREAM
        )
        return [
            ip_network(address[0].partition("%")[0])
            for family, _, _, _, address in await looking
            if family in (socket.AF_INET, socket.AF_INET6)
        ]

    def _refused(
        self, key: str, config: ExportConfig, error: Exception
    ) -> BadConfiguration:
        return BadConfiguration(f"{self._file}: export.{key} of {config.path}: {error}")

    def _load(self, key: str, config: ExportConfig, kind: Kind, *args: Any) -> Any:
        """
        As L{loadDriver}; what is wrong is said of a key of an export.
        """
        try:
            return loadDriver(kind, *args)
        except BadConfiguration as error:
            raise self._refused(key, config, error) from None
