"""
Tests of L{pnfs.config}: what is read, and how mistakes are refused.
"""

from __future__ import annotations

import os
import tomllib
from typing import Any, Callable

from twisted.trial.unittest import SynchronousTestCase

from pnfs.backends.errors import BadConfiguration
from pnfs.config import loadDS, loadMDS
from pnfs.configadmin import AdminTLSConfig
from pnfs.configclients import ClientConfig, TermsConfig
from pnfs.values import NOBODY
from pnfs.configvalues import (
    parseAddress,
    parseNumericAddress,
    parseSize,
    readKey,
)

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class ConfigCase(SynchronousTestCase):
    """
    Folders and a key.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        self.folder = os.path.abspath(self.mktemp())
        for name in ("state", "tree", "data"):
            os.makedirs(os.path.join(self.folder, name))
        self.key = self.write("key", b"k" * 32)
        os.chmod(self.key, 0o600)

    def at(self, name: str) -> str:
        """
        A path in the folder.
        """
        return os.path.join(self.folder, name)

    def write(self, name: str, content: bytes) -> str:
        """
        Write a file. @return: its path.
        """
        with open(self.at(name), "wb") as stream:
            stream.write(content)
        return self.at(name)

    def refusal(self, load: Callable[..., Any], text: str, **more: Any) -> str:
        """
        The one line that refuses a configuration; it names the file.
        """
        file = self.write("pnfs.toml", text.encode())
        error = self.assertRaises(BadConfiguration, load, file, more)
        line = str(error)
        self.assertNotIn("\n", line)
        self.assertTrue(line.startswith(file + ": "), line)
        return line[len(file) + 2 :]


class ValueTests(ConfigCase):
    """
    Single values.
    """

    def test_sizes(self) -> None:
        """
        Bytes as a number or with a unit.
        """
        self.assertEqual(parseSize(17), 17)
        self.assertEqual(parseSize("1MiB"), 1 << 20)
        self.assertEqual(parseSize(" 2 gib "), 2 << 30)
        for bad in ("", "1MB", "-1", -1, True, 1.5, None, "MiB", "1 M i B"):
            self.assertRaises(ValueError, parseSize, bad)

    def test_addresses(self) -> None:
        """
        A host and a port; IPv6 in brackets.
        """
        self.assertEqual(parseAddress("host:2049"), ("host", 2049))
        self.assertEqual(parseAddress("[::1]:0"), ("::1", 0))
        for bad in ("host", "host:", ":1", "::1:2049", "h:65536", "h:x", "h:-1", 5, ""):
            self.assertRaises(ValueError, parseAddress, bad)

    def test_advertised(self) -> None:
        """
        Clients are told numeric addresses that they can reach.
        """
        self.assertEqual(parseNumericAddress("192.0.2.1:1"), ("192.0.2.1", 1))
        for bad in ("host:1", "192.0.2.1:0", "0.0.0.0:1", "[::]:1", "192.0.2.256:1"):
            self.assertRaises(ValueError, parseNumericAddress, bad)

    def test_key(self) -> None:
        """
        32 bytes that nobody else can read.
        """
        self.assertEqual(readKey(self.key), b"k" * 32)
        for mode in (0o640, 0o604, 0o620):
            os.chmod(self.key, mode)
            self.assertIn(
                "chmod 600", str(self.assertRaises(ValueError, readKey, self.key))
            )
        for content in (b"", b"k" * 31, b"k" * 33):
            path = self.write("other", content)
            os.chmod(path, 0o600)
            self.assertIn(
                "pnfs key new", str(self.assertRaises(ValueError, readKey, path))
            )
        error = self.assertRaises(ValueError, readKey, self.at("none"))
        self.assertIn(f"pnfs key new {self.at('none')}", str(error))


class MDSTests(ConfigCase):
    """
    A metadata server's file.
    """

    def text(self) -> str:
        """
        The least there can be, for two data servers.
        """
        return (
            f'state = "{self.at("state")}"\nkey = "{self.key}"\n'
            '[[data_server]]\nname = "a"\naddress = "192.0.2.1:2050"\n'
            '[[data_server]]\nname = "b"\naddress = "192.0.2.2:2050"\n'
            f'[[export]]\npath = "/export"\nroot = "{self.at("tree")}"\n'
        )

    def test_defaults(self) -> None:
        """
        Little need be said; grace and recall follow the lease.
        """
        file = self.write("mds.toml", self.text().encode())
        config = loadMDS(file)
        self.assertEqual(config.listen, (("0.0.0.0", 2049),))
        self.assertEqual((config.lease, config.grace, config.recall), (90, 90, 180))
        self.assertEqual(config.courtesy, 86400)
        self.assertEqual(config.dataServers[0].advertise, (("192.0.2.1", 2050),))
        (export,) = config.exports
        self.assertEqual(
            (export.layout, export.metadata, export.stripeUnit, export.mirrors),
            ("files", "xattr", 1 << 20, 1),
        )
        self.assertEqual(export.dataServers, ())
        self.assertEqual((export.placement, export.label), ("weighted", ""))
        self.assertEqual((export.threshold, export.chunk), (0, 0))
        self.assertEqual(export.placementOptions, {})
        self.assertEqual(export.terms, TermsConfig())
        self.assertIdentical(export.clients, None)
        self.assertEqual((config.delegations, config.delegationWindow), (True, 30))
        self.assertEqual((export.delegations, config.limits.delegations), (True, 65536))
        self.assertEqual(config.file, file)

    def test_noDelegations(self) -> None:
        """
        One switch for all, and one for each export.
        """
        text = "delegations = false\n" + self.text()
        config = loadMDS(self.write("mds.toml", text.encode()))
        self.assertEqual(
            (config.delegations, config.exports[0].delegations), (False, True)
        )
        text = self.text() + "delegations = false\n"
        config = loadMDS(self.write("mds.toml", text.encode()))
        self.assertEqual(
            (config.delegations, config.exports[0].delegations), (True, False)
        )

    def test_overrides(self) -> None:
        """
        Options of the command line go before the file, and are checked as it is.
        """
        file = self.write("mds.toml", ("lease = 30\n" + self.text()).encode())
        config = loadMDS(file, {"lease": 10.0, "listen": ["[::1]:7"], "grace": None})
        self.assertEqual((config.lease, config.grace), (10, 10))
        self.assertEqual(config.listen, (("::1", 7),))
        self.assertIn("lease", self.refusal(loadMDS, self.text(), lease=0.5))
        self.assertIn("listen", self.refusal(loadMDS, self.text(), listen=["x"]))

    def test_mistakes(self) -> None:
        """
        Each names its key and what to write instead.
        """
        good = self.text()

        def top(line: str) -> str:
            return line + "\n" + good

        def end(line: str) -> str:
            return good + line + "\n"

        flex = 'layout = "flexfiles"\n'
        for text, words in (
            (top("leese = 5"), ("leese: is no known key", "lease")),
            (end('stripes = "1MiB"'), ("export.stripes: is no known key",)),
            (top("lease = 0.9"), ("lease: ", "1 to 3600")),
            (top("courtesy = -1"), ("courtesy: ", "0 to 2678400")),
            (top("courtesy = true"), ("courtesy: ", "number of seconds")),
            (top("lease = nan"), ("lease: ", "1 to 3600")),
            (top('lease = "long"'), ("lease: ", "number of seconds")),
            (top("lease = true"), ("lease: ", "number of seconds")),
            (top('listen = "x:1"'), ("listen: ", "list")),
            (top("listen = []"), ("listen: ", "list")),
            (top('listen = ["x:1", "x:1"]'), ("listen: ", "twice")),
            (top('metrics = "9090"'), ("metrics: ", "host:port")),
            (top("limits = 3"), ("limits: is no table", "[limits]")),
            (end("[limits]\nio = 1"), ("limits.io: ", "64KiB to 16MiB")),
            (end("[limits]\nslots = 0"), ("limits.slots: ", "1 to 1024")),
            (end("[limits]\nqueued = 0"), ("limits.queued: ",)),
            (end("[limits]\nspeed = 9"), ("limits.speed: is no known key",)),
            (good.replace("state =", "#"), ("state: is missing",)),
            (good.replace(self.at("state"), "/nowhere"), ("state: ", "make it")),
            (good.replace(self.at("tree"), "/nowhere"), ("export.root: ", "make it")),
            (good.replace("root =", "#"), ("export.root: is missing",)),
            (good.replace(self.key, "/nowhere"), ("key: ", "pnfs key new /nowhere")),
            (good.replace('"b"', '"a"'), ("data_server.name: 'a'", "rename")),
            (good.replace("0.2.2", "0.2.1"), ("data_server.address", "twice")),
            (good.replace("192.0.2.2", "ds"), ("data_server.advertise", "numeric")),
            (good.replace(":2050", ":0"), ("data_server.address", "port")),
            (good.replace('"/export"', '"export"'), ("export.path: ", "/export")),
            (good.replace('"/export"', '"/a/../b"'), ("export.path: ", "'..'")),
            (
                good.replace('2050"\n[[exp', '2050"\nprotocol = "nfs3"\n[[exp'),
                ("export.data_servers: 'b' speaks nfs3", "flexfiles"),
            ),
            (end('data_servers = ["c"]'), ("export.data_servers: 'c'", "add")),
            (end("mirrors = 3\n" + flex), ("export.mirrors: 3 copies", "add")),
            (end("mirrors = 2"), ("export.mirrors: ", "flexfiles")),
            (end('chunk = "1GiB"'), ("export.chunk: ", "flexfiles")),
            (end('chunk = "1000000"\n' + flex), ("export.chunk: ", "64KiB", "0")),
            (end('chunk = "512KiB"\n' + flex), ("export.chunk: ", "1MiB")),
            (end('chunk = "2048TiB"\n' + flex), ("export.chunk: ", "1024TiB")),
            (end("stripe_count = 3"), ("export.stripe_count: 3", "0 for all")),
            (end('mds_threshold = "64K"'), ("export.mds_threshold: ", "'1MiB'")),
            (end("placement = 1"), ("export.placement: ", "quotes")),
            (end('class = "N V"'), ("export.class: 'N V'", "nvme")),
            (end('placement_options = "x"'), ("export.placement_options: ", "table")),
            (end('stripe_unit = "100KiB"'), ("export.stripe_unit: ", "64KiB")),
            (end('access = "w"'), ("export.access: ", "'rw', 'ro'")),
            (end('squash = "some"'), ("export.squash: ", "'root', 'all', 'none'")),
            (
                end('squash = "all"\nroot_squash = true'),
                ("export.root_squash: ", "remove", "squash ="),
            ),
            (
                end('access = "ro"\nread_only = true'),
                ("export.read_only: ", "remove", "access ="),
            ),
            (
                good.replace('"b"', '"b"\nclass = "N V"'),
                ("data_server.class: 'N V'", "nvme"),
            ),
            (end("anonuid = -1"), ("export.anonuid: ", "0 to 4294967294")),
            (end('sec = ["krb5p"]'), ("export.sec: 'krb5p'", "write 'sys'")),
            (end('sec = ["lipkey"]'), ("export.sec: ", "'sys', 'none'")),
            (end("sec = []"), ("export.sec: ", "list")),
            (end("pnfs = 1"), ("export.pnfs: ", "true or false")),
            (end("clients = []"), ("export.clients: ", "10.0.0.0/8")),
            (end('clients = ["10.0.0.1/8"]'), ("export.clients: ", "host bits")),
            (end('clients = ["*.org"]'), ("export.clients: '*.org'", "wildcards")),
            (end('clients = ["@all"]'), ("export.clients: '@all'", "netgroups")),
            (end('clients = ["a b"]'), ("export.clients: 'a b'", "host name")),
            (end("clients = [5]"), ("export.clients: ", "quotes")),
            (end("clients = [{}]"), ("export.clients.match: is missing",)),
            (
                end('clients = [{ match = "*", acces = "ro" }]'),
                ("export.clients.acces: is no known key", "access"),
            ),
            (end('read_only = "yes"'), ("export.read_only: ", "true or false")),
            (end('[admin]\nsocket = ""'), ("admin.socket: ", "quotes")),
            (end("[admin]\nsocket = '/" + "x" * 99 + "/s.sock'"), ("too long",)),
            (end("[admin]\nx = 1"), ("admin.x: is no known key", "socket")),
            (end('[admin]\nlisten = "h"'), ("admin.listen: ", "host:port")),
            (end('[admin]\nlisten = "h:1"'), ("admin.certificate: is missing",)),
            (end('[admin]\nkey = "/nowhere"'), ("admin.key: ", "is no file")),
            (
                end(f'[admin]\nclients = "{self.key}"'),
                ("admin.listen: is missing", "clients"),
            ),
            (
                end(
                    f'[admin]\nlisten = "h:1"\ncertificate = "{self.key}"\n'
                    f'key = "{self.key}"'
                ),
                ("admin.clients: is missing",),
            ),
            (good[: good.index("[[data")], ("data_server: there is none", "add")),
            (good[: good.index("[[export")], ("export: there is none", "add")),
            (good.replace("[[export]]", "[export]"), ("export: ", "[[export]]")),
            (
                good + good[good.index("[[export") :],
                ("export.path: '/export' stands there twice",),
            ),
            (
                good + good[good.index("[[export") :].replace('"/export"', '"/other"'),
                ("export.root: ", "twice"),
            ),
            ("= nonsense", ("is not TOML", "mend")),
        ):
            line = self.refusal(loadMDS, text)
            for word in words:
                self.assertIn(word, line)

    def test_unreadable(self) -> None:
        """
        Files that are not there, or are no text.
        """
        error = self.assertRaises(BadConfiguration, loadMDS, self.at("none"))
        self.assertIn("--config", str(error))
        self.assertRaises(BadConfiguration, loadMDS, self.folder)
        file = self.write("binary.toml", b"\xff\xfe\0")
        error = self.assertRaises(BadConfiguration, loadMDS, file)
        self.assertIn("UTF-8", str(error))

    def test_terms(self) -> None:
        """
        What is said of an export holds for its clients, as far as nothing else is
        said of them; the older spellings mean the same.
        """
        text = self.text() + (
            'access = "ro"\nsquash = "all"\nanonuid = 5\nsec = ["sys"]\n'
            'clients = ["10.0.0.0/8", "fd00::1", { match = ["build.example", '
            '"192.0.2.0/24"], access = "rw", squash = "none", pnfs = false }, "*"]\n'
        )
        (export,) = loadMDS(self.write("mds.toml", text.encode())).exports
        own = TermsConfig(True, "all", (5, NOBODY), ("sys",), True)
        self.assertEqual(export.terms, own)
        self.assertEqual(
            export.clients,
            (
                ClientConfig(("10.0.0.0/8",), own),
                ClientConfig(("fd00::1",), own),
                ClientConfig(
                    ("build.example", "192.0.2.0/24"),
                    TermsConfig(False, "none", (5, NOBODY), ("sys",), False),
                ),
                ClientConfig(("*",), own),
            ),
        )
        for line, terms in (
            ("read_only = true", TermsConfig(readOnly=True)),
            ("root_squash = false", TermsConfig(squash="none")),
            ("root_squash = true", TermsConfig()),
        ):
            text = self.text() + line
            (export,) = loadMDS(self.write("mds.toml", text.encode())).exports
            self.assertEqual(export.terms, terms)

    def test_memory(self) -> None:
        """
        A tree in memory needs no root.
        """
        text = self.text().replace("root =", 'metadata = "memory"\n#')
        config = loadMDS(self.write("mds.toml", text.encode()))
        self.assertIsNone(config.exports[0].root)

    def test_placement(self) -> None:
        """
        How data servers are chosen for an export's files: what a policy is told is
        its own business.
        """
        text = self.text() + (
            'class = "nvme"\nplacement = "pinned"\n'
            '[export.placement_options]\n"/video" = ["a"]\n'
        )
        (export,) = loadMDS(self.write("mds.toml", text.encode())).exports
        self.assertEqual((export.label, export.placement), ("nvme", "pinned"))
        self.assertEqual(export.placementOptions, {"/video": ["a"]})

    def test_adminElsewhere(self) -> None:
        """
        The control channel is also there for callers elsewhere, if all that this
        needs is named.
        """
        text = self.text() + (
            f'[admin]\nlisten = "[::]:9750"\ncertificate = "{self.key}"\n'
            f'key = "{self.key}"\nclients = "{self.key}"\n'
        )
        admin = loadMDS(self.write("mds.toml", text.encode())).admin
        self.assertEqual(
            admin.tls, AdminTLSConfig(("::", 9750), self.key, self.key, self.key)
        )
        self.assertIsNone(loadMDS(self.write("a", self.text().encode())).admin.tls)

    def test_register(self) -> None:
        """
        Data servers may add themselves if that is said; then the file need not name
        them, nor those that an export wants.
        """
        text = self.text()
        self.assertFalse(loadMDS(self.write("mds.toml", text.encode())).register)
        head, _, export = text.partition("[[data_server]]")
        alone = head + "[[export]]" + export.partition("[[export]]")[2]
        self.assertIn("register = true", self.refusal(loadMDS, alone))
        more = 'layout = "flexfiles"\nmirrors = 2\ndata_servers = ["x", "y"]\n'
        config = loadMDS(
            self.write("mds.toml", f"register = true\n{alone}{more}".encode())
        )
        self.assertTrue(config.register)
        self.assertEqual((config.dataServers, config.exports[0].mirrors), ((), 2))
        self.assertIn("register: ", self.refusal(loadMDS, 'register = "yes"\n' + text))

    def test_documented(self) -> None:
        """
        The example file in the documentation has no key that is not known.
        """
        for name, load in (("mds", loadMDS), ("ds", loadDS)):
            path = os.path.join(CHECKOUT, "docs", "examples", f"pnfs-{name}.toml")
            with open(path, "rb") as stream:
                values = tomllib.load(stream)
            values["key"] = self.key
            values["state"] = self.at("state")
            if "data" in values:
                values["data"] = self.at("data")
            for number, export in enumerate(values.get("export", [])):
                os.makedirs(self.at(f"root{number}"))
                export["root"] = self.at(f"root{number}")
            load(path, values)


class DSTests(ConfigCase):
    """
    A data server's file.
    """

    def text(self) -> str:
        """
        The least there can be.
        """
        return (
            f'state = "{self.at("state")}"\nkey = "{self.key}"\n'
            f'data = "{self.at("data")}"\n'
        )

    def test_defaults(self) -> None:
        """
        A folder is enough.
        """
        config = loadDS(self.write("ds.toml", self.text().encode()))
        self.assertEqual((config.backend, config.data), ("local", self.at("data")))
        self.assertEqual(config.listen, (("0.0.0.0", 2050),))
        self.assertIsNone(config.upstream)

    def test_mistakes(self) -> None:
        """
        Each names its key and what to write instead.
        """
        good = self.text()
        proxied = 'backend = "proxied"\n' + good
        upstream = '[upstream]\naddress = "h:2049"\npath = "/x"\n'
        for text, words in (
            (good + 'datta = "x"', ("datta: is no known key", "data")),
            (good.replace("data =", "#"), ("data: is missing",)),
            (proxied, ("upstream: is missing", "[upstream]")),
            (proxied + upstream + "speed = 1", ("upstream.speed: is no known key",)),
            (
                proxied + upstream + 'protocol = "smb"',
                ("upstream.protocol: ", "'nfs4.1', 'nfs3'"),
            ),
            (proxied + upstream + "mount_port = 70000", ("upstream.mount_port: ",)),
            (proxied + '[upstream]\naddress = "h:1"', ("upstream.path: is missing",)),
        ):
            line = self.refusal(loadDS, text)
            for word in words:
                self.assertIn(word, line)
        for key, value in (
            ("advertise", '["192.0.2.1:1"]'),
            ("protocol", '"nfs3"'),
            ("class", '"ssd"'),
        ):
            line = self.refusal(loadDS, f"{key} = {value}\n" + good)
            self.assertIn(f"{key}: ", line)
            self.assertIn("metadata_servers", line)
        config = loadDS(self.write("ds.toml", (proxied + upstream).encode()))
        assert config.upstream is not None
        self.assertEqual(config.upstream.address, ("h", 2049))

    def test_registration(self) -> None:
        """
        A data server that registers itself says where it listens, unless it says
        otherwise; where it listens at every address, the host is left open.
        """
        good = 'metadata_servers = ["mds:2049", "192.0.2.9:1"]\n' + self.text()
        found = loadDS(self.write("ds.toml", good.encode())).registration
        assert found is not None
        self.assertEqual(found.servers, (("mds", 2049), ("192.0.2.9", 1)))
        self.assertEqual(
            (found.advertise, found.protocol, found.label),
            ((("", 2050),), "nfs4.1", ""),
        )
        for listen, advertised in (
            ('["192.0.2.1:7", "[::]:8"]', (("192.0.2.1", 7), ("", 8))),
            ('["[2001:db8::1]:7"]', (("2001:db8::1", 7),)),
        ):
            text = f"listen = {listen}\n" + good
            found = loadDS(self.write("ds.toml", text.encode())).registration
            assert found is not None
            self.assertEqual(found.advertise, advertised)
        text = 'advertise = ["192.0.2.7:1"]\nprotocol = "nfs3"\nclass = "hdd"\n' + good
        found = loadDS(self.write("ds.toml", text.encode())).registration
        assert found is not None
        self.assertEqual(
            (found.advertise, found.protocol, found.label),
            ((("192.0.2.7", 1),), "nfs3", "hdd"),
        )
        for text, words in (
            ('listen = ["192.0.2.1:0"]\n' + good, ("advertise: ", "port")),
            ('listen = ["localhost:7"]\n' + good, ("advertise: ", "numeric")),
            ("metadata_servers = []\n" + self.text(), ("metadata_servers: ", "list")),
            ('metadata_servers = "m:1"\n' + self.text(), ("metadata_servers: ",)),
            ('metadata_servers = ["m:0"]\n' + self.text(), ("metadata_servers: ",)),
            (
                f"advertise = {[f'192.0.2.1:{n}' for n in range(1, 18)]}\n" + good,
                ("advertise: ", "16"),
            ),
        ):
            line = self.refusal(loadDS, text)
            for word in words:
                self.assertIn(word, line)
