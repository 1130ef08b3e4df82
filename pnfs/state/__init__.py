"""
Client, session, open, lock and layout state: tables without I/O.
"""
