# -*- test-case-name: tests.backends.ds.test_controlled -*-
"""
Objects of a data server of ours: made, fenced, and what they are like, under control
handles (L{pnfs.nfs4.dsops.control}). What belongs together is one COMPOUND.
"""

from __future__ import annotations

from typing import Any, Callable

from pnfs.backends.ds.remote import translating
from pnfs.nfs4 import requests
from pnfs.nfs4.results import Results
from pnfs.values import ObjectAttributes

_ATTRIBUTES = sum(1 << bit for bit in (3, 4, 33, 36, 37, 45, 47, 52, 53))
_GETATTR = requests.getattr_(_ATTRIBUTES)
_EPOCH_XATTR = b"pnfs.epoch"


def _fencing(epoch: int) -> Any:
    return requests.setxattr(_EPOCH_XATTR, epoch.to_bytes(4, "big"))


def _attributes(results: Results) -> ObjectAttributes:
    """
    What GETATTR tells of an object.
    """
    found = results.attributes()
    return ObjectAttributes(
        size=found[4],
        used=found[45],
        atime=found[47],
        mtime=found[53],
        ctime=found[52],
        change=found[3],
        uid=int(found[36]),
        gid=int(found[37]),
        mode=found[33],
        epoch=0,
    )


class ControlledObjects:
    """
    A part of L{pnfs.backends.ds.controlled.ControlledDataServerBackend}.
    """

    verifier: bytes
    _root: bytes
    _do: Callable[..., Any]
    _object: Callable[[bytes], bytes]

    @translating
    async def getattr(self, name: bytes) -> ObjectAttributes:
        """
        The epoch is not told: 0.
        """
        results = await self._do(self._object(name), [_GETATTR], 9)
        return _attributes(results)

    @translating
    async def create(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> None:
        """
        OPEN UNCHECKED, and SETXATTR of an epoch greater than the first.
        """
        await self._create(name, uid, gid, mode, epoch)

    @translating
    async def provide(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int
    ) -> ObjectAttributes:
        """
        As L{create}, with GETATTR at the end.
        """
        results = await self._create(name, uid, gid, mode, epoch, _GETATTR)
        results.operation(9)
        return _attributes(results)

    async def _create(
        self, name: bytes, uid: int, gid: int, mode: int, epoch: int, *more: bytes
    ) -> Results:
        """
        @return: positioned behind the results of what makes the object.
        """
        attributes = [
            requests.modeAttribute(mode),
            requests.ownerAttribute(uid),
            requests.groupAttribute(gid),
        ]
        operations = [requests.open_(0, b"mds", name, requests.SHARE_BOTH, attributes)]
        if epoch > 1:
            operations.append(_fencing(epoch))
        operations += more
        results: Results = await self._do(
            self._root, operations, 18, cache=True, count=1 + len(operations)
        )
        if len(operations) > 1:
            results.opened()
        if epoch > 1:
            results.operation(73)
            # change_info4
            results.fixed(20)
        return results

    @translating
    async def fence(self, name: bytes, epoch: int) -> None:
        """
        SETXATTR C{pnfs.epoch}.
        """
        await self._do(self._object(name), [_fencing(epoch)], 73)

    @translating
    async def settle(self, name: bytes) -> ObjectAttributes:
        """
        COMMIT and GETATTR.
        """
        results = await self._do(
            self._object(name), [requests.commit(0, 0), _GETATTR], 5, count=3
        )
        self.verifier = results.fixed(8)
        results.operation(9)
        return _attributes(results)
