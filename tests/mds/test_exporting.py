"""
Tests of L{pnfs.mds.exporting}: client lists made of their configuration.
"""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from pnfs.config import ExportConfig, LimitsConfig, MDSConfig
from pnfs.configclients import ClientConfig, TermsConfig
from pnfs.mds.exporting import Exporting, termsOf
from pnfs.namespace.clients import Terms


class RulesTests(SynchronousTestCase):
    """
    Host names become addresses, off the reactor.
    """

    def setUp(self) -> None:
        """
        A name service that knows one host.
        """
        self.asked: list[tuple[Any, ...]] = []
        config = MDSConfig(
            (), "/", b"", 90.0, 90.0, 90.0, None, LimitsConfig(), (), (), "mds.toml"
        )
        self.exporting = Exporting(
            config, Clock(), lambda: 0, bytes, self.inThread, lambda export: None
        )

    async def inThread(self, function: Any, *args: Any) -> Any:
        """
        Nothing is done here but in a thread.
        """
        self.assertIdentical(function, socket.getaddrinfo)
        self.asked.append(args)
        if args[0] != "build.example":
            raise socket.gaierror(-2, "Name or service not known")
        return [
            (socket.AF_INET, 1, 6, "", ("192.0.2.9", 0)),
            (socket.AF_INET6, 1, 6, "", ("fe80::9%eth0", 0, 0, 2)),
        ]

    def rules(self, *clients: ClientConfig) -> Any:
        """
        The rules of an export with these clients.
        """
        config = ExportConfig(
            "/a", None, "memory", "files", 65536, 0, 1, (), TermsConfig(), clients
        )
        return self.successResultOf(
            Deferred.fromCoroutine(self.exporting.rules(config))
        )

    def test_names(self) -> None:
        """
        A host name stands for all its addresses.
        """
        who = ("10.0.0.0/8", "build.example")
        (rule,) = self.rules(ClientConfig(who, TermsConfig()))
        networks = ("10.0.0.0/8", "192.0.2.9", "fe80::9")
        self.assertEqual(rule.networks, tuple(ip_network(n) for n in networks))
        self.assertEqual([args[0] for args in self.asked], ["build.example"])

    def test_unknown(self) -> None:
        """
        A name that nobody knows lets nobody in, keeps nobody else out, and is said
        in the log.
        """
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        who = ("gone.example", "10.0.0.1")
        (rule,) = self.rules(ClientConfig(who, TermsConfig()))
        self.assertEqual(rule.networks, (ip_network("10.0.0.1"),))
        self.assertIn("gone.example", [event.get("who") for event in events])
        (rule,) = self.rules(ClientConfig(("gone.example",), TermsConfig()))
        self.assertEqual(rule.networks, ())

    def test_everybody(self) -> None:
        """
        C{*} needs no name service.
        """
        (rule,) = self.rules(ClientConfig(("gone.example", "*"), TermsConfig()))
        self.assertIdentical(rule.networks, None)
        self.assertEqual(self.asked, [])

    def test_terms(self) -> None:
        """
        What is written is what is granted.
        """
        for config, terms in (
            (TermsConfig(), Terms()),
            (TermsConfig(squash="none"), Terms(rootSquash=False)),
            (
                TermsConfig(True, "all", (1, 2), ("none",), False),
                Terms(True, False, True, (1, 2), (0,), False),
            ),
        ):
            self.assertEqual(termsOf(config), terms)
