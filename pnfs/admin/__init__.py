"""
The administration channel of a running server.
"""
