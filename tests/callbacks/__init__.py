"""
Tests for L{pnfs.callbacks}.
"""
