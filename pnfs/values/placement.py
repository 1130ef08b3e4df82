"""
Where the bytes of files are, and are to be.
"""

from __future__ import annotations

import enum
from typing import Optional

import attrs


@attrs.frozen
class Placement:
    """
    Where a file's bytes are (the C{dsfile} record).

    @ivar layout: name of the layout driver that made it.
    @ivar stripeUnit: bytes of one stripe unit; 0 when there is one column.
    @ivar columns: per column the data servers (16-byte UUIDs) of its mirrors.
        Striped: several columns of one; mirrored: one column of several.
    @ivar name: the object's name on every data server, 1 to 80 characters of
        C{[0-9a-f]}. A byte has its offset in the file on every data server.
    @ivar epoch: fence epoch: data servers refuse handles of an older one.
    @ivar chunk: if not 0, the columns are no stripes: each holds so many bytes, one
        after the other, and a file that grows beyond the last gets another one; see
        L{pnfs.layouts.striping}.
    @ivar stale: data servers whose data files miss something: they are neither read
        nor written until they have been repaired. Never all of a column.
    @ivar next: where the file is being moved to.
    """

    layout: str
    stripeUnit: int
    columns: tuple[tuple[bytes, ...], ...]
    name: bytes
    epoch: int = 1
    chunk: int = 0
    stale: tuple[bytes, ...] = ()
    next: Optional["Placement"] = None

    @property
    def dataServers(self) -> tuple[bytes, ...]:
        """
        Every data server once, in order of first appearance, stale ones included.
        """
        return tuple(dict.fromkeys(ds for column in self.columns for ds in column))

    @property
    def readOnlyLayouts(self) -> bool:
        """
        No layout to write is given of it: some chunk has mirrors; see
        L{pnfs.layouts.flexfiles}.
        """
        return bool(self.chunk) and any([len(column) > 1 for column in self.columns])

    @property
    def everywhere(self) -> tuple[bytes, ...]:
        """
        Every data server where there may be a data file.
        """
        if self.next is None:
            return self.dataServers
        return tuple(dict.fromkeys(self.dataServers + self.next.dataServers))

    @property
    def live(self) -> "Placement":
        """
        What may be read and written: without stale mirrors.
        """
        if not self.stale and self.next is None:
            return self
        stale = self.stale
        return attrs.evolve(
            self,
            columns=tuple(
                tuple(ds for ds in column if ds not in stale) for column in self.columns
            ),
            stale=(),
            next=None,
        )


class DSState(enum.Enum):
    """
    What is to be done with a data server.
    """

    ACTIVE = "active"
    """Used for everything."""

    DRAINING = "draining"
    """It gets no new files; what it has is read and written, and moves away."""

    DISABLED = "disabled"
    """Not to be used at all; said by the operator."""

    REPAIRING = "repairing"
    """Used, while it is given what it has missed."""

    LOST = "lost"
    """Not used, because it failed."""

    @property
    def used(self) -> bool:
        """
        Its files may be read and written.
        """
        return self is not DSState.DISABLED and self is not DSState.LOST

    @property
    def takesNew(self) -> bool:
        """
        New files may go there.
        """
        return self is DSState.ACTIVE or self is DSState.REPAIRING


@attrs.frozen
class DataServer:
    """
    A data server as a layout driver may name it to clients.

    @ivar uuid: 16 bytes, its identity for ever.
    @ivar name: the administrator's name for it.
    @ivar addresses: (numeric host, port) pairs for clients, best first.
    @ivar version: (NFS version, minor version) spoken there: (4, 1), (4, 2), (3, 0).
    @ivar tightlyCoupled: it checks capability handles and the user's credential.
    @ivar readSize: largest READ in bytes.
    @ivar writeSize: largest WRITE in bytes.
    @ivar available: reachable now and not being drained: new files may go there.
    @ivar spaceFree: bytes free, if known.
    @ivar label: the class of its storage, such as C{"nvme"}; empty if not said.
    """

    uuid: bytes
    name: str
    addresses: tuple[tuple[str, int], ...]
    version: tuple[int, int] = (4, 1)
    tightlyCoupled: bool = True
    readSize: int = 1 << 20
    writeSize: int = 1 << 20
    available: bool = True
    spaceFree: Optional[int] = None
    label: str = ""


@attrs.frozen
class PlaceRequest:
    """
    Where shall a new file's bytes go?

    @ivar stripeUnit: the export's stripe unit in bytes.
    @ivar stripeCount: columns wanted; 0 means every data server.
    @ivar mirrors: copies wanted, 1 or more.
    @ivar name: the object's name to put into the placement.
    @ivar sequence: a counter that grows by one with each file: for placement policies.
    @ivar path: names from the export's root to the file's directory, as far as
        known; drivers and policies may go by it.
    @ivar chunk: bytes of a chunk, for layouts with mirrors; 0: no chunks.
    """

    stripeUnit: int
    stripeCount: int
    mirrors: int
    name: bytes
    sequence: int
    path: tuple[bytes, ...] = ()
    chunk: int = 0


@attrs.frozen
class PlacementSettings:
    """
    What is said of new files below a directory; None: nothing, so what is said of the
    next directory above counts.

    @ivar mirrors: copies; stripeCount: columns, 0 for all; stripeUnit: bytes; chunk:
        bytes of mirrored files that are on the same data servers, 0 for all.
    @ivar label: the class of storage; empty: any.
    @ivar policy: name of the placement policy; layout: of the driver that places.
    @ivar dataServers: names of those they may go to; empty: all.
    """

    mirrors: Optional[int] = None
    stripeCount: Optional[int] = None
    stripeUnit: Optional[int] = None
    label: Optional[str] = None
    policy: Optional[str] = None
    layout: Optional[str] = None
    dataServers: Optional[tuple[str, ...]] = None
    chunk: Optional[int] = None

    def over(self, above: "PlacementSettings") -> "PlacementSettings":
        """
        What counts below a directory where this is said.

        @param above: what would count if nothing were said.
        """
        said = {
            name: value
            for name in SETTING_NAMES.values()
            if (value := getattr(self, name)) is not None
        }
        return attrs.evolve(above, **said)


SETTING_NAMES = {
    "mirrors": "mirrors",
    "stripe_count": "stripeCount",
    "stripe_unit": "stripeUnit",
    "chunk": "chunk",
    "class": "label",
    "placement": "policy",
    "layout": "layout",
    "data_servers": "dataServers",
}
"""The L{PlacementSettings} as administrators and records call them."""
