"""
A network of its own for one test: a bridge with the servers' addresses, and a
tap device for each guest.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from typing import Optional, Sequence

import attrs
from twisted.trial.unittest import SkipTest

from tests.system.processes import Process

SUBNET = "10.77.0"
SERVER = f"{SUBNET}.1"
BRIDGE = "br0"

_numbers = itertools.count(1)


def requireRoot() -> None:
    """
    @raise SkipTest: network namespaces cannot be made here; says why.
    """
    if os.geteuid() != 0:
        raise SkipTest("system test: needs root to make a network namespace")
    if shutil.which("ip") is None:
        raise SkipTest("system test: needs the program ip (Debian: iproute2)")


@attrs.define
class Network:
    """
    A network namespace with the bridge C{br0} and addresses 10.77.0.1 to .8 on it.

    @ivar name: as C{ip netns} knows it; contains our process id, so that several
        test runs do not meet.
    """

    name: str
    _guests: int = 0

    @classmethod
    def create(cls) -> "Network":
        """
        @raise SkipTest: the kernel or the container does not let us.
        """
        requireRoot()
        name = f"pnfs-{os.getpid()}-{next(_numbers)}"
        made = subprocess.run(
            ["ip", "netns", "add", name], capture_output=True, text=True
        )
        if made.returncode:
            raise SkipTest(f"system test: ip netns add: {made.stderr.strip()}")
        self = cls(name)
        try:
            self.ip("link", "set", "lo", "up")
            self.ip("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
            for number in range(1, 9):
                self.ip("addr", "add", f"{SUBNET}.{number}/24", "dev", BRIDGE)
            self.ip("link", "set", BRIDGE, "up")
        except subprocess.CalledProcessError as error:
            self.delete()
            raise SkipTest(f"system test: no bridge: {error.stderr}") from None
        return self

    def ip(self, *arguments: str) -> str:
        """
        Run C{ip} on this namespace.

        @return: what it printed.
        """
        return subprocess.run(
            ["ip", "-n", self.name, *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def addTap(self) -> tuple[str, str]:
        """
        A further port of the bridge.

        @return: name of the tap device, and the address its guest is to take.
        """
        self._guests += 1
        name = f"tap{self._guests}"
        self.ip("tuntap", "add", "dev", name, "mode", "tap")
        self.ip("link", "set", name, "master", BRIDGE, "up")
        return name, f"{SUBNET}.{100 + self._guests}"

    def inside(self, command: Sequence[str]) -> list[str]:
        """
        C{command} as it must be started to run in this namespace; the process id
        stays that of the command.
        """
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, command: Sequence[str], seconds: float = 60) -> str:
        """
        Run to the end.

        @return: standard output.
        @raise AssertionError: it failed; with what it said.
        """
        done = subprocess.run(
            self.inside(command), capture_output=True, text=True, timeout=seconds
        )
        if done.returncode:
            raise AssertionError(
                f"{' '.join(command)}: status {done.returncode}\n"
                f"{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def start(
        self,
        command: Sequence[str],
        errors: str,
        environment: Optional[dict[str, str]] = None,
        directory: Optional[str] = None,
    ) -> Process:
        """
        Start in this namespace; the caller ends it.
        """
        return Process.start(self.inside(command), errors, environment, directory)

    def delete(self) -> None:
        """
        Remove it with everything in it.
        """
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
