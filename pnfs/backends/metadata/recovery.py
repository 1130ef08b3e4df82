# -*- test-case-name: tests.backends.metadata.test_recovery -*-
"""
Recovery stores: what a server must know after a restart.

L{FileRecoveryStore} keeps, in one folder, files that ordinary tools can read:

  - C{epoch}: the number of starts, decimal;
  - C{clients}: one line per event, C{+} or C{-} and the owner in hex; rewritten
    without history at each start;
  - C{lease}: the longest lease promised to clients, in seconds;
  - C{identity-N}: the identity called N, in hex.

A line that was cut off by a crash has not been acknowledged and is left out.

Who may reclaim is decided when an epoch begins: whoever is recorded then. The
caller removes those who have not come back by the end of the grace period, so
that they cannot reclaim in the next one (RFC 8881, section 8.4.2.1).
"""

from __future__ import annotations

import os
from typing import Any, Callable, Collection, Iterable, Mapping

from zope.interface import implementer

from pnfs.backends.errors import BadConfiguration
from pnfs.backends.oserrors import translate
from pnfs.interfaces import IRecoveryStore

_EPOCH_LIMIT = 0xFFFFFFFF


@implementer(IRecoveryStore)
class MemoryRecoveryStore:
    """
    As long as the object lives; give it to the next server in a test.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._clients: dict[bytes, bool] = {}
        self._identities: dict[str, bytes] = {}
        self._lease = 0.0

    def beginEpoch(self) -> int:
        """
        See L{IRecoveryStore.beginEpoch}.
        """
        self._epoch = self._epoch % _EPOCH_LIMIT + 1
        self._clients = dict.fromkeys(self._clients, True)
        return self._epoch

    def clients(self) -> Mapping[bytes, bool]:
        """
        See L{IRecoveryStore.clients}.
        """
        return dict(self._clients)

    def addClient(self, owner: bytes) -> None:
        """
        See L{IRecoveryStore.addClient}.
        """
        self._clients.setdefault(owner, False)

    def removeClients(self, owners: Collection[bytes]) -> None:
        """
        See L{IRecoveryStore.removeClients}.
        """
        for owner in owners:
            self._clients.pop(owner, None)

    def promisedLease(self) -> float:
        """
        See L{IRecoveryStore.promisedLease}.
        """
        return self._lease

    def promiseLease(self, seconds: float) -> None:
        """
        See L{IRecoveryStore.promiseLease}.
        """
        self._lease = seconds

    def identity(self, name: str, make: Callable[[], bytes]) -> bytes:
        """
        See L{IRecoveryStore.identity}.
        """
        if name not in self._identities:
            self._identities[name] = make()
        return self._identities[name]


def writeDurably(path: str, content: bytes, system: Any = os) -> None:
    """
    Replace a file so that after a power cut it is the old one or the new one.

    @param system: what stands for the module C{os}.
    """
    beside = path + ".new"
    fd = system.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _writeAll(fd, content, system)
        system.fsync(fd)
    finally:
        system.close(fd)
    system.replace(beside, path)
    syncFolder(os.path.dirname(path), system)


def _writeAll(fd: int, content: bytes, system: Any) -> None:
    view = memoryview(content)
    while view:
        view = view[system.write(fd, view) :]


def _readAll(path: str, system: Any) -> bytes:
    fd = system.open(path, os.O_RDONLY)
    try:
        pieces = []
        while piece := system.read(fd, 1 << 20):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        system.close(fd)


def syncFolder(path: str, system: Any = os) -> None:
    """
    Make the names in a folder durable.
    """
    fd = system.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        system.fsync(fd)
    finally:
        system.close(fd)


@implementer(IRecoveryStore)
class FileRecoveryStore:
    """
    A folder of small files.

    @ivar path: the folder; made at the first use.
    """

    def __init__(self, path: str, system: Any = os) -> None:
        """
        @param system: what stands for the module C{os}.
        """
        self.path = path
        self._os = system
        self._clients: dict[bytes, bool] = {}
        self._log = -1
        self._loaded = False

    def beginEpoch(self) -> int:
        """
        See L{IRecoveryStore.beginEpoch}.

        @raise BadConfiguration: the file C{epoch} does not hold a number.
        """
        self._load()
        path = os.path.join(self.path, "epoch")
        try:
            last = int(_readAll(path, self._os))
        except FileNotFoundError:
            last = 0
        except ValueError:
            raise BadConfiguration(
                f"{path}: not a number; write one above every earlier epoch into it"
            ) from None
        if last >= _EPOCH_LIMIT:
            raise BadConfiguration(f"{path}: {last} epochs are used up")
        writeDurably(path, b"%d\n" % (last + 1), self._os)
        self._clients = dict.fromkeys(self._clients, True)
        self._compact()
        return last + 1

    def clients(self) -> Mapping[bytes, bool]:
        """
        See L{IRecoveryStore.clients}.
        """
        self._load()
        return dict(self._clients)

    def addClient(self, owner: bytes) -> None:
        """
        See L{IRecoveryStore.addClient}.
        """
        self._load()
        if owner not in self._clients:
            self._append(b"+", (owner,))
            self._clients[owner] = False

    def removeClients(self, owners: Collection[bytes]) -> None:
        """
        See L{IRecoveryStore.removeClients}.
        """
        self._load()
        known = [owner for owner in owners if owner in self._clients]
        if known:
            self._append(b"-", known)
            for owner in known:
                del self._clients[owner]

    def promisedLease(self) -> float:
        """
        See L{IRecoveryStore.promisedLease}.

        @raise BadConfiguration: the file C{lease} does not hold a number.
        """
        path = os.path.join(self.path, "lease")
        try:
            return float(_readAll(path, self._os))
        except FileNotFoundError:
            return 0.0
        except ValueError:
            raise BadConfiguration(
                f"{path}: not a number; write the longest lease of late into it"
            ) from None

    def promiseLease(self, seconds: float) -> None:
        """
        See L{IRecoveryStore.promiseLease}.
        """
        self._make()
        try:
            path = os.path.join(self.path, "lease")
            writeDurably(path, f"{seconds!r}\n".encode("ascii"), self._os)
        except OSError as error:
            raise translate(error) from error

    def identity(self, name: str, make: Callable[[], bytes]) -> bytes:
        """
        See L{IRecoveryStore.identity}.

        @raise BadConfiguration: the stored one is damaged.
        """
        self._make()
        path = os.path.join(self.path, "identity-" + name)
        try:
            return bytes.fromhex(_readAll(path, self._os).decode("ascii"))
        except FileNotFoundError:
            made = make()
            writeDurably(path, made.hex().encode("ascii") + b"\n", self._os)
            return made
        except ValueError:
            raise BadConfiguration(
                f"{path}: not hexadecimal; restore it from a backup"
            ) from None

    def close(self) -> None:
        """
        Let go of the file; the next use opens it again.
        """
        if self._log >= 0:
            self._os.close(self._log)
        self._log = -1
        self._loaded = False

    def _load(self) -> None:
        """
        Read C{clients} once.
        """
        if self._loaded:
            return
        self._make()
        content = b""
        try:
            content = _readAll(os.path.join(self.path, "clients"), self._os)
        except FileNotFoundError:
            pass
        self._clients = {}
        for line in content.split(b"\n")[:-1]:
            try:
                owner = bytes.fromhex(line[1:].decode("ascii"))
            except ValueError:
                continue
            if line[:1] == b"+":
                self._clients[owner] = False
            else:
                self._clients.pop(owner, None)
        self._loaded = True
        self._compact()

    def _compact(self) -> None:
        """
        Write C{clients} anew, one line per client, and open it for appending.
        """
        path = os.path.join(self.path, "clients")
        lines = [b"+%s\n" % owner.hex().encode("ascii") for owner in self._clients]
        writeDurably(path, b"".join(lines), self._os)
        if self._log >= 0:
            self._os.close(self._log)
        self._log = self._os.open(path, os.O_WRONLY | os.O_APPEND)

    def _append(self, sign: bytes, owners: Iterable[bytes]) -> None:
        """
        Events, durable on return. If that fails, the file is as it was.
        """
        lines = [b"%s%s\n" % (sign, owner.hex().encode("ascii")) for owner in owners]
        size = self._os.fstat(self._log).st_size
        try:
            _writeAll(self._log, b"".join(lines), self._os)
            self._os.fdatasync(self._log)
        except OSError as error:
            self._os.ftruncate(self._log, size)
            raise translate(error) from error

    def _make(self) -> None:
        """
        Make the folder, durably, if it is not there.
        """
        try:
            self._os.stat(self.path)
        except FileNotFoundError:
            self._os.makedirs(self.path, 0o700, exist_ok=True)
        # Also if it was there: it may have been made just before a power cut.
        syncFolder(os.path.dirname(os.path.abspath(self.path)), self._os)
