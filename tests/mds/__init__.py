"""
Tests of L{pnfs.mds}.
"""
