"""
The data server service.
"""
