"""
Implementations of L{pnfs.interfaces.IMetadataBackend}.
"""
