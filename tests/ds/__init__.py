"""
Tests of L{pnfs.ds}.
"""
