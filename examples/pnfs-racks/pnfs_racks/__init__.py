"""
A placement policy that keeps copies in different racks.
"""
