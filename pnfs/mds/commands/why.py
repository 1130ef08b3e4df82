# -*- test-case-name: tests.mds.commands.test_why -*-
"""
Why a client does or does not use pNFS, in words.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

from pnfs.admin.control import Command, Request
from pnfs.mds.commands.clients import ClientCommands, clientsAt, layoutName
from pnfs.mds.commands.paths import find
from pnfs.mds.dataservers import DataServers
from pnfs.namespace.exports import Export
from pnfs.nfs4.context import ServerContext
from pnfs.nfs4.status import nfsstat4
from pnfs.values import FileType, Inode

_ROLES = {0x10000: "no pNFS", 0x20000: "a metadata server", 0x40000: "a data server"}
"""C{EXCHGID4_FLAG_USE_*} (RFC 8881, section 18.35.3)."""

_MEANINGS = {
    nfsstat4.NFS4ERR_LAYOUTUNAVAILABLE: "none is given: the file is small, full, or of a "
    "kind that goes through the metadata server",
    nfsstat4.NFS4ERR_LAYOUTTRYLATER: "a data server needed for it did not answer",
    nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE: "the export has no layouts of the type it wants",
    nfsstat4.NFS4ERR_RECALLCONFLICT: "the file's layouts were just being recalled",
    nfsstat4.NFS4ERR_GRACE: "the server had been started shortly before",
    nfsstat4.NFS4ERR_OPENMODE: "the file was not open for that",
    nfsstat4.NFS4ERR_DELAY: "it was to come again in a moment",
    nfsstat4.NFS4ERR_ACCESS: "the user may not read or write the file",
    nfsstat4.NFS4ERR_NOSPC: "no data server had room",
}


class WhyCommand:
    """
    C{why}.
    """

    def __init__(
        self, server: ServerContext, servers: DataServers, clients: ClientCommands
    ) -> None:
        self._server = server
        self._servers = servers
        self._clients = clients
        self.commands: Mapping[str, Command] = {"why": self.why}

    async def why(self, request: Request) -> Any:
        """
        What is known that speaks for and against.

        @return: C{findings} in words, each with whether it speaks against pNFS.
        """
        host = request.text("client")
        path = request.text("path", "")
        request.finish()
        findings: list[dict[str, Any]] = []

        def say(text: str, against: bool = False) -> None:
            findings.append({"text": text, "against": against})

        export, inode = await find(self._server, path) if path else (None, None)
        clients = clientsAt(self._server, host)
        if not clients:
            say(
                f"No client with an NFSv4.1 or 4.2 session is connected from {host}: it "
                "has not mounted, or with vers=3 or 4.0, which have no pNFS.",
                True,
            )
        exports = (
            list(self._server.exports.byPath.values()) if export is None else [export]
        )
        for one in exports:
            self._terms(one, host, say)
        for client in clients:
            self._client(client, exports, inode, say)
        if export is not None and inode is not None:
            await self._file(export, inode, say)
        for member in self._servers.members:
            if not member.up:
                say(
                    f"Data server {member.record.name} "
                    + (
                        "is disabled."
                        if member.banned
                        else f"does not answer: {member.problem or 'not yet asked'}."
                    ),
                    True,
                )
        return {"client": host, "path": path, "findings": findings}

    def _terms(self, export: Export, host: str, say: Any) -> None:
        view = export.seenBy(host)
        if view is None:
            say(f"Export {export.path} is not for {host} (its list of clients).", True)
        elif not view.pnfs:
            say(
                f"Export {export.path} is without pNFS for {host} (pnfs = false).", True
            )
        elif not view.drivers:
            say(f"Export {export.path} has no layouts.", True)
        else:
            kinds = ", ".join(map(layoutName, view.drivers))
            say(f"Export {export.path} offers {host} layouts: {kinds}.")
            if view.threshold:
                say(
                    f"Files of {export.path} with fewer than {view.threshold} bytes are "
                    "for the metadata server (mds_threshold)."
                )

    def _client(
        self, client: Any, exports: list[Export], inode: Optional[Inode], say: Any
    ) -> None:
        server = self._server
        name = client.owner.decode("utf-8", "replace")
        now = server.clock.seconds()
        kind = client.implementation[1].decode("utf-8", "replace")
        say(f"Client {name}{f' ({kind})' if kind else ''}.")
        roles = [text for bit, text in _ROLES.items() if client.flags & bit]
        say(
            f"It asked for {' and '.join(roles)} (role bits of EXCHANGE_ID)."
            if roles
            else "It asked for no role in particular (role bits of EXCHANGE_ID)."
        )
        offered = {n for export in exports for n in export.drivers}
        if not client.asked:
            say(
                "It has never asked for a layout. On Linux: is the layout driver there "
                "(modprobe nfs_layout_nfsv41_files, nfs_layout_flexfiles), and has "
                "anything been read or written since the mount?",
                True,
            )
        else:
            asked = ", ".join(map(layoutName, client.asked))
            say(
                f"It has asked for layouts: {asked}.",
                not offered.intersection(client.asked),
            )
        if client.backDown:
            say(
                "Callbacks do not get through to it: it cannot be asked to give layouts "
                "back, and loses them when others need the file.",
                True,
            )
        if client.revoked:
            say(f"{client.revoked} layouts or delegations were revoked.", True)
        held = [
            layout
            for layout in client.layouts.values()
            if inode is None or layout.file.inode is inode
        ]
        if inode is None:
            say(f"It holds {len(held)} layouts.", not held)
        elif not held:
            say("It holds no layout of this file.", True)
        for layout in held[:1] if inode is not None else ():
            told = self._clients.layout(layout)
            say(
                f"It holds a {told['type']} layout to {told['access']} on "
                f"{', '.join(told['data_servers'])}."
            )
        recalled = [layout for layout in held if layout.file.recall is not None]
        for layout in recalled[:8]:
            say(
                f"The layout of fileid {layout.file.inode.fileid} is being recalled: "
                f"{layout.file.recall.reason}.",
                True,
            )
        for when, fh, status in list(client.answers or ()):
            if inode is not None and (inode.state is None or inode.state.fh != fh):
                continue
            meaning = _MEANINGS.get(nfsstat4(status), "")
            say(
                f"{now - when:.0f} s ago LAYOUTGET was answered "
                f"{nfsstat4(status).name}{': ' + meaning if meaning else ''}.",
                True,
            )

    async def _file(self, export: Export, inode: Inode, say: Any) -> None:
        if inode.ftype != FileType.REG:
            say("That is no regular file: only those have layouts.", True)
            return
        if inode.size < export.threshold:
            say(f"The file has {inode.size} bytes: that is few (mds_threshold).", True)
        placement = await export.backend.loadPlacement(inode)
        if placement is None:
            say("The file has no data files yet: the first layout to write makes them.")
            return
        names = []
        for uuid in placement.dataServers:
            member = self._servers.find(uuid)
            text = uuid.hex() if member is None else member.record.name
            names.append(text + (" (stale)" if uuid in placement.stale else ""))
        say(f"The file's bytes are on {', '.join(names)} ({placement.layout}).")
        if placement.readOnlyLayouts:
            say(
                "It is in chunks with mirrors (chunk): reads go straight, writes go "
                "through us.",
                True,
            )
        if all(driver.name != placement.layout for driver in export.drivers.values()):
            say(f"Nobody makes {placement.layout} layouts for this export now.", True)
        file = inode.state
        if file is None:
            say("No client holds anything of the file now.")
            return
        if file.fullUntil > self._server.clock.seconds():
            say("A client found a data server full: writes go through us.", True)
        for deviceid, told in self._server.layouts.reports.ofFile(file.fh):
            error = told.lastError
            if error is not None:
                device = self._server.devices.lookup(deviceid)
                on = ", ".join(s.name for s in device.servers) if device else "?"
                say(
                    f"Clients reported {told.errors} errors of data server {on}, the "
                    f"last one {nfsstat4(error.status).name}.",
                    True,
                )
