"""
The user-space pNFS client.
"""
