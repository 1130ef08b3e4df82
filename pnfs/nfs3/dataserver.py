# -*- test-case-name: tests.nfs3 -*-
"""
What the procedures of an NFSv3 data server share: the backend, and who may do
what under which filehandle.

The filehandle is a capability (L{pnfs.namespace.filehandles}). Checks come in this
order: is it ours (BADHANDLE), its rights (ACCES), its fence epoch (STALE: a Linux
client then drops the layout and asks for a new one), then owner and mode of the
data file against the credential (ACCES). A control handle passes all but the
first: only the metadata server has one.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Coroutine, Union

from pnfs.interfaces import IDataServerBackend
from pnfs.namespace.filehandles import (
    CONTROL,
    WRITE,
    BadHandle,
    Capability,
    CapabilityCodec,
)
from pnfs.nfs3.status import FAILURES, NFS3Error, nfsstat3, statusOf
from pnfs.nfs3.types import NFS3_FHSIZE, decodeFH, encodeFattr, fileid3
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Procedure, Results
from pnfs.values import Credential, FileType, ObjectAttributes

_packStatus = struct.Struct(">I").pack

_STALE = nfsstat3.NFS3ERR_STALE
_ACCES = nfsstat3.NFS3ERR_ACCES

_FOLDER = ObjectAttributes(4096, 4096, 0, 0, 0, 0, 0, 0, 0o700, 0)


class DataServer3:
    """
    An NFSv3 data server.

    @ivar backend: an L{IDataServerBackend} that has been started.
    @ivar capabilities: knows which filehandles are ours.
    @ivar readSize: largest READ answered in full; C{writeSize}: largest WRITE.
    @ivar fsid: from the data server's identity.
    """

    def __init__(
        self,
        backend: Any,
        capabilities: CapabilityCodec,
        readSize: int = 1 << 20,
        writeSize: int = 1 << 20,
    ) -> None:
        """
        @param backend: an L{IDataServerBackend}.
        """
        assert IDataServerBackend.providedBy(backend)
        self.backend = backend
        self.capabilities = capabilities
        self.readSize = readSize
        self.writeSize = writeSize
        self.decode = capabilities.decode

    @property
    def fsid(self) -> int:
        """
        The first half of the data server's UUID.
        """
        return int.from_bytes(self.backend.uuid[:8], "big")

    def handle(self, buf: Buffer, pos: int) -> tuple[Capability, int]:
        """
        Decode the filehandle that the arguments begin with.

        @raise BadHandle: it is none of ours.
        """
        fh, pos = decodeFH(buf, pos)
        if len(fh) > NFS3_FHSIZE:
            raise BadHandle()
        return self.decode(fh), pos

    def fattr(self, name: bytes, attributes: ObjectAttributes) -> bytes:
        """
        C{fattr3} of a data file.
        """
        return encodeFattr(attributes, self.fsid, fileid3(name))

    def folderFattr(self) -> bytes:
        """
        C{fattr3} of the data server itself: a directory with nothing to see.
        """
        return encodeFattr(_FOLDER, self.fsid, 1, FileType.DIR)

    async def look(self, capability: Capability) -> ObjectAttributes:
        """
        Fresh attributes of a data file under a handle that is not fenced.

        @raise NFS3Error: STALE.
        """
        attributes: ObjectAttributes = await self.backend.getattr(capability.name)
        if capability.epoch < attributes.epoch and not capability.rights & CONTROL:
            raise NFS3Error(_STALE)
        return attributes


def refusal(
    capability: Capability,
    right: int,
    attributes: ObjectAttributes,
    credential: Credential,
) -> int:
    """
    Why the caller may not read or write a data file.

    @param right: READ or WRITE of L{pnfs.namespace.filehandles}.
    @return: a status; 0 (OK) if it may.
    """
    rights = capability.rights
    if rights & CONTROL:
        return 0
    if not rights & right:
        return _ACCES
    if capability.epoch < attributes.epoch:
        return _STALE
    if capability.squash is not None:
        credential = capability.squash.effective(credential)
    return 0 if mayAccess(attributes, credential, right) else _ACCES


def mayAccess(attributes: ObjectAttributes, credential: Credential, right: int) -> bool:
    """
    Owner and mode against a credential. The owner is not held to the mode, as the
    file may have been open when it changed; who may execute may read.
    """
    uid = credential.uid
    if uid == attributes.uid or uid == 0:
        return True
    mode = attributes.mode
    if attributes.gid in credential.groups:
        mode >>= 3
    return bool(mode & (2 if right == WRITE else 5))


def answering(
    procedure: Callable[[DataServer3, Call, Buffer, int], Any], failed: bytes
) -> Callable[[DataServer3], Procedure]:
    """
    Make an RPC procedure of a function that may raise what has a status.

    @param procedure: takes server, call, record and position of the arguments; it
        returns a list of pieces or a coroutine that does.
    @param failed: what follows the status of a failure.
    """

    def bind(server: DataServer3) -> Procedure:
        """
        The procedure of one server.
        """

        def run(
            call: Call, buf: Buffer, pos: int
        ) -> Union[Results, Coroutine[Any, Any, Results]]:
            try:
                results = procedure(server, call, buf, pos)
            except FAILURES as error:
                return [_packStatus(statusOf(error)) + failed]
            if results.__class__ is list:
                return results
            return wait(results)

        async def wait(coroutine: Coroutine[Any, Any, Results]) -> Results:
            try:
                return await coroutine
            except FAILURES as error:
                return [_packStatus(statusOf(error)) + failed]

        return run

    return bind
