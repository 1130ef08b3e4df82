"""
What the state tables raise.
"""

from __future__ import annotations


class StateError(Exception):
    """
    A request does not fit the state. Each kind of it has one NFSv4 name, and one
    only: C{name} is the status without its C{NFS4ERR_} (RFC 8881, section 15.1).
    """

    name = "SERVERFAULT"


def _kind(className: str, name: str, doc: str) -> type[StateError]:
    return type(className, (StateError,), {"name": name, "__doc__": doc})


StaleClientid = _kind("StaleClientid", "STALE_CLIENTID", "No such client ID.")
ClientidBusy = _kind("ClientidBusy", "CLIENTID_BUSY", "The client still has state.")
ClidInUse = _kind("ClidInUse", "CLID_INUSE", "Another principal owns the client.")
NotSame = _kind("NotSame", "NOT_SAME", "An update names another verifier.")
Perm = _kind("Perm", "PERM", "An update by another principal.")
NoSuchClient = _kind("NoSuchClient", "NOENT", "An update of nothing.")
BadSession = _kind("BadSession", "BADSESSION", "No such session.")
BadSlot = _kind("BadSlot", "BADSLOT", "No such slot.")
BadHighSlot = _kind("BadHighSlot", "BAD_HIGH_SLOT", "Highest slot below the slot.")
SeqMisordered = _kind("SeqMisordered", "SEQ_MISORDERED", "A sequence ID out of order.")
SeqFalseRetry = _kind("SeqFalseRetry", "SEQ_FALSE_RETRY", "Another request retried.")
Delay = _kind("Delay", "DELAY", "Later.")
TooSmall = _kind("TooSmall", "TOOSMALL", "Channel attributes too small to work.")
BadStateid = _kind("BadStateid", "BAD_STATEID", "No such stateid here.")
OldStateid = _kind("OldStateid", "OLD_STATEID", "An earlier seqid of the stateid.")
Expired = _kind("Expired", "EXPIRED", "The lease ran out, the state is gone.")
DelegRevoked = _kind(
    "DelegRevoked", "DELEG_REVOKED", "A recallable object was revoked."
)
OpenMode = _kind("OpenMode", "OPENMODE", "Not opened for that access.")
ShareDenied = _kind("ShareDenied", "SHARE_DENIED", "A share reservation forbids it.")
Locked = _kind("Locked", "LOCKED", "A deny mode or mandatory lock forbids it.")
LocksHeld = _kind("LocksHeld", "LOCKS_HELD", "Locks are still held.")
Invalid = _kind("Invalid", "INVAL", "Arguments that make no sense.")
BadRange = _kind("BadRange", "BAD_RANGE", "A range beyond 64 bits.")
Grace = _kind("Grace", "GRACE", "Only reclaims during the grace period.")
NoGrace = _kind("NoGrace", "NO_GRACE", "Nothing can be reclaimed now.")
ReclaimBad = _kind("ReclaimBad", "RECLAIM_BAD", "Nothing of that to reclaim.")
CompleteAlready = _kind("CompleteAlready", "COMPLETE_ALREADY", "Said before.")
RecallConflict = _kind("RecallConflict", "RECALLCONFLICT", "A recall is under way.")


class LockDenied(StateError):
    """
    A conflicting byte-range lock is held.

    @ivar holder: (offset, length, type, clientid, owner) of it.
    """

    name = "DENIED"

    def __init__(self, holder: tuple[int, int, int, int, bytes]) -> None:
        super().__init__(holder)
        self.holder = holder
