"""
Tests for L{pnfs.nfs4.ops}.
"""
