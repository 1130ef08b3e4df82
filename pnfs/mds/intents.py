# -*- test-case-name: tests.mds.test_intents -*-
"""
Who may be writing to the data servers of a file.

Nobody knows of layouts any more after a restart of the metadata server. Who does not
come back may go on writing with one, and has to be fenced off before somebody else
gets what it held (L{pnfs.mds.absent}).

Clients write to mirrors one by one. One that dies meanwhile leaves mirrors that differ
in what nobody was told is there, and would be read as the one or the other from then
on: the metadata server has to make them the same again (resilvering, RFC 9737, section
1; L{pnfs.mds.resilver}). The metadata server is such a client itself while it writes
for those without layouts.

So it is noted who holds a layout to write with, and the note stays until the layout has
been returned, or the above has been done. Notes are lines added to a file, which is not
flushed for each of them: they outlive the server, and of a loss of power all but the
last seconds. No byte depends on a note that a client has been told is safe.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Callable, Collection, Iterable, Iterator, NamedTuple

from twisted.logger import Logger

from pnfs.backends.errors import BadConfiguration
from pnfs.backends.metadata.recovery import writeDurably
from pnfs.layouts.files_xdr import LAYOUT4_NFSV4_1_FILES
from pnfs.values import Inode, Placement

SPARE_LINES = 65536
"""
Lines that may be in the file for nothing before it is written anew, which takes some
milliseconds.
"""

PROXY = bytes(8)
"""L{Intent.who} of this server itself; nobody of that name comes back."""

_log = Logger()


class Intent(NamedTuple):
    """
    A client may write to the data servers of a file.

    @ivar who: digest of a client's owner and verifier, the same after a restart of
        this server but not after one of the client.
    @ivar export: id; handle: of the file there.
    """

    who: bytes
    export: int
    handle: bytes

    @property
    def file(self) -> tuple[int, bytes]:
        """
        Export id and handle.
        """
        return self.export, self.handle


def whoIs(client: Any) -> bytes:
    """
    See L{Intent.who}.
    """
    return _digest(client.verifier, client.owner)


@lru_cache(4096)
def _digest(verifier: bytes, owner: bytes) -> bytes:
    return blake2b(verifier + owner, digest_size=8).digest()


def intentOf(layout: Any) -> Intent:
    """
    @param layout: L{pnfs.state.layouts.LayoutState}.
    """
    file = layout.file
    return Intent(whoIs(layout.client), file.export.id, file.inode.handle)


def _mirrored(layout: Any) -> bool:
    """
    May it name several data servers that have the same bytes?
    """
    return len(layout.servers) > 1 and layout.layoutType != LAYOUT4_NFSV4_1_FILES


class WriteIntents:
    """
    The file C{writers} in the state folder, and what is in it.

    @ivar left: those of the last run, until L{resume} is told who has come back.
    @ivar absent: by file (L{Intent.file}), whose writers have not, until L{fenced} is
        told that they are fenced off.
    @ivar suspected: whose writers are gone and write no more, until L{settle} is told
        that the mirrors have been compared.
    @ivar unfenced: files of C{left} and C{absent}: what their writers held is nobody
        else's yet.
    @ivar onSuspected: called when there is one more.
    """

    def __init__(self, folder: str) -> None:
        """
        @raise BadConfiguration: the file cannot be read.
        """
        self._path = os.path.join(folder, "writers")
        self._held: set[Intent] = set()
        self._writes: Counter[Intent] = Counter()
        self.left: set[Intent] = _load(self._path)
        self.absent: dict[tuple[int, bytes], list[Intent]] = {}
        self.unfenced = {intent.file for intent in self.left}
        self.suspected: dict[Intent, None] = {}
        self.onSuspected: Callable[[], None] = lambda: None
        self._failed = False
        self._lines = 0
        self._fd = -1
        self._rewrite()

    def begin(self, layout: Any) -> None:
        """
        A client gets a layout to write with.
        """
        self._hold(intentOf(layout))

    def end(self, layout: Any) -> None:
        """
        A client has no such layout any more, and has told so.
        """
        self._release(intentOf(layout))

    def lost(self, layout: Any) -> None:
        """
        A layout is taken from its client, which may be gone. The file is fenced.
        """
        intent = intentOf(layout)
        if not _mirrored(layout):
            self._release(intent)
        elif intent in self._held:
            self._held.discard(intent)
            self._suspect(intent)

    @contextmanager
    def proxied(
        self, export: Any, inode: Inode, placement: Placement
    ) -> Iterator[None]:
        """
        A context in which this server writes to a file itself. If that fails the note
        stays until something has been written there: who wanted it comes again.
        """
        if all(len(column) < 2 for column in placement.columns):
            yield
            return
        intent = Intent(PROXY, export.id, inode.handle)
        writes = self._writes
        writes[intent] += 1
        self._hold(intent)
        failed = True
        try:
            yield
            failed = False
        finally:
            writes[intent] -= 1
            if not writes[intent]:
                del writes[intent]
                if not failed:
                    self._release(intent)

    def doubt(self, client: Any, export: Any, inode: Any) -> None:
        """
        A client tells after a restart of this server that it could not write to all
        mirrors of a file (RFC 9737, section 2.2).
        """
        self._suspect(Intent(whoIs(client), export.id, inode.handle), new=True)

    def resume(self, here: Collection[bytes]) -> None:
        """
        Clients have had the time to come back after a restart. Those who have write
        again what they had not been told is safe; the others are C{absent}.

        @param here: L{Intent.who} of those that are.
        """
        back = [intent for intent in self.left if intent.who in here]
        for intent in sorted(self.left.difference(back)):
            self.absent.setdefault(intent.file, []).append(intent)
        self.left = set()
        self.unfenced = set(self.absent)
        self._forget(back)

    def fenced(self, file: tuple[int, bytes]) -> None:
        """
        Those who have not come back cannot write to a file any more.

        @param file: one of C{absent}.
        """
        self.unfenced.discard(file)
        for intent in self.absent.pop(file):
            self._suspect(intent)

    def settle(self, intents: Iterable[Intent]) -> None:
        """
        The mirrors are the same, or known not to be, or there are none.
        """
        intents = list(intents)
        for intent in intents:
            self.suspected.pop(intent, None)
        self._forget(intents)

    def stop(self) -> None:
        """
        Close the file.
        """
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _hold(self, intent: Intent) -> None:
        if intent not in self._held:
            self._held.add(intent)
            if not self._noted(intent):
                self._note(b"+", (intent,))

    def _release(self, intent: Intent) -> None:
        if intent in self._held:
            self._held.discard(intent)
            if not self._noted(intent):
                self._note(b"-", (intent,))

    def _noted(self, intent: Intent) -> bool:
        """
        Is there a line for it anyway?
        """
        return (
            intent in self.suspected
            or intent in self.left
            or intent in self.absent.get(intent.file, ())
        )

    def _suspect(self, intent: Intent, new: bool = False) -> None:
        if new and intent not in self._held and not self._noted(intent):
            self._note(b"+", (intent,))
        self.suspected[intent] = None
        self.onSuspected()

    def _forget(self, intents: Iterable[Intent]) -> None:
        over = [intent for intent in intents if intent not in self._held]
        if over:
            self._note(b"-", over)

    # -- the file ------------------------------------------------------------------

    def _note(self, sign: bytes, intents: Collection[Intent]) -> None:
        if self._fd < 0:
            return
        self._lines += len(intents)
        try:
            if self._lines > SPARE_LINES + 2 * self._count():
                self._rewrite()
                return
            os.write(self._fd, b"".join([_line(sign, each) for each in intents]))
        except OSError as error:
            self._complain(error)

    def _all(self) -> set[Intent]:
        return self._held.union(self.suspected, self.left, *self.absent.values())

    def _count(self) -> int:
        known = len(self._held) + len(self.suspected) + len(self.left)
        return known + len(self.absent)

    def _rewrite(self) -> None:
        """
        Have no lines that say nothing any more.
        """
        intents = self._all()
        try:
            writeDurably(self._path, b"".join([_line(b"+", each) for each in intents]))
            self.stop()
            self._fd = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            self._lines = len(intents)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            _log.error(
                "{path}: {reason}: clients that die or are cut off while this server "
                "is down are not fenced off, and mirrors they leave different are not "
                "found",
                path=self._path,
                reason=error.strerror,
            )


def _line(sign: bytes, intent: Intent) -> bytes:
    return b"%b %b %d %b\n" % (
        sign,
        intent.who.hex().encode("ascii"),
        intent.export,
        intent.handle.hex().encode("ascii"),
    )


def _load(path: str) -> set[Intent]:
    """
    A line that a crash has cut short was the last one, and is left out.

    @raise BadConfiguration: it cannot be read.
    """
    found: set[Intent] = set()
    try:
        with open(path, "rb") as stream:
            lines = stream.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return found
    except OSError as error:
        raise BadConfiguration(f"{path}: {error.strerror}") from error
    for line in lines:
        try:
            sign, who, export, handle = line.decode("ascii").split(" ")
            intent = Intent(bytes.fromhex(who), int(export), bytes.fromhex(handle))
        except ValueError:
            raise BadConfiguration(
                f"{path}: is damaged: remove it, and compare mirrors afterwards: "
                "pnfs mirror verify"
            ) from None
        if sign == "+":
            found.add(intent)
        else:
            found.discard(intent)
    return found
