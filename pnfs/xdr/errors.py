"""
What the codecs raise.
"""


class XDRError(Exception):
    """
    The bytes are not a value of the type, or a length is over its limit.
    """
