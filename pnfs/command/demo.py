# -*- test-case-name: tests.command.test_demo -*-
"""
C{pnfs demo}: a whole site on this machine, and a file through it.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Optional

from pnfs.admin.site import Site, SiteFailed, SiteOptions, parseOperations
from pnfs.client.exercise import ServerTraffic, exercise
from pnfs.command.reactor import runUntilDone
from pnfs.configvalues import parseSize


def _size(text: str) -> int:
    try:
        return parseSize(int(text) if text.isdigit() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def configure(parser: Any) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Start a metadata server and data servers as processes of this machine, "
        "write a file through their layouts, read it back, compare, and show where "
        "the bytes went. Needs no privileges."
    )
    add = parser.add_argument
    add(
        "--dir",
        metavar="DIR",
        help="keep everything here (default: a temporary folder)",
    )
    add(
        "--host",
        default="127.0.0.1",
        help="address all servers listen at (%(default)s)",
    )
    add(
        "--port", type=int, default=0, help="port of the metadata server (default: any)"
    )
    add(
        "--advertise",
        metavar="ADDR[,ADDR…]",
        default="",
        help="addresses that clients are given for the servers, in turn",
    )
    add(
        "--data-servers",
        type=int,
        default=3,
        metavar="N",
        help="how many (%(default)s)",
    )
    add(
        "--layout",
        choices=("files", "flexfiles"),
        default="files",
        help="(%(default)s)",
    )
    add("--mirrors", type=int, default=1, metavar="N", help="copies (%(default)s)")
    add(
        "--metadata", choices=("xattr", "memory"), default="xattr", help="(%(default)s)"
    )
    add("--lease", type=float, default=90.0, metavar="SECONDS", help="(%(default)s)")
    add(
        "--size",
        type=_size,
        default=256 << 20,
        help="bytes to write and read back, such as 256MiB (the default); 0: none",
    )
    add("--keep", action="store_true", help="keep the servers running until Ctrl-C")
    add("--json", action="store_true", help="print one JSON object per line, no more")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    if args.mirrors > args.data_servers:
        print(
            f"pnfs demo: {args.mirrors} mirrors need as many data servers; "
            f"--data-servers {args.mirrors}",
            file=sys.stderr,
        )
        return 2
    if args.mirrors > 1 and args.layout == "files":
        print("pnfs demo: mirrors need --layout flexfiles", file=sys.stderr)
        return 2
    return runUntilDone(lambda reactor, stop: _Demo(reactor, args).run(stop))


class _Demo:
    def __init__(self, reactor: Any, args: argparse.Namespace) -> None:
        self._reactor = reactor
        self._args = args
        self._site = Site(
            reactor,
            SiteOptions(
                directory=args.dir,
                host=args.host,
                port=args.port,
                advertise=tuple(filter(None, args.advertise.split(","))),
                dataServers=args.data_servers,
                layout=args.layout,
                mirrors=args.mirrors,
                metadata=args.metadata,
                lease=args.lease,
            ),
        )

    def _tell(self, event: Optional[dict[str, Any]], text: str = "") -> None:
        """
        Print for a program or for a person.
        """
        if self._args.json:
            if event is not None:
                print(json.dumps(event), flush=True)
        elif text:
            print(text, flush=True)

    async def run(self, stop: Any) -> int:
        """
        @param stop: fires when somebody wants an end.
        """
        status = 0
        try:
            self._tell(None, "Starting the servers …")
            try:
                await self._site.start()
            except SiteFailed as error:
                print(f"pnfs demo: {error}", file=sys.stderr)
                return 1
            self._tell(self._site.describe(), self._introduce())
            if self._args.size and not stop.called:
                status = await self._transfer()
            if self._args.keep:
                self._tell(None, "Running until Ctrl-C.")
                await stop
        finally:
            await self._site.stop()
        return status

    def _introduce(self) -> str:
        site = self._site
        lines = [
            f"Metadata server {site.host}:{site.port}, exporting /export "
            f"({self._args.layout}, {self._args.mirrors} "
            f"{'copy' if self._args.mirrors == 1 else 'copies'}); "
            f"metrics {site.metricsURL}"
        ]
        for told in site.describe()["data_servers"]:
            lines.append(
                f"Data server {told['name']} {told['host']}:{told['port']}, "
                f"files in {told['dir']}"
            )
        lines.append(
            "Mount it on Linux:\n  mount -t nfs -o "
            f"vers=4.2,proto=tcp,port={site.port} {site.host}:/export /mnt"
        )
        return "\n".join(lines)

    async def _transfer(self) -> int:
        before = parseOperations(await self._site.metrics())
        outcome = await exercise(
            self._reactor,
            self._site.host,
            self._site.port,
            "/export/demo",
            self._args.size,
        )
        after = parseOperations(await self._site.metrics())
        told = self._site.describe()["data_servers"]
        seen = {traffic.address: traffic for traffic in outcome.traffic}
        servers = []
        for server in told:
            address = (server["host"], server["port"])
            traffic = seen.get(address, ServerTraffic(address, 0, 0.0, 0, 0.0))
            servers.append({"name": server["name"]} | traffic.describe())
        reads = after.get("READ", 0) - before.get("READ", 0)
        writes = after.get("WRITE", 0) - before.get("WRITE", 0)
        ok = outcome.same and not reads and not writes
        self._tell(
            {
                "event": "result",
                "ok": ok,
                "bytes": self._args.size,
                "write_mb_s": round(outcome.writeRate, 1),
                "read_mb_s": round(outcome.readRate, 1),
                "mds_read_ops": reads,
                "mds_write_ops": writes,
                "per_data_server": servers,
            },
            self._summary(outcome, servers, reads, writes),
        )
        return 0 if ok else 1

    def _summary(
        self, outcome: Any, servers: list[dict[str, Any]], reads: int, writes: int
    ) -> str:
        lines = [
            f"\nWrote and read back {self._args.size} bytes: "
            + (
                "the same (sha256 " + outcome.digest[:16] + "…)"
                if outcome.same
                else "DIFFERENT"
            )
            + f"; write {outcome.writeRate:.0f} MB/s, read {outcome.readRate:.0f} MB/s.",
            f"{'data server':<12} {'written':>12} {'MB/s':>7} {'read':>12} {'MB/s':>7}",
        ]
        for server in servers:
            lines.append(
                f"{server['name']:<12} {server['bytes_written']:>12} "
                f"{server['write_mb_s']:>7} {server['bytes_read']:>12} "
                f"{server['read_mb_s']:>7}"
            )
        lines.append(f"Where it lies: {outcome.placement}")
        lines.append(
            f"The metadata server itself served {reads} READ and {writes} WRITE."
        )
        return "\n".join(lines)
