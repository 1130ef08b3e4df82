# -*- test-case-name: tests.namespace.test_squash -*-
"""
Whom callers are taken for: root squash and all squash, as in exports(5).

The metadata server applies it to every credential, and says it in the handles it
gives out for data servers, so that these apply the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import attrs

from pnfs.values import NOBODY, Credential

_KEPT = 1024


@attrs.frozen
class Squash:
    """
    @ivar root: uid and gid 0 become the anonymous ones.
    @ivar all: so does everybody.
    @ivar uid: the anonymous user; gid: the anonymous group.
    """

    root: bool = True
    all: bool = False
    uid: int = NOBODY
    gid: int = NOBODY
    _known: dict[Credential, Credential] = attrs.field(
        init=False, factory=dict, eq=False, repr=False
    )

    @property
    def changes(self) -> bool:
        """
        Is anybody taken for another?
        """
        return self.root or self.all or (self.uid, self.gid) != (NOBODY, NOBODY)

    def effective(self, credential: Credential) -> Credential:
        """
        Who a caller is taken for. Who has not said who he is (AUTH_NONE) is always
        the anonymous one.
        """
        if credential.flavor and not self.all:
            if not self.root or (credential.uid and 0 not in credential.groups):
                return credential
        found = self._known.get(credential)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[credential] = self._mapped(credential)
        return found

    def _mapped(self, credential: Credential) -> Credential:
        flavor = credential.flavor
        if self.all or not flavor:
            groups = frozenset({self.gid})
            if (credential.uid, credential.groups) == (self.uid, groups):
                return credential
            return Credential(self.uid, self.gid, groups, flavor)
        return Credential(
            credential.uid or self.uid,
            credential.gid or self.gid,
            frozenset(gid or self.gid for gid in credential.groups),
            flavor,
        )


@lru_cache(maxsize=256)
def squashOf(root: bool, all: bool, uid: int = NOBODY, gid: int = NOBODY) -> Any:
    """
    The L{Squash} with these properties: always the same object.
    """
    return Squash(root, all, uid, gid)
