"""
NFSv4.1 and NFSv4.2 (RFC 8881, RFC 7862) on the wire.
"""
