"""
Lock files below a folder as the test tells, one command after the other.

C{locks.py FOLDER}: command number N is the file C{/job/command-N}; what it has come
to is printed as C{done N RESULT}. Kinds of locks are C{sh}, C{ex} and C{un}; a length
of 0 means to the end of the file, as in fcntl(2).

  - C{open NAME PATH}, C{close NAME}
  - C{set NAME KIND START LENGTH}: C{ok}, or C{denied}.
  - C{get NAME KIND START LENGTH}: C{free}, or kind, start and length of a lock that
    is in the way.
  - C{wait TAG NAME KIND START LENGTH}: in a thread; prints C{got TAG} in the end.
  - C{flock NAME KIND}, C{flockwait TAG NAME KIND}: the same by flock(2).
  - C{killed NAME START LENGTH}: a process of its own waits for a lock of those bytes
    and is killed.
  - C{count PATH TIMES}: add one to a counter in an SQLite database, so often.
  - C{end}
"""

import fcntl
import os
import signal
import sqlite3
import struct
import sys
import threading
import time

KINDS = {"sh": fcntl.LOCK_SH, "ex": fcntl.LOCK_EX, "un": fcntl.LOCK_UN}
TYPES = {"sh": fcntl.F_RDLCK, "ex": fcntl.F_WRLCK}
NAMES = {number: name for name, number in TYPES.items()}
FLOCK = struct.Struct("hhqqi")

folder = sys.argv[1]
files: dict[str, int] = {}


def get(name: str, kind: str, start: str, length: str) -> str:
    """
    Who is in the way?
    """
    wire = FLOCK.pack(TYPES[kind], 0, int(start), int(length), 0)
    wire = wire.ljust(32, b"\0")
    found = fcntl.fcntl(files[name], fcntl.F_GETLK, wire)
    number, _, begin, count, _ = FLOCK.unpack_from(found)
    if number == fcntl.F_UNLCK:
        return "free"
    return f"{NAMES[number]} {begin} {count}"


def attempt(*call: object) -> str:
    """
    Lock if that is possible now.
    """
    function, *arguments = call
    try:
        function(*arguments)  # type: ignore[operator]
    except BlockingIOError:
        return "denied"
    return "ok"


def later(tag: str, *call: object) -> str:
    """
    Lock in a thread, however long that takes.
    """

    def run() -> None:
        function, *arguments = call
        function(*arguments)  # type: ignore[operator]
        print("got", tag, flush=True)

    threading.Thread(target=run, daemon=True).start()
    time.sleep(0.5)
    return "waiting"


def killed(name: str, start: str, length: str) -> str:
    """
    Die waiting.
    """
    child = os.fork()
    if not child:
        try:
            file = os.open(os.readlink(f"/proc/self/fd/{files[name]}"), os.O_RDWR)
            fcntl.lockf(file, fcntl.LOCK_EX, int(length), int(start))
        finally:
            os._exit(1)
    time.sleep(1)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else "not killed"


def count(path: str, times: str) -> str:
    """
    Two machines that count must not lose any.
    """
    database = sqlite3.connect(f"{folder}/{path}", timeout=120, isolation_level=None)
    database.execute("create table if not exists counter (value integer)")
    for _ in range(int(times)):
        database.execute("begin immediate")
        found = database.execute("select value from counter").fetchone()
        if found is None:
            database.execute("insert into counter values (1)")
        else:
            database.execute("update counter set value = ?", (found[0] + 1,))
        database.execute("commit")
    (value,) = database.execute("select value from counter").fetchone()
    (sound,) = database.execute("pragma integrity_check").fetchone()
    database.close()
    return f"{value} {sound}"


def run(verb: str, *words: str) -> str:
    """
    One command.
    """
    if verb == "open":
        files[words[0]] = os.open(f"{folder}/{words[1]}", os.O_RDWR | os.O_CREAT)
        return "ok"
    if verb == "close":
        os.close(files.pop(words[0]))
        return "ok"
    if verb == "set":
        name, kind, start, length = words
        how = KINDS[kind] | (fcntl.LOCK_NB if kind != "un" else 0)
        return attempt(fcntl.lockf, files[name], how, int(length), int(start))
    if verb == "get":
        return get(*words)
    if verb == "wait":
        tag, name, kind, start, length = words
        file = files[name]
        return later(tag, fcntl.lockf, file, KINDS[kind], int(length), int(start))
    if verb == "flock":
        name, kind = words
        return attempt(fcntl.flock, files[name], KINDS[kind] | fcntl.LOCK_NB)
    if verb == "flockwait":
        tag, name, kind = words
        return later(tag, fcntl.flock, files[name], KINDS[kind])
    return {"killed": killed, "count": count}[verb](*words)


def main() -> None:
    """
    Until told to end.
    """
    number = 0
    while True:
        path = f"/job/command-{number}"
        while not os.path.exists(path):
            time.sleep(0.02)
        with open(path) as text:
            words = text.read().split()
        if words == ["end"]:
            return
        try:
            said = run(*words)
        except Exception as error:
            said = repr(error)
        print("done", number, said, flush=True)
        number += 1


main()
