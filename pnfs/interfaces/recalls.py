"""
Taking back what clients hold.
"""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface


class IRecaller(Interface):
    """
    Starts recalls; never waits.
    """

    def recallLayouts(file: Any, reason: str, exclude: Any = None) -> Any:
        """
        Recall every layout of a file (except that of client C{exclude}).

        @param file: the C{FileState} of L{pnfs.state}.
        @return: a Deferred that fires with None when none is left, by return or
            by revocation and fence at the deadline; already fired if none is held.
        """


class IDelegationRecaller(Interface):
    """
    Speaks to the holders of delegations.
    """

    counts = Attribute("How many recalls have ended, by how they did, to count.")

    def recallConflicting(file: Any, client: Any, write: bool) -> bool:
        """
        Recall the delegations of other clients that an access by this one
        conflicts with. Repeating is cheap.

        @param file: the C{FileState} of L{pnfs.state}.
        @param write: the access changes something; else only write delegations
            conflict with it.
        @return: there are some: the access has to wait.
        """

    def recall(delegation: Any) -> None:
        """
        Recall one, the C{DelegationState} of L{pnfs.state}.
        """

    def prove(client: Any) -> None:
        """
        Find out, soon, whether a client answers callbacks: else it gets none.
        """

    def proof(client: Any) -> Any:
        """
        If that is being found out now: a Deferred that fires with None when it is
        known, or after half a second; else None.
        """

    async def ask(delegation: Any) -> Any:
        """
        What the holder of a write delegation knows of the file (CB_GETATTR): a
        L{pnfs.values.HeldAttributes}. It may have lost the delegation by then.

        @raise Unreachable: it does not answer; the delegation is being recalled.
        """

    def settle(file: Any) -> None:
        """
        A delegation of a file has gone; maybe that was all that was held on it.
        """

    def push(
        client: Any, file: Any, credential: Any, write: bool, timestamps: bool
    ) -> bool:
        """
        A client waits for a delegation of a file: push it when there is no contention
        any more (CB_PUSH_DELEG).

        @param credential: whose it will be, after root squash.
        @return: that will be done.
        """

    def signal(client: Any) -> bool:
        """
        A client waits for delegations as such: tell it when there are some again
        (CB_RECALLABLE_OBJ_AVAIL).

        @return: that will be done.
        """

    def wants(client: Any, file: Any) -> bool:
        """
        Does it wait for one of that file?
        """

    def cancelWant(client: Any, file: Any) -> None:
        """
        It does not any more.
        """

    def press() -> None:
        """
        There are nearly too many: ask clients to give some back (CB_RECALL_ANY).
        """
