# -*- test-case-name: tests.mds.test_answering -*-
"""
Does a data server answer where clients have been told that it is?
"""

from __future__ import annotations

from typing import Any, Callable

from twisted.internet.defer import Deferred, gatherResults

from pnfs.nfs3.types import NFS_PROGRAM
from pnfs.rpc.client import RPCClient
from pnfs.rpc.errors import CallFailed, RPCRefused
from pnfs.values import DataServer

ANSWER_SECONDS = 5.0
"""How long it may take."""

_NULL = 0


class Answering:
    """
    Asks, by the NULL procedure of NFS: a process that is stopped takes connections,
    but does not answer.
    """

    def __init__(self, connect: Callable[[str, int], RPCClient]) -> None:
        self._connect = connect

    async def __call__(self, server: DataServer) -> bool:
        """
        Does it, at every address?
        """
        version, _ = server.version
        asked: list[Deferred[Any]] = [
            Deferred.fromCoroutine(self._ask(host, port, version))
            for host, port in server.addresses
        ]
        return all(await gatherResults(asked))

    async def _ask(self, host: str, port: int, version: int) -> bool:
        client = self._connect(host, port)
        try:
            await client.call(NFS_PROGRAM, version, _NULL, timeout=ANSWER_SECONDS)
        except RPCRefused:
            return True
        except CallFailed:
            return False
        finally:
            client.close()
        return True
