# -*- test-case-name: tests.mds.test_service -*-
"""
What a metadata server does in the background to keep files in order: mirrors are
repaired, compared and made the same again, files are moved, and fenced from who has not
come back.
"""

from __future__ import annotations

from typing import Any, Callable

from pnfs.config import MDSConfig
from pnfs.mds.absent import Absentees
from pnfs.mds.choices import Site
from pnfs.mds.commands.mirror import MirrorCommands
from pnfs.mds.commands.moves import MoveCommands
from pnfs.mds.commands.scrub import ScrubCommands
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.dataservers import DataServers
from pnfs.mds.health import Health
from pnfs.mds.intents import WriteIntents
from pnfs.mds.jobs import Jobs
from pnfs.mds.membership import Membership
from pnfs.mds.mover import Mover
from pnfs.mds.repairs import Repairs
from pnfs.mds.resilver import Resilvering
from pnfs.mds.scrub import Scrub
from pnfs.mds.verification import Verification
from pnfs.nfs4.context import ServerContext


class Upkeep:
    """
    All of that.

    @ivar repairs: L{Repairs}; scrub: L{Scrub}; absentees: L{Absentees};
        resilvering: L{Resilvering}; jobs: L{Jobs}.
    """

    def __init__(
        self,
        config: MDSConfig,
        server: ServerContext,
        servers: DataServers,
        data: DataFiles,
        index: Any,
        inThread: Callable[..., Any],
    ) -> None:
        """
        @param index: L{pnfs.mds.fileindex.FileIndex}.
        @param inThread: runs a blocking function elsewhere.
        """
        self._server = server
        self._index = index
        self.repairs = Repairs(server, servers, data)
        self.repairs.index = index
        self.scrub = Scrub(server, servers, data, self.repairs, config.state, inThread)
        self.configure(config)
        writers = server.layouts.writers = WriteIntents(config.state)
        data.noted = writers.proxied
        self._writers = writers
        self.absentees = Absentees(server, data, writers)
        self.resilvering = Resilvering(
            server, data, writers, lambda uuid: servers.byUUID(uuid).config.name
        )
        site = Site(server, servers, data.moving.placing, index)
        self.jobs = Jobs(config.state, site, Mover(server, data))
        self._verification = Verification(server, servers, data)
        data.degrading.listeners.append(self.repairs.marked)

    def follow(self, health: Health) -> None:
        """
        Repair what data servers have missed when they return.
        """
        health.onReturned.append(lambda member: self.repairs.returned(member.uuid))

    def configure(self, config: MDSConfig) -> None:
        """
        Do it as configured from now on.
        """
        self.repairs.automatic = config.autoRepair
        self.repairs.limit = config.repairLimit
        self.scrub.configure(config.scrubInterval, config.scrubLimit)

    def start(self) -> None:
        """
        Begin, and go on with what an earlier process has left.
        """
        self.absentees.begin()
        self.scrub.start()
        self.jobs.start()

    def commands(self, membership: Membership) -> tuple[Any, ...]:
        """
        What has the commands for administrators.
        """
        return (
            MirrorCommands(membership, self.repairs, self._verification),
            ScrubCommands(membership, self.scrub, self._index, self._server.clock),
            MoveCommands(membership, self.jobs),
        )

    def stop(self) -> None:
        """
        Leave everything for the next start.
        """
        self.scrub.stop()
        self.repairs.stop()
        self.jobs.stop()
        self.absentees.stop()
        self.resilvering.stop()
        self._writers.stop()
