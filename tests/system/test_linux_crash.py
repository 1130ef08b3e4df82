"""
Servers die in the middle of a Linux client's writes and come back.
"""

from __future__ import annotations

import os
import shutil
import time

from tests.system.cluster import Cluster, Server
from tests.system.linuxcase import LinuxTestCase
from tests.system.linuxclient import Guest

_BLOCKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "blocks.py")

_SCRIPT = """
    mount_export 4.1 "$PORT"
    await_host write
    "$PYTHON" /job/blocks.py /mnt/fsynced 24
    fill x 8 > /mnt/alive
    drop_caches
    result alive "$(tail -c 3 /mnt/alive)"
"""

_STREAM = """
    numbered() {    # 4 MiB in which each page says where it belongs
        "$PYTHON" -c "import struct, sys
for offset in range($1 << 22, ($1 + 1) << 22, 4096):
    sys.stdout.buffer.write(struct.pack('>Q', offset) * 512)"
    }
    mount_export 4.1 "$PORT"
    echo 8388608 > /proc/sys/vm/dirty_bytes     # write back all the time
    for part in $(seq 32); do
        numbered $((part - 1))
        sleep 0.1
        [ $part -lt 12 ] || echo "part $part" > /dev/tty1
    done | dd of=/mnt/streamed bs=1M iflag=fullblock oflag=append conv=notrunc status=none
    sync
    drop_caches
    result wrong "$("$PYTHON" - <<'END'
import struct
data = open("/mnt/streamed", "rb").read()
wrong = [] if len(data) == 128 << 20 else [f"{len(data)} bytes"]
for offset in range(0, len(data), 4096):
    found = data[offset:offset + 4096]
    if found != struct.pack(">Q", offset) * 512:
        what = struct.unpack(">Q", found[:8])[0] if len(set(found[i:i+8] for i in range(0, 4096, 8))) == 1 else "mixed"
        wrong.append(f"{offset:#x}: {what}")
print(len(wrong), *wrong[:1], *wrong[-1:]) if wrong else None
END
)"
"""


class CrashTests(LinuxTestCase):
    """
    C{kill -9} during a write, a restart after two seconds.
    """

    def start(self, script: str, *options: str) -> tuple[Cluster, Guest]:
        """
        A cluster with short leases, and a guest with C{blocks.py}.
        """
        cluster = self.cluster("--lease", "10", *options)
        guest = self.guest(cluster, script)
        shutil.copy(_BLOCKS, guest.directory)
        guest.tell("write")
        return cluster, guest

    def restart(self, cluster: Cluster, server: Server) -> None:
        """
        Kill it, leave it dead for a while, start it again.
        """
        crashed = cluster.crash(server)
        time.sleep(2)
        cluster.restart(crashed)

    def assertNothingLost(self, guest: Guest) -> None:
        """
        Every block that fsync acknowledged is there, and the mount works.
        """
        guest.finish(400)
        self.assertEqual(
            guest.results(), {"wrong": "", "rest": "0", "alive": "xxx"}, guest.output
        )

    def test_dataServerDuringFsync(self) -> None:
        """
        A data server dies while blocks are written and fsynced: the client goes on,
        and no acknowledged block is lost.
        """
        cluster, guest = self.start(_SCRIPT, "--layout", "files")
        guest.expect("block 5")
        self.restart(cluster, cluster.dataServers[0])
        self.assertNothingLost(guest)

    def test_mirrorDuringFsync(self) -> None:
        """
        The same with a mirror of two.
        """
        cluster, guest = self.start(
            _SCRIPT,
            *("--layout", "flexfiles", "--mirrors", "2", "--data-servers", "2"),
        )
        guest.expect("block 5")
        self.restart(cluster, cluster.dataServers[1])
        self.assertNothingLost(guest)

    def test_metadataServerDuringFsync(self) -> None:
        """
        The metadata server dies while blocks are written and fsynced: the client
        reclaims its open file in the grace period and goes on; no acknowledged
        block is lost.
        """
        cluster, guest = self.start(_SCRIPT, "--layout", "files")
        guest.expect("block 5")
        self.restart(cluster, cluster.mds)
        self.assertNothingLost(guest)

    def test_bothDuringStream(self) -> None:
        """
        A data server and then the metadata server die under a stream of writes
        that nobody fsyncs: what was only in a server's memory is written again by
        the client, and the checksum is right.
        """
        cluster, guest = self.start(_STREAM, "--layout", "files")
        guest.expect("part 12")
        self.restart(cluster, cluster.dataServers[1])
        guest.expect("part 24")
        self.restart(cluster, cluster.mds)
        guest.finish(400)
        results = guest.results()
        self.assertEqual(results["wrong"], "")
