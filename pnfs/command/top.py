# -*- test-case-name: tests.command.test_clients -*-
"""
C{pnfs top}: what a metadata server is doing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from pnfs.admin.client import ControlFailed
from pnfs.command.administer import addControlOptions, connect, size, table


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Show what a metadata server does per second, until Ctrl-C: operations, bytes "
        "that pass through it, and what clients hold."
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="between two lines of figures (%(default)s)",
    )
    parser.add_argument(
        "--count", type=int, default=0, metavar="N", help="so often, then end"
    )
    addControlOptions(parser, "pnfs top --interval 5")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    if args.interval < 0.1:
        print("pnfs top: --interval is 0.1 s or more", file=sys.stderr)
        return 2
    try:
        client = connect(args)
        try:
            return _run(args, client)
        finally:
            client.close()
    except ControlFailed as error:
        print(f"pnfs top: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _run(args: argparse.Namespace, client: Any) -> int:
    before = client.call("server.top", {})
    shown = 0
    while not args.count or shown < args.count:
        time.sleep(args.interval)
        now = client.call("server.top", {})
        found = rates(before, now)
        print(json.dumps(found) if args.json else show(found), flush=True)
        before = now
        shown += 1
    return 0


def rates(before: Any, now: Any) -> dict[str, Any]:
    """
    What is done per second, of two answers of the server.
    """
    seconds = max(now["seconds"] - before["seconds"], 0.001)

    def per(key: str) -> float:
        return float(round((now[key] - before[key]) / seconds, 1))

    known = before["operations"]
    operations = {
        name: round((count - known.get(name, 0)) / seconds, 1)
        for name, count in now["operations"].items()
        if count > known.get(name, 0)
    }
    return {key: per(key) for key in ("compounds", "read_bytes", "written_bytes")} | {
        "operations": operations,
        "failed": per("failed"),
        **{
            key: now[key]
            for key in (
                "clients",
                "layouts",
                "recalls",
                "data_servers",
                "data_servers_up",
            )
        },
    }


def show(found: dict[str, Any]) -> str:
    """
    For people.
    """
    lines = [
        f"{found['compounds']:.0f} requests/s, {found['failed']:.0f} failed operations/s; "
        f"through this server {size(int(found['read_bytes']))}/s read, "
        f"{size(int(found['written_bytes']))}/s written",
        f"{found['clients']} clients, {found['layouts']} layouts, "
        f"{found['recalls']} recalls; {found['data_servers_up']} of "
        f"{found['data_servers']} data servers up",
    ]
    most = sorted(found["operations"].items(), key=lambda item: -item[1])[:12]
    if most:
        lines.append(table([[name, f"{rate:.0f}/s"] for name, rate in most]))
    return "\n".join(lines) + "\n"
