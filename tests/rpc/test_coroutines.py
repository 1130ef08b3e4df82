"""
Coroutines without Deferreds of their own.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from pnfs.rpc.coroutines import drive


class DriveTests(SynchronousTestCase):
    """
    L{drive} runs a coroutine to its end.
    """

    def setUp(self) -> None:
        self.results: list[Any] = []
        self.errors: list[Exception] = []

    def drive(self, coroutine: Any) -> Any:
        return drive(coroutine, self.results.append, self.errors.append)

    def test_noWait(self) -> None:
        """
        What need not wait is finished at once.
        """

        async def work() -> int:
            return await succeed(1) + await succeed(2)

        self.assertIs(self.drive(work()), None)
        self.assertEqual(self.results, [3])

    def test_waits(self) -> None:
        """
        It goes on, several times, when what it waits for has come.
        """
        waits: list[Deferred[int]] = [Deferred(), Deferred()]

        async def work() -> int:
            return await waits[0] + await waits[1]

        self.drive(work())
        waits[0].callback(1)
        self.assertEqual(self.results, [])
        waits[1].callback(2)
        self.assertEqual(self.results, [3])

    def test_fails(self) -> None:
        """
        A failure is raised where it is awaited, and can be caught there; nothing
        is left to be reported as unhandled.
        """
        wait: Deferred[int] = Deferred()

        async def work() -> int:
            try:
                await wait
            except KeyError:
                return await fail(ValueError("two"))
            return 0

        self.drive(work())
        wait.errback(KeyError("one"))
        self.assertEqual([type(error) for error in self.errors], [ValueError])

    def test_failsAtOnce(self) -> None:
        """
        An error before any wait is reported likewise.
        """

        async def work() -> int:
            raise ValueError("early")

        self.assertIs(self.drive(work()), None)
        self.assertEqual([type(error) for error in self.errors], [ValueError])

    def test_cancel(self) -> None:
        """
        Cancelling cancels what is awaited, which the coroutine sees.
        """
        wait: Deferred[int] = Deferred()

        async def work() -> int:
            return await wait

        self.drive(work()).cancel()
        self.assertEqual([type(error) for error in self.errors], [CancelledError])

    def test_chained(self) -> None:
        """
        A Deferred that waits for another one delivers the other's result.
        """
        inner: Deferred[int] = Deferred()
        outer: Deferred[None] = Deferred()
        outer.addCallback(lambda _: inner)

        async def work() -> Any:
            return await outer

        self.drive(work())
        outer.callback(None)
        inner.callback(5)
        self.assertEqual(self.results, [5])

    def test_foreignAwaitable(self) -> None:
        """
        Awaiting what is no Deferred is reported, not left hanging.
        """

        class Foreign:
            def __await__(self) -> Any:
                yield "what"

        async def work() -> None:
            await Foreign()

        self.drive(work())
        self.assertEqual([type(error) for error in self.errors], [TypeError])
