# -*- test-case-name: tests.mds.test_space -*-
"""
Files whose data servers are full are written through the metadata server for a while.

A client whose write a data server has refused for lack of room returns its layout, gets
the next one, and tries again, for ever: the application is never told. Only the
metadata server's answer to a WRITE reaches it. So no layout to write is given of a file
that a client has reported this of, and after another layout again (L{noteFull}), nor
of one with a data server that has said itself that nothing is left (L{pnfs.mds.dataservers.DataServers.roomFor}):
clients of NFSv3 data servers report nothing. Nothing else is held against the data
server; reading goes on through layouts.
"""

from __future__ import annotations

from typing import Any, Callable

from pnfs.nfs4.status import nfsstat4
from pnfs.state.files import FULL, FULL_RETRIED
from pnfs.values import LayoutReport

FULL_SECONDS = 30.0
"""
For how long. Linux stays away from layouts of such a file for 120 seconds when it has
been refused one.
"""

_FULL = (nfsstat4.NFS4ERR_NOSPC, nfsstat4.NFS4ERR_DQUOT)


def noteFull(clock: Any) -> Callable[[Any, Any, LayoutReport], None]:
    """
    A listener for L{pnfs.state.layouts.LayoutTable}.
    """

    def listen(client: Any, file: Any, report: LayoutReport) -> None:
        if file is not None and any(error.status in _FULL for error in report.errors):
            if file.full == FULL_RETRIED:
                file.full = 0
                file.fullUntil = clock.seconds() + FULL_SECONDS
            else:
                # Linux says it twice, in LAYOUTERROR and in LAYOUTRETURN.
                file.full = FULL

    return listen
