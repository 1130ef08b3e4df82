"""
What the package brings: two services for C{twistd}, layout drivers and backends.
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

memoryMetadata = DriverMaker(
    "memory", "pnfs.backends.metadata.memory.MemoryMetadataBackend", Kind.METADATA
)
xattrMetadata = DriverMaker(
    "xattr", "pnfs.backends.metadata.xattr.XattrMetadataBackend", Kind.METADATA
)

memoryData = DriverMaker(
    "memory", "pnfs.backends.ds.memory.MemoryDataServerBackend", Kind.DATA
)
localData = DriverMaker(
    "local", "pnfs.backends.ds.local.LocalDataServerBackend", Kind.DATA
)
proxiedData = DriverMaker(
    "proxied", "pnfs.backends.ds.proxied.ProxiedDataServerBackend", Kind.DATA
)
