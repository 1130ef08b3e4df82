"""
The metadata server service.
"""
