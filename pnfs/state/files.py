# -*- test-case-name: tests.state.test_files -*-
"""
What is known of a file because clients hold state on it.
"""

from __future__ import annotations

from typing import Any

import attrs

RECLAIMED = 1
"""
An open for writing was held before the server's restart, maybe with a layout that
nobody remembers.
"""

WRITER_GONE = 2
"""
A client that could write through a layout has vanished, or has lost it, and the data
servers have not been asked since.
"""

UNASKED = 100_000
"""Files that are remembered because their data servers are to be asked for the size."""


FULL = 1
FULL_RETRIED = 2


@attrs.define(eq=False)
class FileState:
    """
    The state held on one file; lives in C{Inode.state} while there is any.

    @ivar fh: the metadata filehandle, byte for byte as GETFH gave it.
    @ivar inode: the L{pnfs.values.Inode}.
    @ivar export: the L{pnfs.namespace.exports.Export}.
    @ivar opens: L{pnfs.state.opens.OpenState} by (clientid, open owner).
    @ivar shares: how many of C{opens} read, write, deny reading and deny writing,
        packed (L{pnfs.state.opens}).
    @ivar locks: L{pnfs.state.locks.LockState} by (clientid, lock owner); none
        outlives its open.
    @ivar waiters: the L{pnfs.state.waiting.LockQueue} for its locks, or None.
    @ivar layouts: L{pnfs.state.layouts.LayoutState} by clientid.
    @ivar copies: how many copies from it or to it go on behind their answers.
    @ivar recall: the recall of its layouts under way, or None.
    @ivar delegations: L{pnfs.state.delegations.DelegationState} by clientid; None if
        there are none. A directory has a state for these alone.
    @ivar writer: the one of them that is a write delegation, or None.
    @ivar reclaimed: not 0: the data servers may know more than the layouts tell:
        L{RECLAIMED} or L{WRITER_GONE}.
    @ivar unlinked: its last name is gone and the backend keeps it for us.
    @ivar placement: what to delete when the last state goes, once unlinked.
    @ivar full: 0, or a client has found no room at a data server (C{FULL}), or has
        been given another layout since (C{FULL_RETRIED}).
    @ivar fullUntil: it has found none again: until then no layout to write is given.
    """

    fh: bytes
    inode: Any
    export: Any
    opens: dict[Any, Any] = attrs.Factory(dict)
    shares: int = 0
    locks: dict[Any, Any] = attrs.Factory(dict)
    waiters: Any = None
    layouts: dict[int, Any] = attrs.Factory(dict)
    copies: int = 0
    recall: Any = None
    reclaimed: int = 0
    unlinked: bool = False
    placement: Any = None
    delegations: Any = None
    writer: Any = None
    full: int = 0
    fullUntil: float = 0.0

    @property
    def idle(self) -> bool:
        """
        Nobody holds anything on it.
        """
        return not (
            self.opens
            or self.locks
            or self.layouts
            or self.recall
            or self.delegations
            or self.copies
        )


def fileState(fh: bytes, inode: Any, export: Any) -> FileState:
    """
    The state of a file, made if there is none yet.
    """
    state = inode.state
    if state is None:
        state = inode.state = FileState(fh, inode, export)
    return state  # type: ignore[no-any-return]


def askLater(server: Any, inode: Any) -> None:
    """
    Somebody may have written a file, and the data servers cannot be asked for its size
    now: whoever wants to know it has them asked, also when nobody has any state on the
    file any more.

    @param server: L{pnfs.nfs4.context.ServerContext}.
    """
    if inode.state is not None:
        inode.state.reclaimed = inode.state.reclaimed or WRITER_GONE
    inode.asked = False
    inode.encoded.clear()
    unasked = server.unasked
    unasked.add(inode.handle)
    if len(unasked) > UNASKED:
        # All of those that are not known to have been asked about.
        unasked.clear()
        server.unsure = True
