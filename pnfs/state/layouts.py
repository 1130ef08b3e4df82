# -*- test-case-name: tests.state.test_layouts -*-
"""
Layouts that clients hold (RFC 8881, section 12.5).

A client has one layout stateid per file. Its seqid moves with every LAYOUTGET,
LAYOUTRETURN and recall. Requests may carry an earlier one, since clients send
LAYOUTGETs in parallel and a recall moves it behind their back; how much earlier
is remembered exactly:

  - LAYOUTGET: not from before the last LAYOUTRETURN.
  - LAYOUTRETURN: not from before the last LAYOUTGET, or it would give up a
    segment that its sender did not know of.
  - the others: any earlier one.

A segment is (iomode, start, end); one to the end of the file ends at C{2**64}.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

import attrs

from pnfs.state.errors import BadStateid, Delay, DelegRevoked, OldStateid
from pnfs.state.files import FileState
from pnfs.state.opens import WRITE
from pnfs.state.reports import Reports
from pnfs.state.stateids import RecallableState, StateidTable
from pnfs.values import (
    NFS4_UINT64_MAX,
    IOMode,
    LayoutReport,
    LayoutSegment,
)

_READ = int(IOMode.READ)
_RW = int(IOMode.RW)
_ANY = int(IOMode.ANY)
_END = 1 << 64
_HALF = 0x80000000

GRANTS_LIMIT = 16384

Segment = tuple[int, int, int]

WHOLE_READ: list[Segment] = [(_READ, 0, _END)]
WHOLE_RW: list[Segment] = [(_RW, 0, _END)]


def endOf(offset: int, length: int) -> int:
    """
    The end of a range on the wire.
    """
    return _END if length == NFS4_UINT64_MAX else offset + length


def added(segments: Sequence[Segment], new: Segment) -> list[Segment]:
    """
    Segments with one more, merged with those of its iomode that it touches.
    """
    iomode, start, end = new
    kept = []
    for held in segments:
        if held[0] == iomode and held[1] <= end and start <= held[2]:
            start = min(start, held[1])
            end = max(end, held[2])
        else:
            kept.append(held)
    kept.append((iomode, start, end))
    return kept


def removed(
    segments: Sequence[Segment], iomode: int, start: int, end: int
) -> list[Segment]:
    """
    What is left of segments without a range of an iomode, or of all of them.
    """
    kept = []
    for held in segments:
        if (iomode != _ANY and held[0] != iomode) or held[2] <= start or end <= held[1]:
            kept.append(held)
            continue
        if held[1] < start:
            kept.append((held[0], held[1], start))
        if end < held[2]:
            kept.append((held[0], end, held[2]))
    return kept


def _before(seqid: int, other: int) -> bool:
    """
    Does a seqid come before another, counting around?
    """
    return bool((seqid - other) & _HALF)


@attrs.define(eq=False)
class LayoutState(RecallableState):
    """
    What one client holds of one file's layout.

    @ivar layoutType: C{layouttype4}.
    @ivar servers: UUIDs of the data servers it names.
    @ivar segments: never changed in place.
    @ivar granted: the seqid of the last LAYOUTGET; returned: of the last
        LAYOUTRETURN, or the first seqid.
    @ivar dirty: the client may have written since the data servers were asked.
    """

    layoutType: int = 0
    servers: tuple[bytes, ...] = ()
    segments: list[Segment] = attrs.Factory(list)
    granted: int = 1
    returned: int = 1
    dirty: bool = False

    @property
    def holdsWrite(self) -> bool:
        """
        The client may write to data servers.
        """
        for segment in self.segments:
            if segment[0] == _RW:
                return True
        return False

    @property
    def iomode(self) -> int:
        """
        The most it allows, an L{IOMode}.
        """
        return _RW if self.holdsWrite else _READ

    def mayHaveWritten(self) -> bool:
        """
        Data servers may know more of the file than the metadata server does.
        """
        return self.dirty or self.holdsWrite

    def refreshed(self) -> None:
        """
        The data servers have been asked.
        """
        self.dirty = False

    def stoppedWriting(self) -> None:
        """
        The client has given up an open for writing, and the data servers have not
        been asked since.
        """
        if self.holdsWrite:
            self.dirty = True


def mayBeWritten(file: FileState) -> bool:
    """
    May the data servers know more of a file than the metadata server does? Some
    client can write to them now, which takes a layout and an open or a write
    delegation, or has been able to since they were asked. Layouts do not outlive a restart, but who reclaims an
    open may have had one.
    """
    if file.reclaimed:
        return True
    layouts = file.layouts
    for layout in layouts.values():
        if layout.dirty:
            return True
    writer = file.writer
    if writer is not None:
        layout = layouts.get(writer.client.clientid)
        if layout is not None and layout.holdsWrite:
            return True
    for state in file.opens.values():
        if state.access & WRITE:
            layout = layouts.get(state.client.clientid)
            if layout is not None and layout.holdsWrite:
                return True
    return False


def opensForWriting(file: FileState, client: Any) -> bool:
    """
    Has a client the file open for writing, or delegated so?
    """
    if file.writer is not None and file.writer.client is client:
        return True
    for state in file.opens.values():
        if state.client is client and state.access & WRITE:
            return True
    return False


class LayoutTable:
    """
    All layouts, found through their file, client, stateid and data servers.

    @ivar grants: encoded layouts to be used again; see L{cachedGrant}.
    @ivar reports: L{Reports}: what clients say of their devices.
    @ivar listeners: called with (client, file, L{LayoutReport}) of each report.
    @ivar writers: L{pnfs.mds.intents.WriteIntents}, if it is noted who may write.
    """

    def __init__(self, stateids: StateidTable) -> None:
        self._stateids = stateids
        self._byServers: dict[tuple[bytes, ...], dict[LayoutState, None]] = {}
        self._revoked: dict[LayoutState, None] = {}
        self._grants: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._generation = -1
        self.count = 0
        self.reports = Reports()
        self.listeners: list[Callable[[Any, Any, LayoutReport], None]] = []
        self.writers: Any = None

    def __len__(self) -> int:
        return self.count

    def requireFenced(self, export: Any, inode: Any) -> None:
        """
        Has nobody a layout of a file from before a restart who has not come back? What
        such a client held is not for others yet.

        @raise Delay: somebody has.
        """
        writers = self.writers
        if writers is not None and writers.unfenced:
            if (export.id, inode.handle) in writers.unfenced:
                raise Delay()

    # -- stateids ----------------------------------------------------------

    def forGet(self, stateid: bytes, layout: LayoutState) -> None:
        """
        Check the seqid of a layout stateid in LAYOUTGET.

        @raise BadStateid: it is zero or not reached yet.
        @raise OldStateid: the client has returned something since.
        """
        self._check(stateid, layout, layout.returned)

    def forReturn(self, stateid: bytes, client: Any, file: Any) -> LayoutState:
        """
        The layout that a LAYOUTRETURN names.

        @raise BadStateid: there is none, or the seqid is zero or not reached yet.
        @raise OldStateid: a segment has been granted since.
        """
        layout: LayoutState = self._stateids.find(
            stateid, client, file, LayoutState, older=True
        )
        self._check(stateid, layout, layout.granted)
        return layout

    def find(self, stateid: bytes, client: Any, file: Any) -> LayoutState:
        """
        The layout that another operation names; any earlier seqid will do.

        @raise BadStateid: there is none.
        """
        return self._stateids.find(  # type: ignore[no-any-return]
            stateid, client, file, LayoutState, older=True
        )

    def _check(self, stateid: bytes, layout: LayoutState, earliest: int) -> None:
        seqid = int.from_bytes(stateid[:4], "big")
        if seqid == layout.seqid:
            return
        if seqid == 0 or _before(layout.seqid, seqid):
            raise BadStateid()
        if _before(seqid, earliest):
            raise OldStateid()

    # -- granting and returning --------------------------------------------

    def grant(
        self,
        file: FileState,
        client: Any,
        layoutType: int,
        servers: tuple[bytes, ...],
        segments: Iterable[Segment],
    ) -> LayoutState:
        """
        Record what a LAYOUTGET gives to a client.

        @param servers: UUIDs of the data servers.
        @return: the layout, with its seqid moved.
        """
        layout: Optional[LayoutState] = file.layouts.get(client.clientid)
        if layout is None:
            stateids = self._stateids
            layout = LayoutState(
                stateids.newOther(), client, file, 1, None, layoutType, servers
            )
            file.layouts[client.clientid] = layout
            client.layouts[layout.other] = layout
            stateids.add(layout)
            self._index(layout)
            self.count += 1
        else:
            layout.advance()
            if layout.servers != servers:
                self._unindex(layout)
                layout.servers = tuple(dict.fromkeys(layout.servers + servers))
                self._index(layout)
        layout.granted = layout.seqid
        held = layout.segments
        for segment in segments:
            if segment not in held:
                held = added(held, segment)
            if segment[0] == _RW:
                if not layout.dirty and self.writers is not None:
                    self.writers.begin(layout)
                layout.dirty = True
        layout.segments = held
        return layout

    def giveBack(
        self, layout: LayoutState, iomode: int, start: int = 0, end: int = _END
    ) -> bool:
        """
        A client returns a range, in an iomode or all of them. When nothing is left
        the layout is dropped, and its stateid with it.

        @return: something is left; the seqid has moved.
        """
        layout.stoppedWriting()
        left = removed(layout.segments, iomode, start, end)
        if left:
            layout.segments = left
            layout.advance()
            layout.returned = layout.seqid
            return True
        self.drop(layout)
        return False

    def drop(self, layout: LayoutState) -> None:
        """
        The client holds nothing of it any more. Tells a recall under way.
        """
        self._stateids.drop(layout)
        self._remove(layout)

    def revoke(self, layout: LayoutState) -> None:
        """
        Take a layout from a client that does not return it. Its stateid gets
        DELEG_REVOKED until it is freed. The file is still to be fenced.
        """
        layout.revoked = DelegRevoked
        layout.client.revoked += 1
        self._revoked[layout] = None
        if self.writers is not None:
            self.writers.lost(layout)
        self._remove(layout)

    def free(self, layout: LayoutState) -> None:
        """
        Forget a revoked layout: FREE_STATEID, or it is long ago.
        """
        if layout in self._revoked:
            del self._revoked[layout]
            layout.client.revoked -= 1
            self._stateids.drop(layout)

    def dropClient(self, client: Any) -> list[LayoutState]:
        """
        A client is gone with all its layouts.

        @return: those; who might write is to be fenced.
        """
        if client.revoked:
            for layout in [held for held in self._revoked if held.client is client]:
                self.free(layout)
        layouts = list(client.layouts.values())
        for layout in layouts:
            if self.writers is not None:
                self.writers.lost(layout)
            self.drop(layout)
        return layouts

    def onServer(self, uuid: bytes) -> Iterator[LayoutState]:
        """
        The layouts that name a data server.
        """
        for servers in list(self._byServers):
            if uuid in servers:
                yield from list(self._byServers.get(servers, ()))

    def _remove(self, layout: LayoutState) -> None:
        client = layout.client
        file = layout.file
        if client.layouts.pop(layout.other, None) is None:
            return
        del file.layouts[client.clientid]
        self._unindex(layout)
        self.count -= 1
        if self.writers is not None:
            self.writers.end(layout)
        recall = file.recall
        if recall is not None:
            recall.gone(layout)

    def _index(self, layout: LayoutState) -> None:
        holders = self._byServers.get(layout.servers)
        if holders is None:
            holders = self._byServers[layout.servers] = {}
        holders[layout] = None

    def _unindex(self, layout: LayoutState) -> None:
        holders = self._byServers[layout.servers]
        del holders[layout]
        if not holders:
            del self._byServers[layout.servers]

    # -- encoded layouts ---------------------------------------------------

    def cachedGrant(self, generation: int, placement: Any, key: Any) -> Any:
        """
        What was made for this very placement under a key, or None.

        @param generation: of the L{pnfs.state.devices.DeviceTable}; what was kept
            under another one is forgotten.
        """
        if generation != self._generation:
            self._grants.clear()
            self._generation = generation
            return None
        found = self._grants.get((id(placement), key))
        if found is None or found[0] is not placement:
            return None
        return found[1]

    def forgetGrants(self) -> None:
        """
        What was made for placements is not what would be made now.
        """
        self._grants.clear()

    def keepGrant(self, placement: Any, key: Any, value: Any) -> None:
        """
        Keep what was made for a placement; the oldest gives way.
        """
        grants = self._grants
        if len(grants) >= GRANTS_LIMIT:
            del grants[next(iter(grants))]
        grants[(id(placement), key)] = (placement, value)

    # -- what clients say --------------------------------------------------

    def report(self, client: Any, file: Any, report: LayoutReport) -> None:
        """
        Keep what a client says of its devices, and tell who listens.
        """
        if not report.errors and not report.statistics:
            return
        self.reports.note(client, file, report)
        for listener in list(self.listeners):
            listener(client, file, report)


def segmentsOf(granted: Iterable[LayoutSegment]) -> list[Segment]:
    """
    What a driver has granted, as it is recorded.
    """
    found: list[Segment] = []
    for segment in granted:
        found = added(
            found,
            (segment.iomode, segment.offset, endOf(segment.offset, segment.length)),
        )
    return (
        WHOLE_READ
        if found == WHOLE_READ
        else (WHOLE_RW if found == WHOLE_RW else found)
    )
