"""
Extended attributes and access control lists through a Linux client.
"""

from __future__ import annotations

import os
import shutil

from tests.system.cluster import Cluster
from tests.system.linuxcase import LinuxTestCase

_PROGRAM = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "guest", "attributes.py"
)

_XATTRS = """
    await_host go
    mount_export 4.1 "$PORT"
    touch /mnt/old
    "$PYTHON" -c 'import os; os.setxattr("/mnt/old", "user.x", b"")' 2> /run/said || true
    result old "$(grep -c 'Operation not supported' /run/said)"
    umount /mnt
    mount_export 4.2 "$PORT"
    "$PYTHON" /job/attributes.py xattrs /mnt
"""

_LISTS = """
    await_host go
    for version in 4.1 4.2; do
        # Linux believes a mode it knows after it has set a list.
        mount_export $version "$PORT" actimeo=0
        mkdir /mnt/$version
        "$PYTHON" /job/attributes.py acl /mnt/$version | sed "s/^result /&$version-/"
        umount /mnt
    done
"""

DENIED = "EACCES"
EXPECTED = {
    "made": "ok",
    "written": "ok",
    "mode-private": "ok",
    "stranger": DENIED,
    "given": "ok",
    "mode-given": "0o600",
    "reads": "ok",
    "writes": "ok",
    "others-list": "EPERM",
    "denied": "ok",
    "mode-denied": "0o666",
    "still-reads": "ok",
    "writes-no-more": DENIED,
    "third": "ok",
    "chmod": "ok",
    "mode-chmod": "0o640",
    "after-chmod": DENIED,
    "owner-still": "ok",
    "folder": "ok",
    "inheritable": "ok",
    "inherits": "ok",
    "not-inherited": DENIED,
    "below": "ok",
    "below-file": DENIED,
}


class AttributeTests(LinuxTestCase):
    """
    What C{setfattr}, C{getfattr}, C{cp --preserve=xattr} and C{nfs4_setfacl} do.
    """

    maxDiff = None

    def run_(self, script: str, *options: str) -> tuple[Cluster, dict[str, str]]:
        """
        Run a script on a cluster.
        """
        cluster = self.cluster(*options)
        guest = self.guest(cluster, script)
        shutil.copy(_PROGRAM, guest.directory)
        guest.tell("go")
        guest.finish(300)
        return cluster, guest.results()

    def test_xattrs(self) -> None:
        """
        With NFSv4.2 attributes of users are kept over renaming, copied, listed in
        any number and removed; the server's own are never seen. NFSv4.1 has none.
        """
        _, results = self.run_(_XATTRS, "--layout", "files", "--data-servers", "2")
        self.assertEqual(
            results,
            {
                "old": "1",
                "none": results["none"],
                "again": "EEXIST",
                "absent": "ENODATA",
                "trusted": "ENOTSUP",
                "missing": "ENODATA",
                "renamed": "True",
                "bytes-of-renamed": "ok",
                "copy": "True",
                "bytes-of-copy": "ok",
                "removed": "ENODATA",
                "folder": "b'too'",
                "many": "60",
            },
        )
        self.assertNotIn("user.", results["none"])
        self.assertNotIn("pnfsd", results["none"])

    def lists(self, *options: str) -> None:
        """
        Lists with both minor versions, all bytes by way of the data servers.
        """
        cluster, results = self.run_(_LISTS, *options)
        # NFSv4.1 clients apply the umask before a list is inherited.
        for version, inherited in (("4.1", DENIED), ("4.2", "ok")):
            wanted = {**EXPECTED, "inherited": inherited}
            seen = {
                name.split("-", 1)[1]: value
                for name, value in results.items()
                if name.startswith(version)
            }
            self.assertEqual(seen, wanted, version)
        counts = cluster.operations()
        self.assertEqual((counts["READ"], counts["WRITE"]), (0, 0))
        self.assertGreater(counts["LAYOUTGET"], 0)

    def test_striped(self) -> None:
        """
        A named user reads and writes what the mode forbids, a denied one does not
        what it allows, files inherit, and chmod counts; data servers obey.
        """
        self.lists("--layout", "files", "--data-servers", "3")

    def test_mirrored(self) -> None:
        """
        The same on two mirrors.
        """
        self.lists("--layout", "flexfiles", "--mirrors", "2", "--data-servers", "2")
