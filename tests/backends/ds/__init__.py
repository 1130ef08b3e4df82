"""
Tests of C{pnfs.backends.ds}.
"""
