# -*- test-case-name: tests.mds.test_tap -*-
"""
C{twistd pnfs-ds}.
"""

from __future__ import annotations

import os
import time
from functools import partial

from twisted.python import usage

from pnfs.backends.errors import BadConfiguration
from pnfs.config import loadDS
from pnfs.ds.service import DataServerService
from pnfs.plugin import Kind, loadDriver
from pnfs.server import options, refuse


class Options(usage.Options):
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
    try:
        backend = loadDriver(Kind.DATA, parsed.backend, parsed, reactor)
    except BadConfiguration as error:
        refuse(f"{parsed.file}: backend: {error}")
    service = DataServerService(reactor, parsed, backend, os.urandom, time.time_ns)
    service.load = partial(loadDS, config["config"], overrides)
    return service
