# -*- test-case-name: tests.placement.test_pinned -*-
"""
What placement policies are told in the configuration.
"""

from __future__ import annotations

from typing import Any, Mapping

from pnfs.backends.errors import BadConfiguration


def refuseOptions(name: str, options: Mapping[str, Any]) -> None:
    """
    For policies that have none.

    @raise BadConfiguration: there are some.
    """
    if options:
        raise BadConfiguration(
            f"placement policy {name!r} has no options; remove {', '.join(options)}"
        )
