"""
An open parallel NFS service on Twisted.
"""
