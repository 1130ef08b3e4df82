# -*- test-case-name: tests.admin.test_control -*-
"""
The control channel of a running server: a stream of JSON objects, one per line.

A request is C{{"command": "ds.list", "args": {…}}}. It is answered by any number of
C{{"progress": …}} and then one C{{"result": …}} or C{{"error": "one line"}}. Requests
of a connection are answered in order.

A command that has begun ends, whether or not its caller is still there: a caller that
goes away leaves nothing half done. What takes long only watches
(L{Request.connected}); it does not do the work itself.

Who may open the socket may do everything: the file system decides (mode 0600).
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Awaitable, Callable, Mapping, Optional

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from pnfs.backends.errors import BackendError

LINE_LIMIT = 1 << 20
"""Bytes of a request."""

WAITING_LIMIT = 64
"""Requests of a connection that wait for their turn."""

_log = Logger()


class Refused(Exception):
    """
    A command is not carried out; the text is one line: why, and what to do instead.
    """


class Request:
    """
    One command with its arguments, which are taken one by one.
    """

    def __init__(
        self,
        command: str,
        args: Mapping[str, Any],
        tell: Callable[[Any], None] = lambda progress: None,
        connected: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        @param tell: sends progress; connected: does somebody listen?
        """
        self.command = command
        self._args = dict(args)
        self._tell = tell
        self._connected = connected

    @property
    def connected(self) -> bool:
        """
        The caller is still there.
        """
        return self._connected()

    def progress(self, progress: Any) -> None:
        """
        Tell the caller how far it is.

        @param progress: what JSON can say.
        """
        self._tell(progress)

    def text(self, name: str, default: Optional[str] = None) -> str:
        """
        An argument that is a text.

        @raise Refused: it is not, or is missing and has no default.
        """
        value = self._args.pop(name, default)
        if not isinstance(value, str):
            raise Refused(f"{self.command}: {name} must be a text; give it")
        return value

    def texts(self, name: str) -> list[str]:
        """
        An argument that is a list of texts; empty if it is missing.

        @raise Refused: it is something else.
        """
        value = self._args.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise Refused(f"{self.command}: {name} must be a list of texts")
        return value

    def number(
        self, name: str, default: int, least: int = 0, most: int = 1 << 62
    ) -> int:
        """
        An argument that is a whole number.

        @raise Refused: it is something else, or out of range.
        """
        value = self._args.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refused(f"{self.command}: {name} must be a whole number")
        if not least <= value <= most:
            raise Refused(f"{self.command}: {name} must be from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        """
        An argument that is true or false; false if it is missing.

        @raise Refused: it is something else.
        """
        value = self._args.pop(name, False)
        if not isinstance(value, bool):
            raise Refused(f"{self.command}: {name} must be true or false")
        return value

    def finish(self) -> None:
        """
        To be called when all arguments have been taken.

        @raise Refused: there are more.
        """
        for name in self._args:
            raise Refused(
                f"{self.command}: {name!r} is no argument of it; is the server older "
                "than this program?"
            )


Command = Callable[[Request], Awaitable[Any]]
"""
Carries a request out. @return: what JSON can say. @raise Refused: nothing has changed.
"""


class Commands:
    """
    All commands by name: C{NOUN.VERB}.
    """

    def __init__(self) -> None:
        self._byName: dict[str, Command] = {}

    def add(self, commands: Mapping[str, Command]) -> None:
        """
        Have some more.
        """
        for name in commands:
            assert name not in self._byName, name
        self._byName.update(commands)

    @property
    def names(self) -> list[str]:
        """
        Of all there are.
        """
        return sorted(self._byName)

    async def run(self, request: Request) -> Any:
        """
        Carry one out.

        @raise Refused: it is not carried out.
        @raise BackendError: it has failed.
        """
        command = self._byName.get(request.command)
        if command is None:
            raise Refused(
                f"{request.command!r} is no command of this server; is it older than "
                "this program?"
            )
        return await command(request)


class ControlProtocol(Protocol):
    """
    One connection.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._buffer = bytearray()
        self._waiting: deque[bytes] = deque()
        self._running = False
        self._lost = False

    def dataReceived(self, data: bytes) -> None:
        """
        See C{Protocol.dataReceived}.
        """
        if self._lost:
            return
        buffer = self._buffer
        buffer += data
        *lines, rest = bytes(buffer).split(b"\n") if b"\n" in data else [bytes(buffer)]
        if len(rest) > LINE_LIMIT or len(lines) + len(self._waiting) > WAITING_LIMIT:
            self._say({"error": "that is too long for a request"})
            self._lost = True
            assert self.transport is not None
            self.transport.loseConnection()
            return
        self._buffer = bytearray(rest)
        self._waiting.extend(lines)
        self._next()

    def connectionLost(self, reason: Any = None) -> None:
        """
        See C{Protocol.connectionLost}. What has not begun does not begin.
        """
        self._lost = True
        self._waiting.clear()

    def _next(self) -> None:
        if self._running or not self._waiting:
            return
        self._running = True
        done = Deferred.fromCoroutine(self._answer(self._waiting.popleft()))
        done.addErrback(self._broken)
        done.addCallback(lambda _: self._again())

    def _again(self) -> None:
        self._running = False
        self._next()

    async def _answer(self, line: bytes) -> None:
        try:
            result = await self._commands.run(self._request(line))
        except (Refused, BackendError) as error:
            self._say({"error": str(error) or type(error).__name__})
        else:
            self._say({"result": result})

    def _request(self, line: bytes) -> Request:
        try:
            request = json.loads(line)
            command = request["command"]
            args = request.get("args", {})
            if not isinstance(command, str) or not isinstance(args, dict):
                raise TypeError("command must be a text and args an object")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Refused(
                'that is no request; write {"command": "ds.list", "args": {}}'
            ) from None
        return Request(
            command,
            args,
            lambda progress: self._say({"progress": progress}),
            lambda: not self._lost,
        )

    def _broken(self, failure: Any) -> None:
        """
        An edge of the reactor: a defect in a command must not leave its caller
        waiting.
        """
        _log.failure("a command failed", failure)
        self._say({"error": "a defect of the server; its log has the details"})

    def _say(self, what: Mapping[str, Any]) -> None:
        if not self._lost:
            assert self.transport is not None
            text = json.dumps(what, separators=(",", ":"))
            self.transport.write(text.encode("utf-8") + b"\n")


class ControlFactory(Factory):
    """
    Makes L{ControlProtocol}s.
    """

    noisy = False

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def buildProtocol(self, addr: Any) -> ControlProtocol:
        """
        See C{Factory.buildProtocol}.
        """
        return ControlProtocol(self._commands)
