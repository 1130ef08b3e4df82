"""
Tests for L{pnfs.nfs4}.
"""
