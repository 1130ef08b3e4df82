# -*- test-case-name: tests.layouts.test_flexfiles -*-
"""
Wire types of the flexible files layout (RFC 8435).
"""

from __future__ import annotations

from typing import Annotated

import attrs

from pnfs.layouts.addresses import multipath_list4
from pnfs.nfs4.ops.layouterror import device_error4
from pnfs.nfs4.ops.layoutstats import io_info4
from pnfs.nfs4.types import (
    bool_t,
    deviceid4,
    length4,
    netaddr4,
    nfs_fh4,
    nfstime4,
    offset4,
    stateid4,
    uint32_t,
    uint64_t,
)
from pnfs.xdr.codec import Array, Opaque, codecFor

LAYOUT4_FLEX_FILES = 4

FF_FLAGS_NO_LAYOUTCOMMIT = 1
FF_FLAGS_NO_IO_THRU_MDS = 2
FF_FLAGS_NO_READ_IO = 4

MIRRORS_LIMIT = 64
IOERRORS_LIMIT = 1024
IOSTATS_LIMIT = 1024

fattr4_owner = Annotated[bytes, Opaque(1024)]


@attrs.define
class ff_device_versions4:
    """
    A protocol a data server speaks (section 4.1).

    @ivar ffdv_rsize: largest READ; C{ffdv_wsize}: largest WRITE.
    @ivar ffdv_tightly_coupled: users come with their own credentials.
    """

    ffdv_version: uint32_t
    ffdv_minorversion: uint32_t
    ffdv_rsize: uint32_t
    ffdv_wsize: uint32_t
    ffdv_tightly_coupled: bool_t


@attrs.define
class ff_device_addr4:
    """
    The C{da_addr_body} of a device: one data server (section 4.1).
    """

    ffda_netaddrs: multipath_list4
    ffda_versions: Annotated[list[ff_device_versions4], Array(ff_device_versions4, 16)]


@attrs.define
class ff_data_server4:
    """
    A data server of a mirror (section 5.1).

    @ivar ffds_efficiency: mirrors with more of it are read first.
    @ivar ffds_fh_vers: a DS filehandle for each version of the device.
    """

    ffds_deviceid: deviceid4
    ffds_efficiency: uint32_t
    ffds_stateid: stateid4
    ffds_fh_vers: Annotated[list[bytes], Array(nfs_fh4, 16)]
    ffds_user: fattr4_owner
    ffds_group: fattr4_owner


@attrs.define
class ff_mirror4:
    """
    One copy of the file (section 5.1).
    """

    ffm_data_servers: Annotated[list[ff_data_server4], Array(ff_data_server4, 16)]


@attrs.define
class ff_layout4:
    """
    The C{loc_body} of a layout (section 5.1).
    """

    ffl_stripe_unit: length4
    ffl_mirrors: Annotated[list[ff_mirror4], Array(ff_mirror4, MIRRORS_LIMIT)]
    ffl_flags: uint32_t
    ffl_stats_collect_hint: uint32_t


@attrs.define
class ff_ioerr4:
    """
    Errors in a range of the file (section 9.1.1).
    """

    ffie_offset: offset4
    ffie_length: length4
    ffie_stateid: stateid4
    ffie_errors: Annotated[list[device_error4], Array(device_error4, 64)]


@attrs.define
class ff_io_latency4:
    """
    Timings of one direction (section 9.2.1).
    """

    ffil_ops_requested: uint64_t
    ffil_bytes_requested: uint64_t
    ffil_ops_completed: uint64_t
    ffil_bytes_completed: uint64_t
    ffil_bytes_not_delivered: uint64_t
    ffil_total_busy_time: nfstime4
    ffil_aggregate_completion_time: nfstime4


@attrs.define
class ff_layoutupdate4:
    """
    What LAYOUTSTATS says of a mirror (section 9.2.2).
    """

    ffl_addr: netaddr4
    ffl_fhandle: nfs_fh4
    ffl_read: ff_io_latency4
    ffl_write: ff_io_latency4
    ffl_duration: nfstime4
    ffl_local: bool_t


@attrs.define
class ff_iostats4:
    """
    I/O of a device (section 9.2.3).
    """

    ffis_offset: offset4
    ffis_length: length4
    ffis_stateid: stateid4
    ffis_read: io_info4
    ffis_write: io_info4
    ffis_deviceid: deviceid4
    ffis_layoutupdate: ff_layoutupdate4


@attrs.define
class ff_layoutreturn4:
    """
    The C{lrf_body} of a LAYOUTRETURN (section 9.3).
    """

    fflr_ioerr_report: Annotated[list[ff_ioerr4], Array(ff_ioerr4, IOERRORS_LIMIT)]
    fflr_iostats_report: Annotated[list[ff_iostats4], Array(ff_iostats4, IOSTATS_LIMIT)]


flexDevice = codecFor(ff_device_addr4)
flexLayout = codecFor(ff_layout4)
flexReturn = codecFor(ff_layoutreturn4)
flexUpdate = codecFor(ff_layoutupdate4)
