"""
Two Linux clients and delegations: what a holder does without asking, and what happens
when the other one wants the file.
"""

from __future__ import annotations

import hashlib

from tests.system import capture
from tests.system.capture import requireCapture
from tests.system.linuxcase import LinuxTestCase
from tests.system.processes import waitUntil

_COUNT = """
    opens() {
        awk '/ mounted on \\/mnt /{here=1}
             here && ($1=="OPEN:" || $1=="OPEN_NOATTR:"){sum += $2}
             END{print sum}' /proc/self/mountstats
    }
"""

_HOLDER = _COUNT + """
    mount_export $VERSION "$PORT"
    sleep 1     # for the server to find out that we answer
    fill a 2 > /mnt/written
    before=$(opens)
    for _ in 1 2 3 4 5; do
        cat /mnt/written > /dev/null
        head -c 10 /dev/zero >> /mnt/written
    done
    result opens $(($(opens) - before))
    exec 3<>/mnt/written
    fill b 3 >&3
    echo holding
    await_host go
    echo more >> /mnt/written
    result sum "$(sum_of /mnt/written)"
    exec 3>&-
    echo reading
    await_host read
    cat /mnt/shared > /dev/null
    before=$(opens)
    for _ in 1 2 3 4 5; do cat /mnt/shared > /dev/null; done
    result opensOfReader $(($(opens) - before))
    echo again
    await_host changed
    result shared "$(cat /mnt/shared)"
    umount /mnt
"""

_OTHER = """
    mount_export $VERSION "$PORT"
    echo one > /mnt/shared
    umount /mnt     # gives back what it has been given
    mount_export $VERSION "$PORT"
    echo mounted
    await_host look
    result size "$(stat -c %s /mnt/written)"
    echo looked
    await_host want
    result sum "$(sum_of /mnt/written)"
    echo wanted
    await_host change
    cat /mnt/shared > /dev/null
    echo two > /mnt/shared
    echo written
    await_host end
    umount /mnt
"""

_RECLAIMER = """
    mount_export 4.2 "$PORT"
    sleep 1
    fill a 1 > /mnt/written
    exec 3<>/mnt/written
    fill b 2 >&3
    echo holding
    await_host go
    fill c 1 >&3
    echo written
    await_host end
    exec 3>&-
    umount /mnt
"""

_READER = """
    mount_export 4.2 "$PORT"
    echo mounted
    await_host want
    result sum "$(sum_of /mnt/written)"
    umount /mnt
"""

_SILENT = """
    mount_export 4.2 "$PORT"
    sleep 1
    echo first > /mnt/written
    exec 3<>/mnt/written
    echo mine >&3
    echo holding
    await_host look
    exec 3>&- || true
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if [ "$(cat /mnt/written)" = other ]; then break; fi
        sleep 1
    done
    result text "$(cat /mnt/written)"
    umount /mnt
"""

_OVERRIDER = """
    mount_export 4.2 "$PORT"
    echo mounted
    await_host want
    echo other > /mnt/written
    sync
    echo written
    umount /mnt
"""


def _sum(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


class DelegationTests(LinuxTestCase):
    """
    One client has files delegated, another one looks at them and wants them.
    """

    def setUp(self) -> None:
        requireCapture()
        super().setUp()

    def between(self, version: str) -> None:
        """
        With a minor version of NFSv4.
        """
        cluster = self.cluster("--lease", "30")
        recorded = self.capture()
        setting = f"VERSION={version}\n"
        other = self.guest(cluster, setting + _OTHER, 1)
        other.expect("mounted")
        holder = self.guest(cluster, setting + _HOLDER)
        holder.expect("holding")
        other.tell("look")
        other.expect("looked")
        other.tell("want")
        other.expect("wanted", 25)
        holder.tell("go")
        holder.expect("reading")
        holder.tell("read")
        holder.expect("again")
        other.tell("change")
        other.expect("written", 25)
        holder.tell("changed")
        holder.finish()
        other.tell("end")
        other.finish()
        waitUntil(lambda: not cluster.held("stateids"), 10, "all state to be returned")
        self.assertEqual(cluster.held("delegations"), 0)
        recorded.finish()

        mebibyte = 1 << 20
        written = b"b" * (3 * mebibyte)
        self.assertEqual(
            holder.results(),
            {
                "opens": "0",
                "opensOfReader": "0",
                "sum": _sum(written, b"more\n"),
                "shared": "two",
            },
        )
        self.assertEqual(
            other.results(), {"size": str(3 * mebibyte), "sum": _sum(written)}
        )
        callbacks = recorded.callbacks()
        self.assertGreaterEqual(callbacks[capture.CB_GETATTR], 1)
        self.assertGreaterEqual(callbacks[capture.CB_RECALL], 2)
        self.assertGreaterEqual(
            recorded.operations()[capture.DELEGRETURN], callbacks[capture.CB_RECALL]
        )
        self.assertEqual(recorded.malformed(), [])

    def test_minorVersion1(self) -> None:
        """
        A client that has a file to itself opens it again without telling. Another one
        sees the size of what has not been written back; when it reads the file it
        reads all of that, after CB_RECALL. A reader's delegation is recalled by a
        writer, whose data is seen at once. After both have unmounted nothing is left,
        and an independent decoder finds nothing malformed.
        """
        self.between("4.1")

    def test_minorVersion2(self) -> None:
        """
        Likewise with NFSv4.2.
        """
        self.between("4.2")

    def test_reclaimed(self) -> None:
        """
        A write delegation survives kill -9 of the metadata server: its holder reclaims
        it and goes on; when another client wants the file, it is recalled as before,
        and nothing of what was written is lost.
        """
        cluster = self.cluster("--lease", "10")
        holder = self.guest(cluster, _RECLAIMER)
        reader = self.guest(cluster, _READER, 1)
        reader.expect("mounted")
        holder.expect("holding")
        self.assertEqual(cluster.held("delegations"), 1)
        cluster.restart(cluster.crash(cluster.mds))
        waitUntil(lambda: cluster.held("delegations"), 60, "the reclaim")
        holder.tell("go")
        holder.expect("written", 30)
        reader.tell("want")
        reader.finish()
        holder.tell("end")
        holder.finish()
        mebibyte = 1 << 20
        self.assertEqual(
            reader.results(), {"sum": _sum(b"b" * (2 * mebibyte), b"c" * mebibyte)}
        )
        waitUntil(lambda: not cluster.held("stateids"), 10, "all state to be returned")

    def test_stopped(self) -> None:
        """
        A holder that is stopped cannot keep a file from another client for ever. When
        it goes on it learns that its delegation is gone, and sees what the other one
        has written; nothing is left in the end.
        """
        cluster = self.cluster("--lease", "10")
        holder = self.guest(cluster, _SILENT)
        other = self.guest(cluster, _OVERRIDER, 1)
        other.expect("mounted")
        holder.expect("holding")
        self.assertEqual(cluster.held("delegations"), 1)
        holder.freeze()
        other.tell("want")
        other.expect("written", 90)
        other.finish()
        self.assertEqual(cluster.held("delegations"), 0)
        holder.thaw()
        holder.tell("look")
        holder.finish()
        self.assertEqual(holder.results(), {"text": "other"})
        waitUntil(lambda: not cluster.held("stateids"), 10, "all state to be returned")
