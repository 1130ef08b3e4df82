"""
Tests for L{pnfs.xdr}.
"""
