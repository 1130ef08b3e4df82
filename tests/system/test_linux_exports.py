"""
Two Linux clients at different addresses: what an export is to each of them, and what
they notice when that changes while it is mounted.
"""

from __future__ import annotations

import hashlib
from typing import Any

from tests.system.linuxcase import LinuxTestCase
from tests.system.site import Site

INSIDE = "10.77.0.101"
OUTSIDE = "10.77.0.102"

_INSIDE = """
    mount_export 4.2 "$PORT"
    fill a 4 > /mnt/secret
    chmod 600 /mnt/secret
    mkdir -m 777 /mnt/open
    sync
    "$PYTHON" - <<'END' &
import os
fd = os.open("/mnt/steady", os.O_RDWR | os.O_CREAT)
count = 0
while not os.path.exists("/job/told-end"):
    os.pwrite(fd, b"s" * 65536, 65536 * (count % 256))
    os.fsync(fd)
    count += 1
print("result steady", "enough" if count > 20 else count, flush=True)
END
    echo mounted
    await_host end
    wait
    drop_caches
    result secret "$(sum_of /mnt/secret)"
"""

_OUTSIDE = """
    said() { "$@" > /dev/null 2> /tmp/said && echo fine || tail -1 /tmp/said | sed 's/.*: //'; }

    mount_export 4.2 "$PORT" 2> /dev/null && result first mounted || result first refused
    echo tried
    await_host readonly
    mount_export 4.2 "$PORT"
    result listed "$(ls /mnt | tr '\\n' ' ')"
    result written "$(said touch /mnt/open/new)"
    result secret "$(said cat /mnt/secret)"
    echo readonly
    await_host squashed
    fill b 4 > /mnt/open/root
    "$PYTHON" - <<'END'
import os
os.setgid(1000)
os.setuid(1000)
fd = os.open("/mnt/open/user", os.O_RDWR | os.O_CREAT, 0o600)
os.pwrite(fd, b"u" * (4 << 20), 0)
os.fsync(fd)
os.close(fd)
END
    drop_caches
    for name in root user; do
        result "$name" "$(stat -c %u:%g /mnt/open/$name) $(sum_of /mnt/open/$name)"
    done
    result pnfs "$(pnfs_of_mount)"
    echo squashed
    exec 3>>/mnt/open/root
    await_host out
    echo 3 > /proc/sys/vm/drop_caches   # what the client has in memory is its own
    result stale "$(said cat /mnt/open/root)"
    append() { "$PYTHON" -c 'import os; os.write(3, b"x"); os.fsync(3)' 2> /dev/null; }
    if append; then result append fine; else result append refused; fi
    umount -f /mnt || umount -l /mnt
"""


class ExportsTests(LinuxTestCase):
    """
    One client is on the list all the time, the other's terms change.
    """

    def test_terms(self) -> None:
        """
        Not on the list: the mount fails. Read-only and root-squashed: it reads what
        all may read. All squashed: what its users make is the anonymous user's, and
        its bytes go straight to the data servers. Off the list: its handles are
        stale. The other client goes on writing through all that.
        """
        rest: dict[str, Any] = {"stripe_unit": "64KiB"}
        known = {"match": INSIDE, "squash": "none"}

        def terms(**terms: Any) -> dict[str, Any]:
            return {**rest, "clients": [known, {"match": OUTSIDE, **terms}]}

        site = Site({**rest, "clients": [known]}, [{}, {}])
        cluster = self.site(site)
        inside = self.guest(cluster, _INSIDE)
        inside.expect("mounted")
        outside = self.guest(cluster, _OUTSIDE, 1)
        outside.expect("tried")
        site.reload(terms(access="ro", squash="root"))
        outside.tell("readonly")
        outside.expect("readonly")
        site.reload(terms(squash="all", anonuid=1234, anongid=1235))
        outside.tell("squashed")
        outside.expect("squashed")
        operations = cluster.operations()
        site.reload({**rest, "clients": [known]})
        outside.tell("out")
        outside.finish()
        inside.tell("end")
        inside.finish()

        def sum(letter: bytes) -> str:
            return hashlib.sha256(letter * (4 << 20)).hexdigest()

        self.assertEqual(inside.results(), {"steady": "enough", "secret": sum(b"a")})
        self.assertEqual(
            outside.results(),
            {
                "first": "refused",
                "listed": "open secret steady",
                "written": "Read-only file system",
                "secret": "Permission denied",
                "root": f"1234:1235 {sum(b'b')}",
                "user": f"1234:1235 {sum(b'u')}",
                "pnfs": "LAYOUT_NFSV4_1_FILES",
                "stale": "Stale file handle",
                "append": "refused",
            },
        )
        self.assertEqual((operations["READ"], operations["WRITE"]), (0, 0))
