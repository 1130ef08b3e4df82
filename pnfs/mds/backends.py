"""
The bundled metadata backends, made from an export's configuration. A third party's
plugin names a function of the same shape.
"""

from __future__ import annotations

from typing import Any, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.backends.metadata.xattr import XattrMetadataBackend
from pnfs.config import ExportConfig


def memory(
    export: ExportConfig,
    folder: str,
    clock: IReactorTime,
    wallTime: Callable[[], int],
    entropy: Callable[[int], bytes],
    inThread: Callable[..., Deferred[Any]],
) -> Any:
    """
    A tree that is gone at the next start.
    """
    return MemoryMetadataBackend(wallTime, entropy)


def xattr(
    export: ExportConfig,
    folder: str,
    clock: IReactorTime,
    wallTime: Callable[[], int],
    entropy: Callable[[int], bytes],
    inThread: Callable[..., Deferred[Any]],
) -> Any:
    """
    The tree in the export's C{root}.

    @param folder: for what the backend keeps outside of the tree.
    @param inThread: runs a blocking function elsewhere.
    """
    assert export.root is not None
    return XattrMetadataBackend(
        export.root, folder, clock, wallTime, entropy, inThread=inThread
    )
