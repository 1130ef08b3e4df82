# -*- test-case-name: tests.nfs4.dsops.test_contents -*-
"""
What a metadata server asks about the contents of a data file: GETXATTR (RFC 8276,
section 8.4.1) under the object's control handle. Numbers in names are decimal.

  - C{pnfs.checksums:OFFSET:COUNT:UNIT} gives digests of the pieces of a range, from
    the first on, as many as L{SECONDS} and L{VALUE_LIMIT} allow: of each a byte that
    tells its length (0: a piece of zeros, or 16), and the digest;
  - C{pnfs.unequal}, after a COPY from another data server in the same COMPOUND, gives
    in 8 bytes how many of the bytes copied have been compared with what the source has
    now, from the first on, and then the ranges of them that differ, as below;
  - C{pnfs.track} gives a token for this moment;
  - C{pnfs.changes:TOKEN} (the token in hex) gives what has changed since, as pairs
    of 8 bytes, big endian, for offset and length; NOXATTR: it is not known.
"""

from __future__ import annotations

import re
import struct
from typing import Annotated, Iterable

import attrs

from pnfs.namespace.filehandles import CONTROL
from pnfs.nfs4.context import CompoundContext
from pnfs.nfs4.dsops.capability import requireControlObject
from pnfs.nfs4.operation import operation
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.xdr.codec import Opaque
from pnfs.xdr.errors import XDRError

TRACK_XATTR = b"pnfs.track"
UNEQUAL_XATTR = b"pnfs.unequal"
VALUE_LIMIT = 128 << 10
"""Bytes of an answer."""

SECONDS = 1.0
"""After which no further step is begun."""

DIGEST = 16
_RANGE_LIMIT = 1 << 63
_CHECKSUMS = re.compile(rb"pnfs\.checksums:(\d{1,19}):(\d{1,19}):(\d{1,10})")
_CHANGES = re.compile(rb"pnfs\.changes:((?:[0-9a-f]{2}){0,32})")
_pair = struct.Struct(">QQ")
_count = struct.Struct(">Q")

_ERRORS = frozenset(
    nfsstat4["NFS4ERR_" + name]
    for name in (
        "ACCESS BADXDR DELAY INVAL IO ISDIR NOENT NOFILEHANDLE NOTSUPP NOXATTR "
        "SERVERFAULT STALE"
    ).split()
)


@attrs.define
class GETXATTR4args:
    """
    RFC 8276, section 8.4.1.
    """

    gxa_name: Annotated[bytes, Opaque(255)]


@attrs.define
class GETXATTR4resok:
    """
    @ivar gxr_value: see the module's text.
    """

    gxr_value: Annotated[bytes, Opaque(VALUE_LIMIT)]


@operation(72, "GETXATTR", GETXATTR4args, GETXATTR4resok, errors=_ERRORS, minor=2)
async def getxattr(ctx: CompoundContext, args: GETXATTR4args) -> GETXATTR4resok:
    """
    Tell about the contents of an object.
    """
    name = requireControlObject(ctx)
    data = ctx.server.data
    if args.gxa_name == TRACK_XATTR:
        return GETXATTR4resok((await data.track(name))[0])
    if args.gxa_name == UNEQUAL_XATTR:
        return GETXATTR4resok(await _unequal(ctx))
    match = _CHANGES.fullmatch(args.gxa_name)
    if match is not None:
        changes = await data.changes(name, bytes.fromhex(match[1].decode("ascii")))
        if changes is None:
            raise NFSError(nfsstat4.NFS4ERR_NOXATTR)
        return GETXATTR4resok(_packRanges(changes))
    match = _CHECKSUMS.fullmatch(args.gxa_name)
    if match is None:
        raise NFSError(nfsstat4.NFS4ERR_NOXATTR)
    offset, count, unit = map(int, match.groups())
    if offset + count > _RANGE_LIMIT:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    return GETXATTR4resok(await _checksums(ctx, name, offset, count, unit))


async def _checksums(
    ctx: CompoundContext, name: bytes, offset: int, count: int, unit: int
) -> bytes:
    """
    Step by step, as far as time and room allow.
    """
    seconds = ctx.server.clock.seconds
    until = seconds() + SECONDS
    most = VALUE_LIMIT // (DIGEST + 1)
    digests: list[bytes] = []
    end = offset + count
    while True:
        some = await ctx.server.data.checksums(name, offset, end - offset, unit)
        digests += some
        offset += len(some) * unit
        if offset >= end or not some or len(digests) >= most or seconds() >= until:
            break
    return b"".join(bytes((len(each),)) + each for each in digests[:most])


async def _unequal(ctx: CompoundContext) -> bytes:
    """
    Nobody else can have written what this COMPOUND has, as far as the metadata server
    knows, who asks.
    """
    if ctx.copied is None:
        raise NFSError(nfsstat4.NFS4ERR_NOXATTR)
    digests, source, offset, count = ctx.copied
    handle = ctx.server.filehandles.mint(CONTROL, 0, source.name)
    compared, unequal = await ctx.server.partners.compare(
        digests, source, offset, count, handle
    )
    return _count.pack(compared) + _packRanges(unequal)


def _packRanges(ranges: Iterable[tuple[int, int]]) -> bytes:
    return b"".join(_pair.pack(*each) for each in ranges)


def checksumsName(offset: int, count: int, unit: int) -> bytes:
    """
    What to ask for to be told digests.
    """
    return b"pnfs.checksums:%d:%d:%d" % (offset, count, unit)


def changesName(token: bytes) -> bytes:
    """
    What to ask for to be told changes.
    """
    return b"pnfs.changes:" + token.hex().encode("ascii")


def decodeDigests(value: bytes, count: int, unit: int) -> list[bytes]:
    """
    @raise XDRError: these cannot be digests of that range.
    """
    size = DIGEST + 1
    if value[::size].count(DIGEST) * size == len(value):
        # No holes among them.
        digests = [value[at : at + DIGEST] for at in range(1, len(value), size)]
        position = len(value)
    else:
        digests = []
        position = 0
    while position < len(value):
        length = value[position]
        position += 1
        digest = value[position : position + length]
        if length not in (0, DIGEST) or len(digest) != length:
            raise XDRError("a checksum of another length")
        digests.append(digest)
        position += length
    if len(digests) > -(-count // max(unit, 1)) or (count and not digests):
        raise XDRError(f"{len(digests)} checksums for {count} bytes")
    return digests


def decodeChanges(value: bytes) -> list[tuple[int, int]]:
    """
    @raise XDRError: these cannot be ranges.
    """
    if len(value) % _pair.size:
        raise XDRError("a part of a range")
    return list(_pair.iter_unpack(value))


def decodeUnequal(value: bytes) -> tuple[int, list[tuple[int, int]]]:
    """
    How many bytes have been compared, and where they differ.

    @raise XDRError: these cannot be ranges.
    """
    if len(value) < _count.size:
        raise XDRError("not even a count")
    return _count.unpack_from(value)[0], decodeChanges(value[_count.size :])
