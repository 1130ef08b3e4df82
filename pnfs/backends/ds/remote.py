# -*- test-case-name: tests.backends.ds.test_controlled -*-
"""
What every backend that is really an NFS client shares: errors, and I/O in pieces
no larger than the session takes.
"""

from __future__ import annotations

from functools import wraps
from typing import Any, Awaitable, Callable, Coroutine, ParamSpec, Sequence, TypeVar

from twisted.internet.defer import Deferred, DeferredList

from pnfs.backends import errors
from pnfs.nfs3.status import NFS3Error
from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.rpc.errors import CallFailed
from pnfs.xdr.errors import XDRError

_P = ParamSpec("_P")
_T = TypeVar("_T")

_ERRORS: dict[int, type[errors.BackendError]] = {
    nfsstat4.NFS4ERR_NOENT: errors.NoSuchObject,
    nfsstat4.NFS4ERR_STALE: errors.NoSuchObject,
    nfsstat4.NFS4ERR_BADHANDLE: errors.NoSuchObject,
    nfsstat4.NFS4ERR_FHEXPIRED: errors.NoSuchObject,
    nfsstat4.NFS4ERR_EXIST: errors.NameExists,
    nfsstat4.NFS4ERR_BADNAME: errors.InvalidName,
    nfsstat4.NFS4ERR_INVAL: errors.InvalidArgument,
    nfsstat4.NFS4ERR_NOSPC: errors.NoSpace,
    nfsstat4.NFS4ERR_DQUOT: errors.QuotaExceeded,
    nfsstat4.NFS4ERR_FBIG: errors.TooBig,
    nfsstat4.NFS4ERR_ROFS: errors.ReadOnly,
    nfsstat4.NFS4ERR_ACCESS: errors.PermissionRefused,
    nfsstat4.NFS4ERR_PERM: errors.PermissionRefused,
    nfsstat4.NFS4ERR_PNFS_NO_LAYOUT: errors.Fenced,
    nfsstat4.NFS4ERR_DELAY: errors.Unreachable,
    nfsstat4.NFS4ERR_GRACE: errors.Unreachable,
    nfsstat4.NFS4ERR_NOTDIR: errors.NotDirectory,
    nfsstat4.NFS4ERR_NOTSUPP: errors.Unsupported,
    nfsstat4.NFS4ERR_WRONGSEC: errors.PermissionRefused,
    nfsstat4.NFS4ERR_OFFLOAD_DENIED: errors.PartnerFailed,
    nfsstat4.NFS4ERR_PARTNER_NOTSUPP: errors.PartnerFailed,
    nfsstat4.NFS4ERR_PARTNER_NO_AUTH: errors.PartnerFailed,
}
"""By status of NFSv4; those that NFSv3 has too have the same numbers there."""


def backendError(error: Exception) -> errors.BackendError:
    """
    What an error of a remote server means to whoever uses the backend.
    """
    if isinstance(error, errors.BackendError):
        return error
    if isinstance(error, (NFSError, NFS3Error)):
        return _ERRORS.get(error.status, errors.IOFailed)(str(error))
    if isinstance(error, CallFailed):
        return errors.Unreachable(str(error))
    if isinstance(error, XDRError):
        return errors.IOFailed(f"the answer does not decode: {error}")
    raise error


async def gather(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """
    Run awaitables at the same time.

    @return: their results in order.
    @raise Exception: the first failure in order, once all have finished.
    """
    if len(calls) == 1:
        return [await calls[0]]
    results = await gatherOutcomes(calls)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


async def gatherOutcomes(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """
    As L{gather}, but an exception stands in the list for what failed.
    """
    if len(calls) == 1:
        return [await _outcome(calls[0])]
    running = [Deferred.fromCoroutine(_outcome(call)) for call in calls]
    return [result for _, result in await DeferredList(running)]


async def _outcome(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except Exception as error:
        return error


def translating(
    function: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """
    Decorate a coroutine method so that it raises L{errors.BackendError}s.
    """

    @wraps(function)
    async def translated(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await function(*args, **kwargs)
        except (NFSError, NFS3Error, CallFailed, XDRError) as error:
            raise backendError(error) from error

    return translated
