# -*- test-case-name: tests.nfs4.ops.test_getattr -*-
"""
Encoding C{fattr4}: a function is compiled for each set of attributes that clients
ask for. Constants and fields of fixed size in a row become one C{struct} pack, so
that what a Linux client wants costs about two microseconds; and once, since the
result is kept in C{Inode.encoded} until the object changes.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Optional

import attrs

from pnfs.nfs4.acl import encodeACL, encodeDACL
from pnfs.nfs4.fattr import (
    ATTRIBUTES,
    FROM_DATA_SERVERS,
    GUARDED,
    WRITE_ONLY,
    Constant,
    Field,
    OwnerStrings,
    opaque,
    supported,
)
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.nfs4.types import decodeBitmap, encodeBitmap
from pnfs.values import FSStatistics, Inode

PLANS_LIMIT = 256
"""Plans kept per export, minor version and operation."""

ENCODED_LIMIT = 8
"""Sets of attributes kept with one object."""

_owners = OwnerStrings()


@attrs.define(eq=False)
class Plan:
    """
    How one set of attributes is encoded for objects of one export; also the key
    of the result in C{Inode.encoded}.

    @ivar bitmap: the attributes that will be in it.
    @ivar encode: object and statistics (None if not C{volatile}) to the bytes.
    @ivar volatile: has attributes of the whole file system, or such as not everybody
        may read, so nothing is kept.
    @ivar guarded: the latter.
    @ivar fromData: has attributes that data servers know better.
    @ivar leastBytes: the fewest bytes that C{encode} gives.
    """

    bitmap: int
    encode: Callable[[Inode, Optional[FSStatistics]], bytes]
    volatile: bool
    fromData: bool
    leastBytes: int
    guarded: bool = False

    def of(self, inode: Inode, fs: Optional[FSStatistics] = None) -> bytes:
        """
        The encoded attributes of an object, from memory if it has not changed.
        """
        if self.volatile:
            return self.encode(inode, fs)
        encoded: Optional[bytes] = inode.encoded.get(self)
        if encoded is None:
            encoded = self.encode(inode, None)
            if len(inode.encoded) >= ENCODED_LIMIT:
                inode.encoded.clear()
            inode.encoded[self] = encoded
        return encoded


class _Writer:
    """
    Puts the source of an encoder together.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.parts: list[str] = []
        self.texts: list[str] = []
        self.bytesFixed = 0
        self._format = ""
        self._values: list[str] = []

    def _bind(self, value: Any) -> str:
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def constant(self, value: bytes) -> None:
        """
        Bytes that are always the same.
        """
        self.fixed(f"{len(value)}s", [self._bind(value)])

    def fixed(self, form: str, values: list[str]) -> None:
        """
        Values of fixed size, as expressions.
        """
        self._format += form
        self._values += values

    def text(self, expression: str) -> None:
        """
        A value of variable size.
        """
        self.flush()
        name = f"t{len(self.texts)}"
        self.texts.append(f"    {name} = {expression}")
        self.parts.append(name)

    def flush(self) -> None:
        """
        Make one pack of the fixed values so far.
        """
        if not self._format:
            return
        layout = struct.Struct(">" + self._format)
        self.bytesFixed += layout.size
        self.parts.append(f"{self._bind(layout.pack)}({', '.join(self._values)})")
        self._format = ""
        self._values = []

    def source(self, head: bytes) -> str:
        """
        The source of the function C{encode(i, fs)}.

        @param head: what stands before the length of the values.
        """
        self.flush()
        sizes = [f"len(t{index})" for index in range(len(self.texts))]
        if sizes:
            packed = self._bind(struct.Struct(f">{len(head)}sI").pack)
            total = " + ".join([str(self.bytesFixed), *sizes])
            first = f"{packed}({self._bind(head)}, {total})"
        else:
            first = self._bind(head + struct.pack(">I", self.bytesFixed))
        return "\n".join(
            [
                "def encode(i, fs):",
                *self.texts,
                f"    return b''.join(({', '.join([first, *self.parts])},))",
            ]
        )


def compilePlan(
    server: Any, export: Any, minor: int, bitmap: int, head: bytes = b""
) -> Plan:
    """
    Make the plan of a set of attributes; what is not supported is left out.

    @param head: bytes to stand before the C{fattr4}.
    @raise NFSError: INVAL, there is a write-only attribute in it.
    """
    bitmap &= supported(minor, export)
    if bitmap & WRITE_ONLY:
        raise NFSError(nfsstat4.NFS4ERR_INVAL)
    names: dict[str, Any] = {
        "acl": encodeACL,
        "dacl": encodeDACL,
        "export": export,
        "filehandle": server.filehandles.encode,
        "mountedOn": export.mountedOn,
        "opaque": opaque,
        "owners": _owners,
    }
    writer = _Writer(names)
    guarded = bool(bitmap & GUARDED)
    volatile = guarded
    for number in range(bitmap.bit_length()):
        if not bitmap >> number & 1:
            continue
        attribute = ATTRIBUTES[number]
        if isinstance(attribute, Constant):
            writer.constant(attribute.value(server, export, minor))
        elif isinstance(attribute, Field):
            volatile = volatile or attribute.statistics
            writer.fixed(attribute.format, list(attribute.expressions))
        else:
            writer.text(attribute.expression)
    head += encodeBitmap(bitmap)
    source = writer.source(head)
    exec(compile(source, f"<fattr4 {bitmap:#x}>", "exec"), names)
    return Plan(
        bitmap,
        names["encode"],
        volatile,
        bool(bitmap & FROM_DATA_SERVERS),
        len(head) + 4 + writer.bytesFixed + 4 * len(writer.texts),
        guarded,
    )


def planFor(
    server: Any, export: Any, minor: int, wire: bytes, head: bytes = b""
) -> Plan:
    """
    The plan of a C{bitmap4} as it stands in a GETATTR, kept in C{Export.plans}.
    """
    plans = export.plans[minor]
    plan: Optional[Plan] = plans.get(wire)
    if plan is None:
        bitmap, _ = decodeBitmap(wire, 0)
        plan = compilePlan(server, export, minor, bitmap, head)
        if len(plans) >= PLANS_LIMIT:
            plans.clear()
        plans[wire] = plan
    return plan


def entryPlanFor(server: Any, export: Any, minor: int, bitmap: int) -> Plan:
    """
    The plan of a bare C{fattr4}, for READDIR, VERIFY and NVERIFY, kept in
    C{Export.entryPlans}.
    """
    plans = export.entryPlans[minor]
    plan: Optional[Plan] = plans.get(bitmap)
    if plan is None:
        plan = compilePlan(server, export, minor, bitmap)
        if len(plans) >= PLANS_LIMIT:
            plans.clear()
        plans[bitmap] = plan
    return plan


async def statistics(export: Any) -> FSStatistics:
    """
    The space of an export: that of its data servers if it is known, and the
    inodes of its metadata.
    """
    fs: FSStatistics = await export.backend.statfs()
    space: Optional[FSStatistics] = None if export.space is None else export.space()
    if space is None:
        return fs
    return attrs.evolve(
        fs,
        spaceTotal=space.spaceTotal,
        spaceFree=space.spaceFree,
        spaceAvailable=space.spaceAvailable,
    )
