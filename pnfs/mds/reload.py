# -*- test-case-name: tests.mds.test_reload -*-
"""
A metadata server's configuration read again while it runs.

Everything that can fail is done before anything changes: the file is read, what only a
restart can change is refused, new exports are started, host names looked up. Then all
changes at once, between two requests. What clients lose by it is taken from them
afterwards (L{pnfs.mds.withdrawal}), and last the backends of exports that are gone are
stopped, when no request uses them any more.
"""

from __future__ import annotations

import os
from typing import Any, Awaitable, Callable, Sequence

import attrs
from twisted.logger import Logger

from pnfs.backends.errors import BackendError, BadConfiguration
from pnfs.config import DataServerConfig, ExportConfig, MDSConfig
from pnfs.mds.exporting import Exporting
from pnfs.mds.withdrawal import Offer, Withdrawal, offerOf, quiet
from pnfs.namespace.exports import Export, ExportTable, checkPaths
from pnfs.nfs4.context import ServerContext

_log = Logger()


def _refuse(file: str, key: str) -> BadConfiguration:
    return BadConfiguration(
        f"{file}: {key}: only a restart can change it; put it back, or restart"
    )


def requireReloadable(old: MDSConfig, new: MDSConfig) -> None:
    """
    Can this be changed while the server runs?

    @raise BadConfiguration: no; one line that names the key.
    """
    for key, before, after in (
        ("listen", old.listen, new.listen),
        ("state", old.state, new.state),
        ("key", old.key, new.key),
        ("metrics", old.metrics, new.metrics),
        ("limits.io", old.limits.io, new.limits.io),
        ("limits.queued", old.limits.queued, new.limits.queued),
        ("admin", old.admin, new.admin),
        ("delegations", old.delegations, new.delegations),
        ("delegation_window", old.delegationWindow, new.delegationWindow),
    ):
        if before != after:
            raise _refuse(new.file, key)
    served = {export.path: export for export in old.exports}
    roots = {
        os.path.realpath(export.root): export.path
        for export in old.exports
        if export.root is not None
    }
    for export in new.exports:
        known = served.get(export.path)
        if known is not None:
            if known.metadata != export.metadata:
                raise _refuse(new.file, f"export.metadata of {export.path}")
            if known.root != export.root:
                raise _refuse(new.file, f"export.root of {export.path}")
        elif export.root is not None and os.path.realpath(export.root) in roots:
            raise BadConfiguration(
                f"{new.file}: export.root of {export.path}: is still that of "
                f"{roots[os.path.realpath(export.root)]}; take that out and reload, "
                "then add this one"
            )
    checkPaths([export.path for export in new.exports])


@attrs.define(eq=False)
class Change:
    """
    An export that is to be, ready to be applied.
    """

    export: Export
    config: ExportConfig
    rules: Any
    driver: Any
    policy: Any


class Reloading:
    """
    Applies configurations to a running server.

    @ivar config: as it is now.
    @ivar backends: those that run; a stopped service stops them.
    """

    def __init__(
        self,
        config: MDSConfig,
        server: ServerContext,
        exporting: Exporting,
        backends: list[Any],
        adjust: Callable[[MDSConfig, MDSConfig], None],
        seed: Callable[[Sequence[DataServerConfig]], Awaitable[None]],
    ) -> None:
        """
        @param adjust: applies what does not concern exports, given the old and the
            new configuration.
        @param seed: has the data servers be as configured.
        """
        self._seed = seed
        self.config = config
        self.backends = backends
        self._server = server
        self._exporting = exporting
        self._adjust = adjust
        self._withdrawal = Withdrawal(server)

    async def apply(self, config: MDSConfig) -> None:
        """
        Have the server be as configured.

        @return: when what clients may not have any more is out of their reach.
        @raise BadConfiguration: nothing has changed.
        """
        requireReloadable(self.config, config)
        changes = await self._prepare(config)
        self._adjust(self.config, config)
        gone, before, after = self._change(changes)
        self.config = config
        await self._clear(gone, before, after)

    async def _prepare(self, config: MDSConfig) -> list[Change]:
        """
        Make everything ready that can fail.
        """
        served = self._server.exports.byPath
        known = {export.path: export for export in self.config.exports}
        started: list[Any] = []
        changes = []
        try:
            for wanted in config.exports:
                driver = self._exporting.driver(wanted)
                policy = self._exporting.policy(wanted)
                export = served.get(wanted.path) if wanted.path in known else None
                if export is None:
                    export = await self._exporting.start(wanted)
                    started.append(export)
                rules = await self._exporting.rules(wanted)
                changes.append(Change(export, wanted, rules, driver, policy))
            for export in started:
                for placement in await export.backend.pendingRemovals():
                    self._server.data.forget(export, placement)
            await self._seed(config.dataServers)
        except (BadConfiguration, BackendError):
            for export in started:
                await export.backend.stop()
            raise
        self.backends += [export.backend for export in started]
        return changes

    def _change(
        self, changes: Sequence[Change]
    ) -> tuple[list[Export], dict[Export, Offer], dict[Export, Offer]]:
        """
        Change over, between two requests.

        @return: the exports that are gone, and what exports were and are now.
        """
        server = self._server
        served = list(server.exports.byPath.values())
        before = {export: offerOf(export) for export in served}
        after = {}
        for change in changes:
            self._exporting.apply(
                change.export,
                change.config,
                change.rules,
                change.driver,
                change.policy,
            )
            server.devices.addDriver(change.driver)
            after[change.export] = offerOf(change.export)
        server.exports = ExportTable(
            [change.export for change in changes], server.wallTime()
        )
        gone = [export for export in served if export not in after]
        changed = {
            export: offer
            for export, offer in before.items()
            if after.get(export) != offer
        }
        for export in gone:
            _log.info("export {path} is gone", path=export.path)
        for export in after:
            if export not in before:
                _log.info("export {path} is new", path=export.path)
            elif export in changed:
                _log.info("export {path} has changed", path=export.path)
        return gone, changed, after

    async def _clear(
        self,
        gone: Sequence[Export],
        before: dict[Export, Offer],
        after: dict[Export, Offer],
    ) -> None:
        """
        Take from clients what they have lost; twice, since requests that began
        before the change may have given them more.
        """
        if not before:
            return
        await self._withdrawal.withdraw(before, after)
        finished = await quiet(self._server)
        await self._withdrawal.withdraw(before, after)
        for export in gone:
            self._server.data.abandon(export)
            if not finished:
                _log.warn(
                    "export {path} is still in use by requests that do not end; its "
                    "backend runs on until the restart",
                    path=export.path,
                )
                continue
            self.backends.remove(export.backend)
            await export.backend.stop()
