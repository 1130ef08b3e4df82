# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
What a gateway keeps about its objects: owner, mode and fence epoch. The server
upstream may have no place for them, and it may know other users than ours.

One SQLite database in the state folder. Changes are made by one thread, all that
have gathered in one transaction, which is on disk before anybody hears of it;
the reactor's thread reads by a connection of its own, from the cache mostly.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import OrderedDict
from typing import Any, Optional, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pnfs.backends.ds.local_record import ObjectRecord
from pnfs.backends.errors import BadConfiguration, IOFailed, NoSuchObject

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (uuid BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    name BLOB PRIMARY KEY,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    epoch INTEGER NOT NULL
) WITHOUT ROWID;
"""
_GET = "SELECT uid, gid, mode, epoch FROM objects WHERE name = ?"
_PUT = """
INSERT INTO objects (uid, gid, mode, epoch, name) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET uid = excluded.uid, gid = excluded.gid,
    mode = excluded.mode, epoch = max(epoch, excluded.epoch)
"""
_CHANGE = """
UPDATE objects SET uid = coalesce(?, uid), gid = coalesce(?, gid),
    mode = coalesce(?, mode) WHERE name = ?
"""
_FENCE = "UPDATE objects SET epoch = max(epoch, ?) WHERE name = ?"
_REMOVE = "DELETE FROM objects WHERE name = ?"
_LIST = "SELECT name FROM objects WHERE name > ? ORDER BY name LIMIT ?"


@attrs.define(eq=False)
class _Change:
    """
    A statement whose last value is the name, and who waits for it.
    """

    statement: str
    values: tuple[Any, ...]
    done: Deferred[None]

    @property
    def name(self) -> bytes:
        """
        The object's.
        """
        return bytes(self.values[-1])


class ObjectRecords:
    """
    The records of a gateway, durable.

    @ivar uuid: the gateway's identity, made at the first start.
    """

    def __init__(
        self, folder: str, executor: Any, newUUID: bytes, cached: int = 65536
    ) -> None:
        """
        @param folder: the state folder.
        @param executor: L{pnfs.backends.ds.local_threads.IExecutor} of one thread.
        @param newUUID: 16 bytes, in case there is no identity yet.
        @param cached: records kept in memory.
        """
        self._folder = folder
        self._executor = executor
        self._newUUID = newUUID
        self._limit = cached
        self._cache: OrderedDict[bytes, ObjectRecord] = OrderedDict()
        self._queue: list[_Change] = []
        self._busy = False
        self._closing = False
        self._lock = -1
        self._reader: Any = None
        self._writer: Any = None
        self.uuid = b""

    # -- life ------------------------------------------------------------------

    def open(self) -> None:
        """
        Open or make the database. Called before any request, so it may block.

        @raise BadConfiguration: it cannot be used.
        """
        path = os.path.join(self._folder, "objects.sqlite")
        self._closing = False
        try:
            self._lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            if isinstance(error, BlockingIOError):
                raise BadConfiguration(
                    f"state: {self._folder} is used by another process; "
                    "give each data server its own"
                ) from None
            raise BadConfiguration(
                f"state: {error.filename}: {error.strerror}; change its owner"
            ) from None
        try:
            self._writer = self._connect(path)
            self._writer.executescript(_SCHEMA)
            found = self._writer.execute("SELECT uuid FROM identity").fetchone()
            if found is None:
                self._writer.execute(
                    "INSERT INTO identity (uuid) VALUES (?)", (self._newUUID,)
                )
                found = (self._newUUID,)
            self.uuid = bytes(found[0])
            self._reader = self._connect(path)
        except sqlite3.Error as error:
            self.close()
            raise BadConfiguration(
                f"state: {path}: {error}; restore it from a backup"
            ) from None
        self._executor.start()

    def _connect(self, path: str) -> Any:
        # Without a transaction of the module's own making.
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def close(self) -> None:
        """
        Finish what is queued and close.
        """
        self._closing = True
        if self._reader is not None:
            self._executor.stop()
        changes, self._queue = self._queue, []
        for change in changes:
            change.done.errback(IOFailed("the gateway has stopped"))
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # -- looking ---------------------------------------------------------------

    def peek(self, name: bytes) -> Optional[ObjectRecord]:
        """
        A record if it is in memory.
        """
        return self._cache.get(name)

    def get(self, name: bytes) -> Optional[ObjectRecord]:
        """
        A record; one read of a page or two if it is not in memory.
        """
        record = self._cache.get(name)
        if record is not None:
            self._cache.move_to_end(name)
            return record
        found = self._read(_GET, (name,))
        if not found:
            return None
        record = ObjectRecord(*found[0])
        self._keep(name, record)
        return record

    def _keep(self, name: bytes, record: ObjectRecord) -> None:
        self._cache[name] = record
        self._cache.move_to_end(name)
        if len(self._cache) > self._limit:
            self._cache.popitem(last=False)

    def names(self, after: bytes, limit: int) -> Sequence[bytes]:
        """
        Up to C{limit} names greater than C{after}, in order.
        """
        return [bytes(name) for (name,) in self._read(_LIST, (after, limit))]

    def _read(self, statement: str, values: tuple[Any, ...]) -> Sequence[Any]:
        try:
            rows: Sequence[Any] = self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise IOFailed(f"the gateway's records cannot be read: {error}") from None
        return rows

    # -- changing ----------------------------------------------------------------

    async def put(self, name: bytes, record: ObjectRecord) -> None:
        """
        Make a record, or replace all of it but a higher epoch.
        """
        await self._do(_PUT, (record.uid, record.gid, record.mode, record.epoch, name))

    async def change(
        self,
        name: bytes,
        uid: Optional[int],
        gid: Optional[int],
        mode: Optional[int],
    ) -> None:
        """
        Change what is not None. @raise NoSuchObject:
        """
        await self._do(_CHANGE, (uid, gid, mode, name))

    async def fence(self, name: bytes, epoch: int) -> None:
        """
        Raise the epoch, never lower it. @raise NoSuchObject:
        """
        await self._do(_FENCE, (epoch, name))

    async def remove(self, name: bytes) -> None:
        """
        Forget an object, if it is known.
        """
        await self._do(_REMOVE, (name,))

    async def _do(self, statement: str, values: tuple[Any, ...]) -> None:
        if self._closing:
            raise IOFailed("the gateway has stopped")
        change = _Change(statement, values, Deferred())
        self._queue.append(change)
        if not self._busy:
            self._flush()
        await change.done

    def _flush(self) -> None:
        self._busy = True
        changes, self._queue = self._queue, []
        running = self._executor.defer(self._execute, changes)
        running.addCallbacks(
            self._made, self._failed, callbackArgs=(changes,), errbackArgs=(changes,)
        )

    def _execute(self, changes: Sequence[_Change]) -> list[Any]:
        """
        In the thread. @return: the row of each object afterwards.
        """
        writer = self._writer
        writer.execute("BEGIN IMMEDIATE")
        try:
            rows = []
            for change in changes:
                writer.execute(change.statement, change.values)
                rows.append(writer.execute(_GET, (change.name,)).fetchone())
            writer.execute("COMMIT")
        except sqlite3.Error:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise
        return rows

    def _made(self, rows: Sequence[Any], changes: Sequence[_Change]) -> None:
        for change, row in zip(changes, rows):
            if row is None:
                self._cache.pop(change.name, None)
            else:
                self._keep(change.name, ObjectRecord(*row))
        self._next()
        for change, row in zip(changes, rows):
            if row is None and change.statement is not _REMOVE:
                change.done.errback(NoSuchObject(repr(change.name)))
            else:
                change.done.callback(None)

    def _failed(self, failure: Failure, changes: Sequence[_Change]) -> None:
        self._next()
        reason = f"the gateway's records cannot be written: {failure.value}"
        for change in changes:
            change.done.errback(IOFailed(reason))

    def _next(self) -> None:
        self._busy = False
        if self._queue and not self._closing:
            self._flush()
