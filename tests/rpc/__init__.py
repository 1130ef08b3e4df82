"""
Tests of L{pnfs.rpc}.
"""
