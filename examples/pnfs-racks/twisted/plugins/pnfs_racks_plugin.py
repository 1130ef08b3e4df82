"""
Tells the pNFS service of the policy.
"""

from pnfs.plugin import DriverMaker, Kind

racks = DriverMaker("racks", "pnfs_racks.policy.RackPolicy", Kind.PLACEMENT)
