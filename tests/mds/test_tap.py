"""
Tests of L{pnfs.mds.tap} and L{pnfs.ds.tap}: what options do. That mistakes end the
program is tested with real processes in L{tests.system.test_services}.
"""

from __future__ import annotations

import os

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from pnfs.ds import tap as dsTap
from pnfs.mds import tap as mdsTap


class TapTests(SynchronousTestCase):
    """
    Options go before the file.
    """

    def setUp(self) -> None:
        """
        Files for both.
        """
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(os.path.join(self.folder, "data"))
        key = os.path.join(self.folder, "key")
        with open(key, "wb") as stream:
            stream.write(b"k" * 32)
        os.chmod(key, 0o600)
        common = f'state = "{self.folder}"\nkey = "{key}"\n'
        self.mds = self.write(
            "mds.toml",
            common + '[[data_server]]\nname = "a"\naddress = "192.0.2.1:2050"\n'
            '[[export]]\npath = "/export"\nmetadata = "memory"\n',
        )
        self.ds = self.write("ds.toml", common + 'backend = "memory"\n')

    def write(self, name: str, text: str) -> str:
        """
        Write a file. @return: its path.
        """
        path = os.path.join(self.folder, name)
        with open(path, "w") as stream:
            stream.write(text)
        return path

    def test_metadataServer(self) -> None:
        """
        Address, lease and grace can be given.
        """
        options = mdsTap.Options()
        options.parseOptions(
            ["--config", self.mds, "--listen", "127.0.0.1:5", "--lease", "12"]
        )
        config = mdsTap.makeService(options)._config
        self.assertEqual(config.listen, (("127.0.0.1", 5),))
        self.assertEqual((config.lease, config.grace), (12.0, 12.0))
        self.assertRaises(
            UsageError, mdsTap.Options().parseOptions, ["--lease", "long"]
        )

    def test_dataServer(self) -> None:
        """
        Address and folder can be given.
        """
        options = dsTap.Options()
        data = os.path.join(self.folder, "data")
        options.parseOptions(["-c", self.ds, "-l", "[::1]:6", "-d", data, "-m", "h:7"])
        config = dsTap.makeService(options)._config
        self.assertEqual(config.listen, (("::1", 6),))
        self.assertEqual((config.data, config.metrics), (data, ("h", 7)))
