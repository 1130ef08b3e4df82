# -*- test-case-name: tests.client.test_placement -*-
"""
Where a file's bytes are, for people and programs.
"""

from __future__ import annotations

from typing import Any, Sequence

import attrs

from pnfs.client.dataservers import Address, DataFile
from pnfs.client.layout import Layout
from pnfs.layouts.files_xdr import LAYOUT4_NFSV4_1_FILES
from pnfs.layouts.flexfiles_xdr import LAYOUT4_FLEX_FILES
from pnfs.values import NFS4_UINT64_MAX

_NAMES = {
    LAYOUT4_NFSV4_1_FILES: "files",
    LAYOUT4_FLEX_FILES: "flexfiles",
}
_CAPABILITY = 0x44
_HEAD, _MAC = 8, 16


@attrs.frozen
class Copy:
    """
    A data file.

    @ivar name: the object's name on the data server; empty if its filehandle is not
        one of our servers'.
    @ivar fh: its filehandle.
    """

    addresses: tuple[Address, ...]
    name: str
    fh: bytes


@attrs.frozen
class Where:
    """
    A placement.

    @ivar layout: name of the layout type; empty: none, all I/O goes through the
        metadata server.
    @ivar unit: bytes of a stripe unit; 0 if there is one column.
    @ivar columns: for each stripe or chunk the mirrors, the one that is read first.
    @ivar chunk: bytes of a chunk; 0: the file has no chunks.
    """

    layout: str
    unit: int
    columns: tuple[tuple[Copy, ...], ...]
    chunk: int = 0

    def line(self) -> str:
        """
        In a line.
        """
        if not self.layout:
            return "no layout: through the metadata server"
        parts = [self.layout]
        if self.chunk:
            parts.append(f"{len(self.columns)} chunks of {self.chunk} bytes")
        elif len(self.columns) > 1:
            parts.append(f"{len(self.columns)} stripes of {self.unit} bytes")
        if len(self.columns[0]) > 1:
            parts.append(f"{len(self.columns[0])} mirrors")
        places = [
            "+".join(addressText(copy.addresses[0]) for copy in column)
            for column in self.columns
        ]
        name = self.columns[0][0].name
        return f"{', '.join(parts)} on {', '.join(places)}" + (
            f", object {name}" if name else ""
        )

    def describe(self) -> dict[str, Any]:
        """
        For programs.
        """
        return {
            "layout": self.layout or None,
            "stripe_unit": self.unit,
            "chunk": self.chunk,
            "columns": [
                [
                    {
                        "addresses": list(map(addressText, copy.addresses)),
                        "object": copy.name or None,
                        "filehandle": copy.fh.hex(),
                    }
                    for copy in column
                ]
                for column in self.columns
            ],
        }


def objectName(fh: bytes) -> str:
    """
    The name of the object in a capability filehandle of our data servers (the table
    in L{pnfs.namespace.filehandles}), or C{""}.
    """
    if len(fh) <= _HEAD + _MAC or fh[0] != _CAPABILITY:
        return ""
    return fh[_HEAD:-_MAC].hex()


def describe(layouts: Sequence[Layout]) -> Where:
    """
    Make it readable.

    @param layouts: segments of a layout, one after the other.
    """
    if not layouts:
        return Where("", 0, ())
    first = layouts[0]
    columns = [column for layout in layouts for column in layout.columns]
    whole = first.end == NFS4_UINT64_MAX
    return Where(
        _NAMES.get(first.layoutType, str(first.layoutType)),
        first.unit if len(first.columns) > 1 else 0,
        tuple(tuple(map(_copy, column)) for column in columns),
        0 if whole else first.end - first.offset,
    )


def _copy(file: DataFile) -> Copy:
    addresses = () if file.server is None else file.server.addresses
    return Copy(addresses, objectName(file.fh), file.fh)


def addressText(address: Address) -> str:
    """
    C{host:port}.
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
