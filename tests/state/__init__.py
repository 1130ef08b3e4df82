"""
Tests for L{pnfs.state}.
"""
