"""
The operations of a data server: I/O under a capability filehandle, and what the
metadata server does to data files under a control handle. Those that are the same
on a metadata server (sessions) come from L{pnfs.nfs4.ops}.
"""
