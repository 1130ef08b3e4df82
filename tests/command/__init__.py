"""
Tests of L{pnfs.command}.
"""
