"""
Tests for L{pnfs.namespace}.
"""
