# -*- test-case-name: tests.mds.test_administration -*-
"""
A metadata server's control channel, and what its commands work on.
"""

from __future__ import annotations

import fcntl
import os
import stat
from typing import Any, Optional

from twisted.internet.error import CannotListenError
from twisted.internet.ssl import CertificateOptions

from pnfs.admin.control import Commands, ControlFactory
from pnfs.admin.tls import Renewable, TLSControlFactory, loadOptions
from pnfs.backends.errors import BadConfiguration
from pnfs.config import MDSConfig
from pnfs.mds.commands.clients import ClientCommands
from pnfs.mds.commands.ds import DataServerCommands
from pnfs.mds.commands.why import WhyCommand
from pnfs.mds.dataservers import DataServers
from pnfs.mds.membership import Membership
from pnfs.nfs4.context import ServerContext

SOCKET = "control.sock"


def claim(socket: str) -> int:
    """
    Make this process the only one that may listen at a path, until it closes the
    result or ends, however it ends; and remove the socket of one that was killed.

    The kernel keeps the lock: a process id in a file would name somebody else after a
    restart of the machine, and ourselves after that of a container.

    @return: a file descriptor.
    @raise BlockingIOError: another process listens there.
    @raise OSError: there can be no socket.
    """
    fd = os.open(f"{socket}.flock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISSOCK(os.lstat(socket).st_mode):
            os.unlink(socket)
    except FileNotFoundError:
        pass
    except OSError:
        os.close(fd)
        raise
    return fd


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
        self._clock = server.clock
        self.commands = Commands()
        self.socket = config.admin.socket or os.path.join(config.state, SOCKET)
        self._file = config.file
        self._tls = config.admin.tls
        self._renewable = (
            None if self._tls is None else Renewable(loadOptions(self._file, self._tls))
        )
        self._secured: Optional[TLSControlFactory] = None
        self._securePort: Any = None
        self._port: Any = None
        self._claimed = -1
        self.commands.add(DataServerCommands(membership).commands)
        clients = ClientCommands(server, servers)
        self.commands.add(clients.commands)
        self.commands.add(WhyCommand(server, servers, clients).commands)

    def add(self, *groups: Any) -> None:
        """
        Have more commands.

        @param groups: each has some by name in C{commands}.
        """
        for group in groups:
            self.commands.add(group.commands)

    def listen(self, reactor: Any) -> None:
        """
        Open the socket, for the user alone as whom the server runs.

        @raise BadConfiguration: that is not possible; one line.
        """
        mask = os.umask(0o177)
        try:
            self._claimed = claim(self.socket)
            self._port = reactor.listenUNIX(
                self.socket, ControlFactory(self.commands), mode=0o600
            )
        except BlockingIOError:
            raise BadConfiguration(
                f"{self._file}: admin.socket: {self.socket}: another server listens"
                " there; name another path or stop that one"
            ) from None
        except CannotListenError as error:
            raise BadConfiguration(
                f"{self._file}: admin.socket: {self.socket}: {error.socketError}; "
                "name another path"
            ) from None
        except OSError as error:
            raise BadConfiguration(
                f"{self._file}: admin.socket: {self.socket}: {error.strerror or error}; "
                "name another path"
            ) from None
        finally:
            os.umask(mask)
        self._listenTLS(reactor)

    def _listenTLS(self, reactor: Any) -> None:
        """
        Open the port for callers elsewhere, if there is to be one.
        """
        if self._tls is None:
            return
        self._secured = TLSControlFactory(self.commands, self._clock)
        host, port = self._tls.listen
        try:
            self._securePort = reactor.listenSSL(
                port, self._secured, self._renewable, interface=host
            )
        except CannotListenError as error:
            raise BadConfiguration(
                f"{self._file}: admin.listen: {error.interface}:{error.port}: "
                f"{error.socketError}; name another address or stop what uses it"
            ) from None

    def renewed(self) -> Optional[CertificateOptions]:
        """
        Read the files of TLS again, for L{renew}.

        @raise BadConfiguration: they are no good; nothing has changed.
        """
        return None if self._tls is None else loadOptions(self._file, self._tls)

    def renew(self, options: Optional[CertificateOptions]) -> None:
        """
        Use them from now on. Connections that are open go on.
        """
        if self._renewable is not None and options is not None:
            self._renewable.options = options

    async def stop(self) -> None:
        """
        Close it.
        """
        ports = [self._port, self._securePort]
        self._port = self._securePort = None
        for port in ports:
            if port is not None:
                await port.stopListening()
        if self._secured is not None:
            self._secured.close()
        if self._claimed >= 0:
            os.close(self._claimed)
            self._claimed = -1
