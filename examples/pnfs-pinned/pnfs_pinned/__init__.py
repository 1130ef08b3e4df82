"""
A layout driver that pins directories to data servers.
"""
