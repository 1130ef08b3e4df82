"""
Filehandles, exports, the pseudo file system, access checks.
"""
