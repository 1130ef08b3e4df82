"""
Tests of L{pnfs.client}.
"""
