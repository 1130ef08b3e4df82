"""
A data server comes back at another address while a Linux client writes to it.
"""

from __future__ import annotations

import json
import os
import re
import shutil

import attrs

from tests.system.capture import (
    CB_LAYOUTRECALL,
    CB_NOTIFY_DEVICEID,
    GETDEVICEINFO,
    Capture,
    requireCapture,
)
from tests.system.linuxcase import LinuxTestCase
from tests.system.namespace import SERVER, SUBNET
from tests.system.processes import waitUntil
from tests.system.site import MDS_PORT, Site

_STALLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest", "stalls.py")

_HERE = (f"{SUBNET}.7", 13050)

_WRITER = """
    mount_export 4.2 "$PORT"
    result pnfs "$(pnfs_of_mount)"
    await_host write
    "$PYTHON" /job/stalls.py /mnt/file 20
    count=$(($(stat -c %s /mnt/file) / 1048576))
    "$PYTHON" /job/stalls.py --verify /mnt/file $count
    echo verified
    await_host end
"""


class MovedTests(LinuxTestCase):
    """
    A file that is striped over two data servers. One of them is stopped, and started at
    another address and port, where it registers itself. The writer goes on without an
    error: its layout was recalled. Everything reads right, straight from the new
    address, for which it has asked.
    """

    def move(self, answersThere: bool) -> Capture:
        """
        Do it.

        @param answersThere: it is still served where it was, too.
        """
        requireCapture()
        site = Site(
            {"stripe_unit": 65536}, [{}, {}], metadata={"register": True, "lease": 10}
        )
        cluster = self.site(site)
        capture = self.capture()
        guest = self.guest(cluster, _WRITER)
        shutil.copy(_STALLS, guest.directory)
        guest.tell("write")
        guest.expect("block 10")
        host, port = _HERE
        moving = cluster.dataServers[1]
        stopped = cluster.crash(moving)
        file = os.path.join(cluster.directory, "ds1.toml")
        with open(file) as stream:
            text = stream.read()
        here, there = f"{host}:{port}", f"{moving.host}:{moving.port}"
        served = [here, there] if answersThere else [here]
        text = re.sub("listen = .*", f"listen = {json.dumps(served)}", text)
        keys = {"metadata_servers": [f"{SERVER}:{MDS_PORT}"], "advertise": [here]}
        with open(file, "w") as stream:
            for key, value in keys.items():
                stream.write(f"{key} = {json.dumps(value)}\n")
            stream.write(text)
        cluster.restart(
            attrs.evolve(stopped, server=attrs.evolve(moving, host=host, port=port))
        )
        waitUntil(
            lambda: any("data server ds1 has moved" in line for line in site.log()),
            30,
            "the registration",
        )
        guest.expect("verified", 200)
        guest.tell("end")
        guest.finish(60)
        capture.finish()
        results = guest.results()
        stall = float(results.pop("stall"))
        blocks = int(results.pop("blocks"))
        self.assertEqual(
            results, {"pnfs": "LAYOUT_NFSV4_1_FILES", "wrong": "", "rest": "0"}
        )
        self.assertGreater(blocks, 20)
        self.assertLess(stall, 15)
        self.assertEqual(capture.malformed(), [])
        self.assertGreater(capture.callbacks()[CB_LAYOUTRECALL], 0)
        self.assertGreaterEqual(capture.operations()[GETDEVICEINFO], 2)
        self.assertGreater(capture.sentFrom(host, port), blocks << 18)
        return capture

    def test_moved(self) -> None:
        """
        Nothing answers any more where it was. The client is not told to forget that
        address: ending its session there it would stand still.
        """
        capture = self.move(answersThere=False)
        self.assertEqual(capture.callbacks()[CB_NOTIFY_DEVICEID], 0)

    def test_answersThere(self) -> None:
        """
        It is still served where it was as well: the device that the client had been
        given is deleted, which it takes without complaint.
        """
        capture = self.move(answersThere=True)
        callbacks = capture.callbacks()
        self.assertEqual(callbacks[CB_NOTIFY_DEVICEID], 1, callbacks)
        self.assertEqual(capture.failed(CB_NOTIFY_DEVICEID), [])
