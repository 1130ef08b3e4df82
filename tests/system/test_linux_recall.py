"""
Two Linux clients and one file: layouts are recalled, and who does not answer is
fenced.
"""

from __future__ import annotations

import hashlib
import os
from typing import Mapping

from pnfs.backends.ds.local_record import TRUSTED, decodeRecord
from tests.system import capture
from tests.system.capture import requireCapture
from tests.system.cluster import Cluster
from tests.system.linuxcase import LinuxTestCase

_HOLDER = """
    mount_export 4.1 "$PORT"
    for name in truncated removed replaced; do fill a 4 > /mnt/$name; done
    exec 3<>/mnt/truncated 4<>/mnt/removed 5<>/mnt/replaced
    for number in 3 4 5; do fill b 1 >&$number; done
    sync
    echo holding
    await_host go
    for number in 3 4 5; do fill c 1 >&$number; done
    drop_caches
    for number in 4 5; do result "open-$number" "$(sum_of_descriptor $number)"; done
    exec 3>&- 4>&- 5>&-
    result truncated "$(sum_of /mnt/truncated)"
    result replaced "$(sum_of /mnt/replaced)"
    if [ -e /mnt/removed ]; then result removed still there; fi
"""

_DISTURBER = """
    mount_export 4.1 "$PORT"
    echo mounted
    await_host disturb
    truncate -s 1000 /mnt/truncated
    result size "$(stat -c %s /mnt/truncated)"
    rm /mnt/removed
    fill d 2 > /mnt/new
    mv /mnt/new /mnt/replaced
    echo disturbed
    await_host look
    drop_caches
    result truncated "$(sum_of /mnt/truncated)"
    result replaced "$(sum_of /mnt/replaced)"
    if [ -e /mnt/removed ]; then result removed still there; fi
"""

_FENCED = """
    mount_export 4.1 "$PORT"
    "$PYTHON" - <<'END'
import fcntl, mmap, os, threading, time
os.setgid(1000)
os.setuid(1000)
block = mmap.mmap(-1, 1 << 20)
block.write(b"a" * (1 << 20))
fd = os.open("/mnt/fenced", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
fcntl.lockf(fd, fcntl.LOCK_EX)
written, refused = [], threading.Event()
def write():
    try:
        while True:
            os.pwrite(fd, block, len(written) % 16 << 20)
            written.append(1)
    except OSError:
        refused.set()
for number in range(4):
    threading.Thread(target=write, daemon=True).start()
while len(written) < 32:
    time.sleep(0.01)
print("writing", flush=True)
refused.wait()
print("fenced", flush=True)
os._exit(0)
END
"""

_FENCER = """
    mount_export 4.1 "$PORT"
    echo mounted
    await_host go
    begin=$(date +%s)
    truncate -s 0 /mnt/fenced
    result waited $(($(date +%s) - begin))
    chown 0:0 /mnt/fenced     # so that the other cannot simply open it again
    chmod 600 /mnt/fenced
    "$PYTHON" - <<'END'
import fcntl, os
fd = os.open("/mnt/fenced", os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX)
os.pwrite(fd, b"d" * (8 << 20), 0)
os.fsync(fd)
print("replaced", flush=True)
import time
while not os.path.exists("/job/told-look"):
    time.sleep(0.1)
END
    drop_caches
    result wrong "$("$PYTHON" - <<'END'
import itertools
data = open("/mnt/fenced", "rb").read()
blocks = [data[i:i + 4096] for i in range(0, len(data), 4096)]
runs = [(k, len(list(g))) for k, g in itertools.groupby(
    chr(b[0]) if b == b[:1] * len(b) else "mixed" for b in blocks)]
print("" if runs == [("d", 2048)] else repr(runs)[:500])
END
)"
"""


def _sum(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


class RecallTests(LinuxTestCase):
    """
    One client holds read-write layouts, another one changes the files.
    """

    def setUp(self) -> None:
        requireCapture()
        super().setUp()

    def test_recalled(self) -> None:
        """
        While one client has three files open for writing, another truncates one,
        removes one and renames over one: it need not wait long, the first client
        goes on writing, and both see what a local file system would show. An
        independent decoder finds the recalls and nothing malformed.
        """
        cluster = self.cluster("--lease", "30")
        recorded = self.capture()
        holder = self.guest(cluster, _HOLDER)
        disturber = self.guest(cluster, _DISTURBER, 1)
        holder.expect("holding")
        disturber.expect("mounted")
        disturber.tell("disturb")
        disturber.expect("disturbed", 25)
        holder.tell("go")
        holder.finish()
        disturber.tell("look")
        disturber.finish()
        recorded.finish()

        mebibyte = 1 << 20
        a, b, c, d = (letter * mebibyte for letter in (b"a", b"b", b"c", b"d"))
        truncated = _sum(b[:1000], bytes(mebibyte - 1000), c)
        orphan = _sum(b, c, a, a)
        self.assertEqual(
            holder.results(),
            {
                "open-4": orphan,
                "open-5": orphan,
                "truncated": truncated,
                "replaced": _sum(d, d),
            },
        )
        self.assertEqual(
            disturber.results(),
            {"size": "1000", "truncated": truncated, "replaced": _sum(d, d)},
        )
        operations, callbacks = recorded.operations(), recorded.callbacks()
        self.assertGreaterEqual(callbacks[capture.CB_LAYOUTRECALL], 3)
        self.assertGreaterEqual(
            callbacks[capture.CB_SEQUENCE], callbacks[capture.CB_LAYOUTRECALL]
        )
        for number in (capture.LAYOUTGET, capture.GETDEVICEINFO, capture.LAYOUTRETURN):
            self.assertGreater(operations[number], 0, f"operation {number}")
        self.assertEqual(recorded.malformed(), [])

    def assertFenced(self, cluster: Cluster) -> None:
        """
        The data servers themselves refuse the handles of before: that the file's
        mode does so as well, in the script, must not be what protects it.
        """
        epochs = []
        for server in cluster.dataServers:
            for folder, _, names in os.walk(server.directory):
                for name in names:
                    path = os.path.join(folder, name)
                    if TRUSTED in os.listxattr(path):
                        record = decodeRecord(os.getxattr(path, TRUSTED))
                        assert record is not None, path
                        epochs.append(record.epoch)
        self.assertEqual(len(epochs), len(cluster.dataServers))
        self.assertGreater(min(epochs), 1)

    def fencedOff(self, restart: bool) -> Mapping[str, str]:
        """
        A client is stopped in the middle of its writes, another one replaces the file,
        and the first one goes on.

        @param restart: the metadata server is killed meanwhile, and is back.
        @return: the results of the other one.
        """
        cluster = self.cluster("--lease", "10")
        holder = self.guest(cluster, _FENCED)
        fencer = self.guest(cluster, _FENCER, 1)
        fencer.expect("mounted")
        holder.expect("writing")
        holder.freeze()
        if restart:
            cluster.restart(cluster.crash(cluster.mds))
        fencer.tell("go")
        fencer.expect("replaced", 120)
        self.assertFenced(cluster)
        holder.thaw()
        holder.expect("fenced", 120)
        fencer.tell("look")
        fencer.finish()
        return fencer.results()

    def test_fenced(self) -> None:
        """
        A client that is stopped in the middle of its writes cannot hold up another
        for ever: after the deadline its layout is revoked, and when it goes on, what
        it had still to write does not reach the data. It is told.
        """
        results = self.fencedOff(False)
        self.assertEqual(results["wrong"], "")
        self.assertGreaterEqual(int(results["waited"]), 5)

    def test_fencedAfterRestart(self) -> None:
        """
        A metadata server that has been killed knows of no layout when it is back. A
        client that does not come back is fenced off when the grace period is over,
        before another one gets the file.
        """
        self.assertEqual(self.fencedOff(True)["wrong"], "")
