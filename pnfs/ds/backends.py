"""
The bundled data backends, made from a data server's configuration. A third party's
plugin names a function of the same shape.
"""

from __future__ import annotations

import os
from typing import Any

from pnfs.backends.ds.local import LocalDataServerBackend
from pnfs.backends.ds.local_threads import ThreadExecutor
from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.ds.proxied import DEADLINE, ProxiedDataServerBackend
from pnfs.backends.ds.proxied_nfs3 import NFS3Upstream
from pnfs.backends.ds.proxied_nfs4 import NFS4Upstream
from pnfs.backends.ds.proxied_records import ObjectRecords
from pnfs.clock import MonotonicClock
from pnfs.config import DSConfig
from pnfs.nfs4.client import SessionClient
from pnfs.nfs4.sessions import EXCHGID4_FLAG_USE_NON_PNFS
from pnfs.rpc.auth import encodeAuthSys
from pnfs.rpc.client import RPCClient
from pnfs.rpc.limits import Limits

_CONNECT_SECONDS = 2.0
_RPC_OVERHEAD = 64 << 10
_UPSTREAM_CALLS = 32


def memory(config: DSConfig, reactor: Any) -> Any:
    """
    Objects that are gone at the next start: for trying things out.
    """
    return MemoryDataServerBackend(os.urandom(8), os.urandom(16))


def local(config: DSConfig, reactor: Any) -> Any:
    """
    Objects as files below the configured folder.
    """
    assert config.data is not None
    return LocalDataServerBackend(config.data, reactor)


def proxied(config: DSConfig, reactor: Any) -> Any:
    """
    Objects as files in a folder of another NFS server.

    That server sees calls of this process's user, from a port below 1024 if this
    process may.
    """
    told = config.upstream
    assert told is not None
    host, port = told.address
    io = config.limits.io
    clock = MonotonicClock(reactor)
    credential = encodeAuthSys(
        os.geteuid(), os.getegid(), os.getgroups(), b"pnfs-gateway"
    )

    def connect(port: int) -> RPCClient:
        return RPCClient(
            reactor,
            host,
            port,
            connectTimeout=_CONNECT_SECONDS,
            credential=credential,
            limits=Limits(recordBytes=io + _RPC_OVERHEAD),
            clock=clock,
            reservedPort=True,
        )

    def nfs3(uuid: bytes) -> NFS3Upstream:
        return NFS3Upstream(
            connect, clock, credential, told.path, port, told.mountPort, io
        )

    def nfs4(uuid: bytes) -> NFS4Upstream:
        client = SessionClient(
            connect(port),
            clock,
            b"pnfs-gateway " + uuid.hex().encode("ascii"),
            os.urandom(8),
            credential,
            flags=EXCHGID4_FLAG_USE_NON_PNFS,
            slots=_UPSTREAM_CALLS,
            ioBytes=io,
            callTimeout=DEADLINE,
            deadline=DEADLINE,
        )
        return NFS4Upstream(client, clock, told.path)

    return ProxiedDataServerBackend(
        nfs3 if told.protocol == "nfs3" else nfs4,
        ObjectRecords(config.state, ThreadExecutor(reactor, 1), os.urandom(16)),
        clock,
        calls=_UPSTREAM_CALLS,
    )
