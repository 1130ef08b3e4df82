"""
A Linux client appends to a file while a data server is slow.
"""

from __future__ import annotations

import os
import shutil
import signal
import time

from tests.system.cluster import storedBytes
from tests.system.linuxcase import LinuxTestCase
from tests.system.processes import Late
from tests.system.site import Site

_APPEND = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "append.py")

PIECES = 60

_SCRIPT = f"""
    mount_export 4.1 "$PORT"
    result pnfs "$(pnfs_of_mount)"
    # What is written goes out at once, and LAYOUTCOMMIT after it, while more is written.
    echo 10 > /proc/sys/vm/dirty_writeback_centisecs
    echo 1 > /proc/sys/vm/dirty_expire_centisecs
    "$PYTHON" /job/append.py /mnt/file {PIECES}
    echo end
"""


class AppendTests(LinuxTestCase):
    """
    A file on two data servers, of which the client writes to one alone: all is in its
    first stripe unit.
    """

    def test_slowDataServer(self) -> None:
        """
        The other one stops for more than a second, again and again. The metadata server
        has to ask both for the size, and by the time that it has both answers the first
        is old: the client has written more, and committed it. If it were told the old
        size it would append there, over what it has written.
        """
        site = Site({"stripe_unit": 1 << 26}, [{}, {}])
        cluster = self.site(site)
        guest = self.guest(cluster, _SCRIPT)
        shutil.copy(_APPEND, guest.directory)
        guest.expect("piece 3")
        idle = min(cluster.dataServers, key=lambda ds: storedBytes(ds.directory))
        stops = 0
        while True:
            os.kill(idle.pid, signal.SIGSTOP)
            time.sleep(1.2)
            os.kill(idle.pid, signal.SIGCONT)
            stops += 1
            try:
                guest.expect(f"piece {PIECES - 1}", 0.4)
            except Late:
                continue
            break
        guest.expect("end")
        guest.finish()
        self.assertGreater(stops, 5)
        self.assertEqual(guest.results(), {"pnfs": "LAYOUT_NFSV4_1_FILES", "wrong": ""})
