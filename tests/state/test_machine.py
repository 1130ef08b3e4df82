"""
The state tables together, against a model that is too simple to be wrong: any
sequence of arrivals, silences, opens, locks and layouts of some clients.
"""

from __future__ import annotations

import unittest
from types import SimpleNamespace
from typing import Any, Callable, Optional

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pnfs.backends.metadata.recovery import MemoryRecoveryStore
from pnfs.state import locks, opens
from pnfs.state.clients import Client, ClientTable
from pnfs.state.errors import (
    ClidInUse,
    Invalid,
    LockDenied,
    LocksHeld,
    OpenMode,
    ShareDenied,
    StaleClientid,
)
from pnfs.state.files import FileState, fileState
from pnfs.state.layouts import LayoutTable
from pnfs.state.locks import LockTable
from pnfs.state.opens import OpenTable
from pnfs.state.recovery import Grace
from pnfs.state.stateids import StateidTable
from tests.nfs4.fixture import entropy

LEASE = 10.0
COURTESY = 60.0
BYTES = 8
OWNERS = st.integers(0, 2)
FILES = st.integers(0, 1)
PICKS = st.integers(0, 1000)
MODES = st.integers(1, 3)
DENIES = st.sampled_from([0, 0, 0, 1, 2, 3])
WHO = st.sampled_from([b"x", b"y"])
RANGES = st.tuples(st.integers(0, BYTES - 1), st.integers(1, BYTES)).map(
    lambda r: (r[0], min(r[1], BYTES - r[0]))
)


class ModelOpen:
    """
    An open: the modes asked for, and its lock owners' bytes.
    """

    def __init__(self, state: Any) -> None:
        self.state = state
        self.modes: set[tuple[int, int]] = set()
        self.locks: dict[bytes, dict[int, bool]] = {}

    def union(self) -> tuple[int, int]:
        """
        Access and denial in all.
        """
        access = deny = 0
        for mode in self.modes:
            access |= mode[0]
            deny |= mode[1]
        return access, deny


class ModelClient:
    """
    A client: its record, when it last spoke, and what it holds by file.
    """

    def __init__(self, record: Client, now: float) -> None:
        self.record = record
        self.spoke = now
        self.opens: dict[tuple[int, bytes], ModelOpen] = {}
        self.layouts: dict[int, dict[int, set[int]]] = {}
        self.revoked: list[Any] = []


def _has(what: str) -> Any:
    return precondition(
        lambda self: any(getattr(known, what) for known in self.model.values())
    )


hasOpens = _has("opens")
hasLayouts = _has("layouts")
hasLocks = precondition(
    lambda self: any(
        held.locks for known in self.model.values() for held in known.opens.values()
    )
)


class StateMachine(RuleBasedStateMachine):
    """
    Tables and model, side by side.
    """

    def __init__(self) -> None:
        super().__init__()
        random = entropy()
        self.now = 1000.0
        self.store = MemoryRecoveryStore()
        self.grace = Grace(self.store, self.now, LEASE)
        self.stateids = StateidTable(self.store.beginEpoch(), random)
        self.opens = OpenTable(self.stateids)
        self.locks = LockTable(self.stateids)
        self.layouts = LayoutTable(self.stateids)
        self.clients = ClientTable(
            1, random, LEASE, self.grace, courtesySeconds=COURTESY
        )
        self.clients.listeners += [self.dropLayouts, self.dropOpens]
        self.inodes = [SimpleNamespace(state=None, number=n) for n in range(2)]
        self.model: dict[int, ModelClient] = {}
        self.verifier = 0
        self.gone: list[Client] = []

    # -- what the protocol layer does --------------------------------------

    def dropLayouts(self, client: Client) -> None:
        """
        As the recaller does.
        """
        for layout in self.layouts.dropClient(client):
            self.settle(layout.file)

    def dropOpens(self, client: Client) -> None:
        """
        As L{pnfs.nfs4.ops.unlinked.stateDropper} does.
        """
        for file in self.opens.closeSome(client, 1 << 20):
            self.settle(file)

    def settle(self, file: FileState) -> None:
        """
        An idle file carries no state.
        """
        if file.idle and file.inode.state is file:
            file.inode.state = None

    def file(self, number: int) -> FileState:
        """
        The state of a file.
        """
        return fileState(b"fh%d" % number, self.inodes[number], None)

    def client(self, owner: int) -> Optional[ModelClient]:
        """
        A client that speaks now, if it is known.
        """
        found = self.model.get(owner)
        if found is not None:
            found.spoke = found.record.renewed = self.now
        return found

    def silent(self, owner: int) -> bool:
        """
        The model's idea of a lease that is over.
        """
        return self.now > self.model[owner].spoke + LEASE

    def lose(self, owner: int) -> None:
        """
        The model forgets a client.
        """
        self.gone.append(self.model.pop(owner).record)

    def attempt(
        self,
        action: Callable[[], Any],
        error: type[Exception],
        holders: Callable[[], set[Client]],
        blocking: set[int],
    ) -> Any:
        """
        Do something that others may be in the way of, as the operations do.

        @param error: it is refused; holders: who is in the way, say the tables.
        @param blocking: who is, says the model.
        @return: what it returns, or None if it was refused.
        """
        while True:
            try:
                result = action()
            except error:
                inTheWay = holders()
                assert inTheWay == {self.model[o].record for o in blocking}, blocking
                if not self.clients.giveWay(inTheWay, self.now):
                    assert not all(self.silent(o) for o in blocking)
                    return None
                assert blocking and all(self.silent(o) for o in blocking)
                for owner in blocking:
                    self.lose(owner)
                blocking = set()
            else:
                assert not blocking, blocking
                return result

    # -- clients -----------------------------------------------------------

    @initialize()
    def allArrive(self) -> None:
        """
        All clients are there at first.
        """
        for owner in range(3):
            self.arriveNow(owner, False)

    @precondition(lambda self: len(self.model) < 3)
    @rule()
    def comeBack(self) -> None:
        """
        Who is gone comes back.
        """
        for owner in range(3):
            if owner not in self.model:
                self.arriveNow(owner, False)

    @rule(owner=OWNERS, what=st.sampled_from(["again", "restart", "collide", "expel"]))
    def upheaval(self, owner: int, what: str) -> None:
        """
        What happens to a client as a whole.
        """
        if what == "collide":
            self.collide(owner)
        elif what != "expel":
            self.arriveNow(owner, what == "again")
        elif owner in self.model:
            self.clients.revoke(self.model[owner].record)
            self.lose(owner)

    def arriveNow(self, owner: int, again: bool) -> None:
        """
        The first time, after a restart, or again.
        """
        known = self.client(owner)
        if not again or known is None:
            self.verifier += 1
            verifier = b"%d" % self.verifier
        else:
            verifier = known.record.verifier
        record = self.clients.exchange(b"%d" % owner, verifier, (1, 0), False, self.now)
        self.clients.confirm(record, self.now)
        if known is not None and again:
            assert record is known.record
            return
        if known is not None:
            assert record is not known.record
            self.lose(owner)
        self.grace.complete(record, self.now)
        self.model[owner] = ModelClient(record, self.now)

    def collide(self, owner: int) -> None:
        """
        EXCHANGE_ID of another principal.
        """
        known = self.model.get(owner)
        try:
            self.clients.exchange(b"%d" % owner, b"!", (1, 9), False, self.now)
        except ClidInUse:
            assert known is not None and not self.silent(owner)
            assert known.opens or known.layouts
        else:
            if known is not None:
                assert self.silent(owner) or not (known.opens or known.layouts)
                self.lose(owner)

    @rule(seconds=st.sampled_from([1.0, 4.0, 11.0]))
    def tick(self, seconds: float) -> None:
        """
        Time goes by.
        """
        self.now += seconds

    @rule(owner=OWNERS)
    def speak(self, owner: int) -> None:
        """
        SEQUENCE, of all but one.
        """
        for each in self.model:
            if each != owner:
                self.client(each)

    @rule(seconds=st.sampled_from([0.0, 0.0, 70.0]))
    def expire(self, seconds: float) -> None:
        """
        The server looks after its clients.
        """
        self.now += seconds
        gone = {
            owner
            for owner, known in self.model.items()
            if self.silent(owner)
            and (
                self.now > known.spoke + COURTESY or not (known.opens or known.layouts)
            )
        }
        found = self.clients.expire(self.now)
        assert set(found) == {self.model[owner].record for owner in gone}
        for owner in gone:
            self.lose(owner)

    # -- opens -------------------------------------------------------------

    @rule(many=st.lists(st.tuples(OWNERS, FILES, WHO, MODES, DENIES), min_size=1))
    def open(self, many: list[tuple[int, int, bytes, int, int]]) -> None:
        """
        OPEN, of several.
        """
        for each in many:
            self.openOne(*each)

    def openOne(
        self, owner: int, number: int, who: bytes, access: int, deny: int
    ) -> None:
        """
        Of one.
        """
        client = self.client(owner)
        if client is None:
            return
        blocking = set()
        for other, known in self.model.items():
            for (file, _), held in known.opens.items():
                has, denies = held.union()
                if file == number and (has & deny or denies & access):
                    blocking.add(other)

        def action() -> Any:
            file = self.file(number)
            try:
                return self.opens.open(file, client.record, who, access, deny)
            finally:
                self.settle(file)

        state = self.attempt(
            action,
            ShareDenied,
            lambda: opens.inTheWay(self.file(number), access, deny),
            blocking,
        )
        if state is not None:
            held = client.opens.setdefault((number, who), ModelOpen(state))
            assert held.state is state
            held.modes.add((access, deny))

    def anOpen(self, pick: int) -> tuple[int, int, bytes, ModelOpen]:
        """
        One of all opens, whose client speaks: client, file, open owner.
        """
        every = [
            (owner, number, who, held)
            for owner, known in sorted(self.model.items())
            for (number, who), held in known.opens.items()
        ]
        chosen = every[pick % len(every)]
        self.client(chosen[0])
        return chosen

    @hasOpens
    @rule(pick=PICKS, many=st.lists(st.tuples(MODES, DENIES), min_size=1))
    def downgrade(self, pick: int, many: list[tuple[int, int]]) -> None:
        """
        OPEN_DOWNGRADE, again and again.
        """
        _, _, _, held = self.anOpen(pick)
        for access, deny in many:
            self.downgradeTo(held, access, deny)

    def downgradeTo(self, held: ModelOpen, access: int, deny: int) -> None:
        """
        Once.
        """
        kept = {m for m in held.modes if not m[0] & ~access and not m[1] & ~deny}
        union = [0, 0]
        for mode in kept:
            union = [union[0] | mode[0], union[1] | mode[1]]
        try:
            self.opens.downgrade(held.state, access, deny)
        except Invalid:
            assert union != [access, deny]
        else:
            assert union == [access, deny]
            held.modes = kept

    @hasOpens
    @rule(pick=PICKS)
    def close(self, pick: int) -> None:
        """
        CLOSE.
        """
        owner, number, who, held = self.anOpen(pick)
        try:
            self.opens.close(held.state)
        except LocksHeld:
            assert any(held.locks.values())
        else:
            assert not any(held.locks.values())
            del self.model[owner].opens[number, who]
            self.settle(held.state.file)

    # -- locks -------------------------------------------------------------

    def lockOwner(
        self, owner: int, number: int, locker: bytes
    ) -> Optional[tuple[ModelOpen, dict[int, bool]]]:
        """
        Where a lock owner's bytes are: an owner has one state per file.
        """
        for (file, _), held in self.model[owner].opens.items():
            if file == number and locker in held.locks:
                return held, held.locks[locker]
        return None

    @hasOpens
    @rule(
        many=st.lists(st.tuples(PICKS, WHO, st.booleans(), RANGES), min_size=1),
    )
    def lock(self, many: list[tuple[int, bytes, bool, tuple[int, int]]]) -> None:
        """
        LOCK, of several ranges.
        """
        for each in many:
            if any(known.opens for known in self.model.values()):
                self.lockOne(*each)

    def lockOne(
        self, pick: int, locker: bytes, exclusive: bool, what: tuple[int, int]
    ) -> None:
        """
        Of one.
        """
        owner, number, _, held = self.anOpen(pick)
        touched = range(what[0], what[0] + what[1])
        blocking = set()
        for other, known in self.model.items():
            for (file, _), theirs in known.opens.items():
                for name, owned in theirs.locks.items():
                    if file != number or (other, name) == (owner, locker):
                        continue
                    if any(b in owned and (exclusive or owned[b]) for b in touched):
                        blocking.add(other)
        record = self.model[owner].record
        file = held.state.file
        try:
            state = self.attempt(
                lambda: self.locks.lock(held.state, locker, exclusive, *what),
                LockDenied,
                lambda: locks.inTheWay(file, record, locker, exclusive, *what),
                blocking,
            )
        except OpenMode:
            assert not held.union()[0] & (2 if exclusive else 1)
            return
        if state is None:
            return
        assert held.union()[0] & (2 if exclusive else 1)
        found = self.lockOwner(owner, number, locker)
        owned = held.locks.setdefault(locker, {}) if found is None else found[1]
        owned.update(dict.fromkeys(touched, exclusive))

    def aLock(self, pick: int) -> tuple[ModelOpen, bytes, Any]:
        """
        One of all lock states, whose client speaks.
        """
        every = [
            (owner, held, locker)
            for owner, known in sorted(self.model.items())
            for held in known.opens.values()
            for locker in held.locks
        ]
        owner, held, locker = every[pick % len(every)]
        self.client(owner)
        return held, locker, held.state.locks[locker]

    @hasLocks
    @rule(pick=PICKS, what=RANGES)
    def unlock(self, pick: int, what: tuple[int, int]) -> None:
        """
        LOCKU.
        """
        held, locker, state = self.aLock(pick)
        self.locks.unlock(state, *what)
        for byte in range(what[0], what[0] + what[1]):
            held.locks[locker].pop(byte, None)

    @hasLocks
    @rule(pick=PICKS)
    def freeLock(self, pick: int) -> None:
        """
        LOCKU of everything, and FREE_STATEID.
        """
        held, locker, state = self.aLock(pick)
        self.locks.unlock(state, 0, BYTES)
        self.locks.drop(state)
        del held.locks[locker]

    # -- layouts -----------------------------------------------------------

    @rule(owner=OWNERS, number=FILES, iomode=st.integers(1, 2), what=RANGES)
    def grant(
        self, owner: int, number: int, iomode: int, what: tuple[int, int]
    ) -> None:
        """
        LAYOUTGET.
        """
        client = self.client(owner)
        if client is None:
            return
        start, end = what[0], what[0] + what[1]
        self.layouts.grant(
            self.file(number), client.record, 1, (b"ds",), [(iomode, start, end)]
        )
        held = client.layouts.setdefault(number, {1: set(), 2: set()})
        held[iomode].update(range(start, end))

    def aLayout(self, pick: int) -> tuple[ModelClient, int, Any]:
        """
        One of all layouts.
        """
        every = [
            (known, number)
            for _, known in sorted(self.model.items())
            for number in known.layouts
        ]
        known, number = every[pick % len(every)]
        layouts = self.inodes[number].state.layouts
        return known, number, layouts[known.record.clientid]

    @hasLayouts
    @rule(pick=PICKS, iomode=st.integers(1, 3), what=RANGES)
    def giveBack(self, pick: int, iomode: int, what: tuple[int, int]) -> None:
        """
        LAYOUTRETURN.
        """
        client, number, layout = self.aLayout(pick)
        start, end = what[0], what[0] + what[1]
        left = self.layouts.giveBack(layout, iomode, start, end)
        held = client.layouts[number]
        for each in (1, 2):
            if iomode in (each, 3):
                held[each].difference_update(range(start, end))
        assert left == bool(held[1] or held[2])
        if not left:
            del client.layouts[number]
            self.settle(layout.file)

    @hasLayouts
    @rule(pick=PICKS)
    def revokeLayout(self, pick: int) -> None:
        """
        A layout is not returned in time.
        """
        client, number, layout = self.aLayout(pick)
        self.layouts.revoke(layout)
        del client.layouts[number]
        client.revoked.append(layout)
        self.settle(layout.file)

    @precondition(lambda self: any(c.revoked for c in self.model.values()))
    @rule()
    def freeLayout(self) -> None:
        """
        FREE_STATEID of a revoked layout.
        """
        for known in self.model.values():
            if known.revoked:
                self.layouts.free(known.revoked.pop())
                break

    # -- what always holds -------------------------------------------------

    @invariant()
    def sameClients(self) -> None:
        """
        Who is known is recorded, and the other way round; who is gone is stale.
        """
        records = {known.record for known in self.model.values()}
        assert set(self.clients) == records
        assert set(self.store.clients()) == {record.owner for record in records}
        for client in self.gone:
            assert not client.hasState and not client.revoked
            try:
                self.clients.find(client.clientid)
            except StaleClientid:
                continue
            raise AssertionError("a client that is gone is found")

    @invariant()
    def sameState(self) -> None:
        """
        Tables and model hold the same.
        """
        for owner, known in self.model.items():
            record = known.record
            assert {held.state for held in known.opens.values()} == set(record.opens)
            for (number, who), held in known.opens.items():
                state = held.state
                assert state is self.inodes[number].state.opens[record.clientid, who]
                assert (state.access, state.deny) == held.union()
                for locker, owned in held.locks.items():
                    lock = state.locks[locker]
                    assert lock.ranges == ranges(owned), (lock.ranges, owned)
                    assert state.file.locks[record.clientid, locker] is lock
                assert set(state.locks or ()) == set(held.locks)
            assert len(record.layouts) == len(known.layouts)
            assert record.revoked == len(known.revoked)
            for number, segments in known.layouts.items():
                layout = self.inodes[number].state.layouts[record.clientid]
                for iomode in (1, 2):
                    assert segments[iomode] == {
                        byte
                        for mode, start, end in layout.segments
                        if mode == iomode
                        for byte in range(start, end)
                    }

    @invariant()
    def consistent(self) -> None:
        """
        The indexes agree with each other.
        """
        everything = set()
        count = 0
        for known in self.model.values():
            everything.update(known.revoked)
        for inode in self.inodes:
            file = inode.state
            if file is None:
                continue
            assert not file.idle
            weights = [0, 0, 0, 0]
            for state in file.opens.values():
                for bit in range(2):
                    weights[bit] += state.access >> bit & 1
                    weights[2 + bit] += state.deny >> bit & 1
            assert file.shares == sum(n << 32 * i for i, n in enumerate(weights))
            everything.update(file.opens.values())
            everything.update(file.locks.values())
            everything.update(file.layouts.values())
            count += len(file.opens)
        assert self.opens.count == count
        assert self.layouts.count == sum(len(m.layouts) for m in self.model.values())
        assert len(self.stateids) == len(everything)
        for state in everything:
            assert self.stateids.lookup(state.other) is state
            assert state.client not in self.gone


def ranges(owned: dict[int, bool]) -> list[tuple[int, int, bool]]:
    """
    Bytes as sorted ranges.
    """
    found: list[tuple[int, int, bool]] = []
    for byte in sorted(owned):
        if found and found[-1][1] == byte and found[-1][2] is owned[byte]:
            found[-1] = (found[-1][0], byte + 1, owned[byte])
        else:
            found.append((byte, byte + 1, owned[byte]))
    return found


class StateTests(unittest.TestCase):
    """
    The tables in any order of events.
    """

    def test_machine(self) -> None:
        """
        Nobody gets what another holds, nobody loses what it holds but for the
        reasons there are, and nothing is left of a client that is gone.
        """
        run_state_machine_as_test(
            StateMachine,
            settings=settings(
                max_examples=200,
                stateful_step_count=50,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
