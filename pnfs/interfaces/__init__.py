"""
Every seam of the service.

Methods declared C{async} return an awaitable; those that need not wait finish at
the first step, which costs about a microsecond. Backends raise
L{pnfs.backends.errors}, know no NFS status, never block the reactor and own
their timeouts.
"""

from __future__ import annotations

from pnfs.interfaces.filedata import IFileData
from pnfs.interfaces.layouts import ILayoutDriver, IPlacementPolicy
from pnfs.interfaces.metadata import IMetadataBackend, IRecoveryStore
from pnfs.interfaces.objects import IDataServerBackend
from pnfs.interfaces.recalls import IDelegationRecaller, IRecaller

__all__ = [
    "IDataServerBackend",
    "IDelegationRecaller",
    "IFileData",
    "ILayoutDriver",
    "IMetadataBackend",
    "IPlacementPolicy",
    "IRecaller",
    "IRecoveryStore",
]
