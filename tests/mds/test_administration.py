"""
Tests of L{pnfs.mds.administration}; commands with a server are in
L{tests.system.test_administration}.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from pnfs.mds.administration import claim

_HOLD = """
import sys, time
from pnfs.mds.administration import claim
claim(sys.argv[1])
print("claimed", flush=True)
time.sleep(60)
"""


class ClaimTests(SynchronousTestCase):
    """
    One process at a time listens at the path of the control socket.
    """

    def setUp(self) -> None:
        self.path = self.mktemp()

    def claimed(self) -> int:
        """
        Claim it for the length of the test.
        """
        fd = claim(self.path)
        self.addCleanup(os.close, fd)
        return fd

    def test_second(self) -> None:
        """
        A second server is refused, and the socket of the first one stays; after the
        first one has stopped it may.
        """
        first = claim(self.path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            self.assertRaises(BlockingIOError, claim, self.path)
            self.assertTrue(os.path.exists(self.path))
        os.close(first)
        self.claimed()
        self.assertFalse(os.path.exists(self.path))

    def test_killed(self) -> None:
        """
        A server that was killed is in nobody's way, even while its process id is still
        taken, as after a restart of a machine or a container.
        """
        child = subprocess.Popen(
            [sys.executable, "-c", _HOLD, self.path],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stdout is not None
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.assertEqual(child.stdout.readline(), b"claimed\n")
        self.assertRaises(BlockingIOError, claim, self.path)
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.claimed()

    def test_otherFile(self) -> None:
        """
        A file of the user's that is no socket is not removed.
        """
        with open(self.path, "w") as stream:
            stream.write("mine")
        self.claimed()
        self.assertTrue(os.path.exists(self.path))

    def test_noFolder(self) -> None:
        """
        Without its folder there is no socket.
        """
        self.assertRaises(FileNotFoundError, claim, os.path.join(self.path, "socket"))
