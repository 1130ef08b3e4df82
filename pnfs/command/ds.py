# -*- test-case-name: tests.command.test_ds -*-
"""
C{pnfs ds}: the data servers of a metadata server.
"""

from __future__ import annotations

import argparse
from typing import Any

from pnfs.command.administer import addControlOptions, control, size, table
from pnfs.command.moves import addJobOptions, runJob

_NAMED = {
    "show": ("ds.show", "show one", "Show all that is known of a data server."),
    "disable": (
        "ds.disable",
        "do not use it any more",
        "It is neither read nor written from now on, and clients are told so. Files "
        "with another copy go on without it; what it misses it is given after "
        "'pnfs ds enable'.",
    ),
    "kill": (
        "ds.kill",
        "as disable, for one that has failed",
        "Take a failed data server out of use now, as FreeBSD's pnfsdskill does.",
    ),
    "enable": (
        "ds.enable",
        "use it again",
        "Use a data server again that was drained, disabled, killed or lost.",
    ),
    "remove": (
        "ds.remove",
        "forget it",
        "Forget a data server where no file is left. Drain it first.",
    ),
}
_FORCED = ("disable", "kill")


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Show, add, change and remove data servers while everything runs."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _configureAdd(actions)
    many = actions.add_parser(
        "list", help="list them", description="List the data servers."
    )
    addControlOptions(many, "pnfs ds list --json")
    for action, (_, summary, text) in _NAMED.items():
        one = actions.add_parser(action, help=summary, description=text)
        one.add_argument("name", metavar="NAME", help="the data server")
        if action in _FORCED:
            one.add_argument(
                "--force",
                action="store_true",
                help="even if files can then not be read, or new ones not be made",
            )
        if action == "enable":
            one.add_argument(
                "--empty",
                action="store_true",
                help="its disk has been replaced: all copies there are missing, and are "
                "made anew",
            )
            one.add_argument(
                "--force",
                action="store_true",
                help="with --empty: even if files have no other copy",
            )
        addControlOptions(one, f"pnfs ds {action} ds1")
    drain = actions.add_parser(
        "drain",
        help="have everything that it has go elsewhere",
        description="From now on no new files go there, and what is there moves to "
        "others while clients use it; wait until it has nothing left. Then 'pnfs ds "
        "remove' forgets it. After Ctrl-C the metadata server goes on; 'pnfs jobs' "
        "shows how far it is. 'pnfs ds enable' calls it off.",
    )
    drain.add_argument("name", metavar="NAME", help="the data server")
    drain.add_argument(
        "--force",
        action="store_true",
        help="even if new files, or what it has, may then find no room",
    )
    addJobOptions(drain, "pnfs ds drain ds1 --limit 200MiB")
    assign = actions.add_parser(
        "assign",
        help="say for which exports it is",
        description="Say for new files of which exports it is. Files that are there "
        "stay.",
    )
    assign.add_argument("name", metavar="NAME", help="the data server")
    assign.add_argument(
        "--export", action="append", default=[], metavar="PATH", help="only for these"
    )
    assign.add_argument("--all", action="store_true", help="for all exports")
    addControlOptions(assign, "pnfs ds assign ds1 --export /home --export /scratch")
    label = actions.add_parser(
        "class",
        help="say what its storage is",
        description="Say of which class its storage is, so that placement policies can "
        "go by it.",
    )
    label.add_argument("name", metavar="NAME", help="the data server")
    label.add_argument("label", metavar="CLASS", help="such as nvme, ssd or hdd")
    addControlOptions(label, "pnfs ds class ds1 nvme")


def _configureAdd(actions: Any) -> None:
    add = actions.add_parser(
        "add",
        help="add one, or say that one has moved",
        description="Use a data server that runs at ADDRESS from now on. If it is the "
        "one that is known as NAME already, it has moved there, and files stay where "
        "they are.",
    )
    add.add_argument("name", metavar="NAME", help="what to call it")
    add.add_argument("address", metavar="ADDRESS", help="host:port")
    add.add_argument(
        "--advertise",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="numeric address for clients (default: ADDRESS)",
    )
    add.add_argument(
        "--protocol",
        choices=("nfs4.1", "nfs3"),
        default="nfs4.1",
        help="what clients speak there (%(default)s)",
    )
    add.add_argument(
        "--class",
        dest="label",
        default="",
        metavar="CLASS",
        help="of its storage: nvme, ssd, hdd or another word",
    )
    add.add_argument(
        "--export",
        action="append",
        default=[],
        metavar="PATH",
        help="only for new files of this export (default: of all)",
    )
    addControlOptions(add, "pnfs ds add ds4 192.0.2.14:2050 --class nvme")


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    if args.action == "list":
        return control("ds list", args, "ds.list", {}, _showAll)
    values: dict[str, Any] = {"name": args.name}
    if args.action == "drain":
        values["force"] = args.force
        return runJob("ds drain", args, "ds.drain", values, lambda told: told["job"])
    if args.action == "add":
        values |= {
            "address": args.address,
            "protocol": args.protocol,
            "advertise": args.advertise,
            "class": args.label,
            "exports": args.export,
        }
        command = "ds.add"
    elif args.action == "assign":
        values |= {"exports": args.export, "all": args.all}
        command = "ds.assign"
    elif args.action == "class":
        values["class"] = args.label
        command = "ds.class"
    else:
        command = _NAMED[args.action][0]
        if args.action in _FORCED:
            values["force"] = args.force
        elif args.action == "enable" and (args.empty or args.force):
            values |= {"empty": args.empty, "force": args.force}
    return control(f"ds {args.action}", args, command, values, _showOne)


def _showAll(members: Any) -> str:
    rows = [["NAME", "STATE", "ADDRESS", "CLASS", "FREE", "TOTAL", "EXPORTS"]]
    for member in members:
        rows.append(
            [
                member["name"],
                _state(member),
                member["address"],
                member["class"] or "-",
                size(member["free"]),
                size(member["total"]),
                ", ".join(member["exports"]) or "all",
            ]
        )
    return table(rows)


def _state(member: Any) -> str:
    state: str = member["state"]
    return state if member["answers"] else f"{state}, silent"


def _source(member: Any) -> str:
    if member["configured"]:
        return "the configuration file"
    return "itself" if member.get("registered") else "pnfs ds add"


def _showOne(member: Any) -> str:
    lines = [
        f"name       {member['name']}",
        f"state      {_state(member)}",
        f"identity   {member['uuid'] or 'not known yet'}",
        f"address    {member['address']}",
        f"advertised {', '.join(member['advertise'])}",
        f"protocol   {member['protocol']}",
        f"class      {member['class'] or '-'}",
        f"exports    {', '.join(member['exports']) or 'all'}",
        f"space      {size(member['free'])} free of {size(member['total'])}",
        f"from       {_source(member)}",
    ]
    if "files" in member:
        lines.append(f"files      {member['files']}, of which {member['stale']} stale")
        if member["alone"] is not None:
            lines.append(f"           {member['alone']} have no other copy")
    if member["identity"] != member["uuid"]:
        lines.append(f"disk       replaced; it answers as {member['identity']}")
    if member.get("lost"):
        lines.append(f"lost       {member['lost']} files that had no other copy")
    if member["problem"]:
        lines.append(f"problem    {member['problem']}")
    return "\n".join(lines)
