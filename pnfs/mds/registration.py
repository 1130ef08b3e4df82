# -*- test-case-name: tests.mds.test_registration -*-
"""
Data servers that register themselves, as the metadata server hears them
(L{pnfs.registration}, ADR 0008).

Nothing is done for whoever has not shown that it has the cluster key: above all, no
connection is made to where it says that it is, since control handles go over that.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pnfs.admin.control import Refused
from pnfs.backends.errors import BackendError, BadConfiguration
from pnfs.config import DataServerConfig, dataServerConfig
from pnfs.configvalues import Address
from pnfs.mds.inventory import addressText
from pnfs.mds.membership import Membership
from pnfs.registration import (
    CHALLENGE,
    NONCE_BYTES,
    REG_BADKEY,
    REG_LATER,
    REG_NOCHALLENGE,
    REG_OK,
    REG_REFUSED,
    REGISTER,
    REGISTER_PROGRAM,
    REGISTER_VERSION,
    CHALLENGE1res,
    Proofs,
    REGISTER1res,
    challengeArgs,
    challengeRes,
    data_server1,
    registerArgs,
    registered1,
    registerRes,
    same,
)
from pnfs.rpc.message import Buffer
from pnfs.rpc.program import Call, Procedure, Program, Results, null

CHALLENGE_SECONDS = 30.0
"""How long a challenge may be taken up."""

AT_ONCE = 16
"""Data servers that are being connected to; further ones come again."""

_TOLD = 256
"""Refusals that are remembered, so that the log has each of them once."""

_NO_PROOF = bytes(32)

_log = Logger()


class Registration:
    """
    Hears data servers.

    @ivar enabled: new ones may come, and those that are known may move.
    """

    def __init__(
        self,
        membership: Membership,
        clusterKey: bytes,
        clock: IReactorTime,
        entropy: Callable[[int], bytes],
        enabled: bool,
    ) -> None:
        self.enabled = enabled
        self._membership = membership
        self._proofs = Proofs(clusterKey)
        self._clock = clock
        self._entropy = entropy
        self._busy: set[bytes] = set()
        self._told: dict[str, str] = {}

    def program(self) -> Program:
        """
        What is to be served.
        """
        procedures: dict[int, Procedure] = {
            0: null,
            CHALLENGE: self.challenge,
            REGISTER: self.register,
        }
        return Program(REGISTER_PROGRAM, {REGISTER_VERSION: procedures})

    def challenge(self, call: Call, buf: Buffer, pos: int) -> Results:
        """
        CHALLENGE.
        """
        args, pos = challengeArgs.decode(buf, pos)
        host = _hostOf(call.connection.address)
        if not same(args.ca_proof, self._proofs.hello(args.ca_nonce)):
            self._refused(
                host.decode("ascii"), "it has another cluster key; give it this one's"
            )
            answer = CHALLENGE1res(REG_BADKEY, bytes(NONCE_BYTES), host, _NO_PROOF)
            return [challengeRes.encode(answer)]
        self._told.pop(host.decode("ascii"), None)
        nonce = self._entropy(NONCE_BYTES)
        until = self._clock.seconds() + CHALLENGE_SECONDS
        call.connection.attachments[Registration] = (args.ca_nonce, nonce, until)
        proof = self._proofs.challenge(args.ca_nonce, nonce, host)
        return [challengeRes.encode(CHALLENGE1res(REG_OK, nonce, host, proof))]

    async def register(self, call: Call, buf: Buffer, pos: int) -> Results:
        """
        REGISTER.
        """
        args, pos = registerArgs.decode(buf, pos)
        server: data_server1 = args.ra_server
        # Once only, whatever comes of it.
        found = call.connection.attachments.pop(Registration, None)
        if found is None or self._clock.seconds() > found[2]:
            outcome = registered1(REG_NOCHALLENGE, b"", b"no challenge: begin again")
            return [registerRes.encode(REGISTER1res(outcome, _NO_PROOF))]
        theirs, ours, _ = found
        if not same(args.ra_proof, self._proofs.server(theirs, ours, server)):
            outcome = registered1(REG_BADKEY, b"", b"what you say is not proved")
            return [registerRes.encode(REGISTER1res(outcome, _NO_PROOF))]
        outcome = await self._outcome(server)
        proof = self._proofs.outcome(theirs, ours, outcome)
        return [registerRes.encode(REGISTER1res(outcome, proof))]

    async def _outcome(self, server: data_server1) -> registered1:
        uuid = bytes(server.ds_uuid)
        who = uuid.hex()
        if uuid in self._busy or len(self._busy) >= AT_ONCE:
            return registered1(REG_LATER, b"", b"others are being registered")
        self._busy.add(uuid)
        try:
            config = self._config(server)
            who = f"{config.name} ({who}) at {addressText(config.address)}"
            name = await self._registered(config, uuid, server)
        except Refused as error:
            self._refused(who, str(error))
            return registered1(REG_REFUSED, b"", _line(error))
        except BackendError as error:
            self._refused(who, str(error))
            return registered1(REG_LATER, b"", _line(error))
        finally:
            self._busy.discard(uuid)
        self._told.pop(who, None)
        return registered1(REG_OK, name.encode("utf-8")[:255], b"")

    async def _registered(
        self, config: DataServerConfig, uuid: bytes, server: data_server1
    ) -> str:
        """
        @return: what it is called.
        @raise Refused: it may not be registered.
        """
        servers = self._membership.servers
        known = servers.identified(uuid)
        if not self.enabled:
            if known is not None:
                told = attrs.evolve(config, name=known.record.name)
                if known.config.address == config.address or known.record.told == told:
                    return known.record.name
            raise Refused(
                "registration is switched off; register = true in the metadata "
                f"server's file, or there 'pnfs ds add {config.name} "
                f"{addressText(config.address)}'"
            )
        member = await self._membership.register(config, uuid)
        if member is not known:
            _log.info(
                "data server {name} has registered itself: {uuid} at {address}, "
                "{free} of {total} bytes free",
                name=member.record.name,
                uuid=uuid.hex(),
                address=addressText(config.address),
                free=server.ds_free,
                total=server.ds_total,
            )
        return member.record.name

    def _config(self, server: data_server1) -> DataServerConfig:
        """
        @raise Refused: that is no data server.
        """
        try:
            name = bytes(server.ds_name).decode("utf-8")
            addresses = [
                addressText((bytes(each.ad_host).decode("ascii"), each.ad_port))
                for each in server.ds_addresses
            ]
            protocol = bytes(server.ds_protocol).decode("ascii")
            text = bytes(server.ds_class).decode("ascii")
        except UnicodeDecodeError:
            raise Refused("what it says of itself is no text") from None
        if not addresses:
            raise Refused("it has no address; write 'advertise' there")
        if not name.isprintable() or name != name.strip():
            raise Refused(f"{name!r} is no name; write another one there")
        values: dict[str, Any] = {
            "name": name,
            "address": addresses[0],
            "advertise": list(dict.fromkeys(addresses)),
            "protocol": protocol,
        }
        if text:
            values["class"] = text
        try:
            return dataServerConfig("what it says of itself", values)
        except BadConfiguration as error:
            raise Refused(str(error)) from None

    def _refused(self, who: str, why: str) -> None:
        """
        Say so, but not again for the same reason.
        """
        if self._told.get(who) == why:
            return
        while len(self._told) >= _TOLD:
            del self._told[next(iter(self._told))]
        self._told[who] = why
        _log.warn(
            "data server {who} is not registered: {why}",
            who=who or "of no address",
            why=why,
        )


def _hostOf(address: Optional[Address]) -> bytes:
    """
    The host of an address, without the zone that an IPv6 one may have here.
    """
    return address[0].partition("%")[0].encode("ascii") if address else b""


def _line(error: Exception) -> bytes:
    return str(error).encode("utf-8")[:1024]
