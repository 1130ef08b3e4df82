# -*- test-case-name: tests.ds.test_tap -*-
"""
C{twistd pnfs-ds}.
"""

from __future__ import annotations

import os
import time
from typing import Any

from twisted.python import usage

from pnfs.config import DSConfig, loadDS
from pnfs.ds.service import DataServerService
from pnfs.plugin import loadDriver
from pnfs.server import options


class Options(usage.Options):  # type: ignore[misc]
    """
    Options of C{twistd pnfs-ds}; all but C{--config} override the file.
    """

    synopsis = "Usage: twistd [twistd options] pnfs-ds --config FILE [options]"
    longdesc = (
        "A pNFS data server: keeps the bytes of files that a metadata server "
        "(twistd pnfs-mds) places on it, and serves them to clients by NFSv4.1, "
        "4.2 and 3. docs/operating.md explains the configuration file."
    )
    optParameters = [
        ["config", "c", "/etc/pnfs/pnfs-ds.toml", "The configuration file."],
        ["listen", "l", None, "Address to serve at instead of the file's: host:port."],
        ["data", "d", None, "Folder for data files instead of the file's."],
        ["metrics", "m", None, "Address for Prometheus instead of the file's."],
    ]


def makeBackend(config: DSConfig, reactor: Any) -> Any:
    """
    The data backend that a configuration names.
    """
    maker = loadDriver("data", config.backend)
    return maker(config, reactor)


def makeService(config: Options) -> DataServerService:
    """
    The service, not started yet.
    """
    from twisted.internet import reactor

    overrides = {
        "listen": [config["listen"]] if config["listen"] else None,
        "data": config["data"],
        "metrics": config["metrics"],
    }
    parsed = options(loadDS, config["config"], overrides)
    return DataServerService(
        reactor, parsed, makeBackend(parsed, reactor), os.urandom, time.time_ns
    )
