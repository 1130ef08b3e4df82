# -*- test-case-name: tests.mds.commands.test_file -*-
"""
Paths as administrators write them: as clients see them.
"""

from __future__ import annotations

from pnfs.admin.control import Refused
from pnfs.backends.errors import BackendError
from pnfs.namespace.exports import Export
from pnfs.nfs4.context import ServerContext
from pnfs.values import Inode


async def trail(
    server: ServerContext, path: str
) -> tuple[Export, list[tuple[str, Inode]]]:
    """
    What a path means, after all that is on the way to it from the root of its export;
    each with its path.

    @raise Refused: nothing.
    """
    exports = server.exports.byPath
    fitting = [
        known
        for known in exports
        if path == known or path.startswith(known.rstrip("/") + "/")
    ]
    if not fitting:
        raise Refused(f"{path} is in no export; there are {', '.join(sorted(exports))}")
    export = exports[max(fitting, key=len)]
    inode = export.backend.root
    here = export.path
    found = [(here, inode)]
    for name in path[len(export.path) :].split("/"):
        if name:
            try:
                inode = await export.backend.lookup(inode, name.encode("utf-8"))
            except BackendError:
                raise Refused(f"{path}: there is no {name!r} in it") from None
            here = f"{here.rstrip('/')}/{name}"
            found.append((here, inode))
    return export, found


async def find(server: ServerContext, path: str) -> tuple[Export, Inode]:
    """
    What a path means.

    @raise Refused: nothing.
    """
    export, found = await trail(server, path)
    return export, found[-1][1]
