"""
The bundled data backends, made from a data server's configuration. A third party's
plugin names a function of the same shape.
"""

from __future__ import annotations

import os
from typing import Any

from pnfs.backends.ds.local import LocalDataServerBackend
from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.config import DSConfig


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
