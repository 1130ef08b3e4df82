"""
Implementations of L{pnfs.interfaces.IDataServerBackend}.
"""
