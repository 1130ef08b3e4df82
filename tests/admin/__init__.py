"""
Tests of L{pnfs.admin}.
"""
