"""
Tests of L{pnfs.nfs4.requests}: what clients send is what servers decode.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4 import requests
from pnfs.nfs4.ops.create_session import CREATE_SESSION4args
from pnfs.nfs4.ops.exchange_id import EXCHANGE_ID4args
from pnfs.nfs4.ops.getdeviceinfo import GETDEVICEINFO4args
from pnfs.nfs4.ops.layoutcommit import LAYOUTCOMMIT4args
from pnfs.nfs4.types import fattr4
from pnfs.xdr.codec import codecFor

STATEID = bytes(range(16))


class RequestTests(SynchronousTestCase):
    """
    Each request decodes with the server's types, to its last byte.
    """

    def decoded(self, wire: bytes, number: int, cls: Any) -> Any:
        """
        The arguments in C{wire}.
        """
        self.assertEqual(int.from_bytes(wire[:4], "big"), number)
        value, end = codecFor(cls).decode(wire, 4)
        self.assertEqual(end, len(wire))
        return value

    def test_attributes(self) -> None:
        """
        Attributes are in the order of their numbers.
        """
        wire = requests.fattr(
            [
                requests.sizeAttribute(5),
                requests.modeAttribute(0o644),
                *requests.ownerAttributes(1, 22),
                requests.modifyTimeAttribute(-1),
            ]
        )
        value, end = codecFor(fattr4).decode(wire, 0)
        self.assertEqual(end, len(wire))
        self.assertEqual(value.attrmask, 1 << 4 | 1 << 33 | 1 << 36 | 1 << 37 | 1 << 54)
        self.assertEqual(
            bytes(value.attr_vals).hex(),
            "0000000000000005"
            "000001a4"
            "0000000131000000"
            "0000000232320000"
            "00000001ffffffffffffffff3b9ac9ff",
        )

    def test_sessions(self) -> None:
        """
        EXCHANGE_ID and CREATE_SESSION.
        """
        found = self.decoded(
            requests.exchangeId(b"verifier", b"owner", 7), 42, EXCHANGE_ID4args
        )
        self.assertEqual(found.eia_clientowner.co_ownerid, b"owner")
        self.assertEqual(found.eia_flags, 7)
        made = self.decoded(
            requests.createSession(9, 1, True, 8, 1 << 20, 1 << 20, 0x40000000),
            43,
            CREATE_SESSION4args,
        )
        self.assertEqual((made.csa_clientid, made.csa_flags), (9, 2))
        self.assertGreater(made.csa_fore_chan_attrs.ca_maxrequestsize, 1 << 20)
        self.assertEqual(made.csa_cb_program, 0x40000000)

    def test_layouts(self) -> None:
        """
        LAYOUTGET, LAYOUTCOMMIT and GETDEVICEINFO.
        """
        self.assertEqual(
            requests.layoutget(4, 2, STATEID, 4096).hex(),
            "00000032"
            "00000000"
            "00000004"
            "00000002"
            "0000000000000000"
            "ffffffffffffffff"
            "0000000000000000" + STATEID.hex() + "00001000",
        )
        for last in (None, 99):
            committed = self.decoded(
                requests.layoutcommit(STATEID, 100, last, 1), 49, LAYOUTCOMMIT4args
            )
            self.assertEqual(committed.loca_length, 100)
            self.assertEqual(committed.loca_stateid, STATEID)
        device = self.decoded(
            requests.getdeviceinfo(STATEID, 1, 4096), 47, GETDEVICEINFO4args
        )
        self.assertEqual(device.gdia_device_id, STATEID)
