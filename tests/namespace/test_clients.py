"""
Tests of L{pnfs.namespace.clients}, and of exports with client lists.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Optional

from twisted.trial.unittest import SynchronousTestCase

from pnfs.namespace.clients import ClientRule, Terms, termsFor
from pnfs.namespace.exports import Export, ExportTable
from pnfs.values import ROOT

RW = Terms()
RO = Terms(readOnly=True)
PROXY = Terms(pnfs=False)


def rule(terms: Terms, *networks: str) -> ClientRule:
    """
    A rule; without networks for everybody.
    """
    found = tuple(ip_network(network) for network in networks)
    return ClientRule(found or None, terms)


RULES = (
    rule(RW, "10.0.0.1", "2001:db8::/32"),
    rule(PROXY, "10.0.0.0/24"),
    rule(RO, "10.0.0.0/8"),
)


class TermsForTests(SynchronousTestCase):
    """
    Who gets what.
    """

    def test_firstMatch(self) -> None:
        """
        The first rule that fits counts, wherever a better one stands.
        """
        for host, terms in (
            ("10.0.0.1", RW),
            ("10.0.0.2", PROXY),
            ("10.1.0.1", RO),
            ("2001:db8::7", RW),
            ("192.0.2.1", None),
            ("2001:db9::7", None),
            (None, None),
        ):
            self.assertEqual(termsFor(RULES, host), terms, host)

    def test_everybody(self) -> None:
        """
        C{*} is also who has no address.
        """
        for host in ("192.0.2.1", "::1", None):
            self.assertEqual(termsFor((*RULES, rule(RO)), host), RO)

    def test_mapped(self) -> None:
        """
        An IPv4 client of an IPv6 socket is judged by its IPv4 address; the zone of
        a link-local one does not matter.
        """
        self.assertEqual(termsFor(RULES, "::ffff:10.0.0.1"), RW)
        self.assertEqual(termsFor((rule(RO, "fe80::/10"),), "fe80::1%eth0"), RO)


class ViewTests(SynchronousTestCase):
    """
    What an export is to a client.
    """

    def export(self, rules: Optional[Any] = RULES, **more: Any) -> Export:
        """
        One with a client list.
        """
        return Export("/a", None, rules=rules, **more)

    def seen(self, export: Export, host: str) -> Export:
        """
        What it is to a client that may see it.
        """
        view = export.seenBy(host)
        assert view is not None
        return view

    def test_terms(self) -> None:
        """
        Each client has its terms, and those with the same share what is kept.
        """
        export = self.export(drivers={1: None})
        for host, readOnly, pnfs in (
            ("10.0.0.1", False, True),
            ("10.0.0.2", False, False),
            ("10.9.9.9", True, True),
        ):
            view = self.seen(export, host)
            self.assertEqual((view.readOnly, view.pnfs), (readOnly, pnfs))
            self.assertIdentical(view.base, export)
            self.assertEqual((view.id, view.fsid), (export.id, export.fsid))
        self.assertIdentical(export.seenBy("192.0.2.1"), None)
        self.assertIdentical(export.seenBy("10.0.0.1"), export.seenBy("2001:db8::1"))
        self.assertIdentical(self.seen(export, "10.0.0.1").plans, export.plans)
        self.assertIsNot(self.seen(export, "10.0.0.2").plans, export.plans)

    def test_place(self) -> None:
        """
        It hangs where the export does.
        """
        export = self.export()
        ExportTable([export])
        view = self.seen(export, "10.0.0.1")
        self.assertIdentical(view.covered, export.covered)
        self.assertIdentical(view.parent, export.parent)

    def test_squash(self) -> None:
        """
        Squashing is per client.
        """
        anonymous = (7, 8)
        rules = (
            rule(Terms(rootSquash=False), "10.0.0.1"),
            rule(Terms(anonymous=anonymous), "10.0.0.2"),
            rule(Terms(allSquash=True, anonymous=anonymous)),
        )
        export = self.export(rules)
        self.assertEqual(self.seen(export, "10.0.0.1").effective(ROOT).uid, 0)
        self.assertEqual(self.seen(export, "10.0.0.2").effective(ROOT).uid, 7)
        self.assertEqual(self.seen(export, "10.0.0.3").effective(ROOT).groups, {8})

    def test_settle(self) -> None:
        """
        A changed list counts at once.
        """
        export = self.export()
        self.assertIsNotNone(export.seenBy("10.0.0.1"))
        export.rules = ()
        export.settle()
        self.assertIdentical(export.seenBy("10.0.0.1"), None)
        export.rules = None
        export.settle()
        self.assertIdentical(export.seenBy("10.0.0.1"), export)
        self.assertFalse(export.guarded)

    def test_bounded(self) -> None:
        """
        Clients that come and go are not remembered for ever.
        """
        export = self.export()
        for number in range(70000):
            export.seenBy(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        self.assertLess(len(export._views), 65537)
