"""
C{pnfs demo} as a newcomer runs it.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from typing import Any, Optional

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.system.cluster import PNFS, Cluster, environment
from tests.system.processes import Process, answers


class DemoTests(SynchronousTestCase):
    """
    Real servers on the loopback; no root needed.
    """

    def demo(
        self, *options: str, user: Optional[str] = None
    ) -> "subprocess.CompletedProcess[str]":
        """
        Run it to the end.
        """
        home = tempfile.mkdtemp(prefix="pnfs-demo-")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        if user is not None:
            os.chown(home, pwd.getpwnam(user).pw_uid, -1)
        return subprocess.run(
            [*PNFS, "demo", *options],
            env=environment({"HOME": home, "TMPDIR": home}),
            cwd=home,
            user=user,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def events(
        self, *options: str, user: Optional[str] = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """
        Run with C{--json}, which prints two objects and nothing else.
        """
        done = self.demo("--size", "24MiB", "--json", *options, user=user)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        ready, result = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual((ready["event"], result["event"]), ("ready", "result"))
        self.assertEqual(result["ok"], True)
        self.assertEqual(result["bytes"], 24 << 20)
        self.assertEqual((result["mds_read_ops"], result["mds_write_ops"]), (0, 0))
        self.assertEqual(len(result["per_data_server"]), len(ready["data_servers"]))
        for server in [ready["mds"], *ready["data_servers"]]:
            self.assertFalse(answers("127.0.0.1", server["port"]), server)
        return ready, result

    def test_forPeople(self) -> None:
        """
        It ends well within minutes and tells how Linux would mount it.
        """
        done = self.demo("--size", "24MiB")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("mount -t nfs", done.stdout)

    def test_striped(self) -> None:
        """
        Three data servers by default, none left running, no READ or WRITE at the
        metadata server.
        """
        ready, _ = self.events()
        self.assertEqual(ready["layout"], "files")
        self.assertEqual(len(ready["data_servers"]), 3)
        self.assertEqual(ready["export"], "/export")

    def test_mirrored(self) -> None:
        """
        Flexible files with two mirrors.
        """
        ready, _ = self.events("--layout", "flexfiles", "--mirrors", "2")
        self.assertEqual((ready["layout"], ready["mirrors"]), ("flexfiles", 2))

    def test_unprivileged(self) -> None:
        """
        All of it without root.
        """
        if os.geteuid() != 0:
            raise SkipTest("system test: not root, so the other tests have shown it")
        try:
            subprocess.run(
                [*PNFS[:1], "-c", "import pnfs"],
                env=environment(),
                user="nobody",
                capture_output=True,
                check=True,
            )
        except (PermissionError, subprocess.CalledProcessError):
            raise SkipTest(
                "system test: this Python is not readable by other users"
            ) from None
        self.events(user="nobody")
        self.events("--layout", "flexfiles", "--mirrors", "2", user="nobody")

    def test_keep(self) -> None:
        """
        With C{--keep} it stays until Ctrl-C, then everything stops.
        """
        cluster = Cluster.start(None)
        self.assertTrue(answers("127.0.0.1", cluster.mds.port))
        cluster.stop()

    def test_interrupt(self) -> None:
        """
        Ctrl-C on a terminal goes to the servers as well; the end is as quiet.
        """
        folder = tempfile.mkdtemp(prefix="pnfs-demo-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        for _ in range(3):
            demo = Process.start(
                [*PNFS, "demo", "--keep", "--json", "--size", "0"],
                os.path.join(folder, "errors"),
                environment({"TMPDIR": folder}),
            )
            self.addCleanup(demo.kill)
            demo.expect(lambda seen: '"ready"' in seen, 60, "ready line")
            os.killpg(demo.pid, signal.SIGINT)
            self.assertEqual(demo.wait(30), 0, demo.report())
        with open(os.path.join(folder, "errors")) as errors:
            self.assertEqual(errors.read(), "")
        self.assertEqual(os.listdir(folder), ["errors"])
