# -*- test-case-name: tests.layouts.test_files -*-
"""
Wire types of the files layout (RFC 8881, section 13.3).
"""

from __future__ import annotations

from typing import Annotated

import attrs

from pnfs.layouts.addresses import multipath_list4
from pnfs.nfs4.types import deviceid4, nfs_fh4, offset4, uint32_t
from pnfs.xdr.codec import Array, codecFor

LAYOUT4_NFSV4_1_FILES = 1

NFL4_UFLG_DENSE = 1
NFL4_UFLG_COMMIT_THRU_MDS = 2
NFL4_UFLG_STRIPE_UNIT_SIZE_MASK = 0xFFFFFFC0

STRIPE_INDICES_LIMIT = 4096
MULTIPATH_LIMIT = 256
"""What the Linux client takes: it keeps an index in one byte."""


@attrs.define
class nfsv4_1_file_layout_ds_addr4:
    """
    The C{da_addr_body} of a device.

    @ivar nflda_stripe_indices: for each column, which list of addresses.
    @ivar nflda_multipath_ds_list: for each data server, its addresses.
    """

    nflda_stripe_indices: Annotated[list[int], Array(uint32_t, STRIPE_INDICES_LIMIT)]
    nflda_multipath_ds_list: Annotated[
        list[multipath_list4], Array(multipath_list4, MULTIPATH_LIMIT)
    ]


@attrs.define
class nfsv4_1_file_layout4:
    """
    The C{loc_body} of a layout.

    @ivar nfl_util: stripe unit in bytes, with two flags in its low bits.
    @ivar nfl_first_stripe_index: the column of the first unit.
    @ivar nfl_pattern_offset: where the striping pattern begins.
    @ivar nfl_fh_list: the DS filehandles; one stands for all columns.
    """

    nfl_deviceid: deviceid4
    nfl_util: uint32_t
    nfl_first_stripe_index: uint32_t
    nfl_pattern_offset: offset4
    nfl_fh_list: Annotated[list[bytes], Array(nfs_fh4, STRIPE_INDICES_LIMIT)]


fileDevice = codecFor(nfsv4_1_file_layout_ds_addr4)
fileLayout = codecFor(nfsv4_1_file_layout4)
