"""
Tests of the layout drivers.
"""
