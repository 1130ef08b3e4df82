"""
One module per NFSv3 procedure.
"""
