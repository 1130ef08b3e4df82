"""
Values that cross a seam: what interfaces take and give.

They know no wire format and do no I/O. Times are integers of nanoseconds since
the epoch; sizes, offsets and lengths are bytes; a range's end is exclusive.
"""

from __future__ import annotations

from pnfs.values.data import (
    CheckedCopy,
    CopySource,
    FileSlice,
    ObjectAttributes,
    Piece,
    ReadResult,
    Segment,
    SegmentsResult,
    Stable,
    WriteResult,
)
from pnfs.values.files import (
    ACE,
    ACL,
    ANONYMOUS,
    Credential,
    DirectoryEntry,
    FSStatistics,
    FileType,
    HeldAttributes,
    Inode,
    MODE_ONLY,
    NOBODY,
    NOW,
    NewObject,
    ROOT,
    Removed,
    SetAttributes,
    SetXattr,
    Who,
)
from pnfs.values.layouts import (
    DeviceError,
    DeviceStatistics,
    IOMode,
    LayoutReport,
    LayoutRequest,
    LayoutSegment,
    NFS4_UINT64_MAX,
)
from pnfs.values.placement import (
    DSState,
    DataServer,
    PlaceRequest,
    Placement,
    PlacementSettings,
    SETTING_NAMES,
)

__all__ = [
    "ACE",
    "ACL",
    "ANONYMOUS",
    "CheckedCopy",
    "CopySource",
    "Credential",
    "DSState",
    "DataServer",
    "DeviceError",
    "DeviceStatistics",
    "DirectoryEntry",
    "FSStatistics",
    "FileSlice",
    "FileType",
    "HeldAttributes",
    "IOMode",
    "Inode",
    "LayoutReport",
    "LayoutRequest",
    "LayoutSegment",
    "MODE_ONLY",
    "NFS4_UINT64_MAX",
    "NOBODY",
    "NOW",
    "NewObject",
    "ObjectAttributes",
    "Piece",
    "PlaceRequest",
    "Placement",
    "PlacementSettings",
    "ROOT",
    "ReadResult",
    "Removed",
    "SETTING_NAMES",
    "Segment",
    "SegmentsResult",
    "SetAttributes",
    "SetXattr",
    "Stable",
    "Who",
    "WriteResult",
]
