# -*- test-case-name: tests.mds.test_administration -*-
"""
A metadata server's control channel, and what its commands work on.
"""

from __future__ import annotations

import os
from typing import Any, Optional

from twisted.internet.error import CannotListenError

from pnfs.admin.control import Commands, ControlFactory
from pnfs.backends.errors import BadConfiguration
from pnfs.config import MDSConfig
from pnfs.mds.commands.clients import ClientCommands
from pnfs.mds.commands.ds import DataServerCommands
from pnfs.mds.commands.why import WhyCommand
from pnfs.mds.dataservers import DataServers
from pnfs.mds.membership import Membership
from pnfs.nfs4.context import ServerContext

SOCKET = "control.sock"


class Administration:
    """
    The parts of a running metadata server, for commands.

    @ivar server: clients and what they hold.
    @ivar servers: the data servers; membership: which there are.
    @ivar commands: all that can be asked for.
    """

    def __init__(
        self,
        config: MDSConfig,
        server: ServerContext,
        servers: DataServers,
        membership: Membership,
    ) -> None:
        self.server = server
        self.servers = servers
        self.membership = membership
        self.commands = Commands()
        self.socket = config.admin.socket or os.path.join(config.state, SOCKET)
        self._file = config.file
        self._port: Any = None
        self.commands.add(DataServerCommands(membership).commands)
        clients = ClientCommands(server, servers)
        self.commands.add(clients.commands)
        self.commands.add(WhyCommand(server, servers, clients).commands)

    def listen(self, reactor: Any) -> None:
        """
        Open the socket, for the user alone as whom the server runs.

        @raise BadConfiguration: that is not possible; one line.
        """
        mask = os.umask(0o177)
        try:
            self._port = reactor.listenUNIX(
                self.socket, ControlFactory(self.commands), mode=0o600, wantPID=True
            )
        except CannotListenError as error:
            raise BadConfiguration(
                f"{self._file}: admin.socket: {self.socket}: {error.socketError}; "
                "name another path or stop what uses it"
            ) from None
        except OSError as error:
            raise BadConfiguration(
                f"{self._file}: admin.socket: {self.socket}: {error.strerror or error}; "
                "name another path"
            ) from None
        finally:
            os.umask(mask)

    async def stop(self) -> None:
        """
        Close it.
        """
        port: Optional[Any] = self._port
        self._port = None
        if port is not None:
            await port.stopListening()
