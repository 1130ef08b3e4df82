"""
Tests of L{pnfs.admin.tls} and L{pnfs.admin.tlsclient}; over the network in
L{tests.system.test_control_tls}.
"""

from __future__ import annotations

import json
import os
import ssl
from typing import Any, Optional

import attrs
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from pnfs.admin import tls
from pnfs.admin.client import ControlFailed, findServer
from pnfs.admin.control import LINE_LIMIT, Commands, Request
from pnfs.admin.tls import (
    GREETING,
    HANDSHAKE_SECONDS,
    Renewable,
    TLSControlFactory,
    loadOptions,
)
from pnfs.admin.tlsclient import TLSFailed, TLSServer, connectTLS
from pnfs.backends.errors import BadConfiguration
from pnfs.configadmin import AdminTLSConfig
from tests.admin.certificates import Authority

HOST = "192.0.2.1"
_COMMAND = b'{"command":"a.echo","args":{"text":"x"}}\n'


class CertificateCase(SynchronousTestCase):
    """
    An authority, and what a server needs.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        self.authority = Authority(folder)
        certificate, key = self.authority.make("server", HOST)
        self.config = AdminTLSConfig((HOST, 1), certificate, key, self.authority.file)

    def other(self) -> Authority:
        """
        An authority that nobody knows.
        """
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        return Authority(folder, "other")

    def write(self, name: str, content: bytes) -> str:
        """
        Write a file. @return: its path.
        """
        path = os.path.join(self.authority.folder, name)
        with open(path, "wb") as stream:
            stream.write(content)
        os.chmod(path, 0o600)
        return path


class FileTests(CertificateCase):
    """
    What the configuration names.
    """

    def refused(self, *words: str, **changes: str) -> None:
        """
        It is refused in one line, which begins with the configuration file.
        """
        config = attrs.evolve(self.config, **changes)
        error = self.assertRaises(BadConfiguration, loadOptions, "mds.toml", config)
        line = str(error)
        self.assertTrue(line.startswith("mds.toml: admin."), line)
        self.assertNotIn("\n", line)
        for word in words:
            self.assertIn(word, line)

    def test_bad(self) -> None:
        """
        Each mistake is told with the file that is to be mended.
        """
        nothing = self.write("nothing", b"nothing\n")
        _, other = self.authority.make("other", HOST)
        _, locked = self.authority.make("locked", HOST, password=b"secret")
        for key in ("certificate", "clients"):
            self.refused(key, nothing, "no certificate", **{key: nothing})
            self.refused(key, "/nowhere", "No such file", **{key: "/nowhere"})
        self.refused("admin.key", nothing, "no private key", key=nothing)
        self.refused("admin.key", "No such file", key="/nowhere")
        self.refused("admin.key", "does not belong", other, key=other)
        self.refused("admin.key", "pass phrase", key=locked)
        os.chmod(self.config.key, 0o640)
        self.refused("admin.key", f"chmod 600 {self.config.key}")

    def test_chain(self) -> None:
        """
        The certificate's file may have those that lead to the authority, too.
        """
        with open(self.config.certificate, "rb") as stream:
            own = stream.read()
        with open(self.authority.file, "rb") as stream:
            chain = self.write("chain.pem", own + stream.read())
        found = loadOptions("mds.toml", attrs.evolve(self.config, certificate=chain))
        self.assertEqual(len(found.extraCertChain), 1)


class Caller:
    """
    A caller from elsewhere, with the TLS of Python's standard library.
    """

    def __init__(
        self,
        case: "ChannelTests",
        pair: Optional[tuple[str, str]],
        most: Any = None,
        early: bytes = b"",
    ) -> None:
        """
        @param early: said as soon as may be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(case.authority.file)
        if most is not None:
            context.maximum_version = most
        if pair is not None:
            context.load_cert_chain(*pair)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self._in, self._out, server_hostname=HOST)
        self._done = self._lost = False
        self.error: Optional[ssl.SSLError] = None
        self._early = early
        self._clock = case.clock
        self.transport = StringTransport()
        self.server = case.factory.buildProtocol(None)
        self.server.makeConnection(self.transport)
        self.pump()

    def pump(self) -> None:
        """
        Bytes go to and fro.
        """
        for _ in range(5):
            if not self._done:
                try:
                    self.ssl.do_handshake()
                    self._done = True
                    self.ssl.write(self._early)
                except ssl.SSLWantReadError:
                    # There is more to be said first.
                    pass
                except ssl.SSLError as error:
                    self.error, self._done = error, True
            out = self._out.read()
            if out and not self._lost:
                self.server.dataReceived(out)
            self._clock.advance(0)
            self._in.write(self.transport.value())
            self.transport.clear()
        if self.transport.disconnecting or self.transport.disconnected:
            self.hangUp()

    def hangUp(self) -> None:
        """
        The connection has ended.
        """
        if not self._lost:
            self._lost = True
            self.server.connectionLost(Failure(ConnectionDone()))

    def said(self) -> list[Any]:
        """
        What the server has said since.
        """
        found = b""
        while True:
            try:
                piece = self.ssl.read()
            except ssl.SSLWantReadError:
                break
            if not piece:
                break
            found += piece
        return [json.loads(line) for line in found.splitlines()]

    def say(self, line: bytes) -> None:
        """
        Send something.
        """
        self.ssl.write(line)
        self.pump()


class ChannelTests(CertificateCase):
    """
    The channel, in memory.
    """

    def setUp(self) -> None:
        """
        A server with one command.
        """
        super().setUp()
        self.clock = Clock()
        self.seen: list[str] = []
        commands = Commands()
        commands.add({"a.echo": self.echo})
        self.inner = TLSControlFactory(commands, self.clock)
        self.renewable = Renewable(loadOptions("mds.toml", self.config))
        self.factory = TLSMemoryBIOFactory(
            self.renewable, False, self.inner, self.clock
        )
        self.pair = self.authority.make("alice")

    def tearDown(self) -> None:
        """
        No timer is left.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def echo(self, request: Request) -> Any:
        """
        A command.
        """
        self.seen.append(request.text("text"))
        request.finish()
        return self.seen[-1]

    def refused(self, caller: Caller, reason: str) -> None:
        """
        The server has told that it does not take the certificate, and does nothing.
        """
        error = self.assertRaises(ssl.SSLError, caller.ssl.read)
        self.assertIn(reason, str(error))
        self.assertEqual(self.inner.open, set())
        self.assertEqual(self.seen, [])

    def test_commands(self) -> None:
        """
        Who has a certificate of the authority is greeted, and may give commands.
        """
        caller = Caller(self, self.pair)
        self.assertEqual(caller.ssl.version(), "TLSv1.3")
        self.assertEqual(caller.said(), [GREETING])
        caller.say(_COMMAND)
        self.assertEqual(caller.said(), [{"result": "x"}])
        self.assertEqual(len(self.inner.open), 1)
        caller.hangUp()
        self.assertEqual(self.inner.open, set())

    def test_noCertificate(self) -> None:
        """
        Who has none may do nothing, though its own part of the handshake is over and
        it says what it wants at once.
        """
        self.refused(Caller(self, None, early=_COMMAND), "CERTIFICATE_REQUIRED")

    def test_otherAuthority(self) -> None:
        """
        Nor may who has that of another authority, or one that is over.
        """
        mallory = self.other().make("mallory")
        self.refused(Caller(self, mallory, early=_COMMAND), "UNKNOWN_CA")
        over = self.authority.make("late", days=-1)
        self.refused(Caller(self, over), "EXPIRED")

    def test_older(self) -> None:
        """
        Nothing older than TLS 1.3 is spoken.
        """
        caller = Caller(self, self.pair, ssl.TLSVersion.TLSv1_2)
        self.assertIn("VERSION", str(caller.error))
        self.assertEqual(self.inner.open, set())

    def test_silent(self) -> None:
        """
        Who does not get on with the handshake is hung up on; who has a certificate may
        be silent.
        """
        caller = Caller(self, self.pair)
        silent = self.factory.buildProtocol(None)
        transport = StringTransport()
        silent.makeConnection(transport)
        self.clock.advance(HANDSHAKE_SECONDS - 0.1)
        self.assertFalse(transport.disconnecting or transport.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(transport.disconnected)
        silent.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(3600)
        self.assertEqual(len(self.inner.open), 1)
        self.assertEqual(caller.said(), [GREETING])

    def test_many(self) -> None:
        """
        The number of connections is bounded.
        """
        self.patch(tls, "CONNECTIONS", 2)
        callers = [Caller(self, self.pair) for _ in range(2)]
        transport = StringTransport()
        third = self.factory.buildProtocol(None)
        third.makeConnection(transport)
        self.assertTrue(transport.disconnected)
        third.connectionLost(Failure(ConnectionDone()))
        callers[0].hangUp()
        self.assertEqual(Caller(self, self.pair).said(), [GREETING])

    def test_tooLong(self) -> None:
        """
        Lines are as long as on the UNIX socket, at the most.
        """
        caller = Caller(self, self.pair)
        caller.said()
        caller.say(b"x" * (LINE_LIMIT + 2))
        self.assertIn("too long", caller.said()[0]["error"])

    def test_renewed(self) -> None:
        """
        A certificate can be renewed, and another authority be accepted, while
        connections are open.
        """
        first = Caller(self, self.pair)
        other = self.other()
        config = attrs.evolve(self.config, clients=other.file)
        self.renewable.options = loadOptions("mds.toml", config)
        refused = Caller(self, self.pair)
        self.assertRaises(ssl.SSLError, refused.ssl.read)
        self.assertEqual(Caller(self, other.make("bob")).said(), [GREETING])
        first.said()
        first.say(_COMMAND)
        self.assertEqual(first.said(), [{"result": "x"}])

    def test_close(self) -> None:
        """
        A server that stops hangs up on everybody.
        """
        caller = Caller(self, self.pair)
        self.inner.close()
        caller.pump()
        self.assertEqual(self.inner.open, set())


class ClientTests(CertificateCase):
    """
    What the program makes of options and environment.
    """

    def found(self, server: str, *files: Optional[str], **environment: str) -> Any:
        """
        Which server is meant.
        """
        named = dict(zip(("certificate", "key", "ca"), (*files, None, None, None)))
        return findServer(server, None, None, named, environment)

    def test_found(self) -> None:
        """
        Options go before the environment; IPv6 in brackets.
        """
        environment = {
            "PNFS_CERTIFICATE": "/c",
            "PNFS_KEY": "/k",
            "PNFS_CA": "/a",
            "PNFS_MDS": "tls://mds:7",
        }
        self.assertEqual(
            self.found("tls://[::1]:9", "/x", **environment),
            TLSServer("::1", 9, "/x", "/k", "/a"),
        )
        self.assertEqual(
            findServer(None, None, None, {}, environment),
            TLSServer("mds", 7, "/c", "/k", "/a"),
        )
        self.assertEqual(findServer(None, "/sock", None, {}, environment), "/sock")

    def test_wrong(self) -> None:
        """
        What is missing or makes no sense is told.
        """
        for server in ("tls://", "tls://h", "tls://h:0", "tls://h:65536", "x y:1"):
            error = self.assertRaises(ControlFailed, self.found, server)
            self.assertIn("tls://host:port", str(error))
        for count, word in enumerate(("certificate", "key", "ca")):
            error = self.assertRaises(ControlFailed, self.found, "h:1", *"x" * count)
            self.assertIn(f"--{word}", str(error))
            self.assertIn(f"PNFS_{word.upper()}", str(error))
        error = self.assertRaises(
            ControlFailed, findServer, "h:1", "/socket", None, {}, {}
        )
        self.assertIn("--socket", str(error))

    def test_files(self) -> None:
        """
        Files that are no good are named; nobody is asked for a pass phrase.
        """
        certificate, key = self.authority.make("alice")
        locked = self.authority.make("locked", password=b"secret")
        nothing = self.write("nothing", b"nothing\n")
        good = TLSServer("127.0.0.1", 1, certificate, key, self.authority.file)
        for changes, words in (
            ({"ca": "/nowhere"}, "/nowhere: No such file"),
            ({"ca": nothing}, nothing),
            ({"certificate": "/nowhere"}, "/nowhere: No such file"),
            ({"key": "/nowhere"}, "/nowhere: No such file"),
            ({"certificate": nothing}, nothing),
            ({"key": self.config.key}, "its own key"),
            ({"certificate": locked[0], "key": locked[1]}, "pass phrase"),
            ({}, "does the metadata server listen there?"),
        ):
            error = self.assertRaises(
                TLSFailed, connectTLS, attrs.evolve(good, **changes)
            )
            self.assertIn(words, str(error))
            self.assertNotIn("\n", str(error))
