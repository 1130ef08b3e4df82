"""
A Linux client and data servers without room.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Any

from tests.system.linuxcase import LinuxTestCase
from tests.system.site import Site

MEBIBYTE = 1 << 20

_WRITER = """
    mount_export 4.2 "$PORT"
    result total "$(stat -f -c '%b %S' /mnt | awk '{print $1 * $2 / 1048576}')"
    "$PYTHON" - <<'END'
import errno, os
block = b"w" * (1 << 20)
fd = os.open("/mnt/big", os.O_RDWR | os.O_CREAT, 0o644)
kept, problem = 0, ""
try:
    while kept < 200:
        os.pwrite(fd, block, kept << 20)
        os.fsync(fd)
        kept += 1
except OSError as error:
    problem = errno.errorcode[error.errno]
try:
    os.close(fd)
except OSError as error:
    problem += errno.errorcode[error.errno]
print("result problem", problem)
print("result plausible", 20 <= kept < 64)
open("/job/kept", "w").write(str(kept))
END
    drop_caches
    kept=$(cat /job/kept)
    result intact "$(head -c "${kept}M" /mnt/big | tr -d w | wc -c) $(
        head -c "${kept}M" /mnt/big | wc -c | awk -v kept="$kept" '{print $1 - kept * 1048576}')"
    rm /mnt/big
    for attempt in $(seq 100); do      # the data files go in the background
        fill c 8 > /mnt/small 2> /dev/null && break
        sleep 0.2
    done
    drop_caches
    result again "$(wc -c < /mnt/small) $(tr -d c < /mnt/small | wc -c)"
"""


class FullTests(LinuxTestCase):
    """
    Data folders on small file systems of their own.
    """

    def tmpfs(self, size: str) -> str:
        """
        A small file system, gone at the end.
        """
        folder = tempfile.mkdtemp(prefix="pnfs-full-")
        self.addCleanup(os.rmdir, folder)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True
        )
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        return folder

    def fill(
        self, layout: str, protocol: str = "nfs4.1", **export: Any
    ) -> dict[str, str]:
        """
        Have a client write until there is no room any more, and again after that.
        """
        folders = [self.tmpfs("32m") for _ in range(2)]
        services = [f"data = {json.dumps(folder)}\n" for folder in folders]
        site = Site(
            {"layout": layout, **export}, [{"protocol": protocol}] * 2, services
        )
        cluster = self.site(site)
        writer = self.guest(cluster, _WRITER)
        writer.finish(150)
        return writer.results()

    def test_striped(self) -> None:
        """
        The application is told ENOSPC; every byte that fsync had acknowledged is
        there, and when there is room again writing works. C{df} shows the sum.
        """
        found = self.fill("files", stripe_unit="64KiB")
        self.assertEqual(
            found,
            {
                "total": "64",
                "problem": "ENOSPC",
                "plausible": "True",
                "intact": "0 0",
                "again": f"{8 * MEBIBYTE} 0",
            },
        )

    def test_mirrored(self) -> None:
        """
        The same with two copies of each byte, of which C{df} counts one.
        """
        self.assertMirrored(self.fill("flexfiles", mirrors=2))

    def test_mirroredNFS3(self) -> None:
        """
        Clients say nothing of what an NFSv3 data server has refused, but ask for
        the layout again: that comes to an end, too.
        """
        self.assertMirrored(self.fill("flexfiles", "nfs3", mirrors=2))

    def assertMirrored(self, found: dict[str, str]) -> None:
        """
        The application was told, and has lost nothing.
        """
        self.assertEqual(
            found,
            {
                "total": "32",
                "problem": "ENOSPC",
                "plausible": "True",
                "intact": "0 0",
                "again": f"{8 * MEBIBYTE} 0",
            },
        )
