"""
Tests of L{pnfs.mds.mover}: somebody dies at each step of a job, in a whole site.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from twisted.internet.defer import Deferred

from tests.mds.faulty import pattern
from tests.mds.test_mover import MoverCase

SIZE = 200_000
STEPS = 1000
"""More than there are."""

CALLS = (
    "getattr create remove setattr extend fence copy write commit checksums track "
    "changes deallocate"
).split()


class Stopper:
    """
    Counts what data servers are told to do. At one of these steps all of them stop; what
    they are told from then on they do when they go on, unless they have died.

    @ivar left: steps until then.
    @ivar afterwards: that step is done.
    @ivar at: number of the data server where it happened.
    """

    def __init__(self, case: "CrashTests") -> None:
        self.left = 1 << 30
        self.afterwards = False
        self.at: Optional[int] = None
        self._held: list[tuple[int, Deferred[None]]] = []
        for number, backend in enumerate(case.backends):
            for name in CALLS:
                call = self._counted(number, getattr(backend, name))
                case.patch(backend, name, call)

    def _counted(self, number: int, call: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*args: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.at = number
                if self.afterwards:
                    await call(*args)
            if self.left <= 0:
                held: Deferred[None] = Deferred()
                self._held.append((number, held))
                await held
            return await call(*args)

        return counted

    def arm(self, left: int) -> None:
        """
        It happens after so many steps.
        """
        self.left = left
        self.afterwards = left % 2 == 0
        self.at = None

    def goOn(self, without: Optional[int] = None) -> None:
        """
        All go on, but for one that has died.
        """
        self.left = 1 << 30
        held, self._held = self._held, []
        for number, waiter in held:
            if number != without:
                waiter.callback(None)


class CrashTests(MoverCase):
    """
    A file moves forth and back: from two stripes to three, and to two others.
    """

    def setUp(self) -> None:
        """
        The file.
        """
        super().setUp()
        self.data = pattern(SIZE)
        self.fh, self.stateid = self.put(b"f", self.data)
        self.stopper = Stopper(self)

    def begin_(self, turn: int) -> Any:
        """
        A job.
        """
        if turn % 2:
            return self.command("restripe", paths=["/export/f"], count=2)
        return self.command("restripe", paths=["/export/f"], count=3)

    def assertDone(self, turn: int) -> None:
        """
        The file is where it was to be, right, and nothing else is there.
        """
        self.assertEqual(len(self.placement(b"f").columns), 2 if turn % 2 else 3)
        self.assertThere(b"f", self.data)
        self.assertEqual(sum(self.objects()), 2 if turn % 2 else 3)

    def crashes(
        self, die: Callable[[], None], ends: Callable[[Any], None], every: int = 1
    ) -> None:
        """
        Somebody dies at each step.

        @param every: not at each, but at each so many.
        @param die: has happened at the step.
        @param ends: waits for the end of the job.
        """
        for turn in range(2):
            for step in range(1 + turn, STEPS, every):
                self.stopper.arm(step)
                told = self.begin_(turn)
                self.rest(3)
                stopped = self.stopper.at is not None
                if stopped:
                    die()
                self.stopper.goOn()
                ends(told)
                self.assertDone(turn)
                if not stopped:
                    break
                back = self.begin_(turn + 1)
                self.rest(5)
                self.assertEqual(self.done(back, 1)["state"], "done")
            else:
                self.fail("it never ends")
            self.assertGreater(step, 20)

    def test_metadataServer(self) -> None:
        """
        The metadata server dies: before that and afterwards the file reads right, and
        the job goes on when it is back.
        """

        def die() -> None:
            servers = self.mds._servers
            for member in servers.members:
                # Its clock stops with it.
                servers._forget(member)
            self.restartMetadataServer()
            self.stopper.goOn()
            self.rest(3)
            self.mount()
            self.assertEqual(self.content(b"f"), self.data)

        def ends(told: Any) -> None:
            self.rest(20)
            for job in self.command("jobs.list"):
                self.assertEqual((job["state"], job["failed"]), ("done", 0))

        self.crashes(die, ends, 3)

    def test_dataServer(self) -> None:
        """
        A data server dies, whichever it is; the job goes on when it is back.
        """

        def die() -> None:
            number = self.stopper.at
            assert number is not None
            self.killDataServer(number)
            self.stopper.goOn(number)
            self.rest(12)
            self.startDataServer(number)
            self.rest(12)
            self.assertEqual(self.content(b"f"), self.data)

        def ends(told: Any) -> None:
            self.assertEqual(self.done(told, 60)["state"], "done")

        self.crashes(die, ends)
