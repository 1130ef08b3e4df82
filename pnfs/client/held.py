# -*- test-case-name: tests.client.test_held -*-
"""
The layout of one file as the metadata server sees it: one stateid, whoever in this
process has the file open, and as many segments of it as have been needed.

LAYOUTGET and LAYOUTRETURN of a file go one after the other, under C{_lock}. I/O
under a layout holds it busy, without the lock; giving back waits for that. New I/O
meanwhile waits for the lock, and then gets a new layout. So a recall is: take the
lock, let what is under way end, commit what can be committed, LAYOUTRETURN.

After a failure the layout is given back with a report, and a new one asked for: the
metadata server may know better servers by then. Where there is none, I/O goes
through the metadata server for a while.
"""

from __future__ import annotations

import struct
from typing import Any, Optional

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from pnfs.client.errors import FAILURES, STATE_LOST
from pnfs.client.dataservers import sleep
from pnfs.client.layout import SUPPORTED, Layout
from pnfs.layouts.flexfiles_xdr import (
    LAYOUT4_FLEX_FILES,
    ff_ioerr4,
    ff_layoutreturn4,
    flexReturn,
)
from pnfs.nfs4 import requests
from pnfs.nfs4.ops.layouterror import device_error4
from pnfs.nfs4.results import OperationFailed
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import IOMode

_PUTFH, _LAYOUTGET, _LAYOUTCOMMIT, _LAYOUTRETURN = 22, 50, 49, 51
_seqid = struct.Struct(">I").unpack_from

_NO_LAYOUT_SECONDS = 30.0
"""How long to do without after the server has said that there is none."""

IMPATIENCE = 2.0
"""Seconds for which to wait when giving something back after a failure."""

_SHORT_SECONDS = 1.0
_CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0)
"""Seconds to wait while the layout is being recalled from others."""

_log = Logger()


class HeldLayout:
    """
    What the client holds of one file.

    @ivar files: the open L{pnfs.client.file.File}s.
    @ivar lastWrite: offset of the last byte written since LAYOUTCOMMIT, or None.
    """

    def __init__(self, mount: Any, fh: bytes, layoutTypes: Any) -> None:
        """
        @param mount: L{pnfs.client.mount.Mount}.
        @param layoutTypes: those the server offers for the file, best first.
        """
        self._mount = mount
        self._fh = fh
        self._putfh = requests.putfh(fh)
        wanted = [each for each in layoutTypes if each in SUPPORTED]
        self._type: Optional[int] = wanted[0] if wanted else None
        self.files: set[Any] = set()
        self.lastWrite: Optional[int] = None
        self._lock = DeferredLock()
        self._getting = False
        self._layouts: list[Layout] = []
        self._live: set[Layout] = set()
        self._stateid = b""
        self._withoutUntil: dict[int, float] = {}

    @property
    def stateid(self) -> bytes:
        """
        The layout stateid; empty while none is held.
        """
        return self._stateid

    @property
    def layoutType(self) -> Optional[int]:
        """
        The layout type used for this file, if any.
        """
        return self._type

    # -- using it ----------------------------------------------------------------

    async def acquire(
        self, iomode: int, file: Any, offset: int = 0
    ) -> Optional[Layout]:
        """
        A layout that allows C{iomode}, held busy until L{Layout.release}.

        @param file: on whose behalf.
        @param offset: it is for that byte at least, unless the server gives another.
        @return: None if there is none: go through the metadata server.
        """
        layout = self._find(iomode, offset)
        if layout is None:
            if self._type is None:
                return None
            if self._without(iomode):
                return None
            async with self._lock:
                layout = self._find(iomode, offset)
                if layout is None:
                    if self._without(iomode):
                        return None
                    self._getting = True
                    try:
                        layout = await self._get(iomode, file, offset)
                    finally:
                        self._getting = False
                    if layout is None:
                        return None
                    self._keep(layout)
                layout.busy += 1
                return layout
        layout.busy += 1
        return layout

    def _without(self, iomode: int) -> bool:
        """
        Has the server said, not long ago, that there is none?
        """
        until = self._withoutUntil.get(iomode)
        return until is not None and self._mount.clock.seconds() < until

    def _find(self, iomode: int, offset: int) -> Optional[Layout]:
        for layout in self._layouts:
            if layout.iomode >= iomode and layout.offset <= offset < layout.end:
                return layout
        return None

    def _keep(self, layout: Layout) -> None:
        """
        Use it from now on, instead of those for less.
        """
        self._live.add(layout)
        self._layouts = [layout] + [
            other
            for other in self._layouts
            if other.iomode > layout.iomode
            or other.offset < layout.offset
            or other.end > layout.end
        ]

    async def _get(self, iomode: int, file: Any, offset: int) -> Optional[Layout]:
        """
        LAYOUTGET, as often as it takes.
        """
        clock = self._mount.clock
        reopened = False
        pauses = iter(_CONFLICT_PAUSES)
        assert self._type is not None
        while True:
            stateid = self._stateid or file.stateid
            # Nothing at all need be told of what lies behind the end.
            beyond = iomode == READ and offset >= file.size
            results = await self._mount.compound(
                [
                    self._putfh,
                    requests.layoutget(
                        self._type,
                        iomode,
                        stateid,
                        offset=offset,
                        minlength=0 if beyond else 1,
                    ),
                ],
                2,
            )
            try:
                results.operation(_PUTFH)
                results.operation(_LAYOUTGET)
                stateid, segments = results.layouts()
                self._stateid = stateid
                return await self._mount.decodeLayout(segments, file)  # type: ignore[no-any-return]
            except OperationFailed as failure:
                status = failure.status
                pause = next(pauses, None)
                if status in STATE_LOST:
                    if self._stateid:
                        self._stateid = b""
                        continue
                    if not reopened:
                        reopened = True
                        await file.reopen(stateid)
                        continue
                elif pause is not None and status in (
                    nfsstat4.NFS4ERR_RECALLCONFLICT,
                    nfsstat4.NFS4ERR_RETURNCONFLICT,
                ):
                    await sleep(clock, pause)
                    continue
                elif status == nfsstat4.NFS4ERR_BADLAYOUT or (
                    beyond and status == nfsstat4.NFS4ERR_LAYOUTTRYLATER
                ):
                    # None of this range (RFC 8881, section 18.43.3).
                    return None
                seconds = _NO_LAYOUT_SECONDS
                if status in (
                    nfsstat4.NFS4ERR_RECALLCONFLICT,
                    nfsstat4.NFS4ERR_LAYOUTTRYLATER,
                ):
                    seconds = _SHORT_SECONDS
                _log.info("no layout: {reason}", reason=failure)
            except FAILURES as error:
                seconds = _NO_LAYOUT_SECONDS
                _log.warn("a layout cannot be used: {reason}", reason=error)
            self._withoutUntil[iomode] = clock.seconds() + seconds
            return None

    def wrote(self, end: int) -> None:
        """
        Bytes up to C{end} were written to data servers.
        """
        if self.lastWrite is None or end > self.lastWrite + 1:
            self.lastWrite = end - 1

    def failed(
        self,
        layout: Layout,
        deviceid: bytes,
        offset: int,
        length: int,
        status: int,
        op: int,
    ) -> None:
        """
        I/O under a layout did not work: it is given back, with a report, when
        nothing uses it any more.
        """
        layout.deviceErrors.append((deviceid, offset, length, status, op))
        if layout in self._layouts:
            self._layouts = []
            self._inBackground(self.giveBack(patience=IMPATIENCE))

    # -- the metadata server's wishes ----------------------------------------------

    def recall(self, stateid: Optional[bytes], changed: bool) -> int:
        """
        CB_LAYOUTRECALL: start to give the layout back.

        @param stateid: what the recall says; None: it is for many files.
        @param changed: the data servers will be others: do not bother with these.
        @return: an C{nfsstat4}.
        """
        held = self._stateid
        if stateid is not None:
            if not held:
                if self._getting:
                    # Its answer may be on its way.
                    return nfsstat4.NFS4ERR_DELAY
                return nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
            if held[4:] != stateid[4:]:
                return nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
            if _seqid(stateid)[0] > _seqid(held)[0] + 1:
                return nfsstat4.NFS4ERR_DELAY
            self._stateid = stateid
        elif not held:
            return nfsstat4.NFS4ERR_NOMATCHING_LAYOUT
        self._layouts = []
        self._inBackground(self.giveBack(not changed))
        return nfsstat4.NFS4_OK

    def forget(self) -> None:
        """
        The server knows nothing of it any more.
        """
        self._layouts = []
        self._live.clear()
        self._stateid = b""
        self._withoutUntil.clear()

    def _inBackground(self, work: Any) -> None:
        def failed(failure: Failure) -> None:
            if isinstance(failure.value, FAILURES):
                _log.info("returning a layout: {reason}", reason=failure.value)
            else:
                _log.failure("returning a layout", failure)

        self._mount.background(Deferred.fromCoroutine(work).addErrback(failed))

    async def giveBack(
        self, commit: bool = True, patience: Optional[float] = None
    ) -> None:
        """
        Wait for what is under way, then LAYOUTRETURN.

        @param commit: first bring what was written to stable storage. What cannot
            be committed is kept and written again later.
        @param patience: seconds for which the server may ask for time.
        """
        async with self._lock:
            self._layouts = []
            if not self._stateid:
                return
            live, self._live = self._live, set()
            for layout in live:
                await layout.idle()
            if commit:
                for file in list(self.files):
                    await file.commitEarly()
                try:
                    await self.layoutCommit(IMPATIENCE)
                except NFSError as error:
                    # A data server is down, perhaps: that is why we are here.
                    _log.info("LAYOUTCOMMIT: {reason}", reason=error)
            stateid, self._stateid = self._stateid, b""
            if not stateid:
                return
            results = await self._mount.compound(
                [
                    self._putfh,
                    requests.layoutreturn(
                        self._type or 0, stateid, self._report(live, stateid)
                    ),
                ],
                2,
                patience=patience,
            )
            try:
                results.operation(_PUTFH)
                results.operation(_LAYOUTRETURN)
            except NFSError as error:
                if error.status == nfsstat4.NFS4ERR_DELAY:
                    # It is still ours as far as the server is concerned.
                    self._stateid = stateid
                raise

    def _report(self, live: set[Layout], stateid: bytes) -> bytes:
        """
        C{lrf_body}: what did not work (RFC 8435, section 9.1).
        """
        if self._type != LAYOUT4_FLEX_FILES:
            return b""
        return flexReturn.encode(
            ff_layoutreturn4(
                [
                    ff_ioerr4(
                        offset,
                        length,
                        stateid,
                        [device_error4(deviceid, status, op)],
                    )
                    for layout in live
                    for deviceid, offset, length, status, op in layout.deviceErrors[:64]
                ],
                [],
            )
        )

    async def layoutCommit(self, patience: Optional[float] = None) -> None:
        """
        LAYOUTCOMMIT, if anything was written since the last one.

        @param patience: seconds for which the server may ask for time.
        @raise NFSError: the server does not take it.
        """
        last = self.lastWrite
        if last is None or not self._stateid:
            return
        self.lastWrite = None
        if self._layouts and not any(each.wantsCommit for each in self._layouts):
            return
        results = await self._mount.compound(
            [
                self._putfh,
                requests.layoutcommit(self._stateid, last + 1, last, self._type or 0),
            ],
            2,
            patience=patience,
        )
        try:
            results.operation(_PUTFH)
            results.operation(_LAYOUTCOMMIT)
        except NFSError as error:
            if error.status not in STATE_LOST | {
                nfsstat4.NFS4ERR_BADLAYOUT,
                nfsstat4.NFS4ERR_BADIOMODE,
                nfsstat4.NFS4ERR_UNKNOWN_LAYOUTTYPE,
            }:
                self.wrote(last + 1)
                raise
            # Without the layout the server asks the data servers by itself.
            _log.info("LAYOUTCOMMIT: {reason}", reason=error)


READ = int(IOMode.READ)
RW = int(IOMode.RW)
