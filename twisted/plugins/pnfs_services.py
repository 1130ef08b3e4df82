"""
What the package brings: two services for C{twistd}, layout drivers, placement
policies and backends.
"""

from twisted.application.service import ServiceMaker

from pnfs.plugin import DriverMaker, Kind

metadataServer = ServiceMaker(
    "pNFS metadata server",
    "pnfs.mds.tap",
    "Namespace, opens, locks and layouts of a pNFS site.",
    "pnfs-mds",
)
dataServer = ServiceMaker(
    "pNFS data server",
    "pnfs.ds.tap",
    "The bytes of a pNFS site.",
    "pnfs-ds",
)

files = DriverMaker("files", "pnfs.layouts.files.FilesLayoutDriver", Kind.LAYOUT)
flexfiles = DriverMaker(
    "flexfiles", "pnfs.layouts.flexfiles.FlexFilesLayoutDriver", Kind.LAYOUT
)

weighted = DriverMaker(
    "weighted", "pnfs.placement.weighted.WeightedPolicy", Kind.PLACEMENT
)
roundRobin = DriverMaker(
    "round-robin", "pnfs.placement.roundrobin.RoundRobinPolicy", Kind.PLACEMENT
)
pinned = DriverMaker("pinned", "pnfs.placement.pinned.PinnedPolicy", Kind.PLACEMENT)

memoryMetadata = DriverMaker("memory", "pnfs.mds.backends.memory", Kind.METADATA)
xattrMetadata = DriverMaker("xattr", "pnfs.mds.backends.xattr", Kind.METADATA)

memoryData = DriverMaker("memory", "pnfs.ds.backends.memory", Kind.DATA)
localData = DriverMaker("local", "pnfs.ds.backends.local", Kind.DATA)
proxiedData = DriverMaker("proxied", "pnfs.ds.backends.proxied", Kind.DATA)
