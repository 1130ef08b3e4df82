"""
Tests for L{pnfs.nfs4.dsops}.
"""
