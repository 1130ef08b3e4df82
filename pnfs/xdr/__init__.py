"""
XDR (RFC 4506): types declared once, compiled at import.
"""
