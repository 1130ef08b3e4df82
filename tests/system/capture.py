"""
What was on the wire, as an independent decoder (tshark) understands it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter

import attrs
from twisted.trial.unittest import SkipTest

from tests.system.namespace import BRIDGE, Network
from tests.system.processes import Process, waitUntil

DELEGRETURN = "8"
GETDEVICEINFO = "47"
LAYOUTCOMMIT = "49"
LAYOUTGET = "50"
LAYOUTRETURN = "51"
CB_GETATTR = "3"
CB_RECALL = "4"
CB_LAYOUTRECALL = "5"
CB_SEQUENCE = "11"
CB_NOTIFY_DEVICEID = "14"

_ALL_IS_RPC = ["-d", "tcp.port==1-65535,rpc"]
"""
Linux chooses any privileged port: what it sends from 988 would be taken for Lustre.
"""


def requireCapture() -> None:
    """
    @raise SkipTest: there is no tshark.
    """
    if shutil.which("tshark") is None:
        raise SkipTest("system test: needs the program tshark (Debian: tshark)")


@attrs.define(eq=False)
class Capture:
    """
    A running or finished capture of everything that crosses a network's bridge.
    """

    directory: str
    _process: Process

    @classmethod
    def start(cls, network: Network) -> "Capture":
        """
        Start, and wait until packets are being written.
        """
        requireCapture()
        directory = tempfile.mkdtemp(prefix="pnfs-capture-")
        process = network.start(
            ["tshark", "-q", "-i", BRIDGE, "-B", "64", "-f", "tcp"]
            + ["-w", os.path.join(directory, "packets")],
            os.path.join(directory, "errors"),
        )
        self = cls(directory, process)
        waitUntil(lambda: "Capturing on" in process.report(), 30, "tshark to capture")
        return self

    def finish(self) -> None:
        """
        Stop capturing; what has crossed the bridge by now is kept.
        """
        self._process.signal(signal.SIGINT)
        self._process.wait(30)

    def _fields(self, field: str, shown: str) -> list[str]:
        return subprocess.run(
            ["tshark", "-r", os.path.join(self.directory, "packets"), *_ALL_IS_RPC]
            + ["-Y", shown, "-T", "fields", "-E", "occurrence=a", "-e", field],
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout.split("\n")[:-1]

    def operations(self) -> Counter[str]:
        """
        NFSv4 operations in calls to servers, by number.
        """
        return self._count("nfs.opcode", "rpc.msgtyp == 0")

    def callbacks(self) -> Counter[str]:
        """
        Operations in calls to clients, by number.
        """
        return self._count("nfs.cb.operation", "rpc.msgtyp == 0")

    def failed(self, callback: str) -> list[str]:
        """
        Frame numbers of answers to a callback that are errors.
        """
        return self._fields(
            "frame.number",
            f"rpc.msgtyp == 1 && nfs.cb.operation == {callback} && nfs.nfsstat4 != 0",
        )

    def sentFrom(self, host: str, port: int) -> int:
        """
        Bytes that came from an address.
        """
        sizes = self._fields("tcp.len", f"ip.src == {host} && tcp.srcport == {port}")
        return sum(map(int, sizes))

    def _count(self, field: str, shown: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for row in self._fields(field, f"{shown} && {field}"):
            counts.update(row.split(","))
        return counts

    def thresholds(self) -> int:
        """
        How many replies tell of an C{mdsthreshold}.
        """
        return len(self._fields("frame.number", "nfs.fattr4.threshold_item.hint_count"))

    def malformed(self) -> list[str]:
        """
        Frame numbers of what could not be decoded; should be none.
        """
        return self._fields("frame.number", "_ws.malformed")

    def stop(self) -> None:
        """
        Kill it, if it runs, and remove its file.
        """
        self._process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
