"""
One module per NFSv4 operation.
"""
