"""
All kinds of jobs, by the name that they are kept under.
"""

from __future__ import annotations

from typing import Mapping

from pnfs.mds.balance import Balance
from pnfs.mds.choices import Away, Choice, Mirrors, Onto, Stripes
from pnfs.mds.chunking import Chunks

KINDS: Mapping[str, type[Choice]] = {
    choice.kind: choice for choice in (Away, Onto, Stripes, Mirrors, Chunks, Balance)
}
