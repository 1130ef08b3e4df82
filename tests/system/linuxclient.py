"""
The real Linux NFS client: boots user-mode-linux, whose kernel has the pNFS layout
drivers, and runs a shell script in it as root.

The guest's root is the host's tree behind an overlay that is thrown away, so it
has every program the host has. C{/job} in the guest is L{Guest.directory} on the
host: both sides may leave files there. In the script C{$SERVER} is the servers'
first address and C{$NUMBER} tells the guests apart; the shell functions of
C{guest/functions.sh} are there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import tempfile
from typing import Mapping, Optional

import attrs
from twisted.trial.unittest import SkipTest

from tests.system.namespace import SERVER, Network, requireRoot
from tests.system.processes import Process

_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
_MEBIBYTE = 1 << 20


def requireGuest() -> None:
    """
    @raise SkipTest: no guest can be booted here; names what is missing.
    """
    requireRoot()
    for program, package in [
        ("linux.uml", "user-mode-linux"),
        ("mount.nfs", "nfs-common"),
        ("modprobe", "kmod"),
        ("busybox", "busybox-static"),
    ]:
        if shutil.which(program) is None:
            raise SkipTest(f"system test: needs {program} (Debian: {package})")
    if not os.path.exists("/dev/net/tun"):
        raise SkipTest("system test: needs /dev/net/tun")


def _memoryFolder(mebibytes: int) -> str:
    """
    Where the guest's memory is kept: in memory if there is room (containers often
    have a small C{/dev/shm}).
    """
    try:
        space = os.statvfs("/dev/shm")
    except OSError:
        return tempfile.gettempdir()
    if space.f_bavail * space.f_frsize > 2 * mebibytes * _MEBIBYTE:
        return "/dev/shm"
    return tempfile.gettempdir()


@attrs.define(eq=False)
class Guest:
    """
    One running guest.

    @ivar directory: C{/job} of the guest.
    @ivar address: its IP address.
    """

    directory: str
    address: str
    _process: Process

    @classmethod
    def boot(
        cls,
        network: Network,
        script: str,
        number: int = 0,
        environment: Optional[Mapping[str, str]] = None,
        mebibytes: int = 512,
    ) -> "Guest":
        """
        Start a guest; it powers itself off when the script has ended.

        @param script: what bash is to run. It stops at the first failure.
        """
        requireGuest()
        tap, address = network.addTap()
        directory = tempfile.mkdtemp(prefix="pnfs-guest-")
        with open(os.path.join(_HERE, "functions.sh")) as functions:
            with open(os.path.join(directory, "script"), "w") as text:
                text.write(functions.read() + script)
        settings = {"SERVER": SERVER, "NUMBER": str(number), **(environment or {})}
        with open(os.path.join(directory, "environment"), "w") as text:
            for name, value in settings.items():
                text.write(f"export {name}={shlex.quote(value)}\n")
        init = os.path.join(_HERE, "init.sh")
        command = [
            "linux.uml",
            f"mem={mebibytes}M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            "quiet",
            "panic=-1",
            "con=null",
            "con0=null,fd:2",
            "con1=null,fd:1",
            "ssl=null",
            f"umid=guest-{os.path.basename(directory)}",
            f"uml_dir={directory}/uml",
            f"vec0:transport=tap,ifname={tap},depth=128,gro=1",
            "init=/bin/sh",
            f"PNFS_INIT={init}",
            f"PNFS_JOB={directory}",
            f"PNFS_ADDRESS={address}/24",
            f"PNFS_NUMBER={number}",
            "--",
            init,
        ]
        process = network.start(
            command,
            os.path.join(directory, "console"),
            {**os.environ, "TMPDIR": _memoryFolder(mebibytes)},
        )
        return cls(directory, address, process)

    @property
    def output(self) -> str:
        """
        What the script has printed so far, errors included.
        """
        return "\n".join(self._process.lines)

    def expect(self, line: str, seconds: float = 120) -> None:
        """
        Wait until the script has printed exactly this line.

        @raise tests.system.processes.Late: it did not.
        """
        self._process.expect(lambda seen: seen == line, seconds, repr(line))

    def tell(self, word: str) -> None:
        """
        Let a script that says C{await_host word} go on.
        """
        with open(os.path.join(self.directory, f"told-{word}"), "w"):
            pass

    def freeze(self) -> None:
        """
        Stop the whole machine, as SIGSTOP on its kernel does: it sends nothing and
        answers nothing, and does not know.
        """
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """
        Let it go on.
        """
        self._process.signal(signal.SIGCONT)

    def finish(self, seconds: float = 300) -> str:
        """
        Wait for the end.

        @return: the output.
        @raise AssertionError: the script failed, or the guest died.
        @raise tests.system.processes.Late: it still runs.
        """
        self._process.wait(seconds)
        try:
            with open(os.path.join(self.directory, "status")) as text:
                status = int(text.read())
        except FileNotFoundError:
            raise AssertionError(f"the guest died\n{self._process.report()}") from None
        if status:
            raise AssertionError(
                f"the script ended with status {status}\n{self._process.report()}"
            )
        return self.output

    def results(self) -> dict[str, str]:
        """
        What the script has reported by C{result name value}.
        """
        found = {}
        for line in self._process.lines:
            if line.startswith("result "):
                _, name, value = (line + " ").split(" ", 2)
                found[name] = value.strip()
        return found

    def stop(self) -> None:
        """
        Kill it, if it runs, and remove its folder.
        """
        self.thaw()
        self._process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
