"""
One mixin per interface: what every implementation must do.
"""
