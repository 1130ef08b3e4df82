"""
Tests of L{pnfs.client.url}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pnfs.client.url import URL, BadURL, isRemote, parseURL, splitPath

names = st.binary(min_size=1, max_size=20).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
)


class URLTests(SynchronousTestCase):
    """
    How remote files are written.
    """

    def test_parse(self) -> None:
        """
        Host, port and path; the port is 2049 if none is given.
        """
        self.assertEqual(
            parseURL("pnfs://server/export/a%20b"),
            URL("server", 2049, (b"export", b"a b")),
        )
        self.assertEqual(parseURL("pnfs://[fd00::1]:12049/"), URL("fd00::1", 12049, ()))
        self.assertEqual(parseURL("pnfs://h:1"), URL("h", 1, ()))

    def test_refused(self) -> None:
        """
        What cannot be meant is refused, and the text says what is wrong.
        """
        for text in (
            "/export/a",
            "pnfs://",
            "pnfs:///x",
            "pnfs://h:0/",
            "pnfs://h:65536/",
            "pnfs://h:x/",
            "pnfs://a:b:1/",
            "pnfs://me@h/",
            "pnfs://h/a%00b",
        ):
            self.assertRaises(BadURL, parseURL, text)

    def test_remote(self) -> None:
        """
        Local names are not taken for URLs.
        """
        self.assertTrue(isRemote("pnfs://x/"))
        self.assertFalse(isRemote("./pnfs"))

    def test_dots(self) -> None:
        """
        C{.} and C{..} are resolved as written.
        """
        self.assertEqual(splitPath(b"/a/./b/../c//"), (b"a", b"c"))
        self.assertEqual(splitPath(b"../../x"), (b"x",))

    def test_child(self) -> None:
        """
        An entry of a directory, and its name.
        """
        child = URL("h", 2049, (b"d",)).child(b"f")
        self.assertEqual((child.name, str(child)), (b"f", "pnfs://h/d/f"))
        self.assertEqual(URL("h", 2049, ()).name, b"")

    @given(st.lists(names, max_size=5), st.integers(1, 65535))
    def test_roundTrip(self, path: list[bytes], port: int) -> None:
        """
        Any name can be written and is read back.
        """
        url = URL("192.0.2.1", port, tuple(path))
        self.assertEqual(parseURL(str(url)), url)
