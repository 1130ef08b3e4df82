"""
Where metadata and data are kept.
"""
