"""
The runner of the system tests itself, against a foreign server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.system.linuxclient import Guest, requireGuest
from tests.system.namespace import Network
from tests.system.processes import Process

_CONFIGURATION = """
NFS_CORE_PARAM {{
    NFS_Port = {port}; Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false;
    NSM_Use_Caller_Name = true;
}}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; Minor_Versions = 1, 2; }}
EXPORT {{
    Export_Id = 1; Path = {tree}; Pseudo = /export; Protocols = 4; Access_Type = RW;
    Squash = No_Root_Squash; SecType = sys; FSAL {{ Name = VFS; }}
}}
"""


def startGanesha(network: Network, directory: str, port: int = 12049) -> Process:
    """
    Start nfs-ganesha in a network with the export C{/export}, kept
    in a tmpfs under C{directory}; the caller kills it and unmounts C{tree} there.

    @raise SkipTest: it is not installed.
    """
    if shutil.which("ganesha.nfsd") is None:
        raise SkipTest(
            "system test: needs ganesha.nfsd (Debian: nfs-ganesha nfs-ganesha-vfs)"
        )
    tree = os.path.join(directory, "tree")
    os.mkdir(tree)
    subprocess.run(["mount", "-t", "tmpfs", "ganesha", tree], check=True)
    configuration = os.path.join(directory, "ganesha.conf")
    with open(configuration, "w") as text:
        text.write(_CONFIGURATION.format(tree=tree, port=port))
    os.makedirs("/var/run/ganesha", exist_ok=True)
    log = os.path.join(directory, "log")
    return network.start(
        [
            "ganesha.nfsd",
            "-F",
            "-f",
            configuration,
            "-L",
            log,
            "-p",
            f"{directory}/pid",
        ],
        os.path.join(directory, "errors"),
    )


class GuestTests(SynchronousTestCase):
    """
    A guest runs a script with the kernel's NFS client.
    """

    def setUp(self) -> None:
        requireGuest()
        self.network = Network.create()
        self.addCleanup(self.network.delete)

    def guest(self, script: str, number: int = 0) -> Guest:
        """
        Boot a guest that is gone at the end of the test.
        """
        guest = Guest.boot(self.network, script, number)
        self.addCleanup(guest.stop)
        return guest

    def test_statusAndOutput(self) -> None:
        """
        A script that fails is a failed test that shows what it said.
        """
        guest = self.guest("result word hello\nfalse\necho unreached")
        error = self.assertRaises(AssertionError, guest.finish)
        self.assertIn("status 1", str(error))
        self.assertEqual(guest.results(), {"word": "hello"})
        self.assertNotIn("unreached", guest.output)

    def test_writesAndReads(self) -> None:
        """
        Two guests use one foreign server: what one wrote, both read back from the
        server with the same checksum. A frozen guest waits and then goes on.
        """
        directory = tempfile.mkdtemp(prefix="pnfs-ganesha-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        server = startGanesha(self.network, directory)
        self.addCleanup(
            subprocess.run, ["umount", "-l", os.path.join(directory, "tree")]
        )
        self.addCleanup(server.kill)
        mount = """
            for try in $(seq 50); do mount_export 4.1 12049 && break; sleep 0.2; done
            result pnfs "$(pnfs_of_mount)"
        """
        writer = self.guest(mount + """
            head -c 16M /dev/urandom | tee /mnt/data | sha256sum | cut -c1-64 > /tmp/sum
            drop_caches
            result sum "$(cat /tmp/sum)"
            result again "$(sum_of /mnt/data)"
            echo written
            await_host go
            echo thawed
        """)
        writer.expect("written")
        writer.freeze()
        writer.tell("go")
        reader = self.guest(mount + 'result sum "$(sum_of /mnt/data)"', 1)
        reader.finish()
        self.assertNotIn("thawed", writer.output)
        writer.thaw()
        writer.finish()
        results = writer.results()
        self.assertEqual(len(results["sum"]), 64)
        self.assertEqual(results["again"], results["sum"])
        self.assertEqual(reader.results()["sum"], results["sum"])
        self.assertEqual(results["pnfs"], "not configured")
