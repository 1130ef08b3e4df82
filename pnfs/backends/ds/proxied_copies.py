# -*- test-case-name: tests.backends.ds.test_proxied -*-
"""
Copying between files upstream.
"""

from __future__ import annotations

from typing import Any, Callable

from pnfs.backends.ds.carrying import carry
from pnfs.backends.ds.proxied_parts import ProxiedPart
from pnfs.backends.ds.unchecked import UncheckedCopies
from pnfs.backends.errors import InvalidArgument, TooBig, Unsupported
from pnfs.values import CopySource, Stable, WriteResult

_LARGEST = (1 << 63) - 1


class ProxiedCopies(ProxiedPart, UncheckedCopies):
    """
    A part of L{pnfs.backends.ds.proxied.ProxiedDataServerBackend}.
    """

    uuid: bytes
    _record: Callable[[bytes], Any]

    async def copy(
        self,
        name: bytes,
        offset: int,
        source: CopySource,
        sourceOffset: int,
        count: int,
    ) -> WriteResult:
        """
        By reading and writing: the upstream need not know how to copy.
        """
        if source.uuid and source.uuid != self.uuid:
            raise Unsupported("the source lies on another data server")
        if max(offset, sourceOffset) + count > _LARGEST:
            raise TooBig(f"offset {offset}")
        if name == source.name and abs(offset - sourceOffset) < count:
            raise InvalidArgument("the ranges overlap")
        return await carry(
            lambda at, length: self.read(source.name, at, length),
            lambda at, data: self.write(name, at, data, Stable.UNSTABLE),
            offset,
            sourceOffset,
            count,
            self._clock.seconds,
        )

    async def clone(
        self, name: bytes, offset: int, source: bytes, sourceOffset: int, count: int
    ) -> None:
        """
        Never: C{statfs} says so.
        """
        self._record(name)
        self._record(source)
        raise Unsupported("a gateway cannot share bytes between files")
