"""
Tests of L{pnfs.backends}.
"""
