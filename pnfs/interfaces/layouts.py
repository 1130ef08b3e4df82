"""
Where the bytes of files go, and how clients are told.
"""

from __future__ import annotations

from typing import Optional, Sequence

from zope.interface import Attribute, Interface

from pnfs.values import (
    DataServer,
    LayoutReport,
    LayoutRequest,
    LayoutSegment,
    PlaceRequest,
    Placement,
)


class ILayoutDriver(Interface):
    """
    A layout type: turns placements into what clients understand.

    Pure: no I/O, no state, no clock. The core owns stateids, segments, conflicts,
    recalls and deadlines.
    """

    name = Attribute("The name used in configuration and placements, e.g. C{files}.")
    layoutType = Attribute("C{layouttype4} on the wire (RFC 8881, section 3.3.13).")

    def place(request: PlaceRequest, servers: Sequence[DataServer]) -> Placement:
        """
        Choose the data servers of a new file: from the front, as many as it needs.

        @param servers: those that may be used now, at least one, those first that an
            L{IPlacementPolicy} wants to be used first.
        @raise ValueError: there are too few of them for the shape wanted.
        """

    def supports(placement: Placement) -> bool:
        """
        May this driver serve a file placed so? It need not have placed it.
        """

    def grant(request: LayoutRequest, placement: Placement) -> Sequence[LayoutSegment]:
        """
        Encode the layout of a file: whole-file segments whose bodies together fit
        C{request.maxcount}. Of a file in chunks (C{placement.chunk}), segments that do
        not go beyond the chunk that the last byte wanted is in, nor beyond the last
        chunk there is: others may be added.

        @return: in the order of their offsets, without gaps from C{request.offset} on
            for C{request.minlength} bytes; none if that cannot be.
        @raise ValueError: it does not fit in C{maxcount} (NFS4ERR_TOOSMALL).
        """

    def device(servers: Sequence[DataServer]) -> bytes:
        """
        Encode C{da_addr_body} for the ordered servers a deviceid stands for.
        """

    def decodeReturn(body: bytes) -> LayoutReport:
        """
        Decode C{lrf_body} of a LAYOUTRETURN.

        @raise pnfs.xdr.errors.XDRError: it is malformed.
        """

    def decodeStatistics(body: bytes) -> Optional[bytes]:
        """
        Decode the C{layoutupdate4} body of a LAYOUTSTATS.

        @return: the data server's filehandle it speaks of, if it says.
        @raise pnfs.xdr.errors.XDRError: it is malformed.
        """


class IPlacementPolicy(Interface):
    """
    Which data servers new files go to. How many of them a file needs and what it has
    on each is the layout driver's business.

    No I/O and no clock. An export has its own object; what that remembers is in
    memory.
    """

    name = Attribute("The name used in configuration, e.g. C{weighted}.")

    def order(
        request: PlaceRequest, servers: Sequence[DataServer]
    ) -> Sequence[DataServer]:
        """
        Choose and order the data servers for a new file, or for a further part of
        one.

        @param servers: those that may be used, at least one, in the order of the
            inventory.
        @return: those that may be used, each once, those first that are to be used
            first; the first one gets a striped file's first bytes, and is the mirror
            that clients read.
        @raise ValueError: none of them may be used; one line that says why.
        """
