"""
Tests of L{pnfs.backends.metadata}.
"""
