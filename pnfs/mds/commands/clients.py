# -*- test-case-name: tests.mds.commands.test_clients -*-
"""
Commands that tell what clients are doing, and hold.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from pnfs.admin.control import Command, Refused, Request
from pnfs.mds.dataservers import DataServers
from pnfs.mds.withdrawal import hostsOf
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.optable import mdsTables
from pnfs.state.layouts import LayoutState

LIMIT = 1000
"""How many are told if it is not said."""

_MOST = 1000000

LAYOUT_TYPES = {1: "files", 2: "osd2", 3: "block", 4: "flexfiles", 5: "scsi"}
ACCESS = {1: "read", 2: "write", 3: "read and write"}


def layoutName(layoutType: int) -> str:
    """
    What a layout type is called.
    """
    return LAYOUT_TYPES.get(layoutType, f"type {layoutType}")


def place(file: Any) -> dict[str, Any]:
    """
    Which file that is, as far as it can be told without waiting.
    """
    folder = file.export.backend.pathOf(file.inode)
    return {
        "export": file.export.path,
        "folder": b"/".join(folder).decode("utf-8", "replace"),
        "fileid": file.inode.fileid,
    }


def clientsAt(server: ServerContext, host: str) -> list[Any]:
    """
    The clients that have connections from an address.
    """
    return [client for client in server.clients if host in hostsOf(client)]


class ClientCommands:
    """
    C{clients.*}, C{layouts.*}, C{opens.*} and C{server.top}.
    """

    def __init__(self, server: ServerContext, servers: DataServers) -> None:
        self._server = server
        self._servers = servers
        self._names = {n: op.name for n, op in mdsTables()[2].items()}
        self.commands: Mapping[str, Command] = {
            "clients.list": self.clients,
            "layouts.list": self.layouts,
            "opens.list": self.opens,
            "server.top": self.top,
        }

    def _of(self, request: Request) -> tuple[list[Any], int]:
        """
        The clients that a request is about, and how many results it wants.
        """
        host = request.text("client", "")
        limit = request.number("limit", LIMIT, 1, _MOST)
        request.finish()
        if not host:
            return list(self._server.clients), limit
        found = clientsAt(self._server, host)
        if not found:
            raise Refused(
                f"no client is connected from {host}; 'pnfs clients' lists those that are"
            )
        return found, limit

    async def clients(self, request: Request) -> Any:
        """
        Who is known.
        """
        clients, limit = self._of(request)
        now = self._server.clock.seconds()
        return [self._describe(client, now) for client in clients[:limit]]

    def _describe(self, client: Any, now: float) -> dict[str, Any]:
        return {
            "addresses": sorted(hostsOf(client)),
            "owner": client.owner.decode("utf-8", "replace"),
            "implementation": client.implementation[1].decode("utf-8", "replace"),
            "clientid": f"{client.clientid:016x}",
            "seconds": round(now - client.renewed, 1),
            "silent": self._server.clients.silent(client, now),
            "callbacks": not client.backDown,
            "sessions": len(client.sessions),
            "opens": len(client.opens),
            "locks": sum(len(state.locks or ()) for state in client.opens),
            "layouts": len(client.layouts),
            "delegations": len(client.delegations),
            "revoked": client.revoked,
            "asked": [layoutName(n) for n in client.asked],
        }

    async def layouts(self, request: Request) -> Any:
        """
        Who holds layouts of what.
        """
        clients, limit = self._of(request)
        held = (layout for client in clients for layout in client.layouts.values())
        return [self.layout(layout) for layout in _first(held, limit)]

    def layout(self, layout: LayoutState) -> dict[str, Any]:
        """
        One layout.
        """
        names = []
        for uuid in layout.servers:
            member = self._servers.find(uuid)
            names.append(uuid.hex() if member is None else member.record.name)
        recall = layout.file.recall
        return place(layout.file) | {
            "addresses": sorted(hostsOf(layout.client)),
            "type": layoutName(layout.layoutType),
            "access": "read and write" if layout.holdsWrite else "read",
            "data_servers": names,
            "recall": "" if recall is None else recall.reason,
        }

    async def opens(self, request: Request) -> Any:
        """
        Who has what open.
        """
        clients, limit = self._of(request)
        held = (state for client in clients for state in client.opens)
        return [
            place(state.file)
            | {
                "addresses": sorted(hostsOf(state.client)),
                "access": ACCESS.get(state.access, "nothing"),
                "deny": ACCESS.get(state.deny, "nothing"),
                "locks": len(state.locks or ()),
            }
            for state in _first(held, limit)
        ]

    async def top(self, request: Request) -> Any:
        """
        Counters since the start: whoever wants rates asks twice.
        """
        request.finish()
        server = self._server
        done = {
            self._names.get(number, str(number)): count
            for number, count in enumerate(server.done)
            if count
        }
        return {
            "seconds": server.clock.seconds(),
            "compounds": server.served,
            "operations": done,
            "failed": sum(server.failed.values()),
            "read_bytes": server.readBytes,
            "written_bytes": server.writeBytes,
            "clients": len(server.clients),
            "layouts": len(server.layouts),
            "recalls": len(server.recaller.active),
            "data_servers": len(self._servers.members),
            "data_servers_up": sum(member.up for member in self._servers.members),
        }


def _first(found: Iterable[Any], limit: int) -> list[Any]:
    return [one for one, _ in zip(found, range(limit))]
