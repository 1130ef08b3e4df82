"""
The metadata server is killed while a Linux client holds locks, open files and
delegations, and another one wants them.
"""

from __future__ import annotations

import os
import shutil
import time

from tests.system.linuxcase import LinuxTestCase
from tests.system.linuxclient import Guest
from tests.system.processes import waitUntil

_PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")

_HOLDER = """
    mount_export 4.2 "$PORT"
    sleep 1     # for the server to find out that we answer
    await_host go
    touch /mnt/fsynced
    "$PYTHON" /job/reclaim.py hold /mnt &
    holding=$!
    await_host write
    "$PYTHON" /job/blocks.py /mnt/fsynced 48
    wait "$holding"
    result blocks "$(stat -c %s /mnt/fsynced)"
    umount /mnt
"""

_RIVAL = """
    mount_export 4.1 "$PORT"
    await_host go
    "$PYTHON" /job/reclaim.py want /mnt
    umount /mnt
"""

_LEAVER = """
    mount_export 4.2 "$PORT"
    await_host go
    "$PYTHON" /job/reclaim.py leave /mnt
"""

_HELD = ["written", "read", "shared", "whole", "together"]
"""What the holder's locks deny the rival all the time."""

_LEASE = 10.0


class _Attempts:
    """
    What the rival has come to, by its own log.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def all(self, name: str, outcome: str) -> list[float]:
        """
        The times of its attempts of that kind with that outcome.
        """
        return [
            float(words[3])
            for line in self._guest.output.splitlines()
            if (words := line.split())[:3] == ["try", name, outcome]
        ]

    def further(self, name: str, outcome: str, seconds: float, count: int = 2) -> None:
        """
        Wait until there have been so many more.
        """
        before = len(self.all(name, outcome))
        waitUntil(
            lambda: len(self.all(name, outcome)) >= before + count,
            seconds,
            f"{name} {outcome}\n{self._guest.output[-2000:]}",
        )


class ReclaimTests(LinuxTestCase):
    """
    Lease and grace period of 10 seconds, delegations on.
    """

    def locker(self, guest: Guest) -> Guest:
        """
        Give a guest its programs and let it begin.
        """
        for program in ("reclaim.py", "blocks.py"):
            shutil.copy(os.path.join(_PROGRAMS, program), guest.directory)
        guest.tell("go")
        return guest

    def between(self, again: bool, *options: str) -> None:
        """
        Holder and rival, with the metadata server killed.

        @param again: once more in the grace period, when the holder has reclaimed.
        @param options: further options of C{pnfs demo}.
        """
        cluster = self.cluster("--lease", f"{_LEASE:g}", *options)
        holder, rival, leaver = [
            self.guest(cluster, script, number)
            for number, script in enumerate((_HOLDER, _RIVAL, _LEAVER))
        ]
        attempts = _Attempts(rival)
        self.locker(holder).expect("holding")
        self.locker(leaver).expect("holding")
        self.locker(rival)
        for name in [*_HELD, "left"]:
            attempts.further(name, "denied", 30)
        attempts.further("free", "granted", 30)
        holder.tell("write")
        holder.expect("block 3")
        self.assertGreaterEqual(cluster.held("delegations"), 1)

        leaver.freeze()
        crashed = cluster.crash(cluster.mds)
        time.sleep(1)
        dead = started = time.time()
        server = cluster.restart(crashed)
        if again:
            waitUntil(lambda: cluster.held("delegations"), 30, "the reclaim")
            crashed = cluster.crash(server)
            started = time.time()
            cluster.restart(crashed)
        waitUntil(
            lambda: max(attempts.all("free", "granted")) > dead,
            3 * _LEASE,
            f"an unhindered lock\n{rival.output[-2000:]}",
        )
        first = min(seen for seen in attempts.all("free", "granted") if seen > dead)
        self.assertGreater(first, started + _LEASE)
        self.assertNotIn("block 47", holder.output.splitlines())
        self.assertGreater(cluster.refused("LOCK", "NFS4ERR_GRACE"), 0)
        self.assertGreaterEqual(cluster.held("delegations"), 1)

        attempts.further("left", "granted", 30, 1)
        rival.tell("delegated")
        for name in [*_HELD, "delegated"]:
            attempts.further(name, "denied", 30, 10)
        attempts.further("open", "granted", 30)
        held = [*_HELD, "delegated", "waited"]
        for name in held:
            self.assertEqual(attempts.all(name, "granted"), [], name)

        holder.tell("unlock")
        holder.expect("unlocked", 30)
        for name in held[:-1]:
            attempts.further(name, "granted", 10)
        waitUntil(
            lambda: attempts.all("waited", "granted"), 10, "who waits to be woken"
        )
        rival.tell("end")
        rival.finish()
        holder.finish(400)
        results = holder.results()
        unlocking = float(results.pop("unlocking"))
        count = results.pop("count")
        self.assertEqual(
            results, {"wrong": "", "rest": "0", "blocks": str(48 * 4 << 20)}
        )
        self.assertEqual(rival.results(), {})
        for name in held:
            first = min(attempts.all(name, "granted"))
            self.assertGreater(first, unlocking - 0.1, name)
            self.assertLess(first, unlocking + 5, name)
        self.assertGreater(min(attempts.all("left", "granted")), started + _LEASE)
        for line in rival.output.splitlines():
            if line.startswith(("try written granted", "try whole granted")):
                self.assertEqual(line.split()[-1], count)

    def test_killedUnderLoad(self) -> None:
        """
        A client that has locks by fcntl and by flock, open files and delegations, and
        writes all the time, does not notice that the metadata server was killed and
        started again. Another client, which tries to lock the same five times a second
        before, during and after the grace period, is denied each time until the first
        one unlocks, then has each lock at once and sees what was written last; it gets
        no lock at all in the grace period, and after it the lock of a third client that
        has not come back. No fsynced byte is lost.
        """
        self.between(False, "--layout", "files", "--data-servers", "2")

    def test_killedInGrace(self) -> None:
        """
        The same with mirrored files when the metadata server is killed once more after
        the first client has reclaimed, while it still waits for the third one.
        """
        self.between(
            True, *("--layout", "flexfiles", "--mirrors", "2", "--data-servers", "2")
        )
