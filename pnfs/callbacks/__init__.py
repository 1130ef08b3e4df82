"""
The back channel: CB_COMPOUND, recalls, notifications.
"""
