"""
Placement policies: which data servers new files go to.
"""
