"""
Tests, laid out as the package they test.

Hypothesis measures time, which tells nothing on a machine that does other things as
well: none of its tests is timed.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")
