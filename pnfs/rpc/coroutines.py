# -*- test-case-name: tests.rpc.test_coroutines -*-
"""
Running coroutines that await Deferreds, without a Deferred of their own.

A coroutine that never really waits costs about a microsecond.
"""

from __future__ import annotations

from typing import Any, Callable, Coroutine, Generic, Optional, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

_T = TypeVar("_T")


class Running(Generic[_T]):
    """
    A coroutine that waits for a Deferred.

    @ivar cancelled: L{cancel} has been called.
    """

    __slots__ = ("_coroutine", "_awaited", "_onResult", "_onError", "cancelled")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, _T],
        awaited: Any,
        onResult: Callable[[_T], None],
        onError: Callable[[Exception], None],
    ) -> None:
        self._coroutine = coroutine
        self._onResult = onResult
        self._onError = onError
        self.cancelled = False
        self._awaited: Any = None
        self._wait(awaited)

    def cancel(self) -> None:
        """
        Cancel what it waits for. The coroutine may go on nevertheless.
        """
        self.cancelled = True
        self._awaited.cancel()

    def _wait(self, awaited: Any) -> None:
        if isinstance(awaited, Deferred):
            self._awaited = awaited
            awaited.addBoth(self._fired)
        else:
            self._coroutine.close()
            self._onError(TypeError(f"awaited {awaited!r}, which is no Deferred"))

    def _fired(self, result: object) -> None:
        # While its callbacks run, the Deferred's own iterator still sees the
        # result and gives it to the await; failures it must be told.
        try:
            if isinstance(result, Failure):
                awaited = self._coroutine.throw(cast(BaseException, result.value))
            else:
                awaited = self._coroutine.send(None)
        except StopIteration as stop:
            self._onResult(stop.value)
        except Exception as error:
            self._onError(error)
        else:
            self._wait(awaited)


def drive(
    coroutine: Coroutine[Any, Any, _T],
    onResult: Callable[[_T], None],
    onError: Callable[[Exception], None],
) -> Optional[Running[_T]]:
    """
    Run a coroutine: its first step now, the others when what it awaits fires.

    @param onResult: called once with what it returns, maybe before this returns;
        it must not raise.
    @param onError: called once with what it raises, likewise.
    @return: None if it has finished, else the means to cancel it.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        onResult(stop.value)
    except Exception as error:
        onError(error)
    else:
        return Running(coroutine, awaited, onResult, onError)
    return None
