"""
The files layout with a say for directories: what lies below one called
C{on-NAME} goes to the data server NAME alone.
"""

from __future__ import annotations

from typing import Optional, Sequence

from zope.interface import implementer

from pnfs.interfaces import ILayoutDriver
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.values import DataServer, PlaceRequest, Placement

PREFIX = b"on-"


def pinnedTo(path: Sequence[bytes]) -> Optional[bytes]:
    """
    The name of the data server a directory is pinned to: the innermost counts.
    """
    for name in reversed(path):
        if name.startswith(PREFIX) and len(name) > len(PREFIX):
            return name[len(PREFIX) :]
    return None


@implementer(ILayoutDriver)
class PinnedLayoutDriver(FilesLayoutDriver):
    """
    LAYOUT4_NFSV4_1_FILES, with pinned directories.
    """

    name = "pinned"

    def place(self, request: PlaceRequest, servers: Sequence[DataServer]) -> Placement:
        """
        As L{ILayoutDriver.place}.

        @raise ValueError: the directory is pinned to a data server that cannot be
            used now.
        """
        wanted = pinnedTo(request.path)
        if wanted is None:
            return super().place(request, servers)
        for server in servers:
            if server.name.encode("utf-8") == wanted:
                return Placement(self.name, 0, ((server.uuid,),), request.name)
        raise ValueError(f"pinned to {wanted!r}, which is not among the data servers")
