# -*- test-case-name: tests.mds.test_dataservers -*-
"""
One data server, as the metadata server knows it.
"""

from __future__ import annotations

from typing import Any, Optional

from twisted.internet.interfaces import IDelayedCall

from pnfs.config import DataServerConfig
from pnfs.mds.inventory import Record
from pnfs.values import DataServer, DSState, FSStatistics

RESERVE_SHARE = 0.05
RESERVE_BYTES = 1 << 30
"""Where less than either is free, no new files go, as long as others have room."""


class Member:
    """
    One data server.

    @ivar record: what the inventory has of it, without the fences.
    @ivar backend: L{pnfs.interfaces.IDataServerBackend} to reach it.
    @ivar answers: it did when last asked.
    @ivar up: it answers and may be used.
    @ivar problem: why it does not answer, as last told to the operator.
    @ivar space: as last told.
    @ivar fences: object name to epoch: to be done before anything else there.
    @ivar heard: when it last answered, or when it was first asked.
    """

    def __init__(self, record: Record, backend: Any) -> None:
        """
        @param record: may have fences, as they were kept once.
        """
        self.record = record
        self.backend = backend
        self.answers = False
        self.up = False
        self.problem = ""
        self.space: Optional[FSStatistics] = None
        self.fences: dict[bytes, int] = dict(record.fences)
        self.probe: Optional[IDelayedCall] = None
        self.heard = 0.0
        self.gone = False

    @property
    def uuid(self) -> bytes:
        """
        16 bytes; empty until it has answered for the first time ever.
        """
        return self.record.uuid

    @property
    def identity(self) -> bytes:
        """
        The UUID that it answers with: C{uuid}, unless its storage has been replaced.
        """
        return self.record.identity or self.record.uuid

    @property
    def config(self) -> DataServerConfig:
        """
        How it is reached.
        """
        config = self.record.config
        assert config is not None
        return config

    @property
    def state(self) -> DSState:
        """
        What is to be done with it.
        """
        return self.record.state

    @property
    def banned(self) -> bool:
        """
        It is not to be used, by order of the operator.
        """
        return self.record.state is DSState.DISABLED

    def serves(self, export: Any) -> bool:
        """
        May new files of an L{pnfs.namespace.exports.Export} go there, as far as the
        configuration and C{pnfs ds assign} say?
        """
        exports = self.record.exports
        if exports:
            return export.path in exports
        return not export.dataServers or self.record.name in export.dataServers

    def roomy(self, reserve: Optional[int]) -> bool:
        """
        Is there room for new files? If it has not been heard, there is.

        @param reserve: bytes to be left for the files that are there; None: a
            twentieth, or 1 GiB if that is less.
        """
        space = self.space
        if space is None:
            return True
        if reserve is None:
            reserve = min(RESERVE_BYTES, int(space.spaceTotal * RESERVE_SHARE))
        return space.spaceAvailable > reserve

    def describe(self) -> DataServer:
        """
        What a layout driver may know of it.
        """
        nfs3 = self.config.protocol == "nfs3"
        return DataServer(
            uuid=self.uuid,
            name=self.config.name,
            addresses=self.config.advertise,
            version=(3, 0) if nfs3 else (4, 1),
            tightlyCoupled=not nfs3,
            available=self.up and self.state.takesNew,
            spaceFree=None if self.space is None else self.space.spaceAvailable,
            label=self.config.label,
        )
