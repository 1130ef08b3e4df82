"""
Tests of L{pnfs.mds.registration}, L{pnfs.ds.registering}: data servers that register
themselves, over connections in memory.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

import attrs

from pnfs.config import DataServerConfig, DSConfig, MDSConfig
from pnfs.configregistration import ADDRESSES, RegistrationConfig
from pnfs.ds.registering import AGAIN_SECONDS
from pnfs.ds.service import DataServerService
from pnfs.mds.registration import AT_ONCE, CHALLENGE_SECONDS
from pnfs.registration import (
    CHALLENGE,
    REG_BADKEY,
    REG_LATER,
    REG_NOCHALLENGE,
    REG_OK,
    REG_REFUSED,
    REGISTER,
    REGISTER_PROGRAM,
    CHALLENGE1args,
    Proofs,
    REGISTER1args,
    address1,
    challengeArgs,
    challengeRes,
    data_server1,
    registerArgs,
    registerRes,
)
from pnfs.rpc.errors import RPCRefused
from tests.mds.commands.test_ds import SiteCommandCase
from tests.mds.wire import MemoryRPCClient
from tests.mds.world import KEY, MDS


class RegistrationCase(SiteCommandCase):
    """
    A site of four data servers, of which the file names two; those that the metadata
    server does not know register.
    """

    register = True

    def configuration(self) -> MDSConfig:
        """
        See L{SiteCommandCase.configuration}.
        """
        return attrs.evolve(super().configuration(), register=self.register)

    def begin(self, number: int, **changes: Any) -> DataServerService:
        """
        Have a data server register itself.
        """
        registration = RegistrationConfig(
            (MDS,), changes.pop("advertise", (self.address(number),))
        )
        config = DSConfig(
            f"ds{number}",
            (self.address(number),),
            "/",
            KEY,
            "memory",
            None,
            None,
            self.limits,
            None,
            registration=attrs.evolve(registration, label=changes.pop("label", "")),
        )
        config = attrs.evolve(config, **changes)
        service = DataServerService(
            self.clock, config, self.backends[number], self.entropy, self.wallTime
        )
        service.clock = self.clock  # type: ignore[assignment]
        service.listen()
        self.addCleanup(lambda: [each.stop() for each in service._registering])
        self.clock.advance(0)
        return service

    def said(self, service: DataServerService) -> str:
        """
        What a data server's log says of it.
        """
        return service._registering[0]._said

    def names(self) -> list[str]:
        """
        Of the data servers there are.
        """
        return [member["name"] for member in self.command("ds.list")]


class RegistrationTests(RegistrationCase):
    """
    What comes of it.
    """

    def test_added(self) -> None:
        """
        A data server that nobody has added is there, and new files go there; a
        restart of the metadata server does not forget it.
        """
        service = self.begin(2, label="nvme")
        self.assertEqual(self.said(service), "registered with 192.0.2.1:2049 as ds2")
        self.assertEqual(self.names(), ["ds0", "ds1", "ds2"])
        told = self.command("ds.show", name="ds2")
        self.assertEqual(
            (told["class"], told["state"], told["address"], told["configured"]),
            ("nvme", "active", self.at(2), False),
        )
        self.assertTrue(told["registered"])
        self.assertFalse(self.command("ds.show", name="ds0")["registered"])
        mounted = self.mount()
        fh, stateid = mounted.create(b"f")
        mounted.write(fh, stateid, 0, bytes(3 * 65536))
        self.assertEqual(len(self.now(self.backends[2].list(b"", 10))), 1)
        self.now(self.mds.finish())
        self.startMetadataServer()
        self.assertEqual(self.names(), ["ds0", "ds1", "ds2"])

    def test_again(self) -> None:
        """
        It says so again every minute, and nothing changes by that: neither what was
        ordered meanwhile, nor what layouts name it.
        """
        service = self.begin(2)
        self.command("ds.class", name="ds2", **{"class": "hdd"})
        self.command("ds.drain", name="ds2", force=True)
        generation = self.mds.context.devices.generation
        calls = service._registering[0]._rpc.calls
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(service._registering[0]._rpc.calls, calls + 2)
        told = self.command("ds.show", name="ds2")
        self.assertEqual((told["class"], told["state"]), ("hdd", "draining"))
        self.assertEqual(self.mds.context.devices.generation, generation)
        self.begin(2, name="other")
        self.assertEqual(self.names(), ["ds0", "ds1", "ds2"])

    def test_moved(self) -> None:
        """
        One that is known and comes back at another address is reached there, and
        files stay where they are; an operator's address stands until it moves again.
        """
        self.begin(2)
        other = ("192.0.2.44", 2050)
        self.wire.hosts[other] = self.wire.hosts[self.address(2)]
        del self.wire.hosts[self.address(2)]
        self.wire.hangUp(self.address(2))
        service = self.begin(2, advertise=(other,))
        self.assertIn("as ds2", self.said(service))
        self.assertEqual(
            self.command("ds.show", name="ds2")["address"], "192.0.2.44:2050"
        )
        third = ("192.0.2.45", 2050)
        self.wire.hosts[third] = self.wire.hosts[other]
        self.command("ds.add", name="ds2", address="192.0.2.45:2050")
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(
            self.command("ds.show", name="ds2")["address"], "192.0.2.45:2050"
        )

    def test_configured(self) -> None:
        """
        One that the metadata server's file names may register: it is the same one.
        """
        service = self.begin(0)
        self.assertIn("as ds0", self.said(service))
        self.assertEqual(self.names(), ["ds0", "ds1"])
        self.assertTrue(self.command("ds.show", name="ds0")["configured"])

    def test_configuredSilent(self) -> None:
        """
        One that the file names and that has never answered is reached where it says
        that it is.
        """
        here = DataServerConfig("ds2", ("192.0.2.99", 1), (("192.0.2.99", 1),))
        self.now(self.mds._servers.seed([*self.mds._config.dataServers, here]))
        self.begin(2)
        self.clock.pump([1.0] * 20)
        told = self.command("ds.show", name="ds2")
        self.assertEqual(
            (told["address"], told["answers"], told["uuid"]),
            (self.at(2), True, (b"\3" * 16).hex()),
        )

    def test_everyAddress(self) -> None:
        """
        One that listens at every address is told to clients by the one that it
        comes from.
        """
        host = self.address(2)[0]
        self.wire.clientHost = host
        self.begin(2, advertise=(("", self.address(2)[1]),))
        self.assertEqual(self.command("ds.show", name="ds2")["advertise"], [self.at(2)])

    def test_nameTaken(self) -> None:
        """
        The name of another one is refused, in one line that both logs have.
        """
        service = self.begin(2, name="ds1")
        self.assertIn("give one of them another name", self.said(service))
        self.assertEqual(self.names(), ["ds0", "ds1"])
        self.assertIn("another name", "".join(self.mds.registration._told.values()))

    def test_wrongKey(self) -> None:
        """
        Who has another cluster key is not believed; both logs say so.
        """
        service = self.begin(2, key=b"x" * 32)
        self.assertIn("another cluster key", self.said(service))
        self.assertEqual(self.names(), ["ds0", "ds1"])
        self.assertIn("cluster key", "".join(self.mds.registration._told.values()))
        # When that has been mended, the next mistake is told again.
        self.begin(2)
        self.assertEqual(self.mds.registration._told, {})

    def test_elsewhere(self) -> None:
        """
        Where it says that it is another data server answers, or none: it is not
        added, and comes again.
        """
        service = self.begin(2, advertise=(self.address(3),))
        self.assertIn("answers another data server", self.said(service))
        service = self.begin(2, advertise=(("192.0.2.77", 1),))
        self.clock.pump([1.0] * 10)
        self.assertIn("192.0.2.77:1 does not answer", self.said(service))
        self.assertEqual(self.names(), ["ds0", "ds1"])
        self.wire.hosts[("192.0.2.77", 1)] = self.wire.hosts[self.address(2)]
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.names(), ["ds0", "ds1", "ds2"])

    def test_removed(self) -> None:
        """
        One that the operator has removed does not come back by itself, not even
        after a restart; 'pnfs ds add' has it back.
        """
        service = self.begin(2)
        self.clock.pump([0.1] * 20)
        self.command("ds.drain", name="ds2")
        self.command("ds.remove", name="ds2")
        self.clock.advance(AGAIN_SECONDS)
        self.assertIn("'pnfs ds add ds2", self.said(service))
        self.now(self.mds.finish())
        self.startMetadataServer()
        self.clock.advance(AGAIN_SECONDS)
        self.assertEqual(self.names(), ["ds0", "ds1"])
        self.command("ds.add", name="ds2", address=self.at(2))
        self.clock.advance(AGAIN_SECONDS)
        self.assertIn("as ds2", self.said(service))

    def test_metadataServerDown(self) -> None:
        """
        While the metadata server is down it is tried again, less and less often, and
        the data server is known soon after.
        """
        self.now(self.mds.finish())
        hub = self.wire.hosts.pop(MDS)
        service = self.begin(2)
        self.assertIn("does not answer", self.said(service))
        rpc = service._registering[0]._rpc
        for _ in range(600):
            self.clock.advance(1)
        self.assertLess(rpc.calls, 20)
        self.wire.hosts[MDS] = hub
        self.startMetadataServer()
        self.clock.pump([1.0] * 61)
        self.assertIn("registered with", self.said(service))
        self.assertIn("ds2", self.names())

    def test_olderServer(self) -> None:
        """
        A metadata server that does not know registration refuses the program; it
        is tried again all the same.
        """
        del self.wire.hosts[MDS].programs[REGISTER_PROGRAM]
        service = self.begin(2)
        self.assertIn("older metadata server", self.said(service))


class RegistrationOffTests(RegistrationCase):
    """
    Registration is switched off, as it is by default.
    """

    register = False

    def test_refused(self) -> None:
        """
        Nobody comes by himself; what to do is said.
        """
        service = self.begin(2)
        self.assertIn("switched off", self.said(service))
        self.assertIn("pnfs ds add ds2 192.0.2.1:2052", self.said(service))
        self.assertEqual(self.names(), ["ds0", "ds1"])

    def test_known(self) -> None:
        """
        One that is known where it is has nothing to complain of.
        """
        self.command("ds.add", name="here", address=self.at(2))
        self.assertIn("registered", self.said(self.begin(2)))
        self.assertIn("as here", self.said(self.begin(2)))
        self.assertIn(
            "switched off", self.said(self.begin(2, advertise=(("192.0.2.5", 5),)))
        )


class ProtocolTests(RegistrationCase):
    """
    What is said on the wire, by whoever.
    """

    def setUp(self) -> None:
        """
        A connection.
        """
        super().setUp()
        self.rpc = MemoryRPCClient(self.wire, MDS, self.clock)
        self.proofs = Proofs(KEY)
        self.nonce = b"n" * 32

    def call(self, procedure: int, arguments: bytes, rpc: Any = None) -> Any:
        """
        Call a procedure. @return: the reply, where its results begin.
        """
        called = (rpc or self.rpc).call(REGISTER_PROGRAM, 1, procedure, [arguments])
        return self.successResultOf(called)

    def challenge(self, proof: Optional[bytes] = None, rpc: Any = None) -> Any:
        """
        Begin.
        """
        proof = self.proofs.hello(self.nonce) if proof is None else proof
        arguments = challengeArgs.encode(CHALLENGE1args(self.nonce, proof))
        return challengeRes.decode(*self.call(CHALLENGE, arguments, rpc))[0]

    def server(self, **changes: Any) -> data_server1:
        """
        What the third data server says of itself.
        """
        host, port = self.address(2)
        address = address1(host.encode(), port)
        server = data_server1(b"\3" * 16, b"ds2", [address], b"nfs4.1", b"", 9, 5)
        return attrs.evolve(server, **changes)

    def register(  # type: ignore[override]
        self, challenge: Any, server: data_server1, rpc: Any = None
    ) -> tuple[int, str]:
        """
        Say who it is. @return: status, text.
        """
        proof = self.proofs.server(self.nonce, challenge.cr_nonce, server)
        arguments = registerArgs.encode(REGISTER1args(server, proof))
        return self.outcome(self.call(REGISTER, arguments, rpc), challenge)

    def outcome(self, reply: Any, challenge: Any = None) -> tuple[int, str]:
        """
        What came of it; it is proved, unless there was no challenge.
        """
        answer = registerRes.decode(*reply)[0]
        outcome = answer.rs_outcome
        if outcome.rr_status in (REG_NOCHALLENGE, REG_BADKEY):
            self.assertEqual(answer.rs_proof, bytes(32))
        else:
            self.assertEqual(
                answer.rs_proof,
                self.proofs.outcome(self.nonce, challenge.cr_nonce, outcome),
            )
        return outcome.rr_status, outcome.rr_text.decode()

    def test_both(self) -> None:
        """
        Each side proves that it has the key, over what the other one has made up.
        """
        challenge = self.challenge()
        self.assertEqual(
            challenge.cr_proof,
            self.proofs.challenge(self.nonce, challenge.cr_nonce, b"192.0.2.9"),
        )
        self.assertEqual(challenge.cr_host, b"192.0.2.9")
        self.assertEqual(self.register(challenge, self.server()), (REG_OK, ""))

    def test_once(self) -> None:
        """
        What was said once cannot be said again, neither on the same connection nor on
        another one, nor late.
        """
        challenge = self.challenge()
        server = self.server()
        proof = self.proofs.server(self.nonce, challenge.cr_nonce, server)
        said = registerArgs.encode(REGISTER1args(server, proof))
        other = MemoryRPCClient(self.wire, MDS, self.clock)
        found = self.outcome(self.call(REGISTER, said, other))
        self.assertEqual(found[0], REG_NOCHALLENGE)
        self.challenge(rpc=other)
        found = self.outcome(self.call(REGISTER, said, other))
        self.assertEqual(found[0], REG_BADKEY)
        self.clock.advance(CHALLENGE_SECONDS + 1)
        found = self.outcome(self.call(REGISTER, said))
        self.assertEqual(found[0], REG_NOCHALLENGE)
        challenge = self.challenge()
        self.assertEqual(self.register(challenge, server)[0], REG_OK)
        self.assertEqual(self.register(challenge, server)[0], REG_NOCHALLENGE)

    def test_altered(self) -> None:
        """
        What was altered on the way is not believed, and nothing is connected to: who
        is connected to is sent what gives access to every data server.
        """
        challenge = self.challenge()
        proof = self.proofs.server(self.nonce, challenge.cr_nonce, self.server())
        evil = ("192.0.2.66", 2050)
        connected: list[Any] = []
        self.mds._servers.connect = connected.append
        altered = self.server(ds_addresses=[address1(evil[0].encode(), evil[1])])
        arguments = registerArgs.encode(REGISTER1args(altered, proof))
        self.assertEqual(self.outcome(self.call(REGISTER, arguments))[0], REG_BADKEY)
        self.assertEqual(connected, [])
        self.assertEqual(self.names(), ["ds0", "ds1"])

    def test_hello(self) -> None:
        """
        Who does not have the key is given no challenge.
        """
        challenge = self.challenge(b"x" * 32)
        self.assertEqual(
            (challenge.cr_status, challenge.cr_nonce, challenge.cr_proof),
            (REG_BADKEY, bytes(32), bytes(32)),
        )
        self.assertEqual(
            self.register(challenge, self.server())[0],
            REG_NOCHALLENGE,
        )

    def test_nonsense(self) -> None:
        """
        What cannot be is refused in one line that names it.
        """
        v4 = address1(b"192.0.2.1", 2052)
        for word, changes in (
            ("no name", {"ds_name": b"a\nb"}),
            ("name", {"ds_name": b""}),
            ("no text", {"ds_name": b"\xff"}),
            ("no address", {"ds_addresses": []}),
            ("numeric", {"ds_addresses": [address1(b"host", 1)]}),
            ("every address", {"ds_addresses": [address1(b"0.0.0.0", 1)]}),
            ("port", {"ds_addresses": [address1(b"192.0.2.1", 0)]}),
            ("65536", {"ds_addresses": [v4, address1(b"192.0.2.1", 65536)]}),
            ("protocol", {"ds_protocol": b"ftp"}),
            ("class", {"ds_class": b"N V"}),
        ):
            status, text = self.register(self.challenge(), self.server(**changes))
            self.assertEqual(status, REG_REFUSED, text)
            self.assertIn(word, text)
            self.assertNotIn("\n", text)
        self.assertEqual(self.names(), ["ds0", "ds1"])

    def test_limits(self) -> None:
        """
        Every truncation, and what is longer than it may be, is refused as garbage; the
        connection goes on.
        """
        said = registerArgs.encode(REGISTER1args(self.server(), bytes(32)))
        hello = challengeArgs.encode(CHALLENGE1args(self.nonce, bytes(32)))
        refused: Callable[..., Any] = lambda procedure, arguments: self.failureResultOf(
            self.rpc.call(REGISTER_PROGRAM, 1, procedure, [arguments]), RPCRefused
        )
        for procedure, whole in ((CHALLENGE, hello), (REGISTER, said)):
            for length in range(0, len(whole), 4):
                refused(procedure, whole[:length])
        one = address1(b"h", 1)
        for changes in (
            {"ds_name": bytes(256)},
            {"ds_addresses": [one] * (ADDRESSES + 1)},
            {"ds_addresses": [address1(bytes(65), 1)]},
            {"ds_protocol": bytes(33)},
            {"ds_class": bytes(33)},
        ):
            wide = _unlimited(self.server(**changes))
            refused(REGISTER, wide + bytes(32))
        self.assertEqual(self.call(0, b"")[0][-4:], bytes(4))

    def test_busy(self) -> None:
        """
        The same one twice at a time, or many at a time, are told to come again.
        """
        self.wire.cut.add(self.address(2))
        calls = [MemoryRPCClient(self.wire, MDS, self.clock) for _ in range(2)]
        challenges = [self.challenge(rpc=rpc) for rpc in calls]
        proof = self.proofs.server(self.nonce, challenges[0].cr_nonce, self.server())
        said = registerArgs.encode(REGISTER1args(self.server(), proof))
        first = calls[0].call(REGISTER_PROGRAM, 1, REGISTER, [said])
        self.assertNoResult(first)
        again = self.register(challenges[1], self.server(), calls[1])
        self.assertEqual(again[0], REG_LATER)
        self.mds.registration._busy.update(bytes([n]) * 16 for n in range(AT_ONCE))
        host, port = self.address(3)
        other = self.server(
            ds_uuid=b"\4" * 16,
            ds_name=b"x",
            ds_addresses=[address1(host.encode(), port)],
        )
        self.assertEqual(self.register(self.challenge(), other)[0], REG_LATER)
        self.mds.registration._busy.clear()
        self.assertEqual(self.register(self.challenge(), other)[0], REG_OK)
        self.clock.pump([1.0] * 20)
        self.assertEqual(
            self.outcome(self.successResultOf(first), challenges[0])[0], REG_LATER
        )


def _unlimited(server: data_server1) -> bytes:
    """
    As encoded by who knows no limits.
    """

    def opaque(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data + bytes(-len(data) % 4)

    addresses = b"".join(
        opaque(each.ad_host) + each.ad_port.to_bytes(4, "big")
        for each in server.ds_addresses
    )
    return b"".join(
        (
            server.ds_uuid,
            opaque(server.ds_name),
            len(server.ds_addresses).to_bytes(4, "big"),
            addresses,
            opaque(server.ds_protocol),
            opaque(server.ds_class),
            bytes(16),
        )
    )
