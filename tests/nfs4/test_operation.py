"""
Tests of L{pnfs.nfs4.operation}.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from pnfs.nfs4.operation import hotOperation, okHeader, operation, tableOf
from pnfs.nfs4.types import uint32_t
from pnfs.xdr.errors import XDRError


@attrs.define
class Pair:
    """
    Two numbers.
    """

    first: uint32_t
    second: uint32_t


class Context:
    """
    What an operation needs of its context here.
    """

    def __init__(self) -> None:
        self.out: list[bytes] = []


class OperationTests(SynchronousTestCase):
    """
    Declaring operations.
    """

    def test_plain(self) -> None:
        """
        Arguments are decoded, the result encoded behind its header.
        """

        @operation(9, "SWAP", args=Pair, resok=Pair)
        def swap(ctx: Any, pair: Pair) -> Pair:
            return Pair(pair.second, pair.first)

        ctx = Context()
        wire = b"----" + bytes([0, 0, 0, 1, 0, 0, 0, 2])
        self.assertEqual(swap.run(ctx, wire, 4), 12)
        self.assertEqual(ctx.out, [okHeader(9) + bytes([0, 0, 0, 2, 0, 0, 0, 1])])
        self.assertRaises(XDRError, swap.run, ctx, wire[:-1], 4)

    def test_void(self) -> None:
        """
        Without arguments and result there is only the header.
        """

        @operation(3, "NOTHING")
        def nothing(ctx: Any) -> None:
            pass

        ctx = Context()
        self.assertEqual((nothing.run(ctx, b"", 0), ctx.out), (0, [okHeader(3)]))

    def test_coroutine(self) -> None:
        """
        A coroutine function gives something to await.
        """

        @operation(3, "LATER", args=uint32_t)
        async def later(ctx: Any, value: int) -> None:
            ctx.out.append(b"%d" % value)

        ctx = Context()
        running: Any = later.run(ctx, bytes(4), 0)
        self.assertEqual(ctx.out, [])
        stop = self.assertRaises(StopIteration, running.send, None)
        self.assertEqual((stop.value, ctx.out), (4, [b"0", okHeader(3)]))

    def test_table(self) -> None:
        """
        A minor version's table has what it knows already.
        """

        @operation(9, "OLD")
        def old(ctx: Any) -> None:
            pass

        @hotOperation(70, "NEW", minor=2, sessionless=True, modifies=True)
        def new(ctx: Any, buf: Any, pos: int) -> int:
            return pos

        self.assertEqual(tableOf(old, new, minor=1), {9: old})
        self.assertEqual(tableOf(old, new), {9: old, 70: new})
        self.assertTrue(new.sessionless and new.modifies)
