"""
Data servers in memory that fail on order, and the data files of a file on them.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Optional, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.ds.memory import MemoryDataServerBackend
from pnfs.backends.errors import Unreachable
from pnfs.backends.metadata.memory import MemoryMetadataBackend
from pnfs.config import DataServerConfig
from pnfs.layouts.files import FilesLayoutDriver
from pnfs.layouts.flexfiles import FlexFilesLayoutDriver
from pnfs.mds.datafiles import DataFiles
from pnfs.mds.dataservers import DataServers
from pnfs.namespace.exports import Export
from pnfs.namespace.filehandles import CapabilityCodec
from pnfs.values import CheckedCopy, FileType, NewObject, ObjectAttributes
from tests.contracts.data import readBytes
from tests.nfs4.fixture import entropy

KEY = b"k" * 32
UNIT = 65536
_CALLS = (
    "start stop getattr create remove setattr extend fence read write commit statfs "
    "seek readSegments allocate deallocate advise list copy clone "
    "checksums track changes"
).split()


class Faulty:
    """
    A data server whose calls are counted, can fail and can be held up.

    @ivar inner: the backend behind it.
    @ivar down: every call fails with L{Unreachable}.
    @ivar gate: called with the name of each call; may raise.
    @ivar failing: call name to the exception it raises.
    @ivar held: call name to the Deferred it waits for before it is carried out; or
        C{"after NAME"}: after.
    @ivar calls: names of calls so far.
    @ivar shy: it tells its verifier only with answers, as over the network.
    """

    def __init__(self, name: str, inner: MemoryDataServerBackend) -> None:
        self.name = name
        self.inner = inner
        self.shy = False
        self.down = False
        self.gate: Optional[Callable[[str], None]] = None
        self.failing: dict[str, Exception] = {}
        self.held: dict[str, Deferred[None]] = {}
        self.calls: list[str] = []
        for name in _CALLS:
            setattr(self, name, self._wrap(name, getattr(inner, name)))

    @property
    def verifier(self) -> bytes:
        """
        That of the backend, once it is known.
        """
        return bytes(8) if self.shy else self.inner.verifier

    @property
    def uuid(self) -> bytes:
        """
        That of the backend.
        """
        return self.inner.uuid

    async def copyChecked(self, *args: Any) -> CheckedCopy:
        """
        A copy, of which nothing is compared.
        """
        return CheckedCopy(await self.copy(*args))  # type: ignore[attr-defined]

    async def provide(self, name: bytes, *args: Any) -> ObjectAttributes:
        """
        OPEN and GETATTR.
        """
        await self.create(name, *args)  # type: ignore[attr-defined]
        return await self.getattr(name)  # type: ignore[attr-defined, no-any-return]

    async def settle(self, name: bytes) -> ObjectAttributes:
        """
        COMMIT and GETATTR.
        """
        await self.commit(name, 0, 0)  # type: ignore[attr-defined]
        return await self.getattr(name)  # type: ignore[attr-defined, no-any-return]

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any) -> Any:
            self.calls.append(name)
            held = self.held.pop(name, None)
            if held is not None:
                await held
            if self.down:
                raise Unreachable("down")
            if self.gate is not None:
                self.gate(name)
            if name in self.failing:
                raise self.failing[name]
            result = await function(*args)
            if name in ("write", "commit"):
                self.shy = False
            held = self.held.pop("after " + name, None)
            if held is not None:
                await held
            return result

        return call

    def hold(self, name: str) -> Deferred[None]:
        """
        Have the next call of that name wait. @return: to be fired.
        """
        self.held[name] = held = Deferred()
        return held


class DataFilesCase(SynchronousTestCase):
    """
    Data servers, a tree in memory, and one file C{f} in it.

    @ivar at: who answers at an address.
    """

    driver: Any = FilesLayoutDriver
    stripeCount = 0
    mirrors = 1
    chunk = 0
    count = 3

    def setUp(self) -> None:
        """
        Everything answers.
        """
        self.clock = Clock()
        self.clock.advance(1000)
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.ds = [
            Faulty(
                f"ds{n}",
                MemoryDataServerBackend(
                    b"start--%d" % n, bytes([n + 1]) * 16, 1 << 30, self.wallTime
                ),
            )
            for n in range(self.count)
        ]
        self.at = {("192.0.2.1", 2050 + n): ds for n, ds in enumerate(self.ds)}
        self.boot()
        self.tree = MemoryMetadataBackend(self.wallTime, entropy())
        self.now(self.tree.start())
        driver = self.driver()
        self.export = Export(
            "/export",
            self.tree,
            drivers={driver.layoutType: driver},
            layout=driver.name,
            stripeUnit=UNIT,
            stripeCount=self.stripeCount,
            mirrors=self.mirrors,
            chunk=self.chunk,
            dataServers=[f"ds{n}" for n in range(self.count)],
        )
        self.inode = self.make(b"f")

    def configs(self) -> list[DataServerConfig]:
        """
        The data servers of the configuration file.
        """
        return [
            DataServerConfig(ds.name, address, (address,))
            for address, ds in list(self.at.items())[: self.count]
        ]

    def boot(self) -> None:
        """
        A metadata server starts.
        """
        self.servers = DataServers(
            self.configs(),
            lambda config: self.at[config.address],
            self.folder,
            self.clock,
        )
        self.capabilities = CapabilityCodec(KEY)
        self.data = DataFiles(
            self.servers, self.capabilities, self.clock, self.wallTime
        )
        self.servers.start()

    def wallTime(self) -> int:
        """
        The date in nanoseconds.
        """
        return 1_700_000_000_000_000_000 + int(self.clock.seconds() * 1e9)

    def make(self, name: bytes) -> Any:
        """
        A new file in the root.
        """
        what = NewObject(FileType.REG, 0o640, 1000, 100)
        return self.now(self.tree.create(self.tree.root, name, what))

    def begin(self, coroutine: Any) -> Deferred[Any]:
        """
        Run a coroutine as far as it goes.
        """
        return Deferred.fromCoroutine(coroutine)

    def now(self, coroutine: Any) -> Any:
        """
        The result of a coroutine that need not wait.
        """
        return self.successResultOf(self.begin(coroutine))

    def fails(self, coroutine: Any, *kinds: type[Exception]) -> Any:
        """
        It raises one of these. @return: the exception.
        """
        return self.failureResultOf(self.begin(coroutine), *kinds).value

    def write(self, offset: int, data: bytes, stable: int = 0) -> Any:
        """
        Write to the file. @return: a coroutine.
        """
        return self.data.write(
            self.export, self.inode, offset, memoryview(data), stable
        )

    def put(self, offset: int, data: bytes, stable: int = 0) -> Any:
        """
        Write to the file: the result.
        """
        return self.now(self.write(offset, data, stable))

    def get(self, offset: int, count: int) -> tuple[bytes, bool]:
        """
        Read from the file: bytes, eof.
        """
        result = self.now(self.data.read(self.export, self.inode, offset, count))
        return readBytes(result), result.eof

    def refresh(self) -> None:
        """
        Ask for the size.
        """
        self.now(self.data.refresh(self.export, self.inode))

    def placement(self) -> Any:
        """
        Where the file is.
        """
        return self.now(self.tree.loadPlacement(self.inode))

    def sizes(self) -> list[Optional[int]]:
        """
        Of the file's object at each data server; None where there is none.
        """
        name = self.placement().name
        found = [ds.inner.peek(name) for ds in self.ds]
        return [None if a is None else a.size for a in found]

    def objects(self) -> list[int]:
        """
        How many objects each data server has.
        """
        return [len(self.now(ds.inner.list(b"", 1000))) for ds in self.ds]

    def column(self, index: int) -> Faulty:
        """
        The (first) data server of a column of the file.
        """
        return self.byUUID(self.placement().columns[index][0])

    def byUUID(self, uuid: bytes) -> Faulty:
        """
        A data server.
        """
        return next(ds for ds in self.ds if ds.uuid == uuid)

    def probe(self) -> None:
        """
        Have the data servers looked at again.
        """
        self.clock.advance(2.1)


class MirroredCase(DataFilesCase):
    """
    Two copies of everything.
    """

    driver = FlexFilesLayoutDriver
    stripeCount = 1
    mirrors = 2


class ChunksCase(MirroredCase):
    """
    Two copies of everything, in chunks.
    """

    count = 4
    chunk = 2 * UNIT


def pattern(count: int, seed: int = 0) -> bytes:
    """
    Bytes that differ from place to place.
    """
    word: Sequence[int] = range(seed, seed + 251)
    block = bytes([n % 256 for n in word])
    return (block * (count // 251 + 1))[:count]
