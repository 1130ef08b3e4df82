"""
The bundled layout drivers and their arithmetic.
"""
