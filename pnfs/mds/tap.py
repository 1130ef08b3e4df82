# -*- test-case-name: tests.mds.test_tap -*-
"""
C{twistd pnfs-mds}.
"""

from __future__ import annotations

import os
import time
from functools import partial

from twisted.python import usage

from pnfs.config import loadMDS
from pnfs.mds.service import MetadataServerService
from pnfs.server import options


class Options(usage.Options):
    """
    Options of C{twistd pnfs-mds}; all but C{--config} override the file.
    """

    synopsis = "Usage: twistd [twistd options] pnfs-mds --config FILE [options]"
    longdesc = (
        "A pNFS metadata server: clients mount it by NFSv4.1 or 4.2, and it sends "
        "them to the data servers (twistd pnfs-ds) for their files' bytes. "
        "docs/operating.md explains the configuration file."
    )
    optParameters = [
        ["config", "c", "/etc/pnfs/pnfs-mds.toml", "The configuration file."],
        ["listen", "l", None, "Address to serve at instead of the file's: host:port."],
        ["metrics", "m", None, "Address for Prometheus instead of the file's."],
        ["lease", None, None, "Lease in seconds instead of the file's.", float],
        ["grace", None, None, "Grace period in seconds instead of the file's.", float],
    ]


def makeService(config: Options) -> MetadataServerService:
    """
    The service, not started yet.
    """
    from twisted.internet import reactor

    overrides = {
        "listen": [config["listen"]] if config["listen"] else None,
        "metrics": config["metrics"],
        "lease": config["lease"],
        "grace": config["grace"],
    }
    parsed = options(loadMDS, config["config"], overrides)
    service = MetadataServerService(reactor, parsed, os.urandom, time.time_ns)
    service.load = partial(loadMDS, config["config"], overrides)
    return service
