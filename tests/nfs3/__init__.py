"""
Tests of C{pnfs.nfs3}.
"""
