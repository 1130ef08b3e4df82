"""
NFSv3 (RFC 1813) on the wire.
"""
