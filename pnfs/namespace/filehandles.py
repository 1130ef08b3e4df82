# -*- test-case-name: tests.namespace.test_filehandles -*-
"""
Filehandles: of the metadata server, and the capabilities that data servers take.

Both carry a keyed MAC (BLAKE2b) over all that stands before it, made with a key
derived from the cluster key, so a handle can neither be guessed nor altered nor
moved to another export or object.

===============  ======  =======================================================
metadata handle  bytes   meaning
===============  ======  =======================================================
kind             1       C{0x4d}
export           4       the export's id
handle           1-40    the backend's identity of the object
mac              12
===============  ======  =======================================================

===============  ======  =======================================================
capability       bytes   meaning
===============  ======  =======================================================
kind             1       C{0x44}
rights           1       READ 1, WRITE 2, CONTROL 4; squash: see below
key id           2       which cluster key
epoch            4       fence epoch of the object
anonymous        0, 8    uid and gid of who is squashed
name             0-40    the object's name; none: the data server itself
mac              16
===============  ======  =======================================================

The rights have 8 for root squash, 16 for all squash, and 32 if the anonymous user
and group follow, which are else those of nobody.

64 bytes at most, so that NFSv3 can carry either; the bearers of a capability that
would be longer, because of an anonymous user of their own, get no layout.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any, Optional

import attrs

from pnfs.namespace.squash import Squash, squashOf
from pnfs.values import NOBODY

READ = 1
WRITE = 2
CONTROL = 4
_RIGHTS = READ | WRITE | CONTROL
_ROOT_SQUASH = 8
_ALL_SQUASH = 16
_OWN_ANONYMOUS = 32

_MDS_KIND = 0x4D
_DS_KIND = 0x44
_MDS_MAC = 12
_DS_MAC = 16
_HANDLE_LIMIT = 40
_DS_HANDLE_LIMIT = 64
_CACHED = 65536

_mdsHead = struct.Struct(">BI")
_dsHead = struct.Struct(">BBHI")
_anonymous = struct.Struct(">II")


class BadHandle(Exception):
    """
    Not a filehandle of ours: forged, altered, or of another cluster.
    """


def deriveKey(clusterKey: bytes, purpose: bytes) -> bytes:
    """
    A key for one purpose only.

    @param clusterKey: 32 bytes or more.
    """
    return blake2b(purpose, key=clusterKey[:64], digest_size=32).digest()


class FilehandleCodec:
    """
    The metadata server's filehandles.
    """

    def __init__(self, clusterKey: bytes) -> None:
        self._key = deriveKey(clusterKey, b"pnfs metadata filehandle")
        self._decoded: dict[bytes, tuple[int, bytes]] = {}
        self._encoded: dict[tuple[int, bytes], bytes] = {}

    def encode(self, export: Any, inode: Any) -> bytes:
        """
        The filehandle of an object seen through an export: always the same bytes.
        """
        key = (export.id, inode.handle)
        fh = self._encoded.get(key)
        if fh is None:
            head = _mdsHead.pack(_MDS_KIND, key[0]) + key[1]
            fh = head + blake2b(head, key=self._key, digest_size=_MDS_MAC).digest()
            if len(self._encoded) >= _CACHED:
                self._encoded.clear()
            self._encoded[key] = fh
        return fh

    def decode(self, fh: bytes) -> tuple[int, bytes]:
        """
        @return: export id and the backend's handle.
        @raise BadHandle: it is none of ours.
        """
        found = self._decoded.get(fh)
        if found is None:
            head, mac = fh[:-_MDS_MAC], fh[-_MDS_MAC:]
            if (
                not 6 <= len(head) <= 5 + _HANDLE_LIMIT
                or head[0] != _MDS_KIND
                or blake2b(head, key=self._key, digest_size=_MDS_MAC).digest() != mac
            ):
                raise BadHandle()
            found = (_mdsHead.unpack_from(head)[1], head[5:])
            if len(self._decoded) >= _CACHED:
                self._decoded.clear()
            self._decoded[fh] = found
        return found


@attrs.frozen
class Capability:
    """
    What a data server's filehandle allows.

    @ivar rights: READ, WRITE, CONTROL bits.
    @ivar epoch: fence epoch it was made in.
    @ivar name: the object, lower-case hex; empty: the data server itself.
    @ivar squash: whom its bearers are to be taken for; None: for whom they say.
    """

    rights: int
    epoch: int
    name: bytes
    squash: Optional[Squash] = None


class CapabilityCodec:
    """
    Filehandles of data servers. Whoever has the cluster key can make them.
    """

    def __init__(self, clusterKey: bytes, keyId: int = 1) -> None:
        self._key = deriveKey(clusterKey, b"pnfs data capability")
        self._keyId = keyId
        self._decoded: dict[bytes, Capability] = {}

    def mint(
        self, rights: int, epoch: int, name: bytes, squash: Optional[Squash] = None
    ) -> bytes:
        """
        Make a handle.

        @param name: the object's name in hex, up to 80 characters.
        @raise ValueError: it would be too long.
        """
        who = b""
        if squash is not None and squash.changes:
            rights |= squash.root * _ROOT_SQUASH | squash.all * _ALL_SQUASH
            if (squash.uid, squash.gid) != (NOBODY, NOBODY):
                rights |= _OWN_ANONYMOUS
                who = _anonymous.pack(squash.uid, squash.gid)
        head = b"".join(
            (
                _dsHead.pack(_DS_KIND, rights, self._keyId, epoch),
                who,
                bytes.fromhex(name.decode("ascii")),
            )
        )
        if len(head) + _DS_MAC > _DS_HANDLE_LIMIT:
            raise ValueError("no room for the anonymous user in the handle")
        return head + blake2b(head, key=self._key, digest_size=_DS_MAC).digest()

    def decode(self, fh: bytes) -> Capability:
        """
        @raise BadHandle: it is none of ours.
        """
        found = self._decoded.get(fh)
        if found is None:
            head, mac = fh[:-_DS_MAC], fh[-_DS_MAC:]
            if (
                not 8 <= len(head) <= 8 + _HANDLE_LIMIT
                or head[0] != _DS_KIND
                or blake2b(head, key=self._key, digest_size=_DS_MAC).digest() != mac
            ):
                raise BadHandle()
            _, rights, keyId, epoch = _dsHead.unpack_from(head)
            if keyId != self._keyId:
                raise BadHandle()
            found = _capability(rights, epoch, head[8:])
            if len(self._decoded) >= _CACHED:
                self._decoded.clear()
            self._decoded[fh] = found
        return found


def _capability(flags: int, epoch: int, rest: bytes) -> Capability:
    """
    @param rest: what stands behind the epoch.
    """
    squash = None
    if flags & ~_RIGHTS:
        anonymous = (NOBODY, NOBODY)
        if flags & _OWN_ANONYMOUS:
            anonymous = _anonymous.unpack_from(rest)
            rest = rest[_anonymous.size :]
        squash = squashOf(
            bool(flags & _ROOT_SQUASH), bool(flags & _ALL_SQUASH), *anonymous
        )
    return Capability(flags & _RIGHTS, epoch, rest.hex().encode("ascii"), squash)


def objectName(exportId: int, handle: bytes) -> bytes:
    """
    The name of a file's data files: the hex of its identity at creation.
    """
    identity = exportId.to_bytes(4, "big") + handle
    if len(identity) > _HANDLE_LIMIT:
        identity = blake2b(identity, digest_size=32).digest()
    return identity.hex().encode("ascii")
