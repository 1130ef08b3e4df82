# -*- test-case-name: tests.mds.test_fileindex -*-
"""
The tables of the index of files by data server, in SQLite. Everything here blocks:
it is called in threads, one call at a time.

C{servers}  a small number for each data server
C{files}    export and handle of each file with data files, by the name of these
C{places}   which data servers have data files of which files: stale, or the last ones
"""

from __future__ import annotations

import sqlite3
import struct
from typing import Collection, Iterable, Sequence

import attrs

_VERSION = 2
_TABLES = """
BEGIN;
CREATE TABLE servers (id INTEGER PRIMARY KEY, uuid BLOB NOT NULL UNIQUE);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, export INTEGER NOT NULL,
    handle BLOB NOT NULL, servers BLOB NOT NULL, moving INTEGER NOT NULL,
    walk INTEGER NOT NULL);
CREATE TABLE places (
    server INTEGER NOT NULL, file INTEGER NOT NULL, stale INTEGER NOT NULL,
    alone INTEGER NOT NULL, PRIMARY KEY (server, file)) WITHOUT ROWID;
CREATE INDEX stale ON places (server, file) WHERE stale;
CREATE INDEX moving ON files (id) WHERE moving;
PRAGMA user_version = 2;
COMMIT;
"""


@attrs.frozen
class Indexed:
    """
    What is known of a file.

    @ivar name: of its data files.
    @ivar servers: every data server that may have a data file of it (UUIDs); none:
        the file is gone.
    @ivar stale: those of them that miss something.
    @ivar moving: it is on its way to other ones.
    @ivar alone: those that have something of it that nobody else has, or what others
        have is stale.
    """

    name: bytes
    export: int
    handle: bytes
    servers: tuple[bytes, ...] = ()
    stale: tuple[bytes, ...] = ()
    moving: bool = False
    alone: tuple[bytes, ...] = ()


@attrs.frozen
class Found:
    """
    A file that was asked for.

    @ivar position: where to go on behind it.
    """

    position: int
    name: bytes
    export: int
    handle: bytes


class IndexStore:
    """
    The tables.
    """

    def __init__(self, path: str) -> None:
        """
        @param path: of the database. It is made if there is none.
        @raise sqlite3.Error: it cannot be used.
        """
        self._connection = connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(_TABLES)
            elif version != _VERSION:
                raise sqlite3.DatabaseError(f"tables of version {version}")
            self._servers = self._known()
        except sqlite3.Error:
            connection.close()
            raise

    def _known(self) -> dict[bytes, int]:
        rows = self._connection.execute("SELECT uuid, id FROM servers")
        return dict(rows.fetchall())

    def close(self) -> None:
        """
        Everything is on stable storage then.
        """
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.close()

    # -- changes -----------------------------------------------------------------

    def apply(self, files: Iterable[Indexed], walk: int) -> None:
        """
        Take over what is known of some files: of all of them or of none.

        @param walk: number of the walk that is under way, or was last.
        """
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            for file in files:
                if file.servers:
                    self._put(file, walk)
                else:
                    self._drop(file.name)
        except BaseException:
            run("ROLLBACK")
            # Numbers that data servers were given meanwhile are gone as well.
            self._servers = self._known()
            raise
        run("COMMIT")

    def _put(self, file: Indexed, walk: int) -> None:
        run = self._connection.execute
        numbers = [self._number(uuid) for uuid in file.servers]
        packed = struct.pack(f"<{len(numbers)}H", *numbers)
        row = run(
            "SELECT id, servers FROM files WHERE name = ?", (file.name,)
        ).fetchone()
        if row is None:
            key = run(
                "INSERT INTO files (name, export, handle, servers, moving, walk) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (file.name, file.export, file.handle, packed, file.moving, walk),
            ).lastrowid
        else:
            key = row[0]
            run(
                "UPDATE files SET servers = ?, moving = ?, walk = ? WHERE id = ?",
                (packed, file.moving, walk, key),
            )
            self._leave(key, set(_unpack(row[1])).difference(numbers))
        for number, uuid in zip(numbers, file.servers):
            run(
                "INSERT OR REPLACE INTO places (server, file, stale, alone) "
                "VALUES (?, ?, ?, ?)",
                (number, key, uuid in file.stale, uuid in file.alone),
            )

    def _drop(self, name: bytes) -> None:
        run = self._connection.execute
        row = run("SELECT id, servers FROM files WHERE name = ?", (name,)).fetchone()
        if row is not None:
            self._leave(row[0], _unpack(row[1]))
            run("DELETE FROM files WHERE id = ?", (row[0],))

    def _leave(self, key: int, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._connection.execute(
                "DELETE FROM places WHERE server = ? AND file = ?", (number, key)
            )

    def _number(self, uuid: bytes) -> int:
        number = self._servers.get(uuid)
        if number is None:
            cursor = self._connection.execute(
                "INSERT INTO servers (uuid) VALUES (?)", (uuid,)
            )
            assert cursor.lastrowid is not None
            number = self._servers[uuid] = cursor.lastrowid
        return number

    # -- questions ---------------------------------------------------------------

    def files(self, uuid: bytes, stale: bool, after: int, limit: int) -> list[Found]:
        """
        Files with data files on a data server.

        @param stale: only those that miss something there.
        @param after: a C{position}, 0 at first.
        """
        number = self._servers.get(uuid)
        if number is None:
            return []
        return self._found(
            "SELECT f.id, f.name, f.export, f.handle "
            "FROM places p JOIN files f ON f.id = p.file "
            f"WHERE p.server = ? AND p.file > ? {'AND p.stale' if stale else ''} "
            "ORDER BY p.file LIMIT ?",
            (number, after, limit),
        )

    def moving(self, after: int, limit: int) -> list[Found]:
        """
        Files that are on their way to other data servers.
        """
        return self._found(
            "SELECT id, name, export, handle FROM files "
            "WHERE moving AND id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )

    def unseen(self, export: int, walk: int, after: int, limit: int) -> list[Found]:
        """
        Files of an export that a walk has not come across.
        """
        return self._found(
            "SELECT id, name, export, handle FROM files "
            "WHERE walk < ? AND export = ? AND id > ? ORDER BY id LIMIT ?",
            (walk, export, after, limit),
        )

    def count(self) -> int:
        """
        How many files there are.
        """
        (found,) = self._connection.execute("SELECT count(*) FROM files").fetchone()
        return int(found)

    def named(self, after: bytes, limit: int) -> list[Found]:
        """
        All files, in the order of the names of their data files.
        """
        rows = self._connection.execute(
            "SELECT id, name, export, handle FROM files "
            "WHERE name > ? ORDER BY name LIMIT ?",
            (after, limit),
        )
        return [Found(*row) for row in rows]

    def places(self, names: Sequence[bytes]) -> dict[bytes, frozenset[bytes]]:
        """
        Of some names of data files, which data servers may have them; those that no
        file has are left out.
        """
        uuids = {number: uuid for uuid, number in self._servers.items()}
        run = self._connection.execute
        found = {}
        for name in names:
            row = run("SELECT servers FROM files WHERE name = ?", (name,)).fetchone()
            if row is not None:
                found[name] = frozenset(uuids[number] for number in _unpack(row[0]))
        return found

    def lastWalk(self) -> int:
        """
        The greatest number of a walk.
        """
        row = self._connection.execute("SELECT max(walk) FROM files").fetchone()
        return row[0] or 0

    def counts(self) -> dict[bytes, tuple[int, int]]:
        """
        By data server: files, and how many of them miss something there.
        """
        rows = self._connection.execute(
            "SELECT s.uuid, count(*), sum(p.stale) "
            "FROM places p JOIN servers s ON s.id = p.server GROUP BY p.server"
        )
        return {uuid: (files, stale) for uuid, files, stale in rows}

    def needing(self, uuid: bytes, without: Collection[bytes]) -> int:
        """
        How many files would lack something without a data server.

        @param without: others that are not there either.
        """
        number = self._servers.get(uuid)
        lost = {self._servers[other] for other in without if other in self._servers}
        run = self._connection.execute
        if not lost:
            (found,) = run(
                "SELECT count(*) FROM places WHERE server = ? AND alone", (number,)
            ).fetchone()
            return int(found)
        lost.add(number or 0)
        return sum(
            alone or lost.issuperset(_unpack(servers))
            for alone, servers in run(
                "SELECT p.alone, f.servers FROM places p JOIN files f ON f.id = p.file "
                "WHERE p.server = ? AND NOT p.stale",
                (number,),
            )
        )

    def _found(self, query: str, arguments: tuple[int, ...]) -> list[Found]:
        return [Found(*row) for row in self._connection.execute(query, arguments)]


def _unpack(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // 2}H", packed)
