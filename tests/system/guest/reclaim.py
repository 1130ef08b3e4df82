"""
Hold locks, or want those of somebody else, for as long as the test says.

C{reclaim.py hold FOLDER}: lock, write in locked bytes again and again; a failure is
C{result error}. Unlocks when told C{unlock}.

C{reclaim.py want FOLDER}: try each of L{WANTED} five times a second; an attempt is
printed as C{try NAME granted TIME} or C{try NAME denied TIME}, and what is granted is
unlocked at once. One more waits for its lock. Ends when told C{end}.

C{reclaim.py leave FOLDER}: lock, and do nothing more.
"""

import fcntl
import os
import sys
import threading
import time
from typing import Callable

WANTED: dict[str, tuple[str, Callable[..., None], int, int, int]] = {
    "written": ("ranges", fcntl.lockf, fcntl.LOCK_EX, 10, 50),
    "read": ("ranges", fcntl.lockf, fcntl.LOCK_SH, 10, 50),
    "shared": ("ranges", fcntl.lockf, fcntl.LOCK_EX, 10, 250),
    "whole": ("flocked", fcntl.flock, fcntl.LOCK_EX, 0, 0),
    "together": ("flocked", fcntl.flock, fcntl.LOCK_SH, 0, 0),
    "left": ("left", fcntl.lockf, fcntl.LOCK_EX, 10, 0),
    "free": ("free", fcntl.lockf, fcntl.LOCK_EX, 10, 0),
    "delegated": ("delegated", fcntl.lockf, fcntl.LOCK_EX, 10, 0),
}
"""File, how, kind, length and start; C{delegated} is not tried before it is told."""

folder = sys.argv[2]


def told(word: str) -> bool:
    """
    Has the test said so?
    """
    return os.path.exists(f"/job/told-{word}")


def opened(name: str) -> int:
    """
    Open for reading and writing.
    """
    return os.open(f"{folder}/{name}", os.O_RDWR | os.O_CREAT)


def say(*words: object) -> None:
    """
    One line, also when several threads speak.
    """
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def hold() -> None:
    """
    Bytes 0 to 100 exclusively, 200 to 300 shared; a whole file; all of another one
    that somebody waits for; and a delegated one, of which no other client knows.
    """
    ranges, flocked, waited = [opened(n) for n in ("ranges", "flocked", "waited")]
    delegated = opened("delegated")
    fcntl.lockf(ranges, fcntl.LOCK_EX, 100, 0)
    fcntl.lockf(ranges, fcntl.LOCK_SH, 100, 200)
    fcntl.flock(flocked, fcntl.LOCK_EX)
    fcntl.lockf(waited, fcntl.LOCK_EX)
    fcntl.lockf(delegated, fcntl.LOCK_EX, 100, 0)
    for name in ("free", "left"):
        os.close(opened(name))
    say("holding")
    count = 0
    while not told("unlock"):
        count += 1
        for file in (ranges, flocked, waited, delegated):
            os.pwrite(file, b"%10d" % count, 0)
            os.fsync(file)
            if os.pread(file, 10, 0) != b"%10d" % count:
                raise ValueError("not what was written")
        time.sleep(0.1)
    say("result count", count)
    say("result unlocking", time.time())
    for file in (ranges, waited, delegated):
        fcntl.lockf(file, fcntl.LOCK_UN)
    fcntl.flock(flocked, fcntl.LOCK_UN)
    say("unlocked")


def attempts(name: str) -> None:
    """
    Five times a second, until the end.
    """
    path, function, kind, *span = WANTED[name]
    while name == "delegated" and not told(name):
        time.sleep(0.1)
    file = opened(path)
    arguments = span if function is fcntl.lockf else []
    while not told("end"):
        try:
            function(file, kind | fcntl.LOCK_NB, *arguments)
        except BlockingIOError:
            say("try", name, "denied", time.time())
        else:
            # What follows may wait for a server that has been killed meanwhile.
            when = time.time()
            count = os.pread(file, 10, 0).decode()
            say("try", name, "granted", when, count)
            function(file, fcntl.LOCK_UN, *arguments)
        time.sleep(0.2)


def opens() -> None:
    """
    Open what the other client has open, and what it writes just now.
    """
    while not told("end"):
        for name in ("ranges", "flocked", "fsynced"):
            os.close(os.open(f"{folder}/{name}", os.O_RDONLY))
        say("try open granted", time.time())
        time.sleep(0.2)


def wait() -> None:
    """
    Until the lock is there.
    """
    fcntl.lockf(opened("waited"), fcntl.LOCK_EX)
    say("try waited granted", time.time())


def want() -> None:
    """
    Everything at a time.
    """
    threads = [threading.Thread(target=attempts, args=[name]) for name in WANTED]
    threads += [threading.Thread(target=wait), threading.Thread(target=opens)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def leave() -> None:
    """
    Somebody else will end this.
    """
    fcntl.lockf(opened("left"), fcntl.LOCK_EX)
    say("holding")
    while True:
        time.sleep(1)


def failed(arguments: threading.ExceptHookArgs) -> None:
    """
    A thread's failure is to be seen.
    """
    say("result error", repr(arguments.exc_value))


threading.excepthook = failed
try:
    {"hold": hold, "want": want, "leave": leave}[sys.argv[1]]()
except OSError as error:
    say("result error", error)
    raise
