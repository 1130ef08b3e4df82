"""
Byte-range locks and flock between two Linux clients, and programs that live on
them: SQLite and git.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import Optional

from tests.system.linuxcase import LinuxTestCase
from tests.system.linuxclient import Guest

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "locks.py")

_SCRIPT = """
    mount_export $VERSION "$PORT"
    await_host go
    "$PYTHON" /job/locks.py /mnt
"""

_END = (1 << 63) - 1
"""The last byte that Linux can lock."""

_TABLE = [
    # command of the first client, its result; question of the second, the answer
    ("set f ex 0 10", "ok", "get f sh 0 0", "ex 0 10"),
    ("set f ex 10 10", "ok", "get f sh 15 1", "ex 0 20"),
    ("set f un 5 5", "ok", "get f sh 0 0", "ex 0 5"),
    ("set f un 0 5", "ok", "get f sh 0 0", "ex 10 10"),
    ("set f sh 12 4", "ok", "get f sh 12 4", "free"),
    ("set f sh 12 4", "ok", "get f ex 12 4", "sh 12 4"),
    ("set f sh 10 10", "ok", "get f ex 0 0", "sh 10 10"),
    ("set f ex 14 2", "ok", "get f sh 0 0", "ex 14 2"),
    ("set f un 0 0", "ok", "get f ex 0 0", "free"),
    ("set f sh 100 0", "ok", "get f ex 0 0", "sh 100 0"),
    ("set f un 200 0", "ok", "get f ex 0 0", "sh 100 100"),
    (f"set f ex {_END - 1} 1", "ok", f"get f sh {_END - 5} 0", f"ex {_END - 1} 1"),
    (f"set f ex {_END} 1", "ok", f"get f sh {_END} 1", f"ex {_END - 1} 0"),
    ("set f un 0 0", "ok", "get f ex 0 0", "free"),
    (f"set f ex {1 << 32} {1 << 32}", "ok", "get f sh 0 0", f"ex {1 << 32} {1 << 32}"),
    (
        f"set f un {1 << 32} 1",
        "ok",
        "get f sh 0 0",
        f"ex {(1 << 32) + 1} {(1 << 32) - 1}",
    ),
    ("set f un 0 0", "ok", "get f ex 0 0", "free"),
]
"""Split, merge, upgrade, downgrade, to the end of the file, beyond 32 bits, at the end
of 63, as in the Connectathon suite's lock tests."""

_GIT = """
    # Else Linux believes for half a minute that there is no packed-refs.
    mount_export 4.2 "$PORT" lookupcache=positive
    export HOME=/run GIT_CONFIG_NOSYSTEM=1
    git config --global user.name test
    git config --global user.email test@example.org
    git config --global --add safe.directory '*'
    mkdir /mnt/first
    cd /mnt/first
    git init -q -b main
    for number in $(seq 12); do
        seq $number $((number * 100)) > file-$number
        git add file-$number
        git commit -q -m "commit $number"
    done
    git clone -q --no-hardlinks /mnt/first /mnt/second
    cd /mnt/second
    git repack -q -a -d
    git gc -q --prune=now
    git fsck --full --strict
    echo cloned
    await_host pull
    git pull -q
    git fsck --full --strict
    result commits "$(git rev-list --count HEAD)"
    result head "$(git rev-parse HEAD)"
    result dirty "$(git status --porcelain | wc -l)"
"""

_COMMITTER = """
    mount_export 4.1 "$PORT"
    export HOME=/run GIT_CONFIG_NOSYSTEM=1
    git config --global user.name other
    git config --global user.email other@example.org
    git config --global --add safe.directory '*'
    await_host go
    cd /mnt/first
    git fsck --full --strict
    result before "$(git rev-list --count HEAD)"
    echo more > more
    git add more
    git commit -q -m more
    git gc -q --prune=now
    result head "$(git rev-parse HEAD)"
"""


class _Locker:
    """
    A guest that does as it is told.
    """

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self._number = 0
        shutil.copy(_PROGRAM, guest.directory)
        guest.tell("go")

    def begin(self, command: str) -> int:
        """
        Give a command. @return: its number.
        """
        number = self._number
        self._number += 1
        path = os.path.join(self.guest.directory, f"command-{number}")
        with open(path + ".new", "w") as text:
            text.write(command)
        os.rename(path + ".new", path)
        return number

    def result(self, number: int, seconds: float = 60) -> str:
        """
        What a command has come to.
        """
        start = f"done {number} "
        end = time.monotonic() + seconds
        while True:
            for line in self.guest.output.splitlines():
                if line.startswith(start):
                    return line.removeprefix(start)
            if time.monotonic() > end:
                raise AssertionError(f"no {start!r}\n{self.guest.output}")
            time.sleep(0.02)

    def do(self, command: str) -> str:
        """
        Give a command and wait for what it comes to.
        """
        return self.result(self.begin(command))


class LockTests(LinuxTestCase):
    """
    Two clients lock the same files.
    """

    def lockers(self, *options: str) -> tuple[_Locker, _Locker]:
        """
        Two guests, with minor version 1 and 2.
        """
        cluster = self.cluster(*options)
        guests = [
            self.guest(cluster, f"VERSION={version}\n{_SCRIPT}", number)
            for number, version in enumerate(("4.1", "4.2"))
        ]
        first, second = [_Locker(guest) for guest in guests]
        for each in (first, second):
            self.assertEqual(each.do("open f file"), "ok")
        return first, second

    def finish(self, *lockers: _Locker) -> None:
        """
        Let the guests end.
        """
        for each in lockers:
            each.begin("end")
        for each in lockers:
            each.guest.finish()

    def assertWoken(
        self, waiter: _Locker, tag: str, holder: _Locker, release: str
    ) -> None:
        """
        Who waits has the lock within two seconds after it was released, and not
        before.
        """
        self.assertNotIn(f"got {tag}", waiter.guest.output.splitlines())
        begin = time.monotonic()
        self.assertEqual(holder.do(release), "ok")
        waiter.guest.expect(f"got {tag}", 30)
        self.assertLess(time.monotonic() - begin, 2.0)

    def test_locks(self) -> None:
        """
        Ranges are split, merged, turned into one another and found by the other
        client, by fcntl and by flock; who waits for a lock has it within two
        seconds after it is free, also when somebody before it was killed waiting.
        """
        first, second = self.lockers("--lease", "30")
        for command, result, question, answer in _TABLE:
            self.assertEqual(first.do(command), result, command)
            self.assertEqual(second.do(question), answer, question)

        self.assertEqual(first.do("set f ex 0 100"), "ok")
        self.assertEqual(second.do("set f sh 50 1"), "denied")
        self.assertEqual(second.do("set f ex 100 1"), "ok")
        self.assertEqual(second.do("wait a f ex 0 100"), "waiting")
        time.sleep(3)
        self.assertWoken(second, "a", first, "set f un 0 100")
        self.assertEqual(first.do("get f sh 0 0"), "ex 0 101")

        self.assertEqual(first.do("wait b f sh 10 10"), "waiting")
        self.assertWoken(first, "b", second, "set f sh 0 101")

        self.assertEqual(first.do("wait c f ex 10 10"), "waiting")
        self.assertWoken(first, "c", second, "close f")
        self.assertEqual(second.do("open f file"), "ok")

        self.assertEqual(second.do("killed f 12 2"), "killed")
        self.assertEqual(second.do("wait d f ex 10 20"), "waiting")
        self.assertWoken(second, "d", first, "set f un 0 0")
        self.assertEqual(second.do("set f un 0 0"), "ok")

        for each in (first, second):
            self.assertEqual(each.do("open g flocked"), "ok")
        self.assertEqual(first.do("flock g ex"), "ok")
        self.assertEqual(second.do("flock g sh"), "denied")
        self.assertEqual(second.do("flockwait e g ex"), "waiting")
        self.assertWoken(second, "e", first, "flock g un")
        self.assertEqual(first.do("flock g sh"), "denied")
        self.assertEqual(second.do("flock g sh"), "ok")
        self.assertEqual(first.do("flock g sh"), "ok")
        self.finish(first, second)

    def test_sqlite(self) -> None:
        """
        Two clients count in one SQLite database at the same time, and no count is
        lost.
        """
        first, second = self.lockers("--lease", "30")
        numbers = [each.begin("count db 40") for each in (first, second)]
        results = [
            each.result(number, 200) for each, number in zip((first, second), numbers)
        ]
        self.assertIn("80 ok", results)
        self.assertEqual(first.do("count db 0"), "80 ok")
        self.finish(first, second)

    def test_git(self) -> None:
        """
        Repositories on the mount are made, committed to by two clients, cloned,
        packed, and sound.
        """
        cluster = self.cluster("--lease", "30")
        guest = self.guest(cluster, _GIT)
        other = self.guest(cluster, _COMMITTER, 1)
        guest.expect("cloned", 240)
        other.tell("go")
        other.finish()
        guest.tell("pull")
        guest.finish()
        head: Optional[str] = other.results().get("head")
        self.assertEqual(other.results()["before"], "12")
        self.assertEqual(guest.results(), {"commits": "13", "head": head, "dirty": "0"})
