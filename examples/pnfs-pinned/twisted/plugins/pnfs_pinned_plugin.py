"""
Tells the pNFS service of the driver.
"""

from pnfs.plugin import DriverMaker, Kind

pinned = DriverMaker("pinned", "pnfs_pinned.driver.PinnedLayoutDriver", Kind.LAYOUT)
