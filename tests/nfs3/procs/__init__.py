"""
Tests of C{pnfs.nfs3.procs}.
"""
