"""
Tests of L{pnfs.admin.control}.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from pnfs.admin.control import (
    LINE_LIMIT,
    WAITING_LIMIT,
    Commands,
    ControlFactory,
    Refused,
    Request,
)
from pnfs.backends.errors import Unreachable


class ControlTests(SynchronousTestCase):
    """
    What goes over the control channel.
    """

    def setUp(self) -> None:
        """
        A server with some commands.
        """
        self.waiting: list[Deferred[Any]] = []
        self.requests: list[Request] = []
        commands = Commands()
        commands.add(
            {
                "a.echo": self.echo,
                "a.wait": self.wait,
                "a.break": self.fail_,
                "a.down": self.down,
            }
        )
        self.commands = commands
        self.transport = StringTransport()
        self.protocol = ControlFactory(commands).buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    async def echo(self, request: Request) -> Any:
        """
        The arguments.
        """
        request.progress(0.5)
        found = [
            request.text("text", "none"),
            request.texts("texts"),
            request.number("number", 7, 1, 9),
            request.flag("flag"),
        ]
        request.finish()
        return found

    async def wait(self, request: Request) -> Any:
        """
        Until the test says so.
        """
        self.requests.append(request)
        waiter: Deferred[Any] = Deferred()
        self.waiting.append(waiter)
        return await waiter

    async def fail_(self, request: Request) -> Any:
        """
        A defect.
        """
        raise ZeroDivisionError()

    async def down(self, request: Request) -> Any:
        """
        A failure that is none of ours.
        """
        raise Unreachable("ds1 does not answer")

    def send(self, command: str, **args: Any) -> None:
        """
        Ask for something.
        """
        line = json.dumps({"command": command, "args": args}).encode() + b"\n"
        self.protocol.dataReceived(line)

    def answers(self) -> list[Any]:
        """
        What has been said since.
        """
        lines = self.transport.value().splitlines()
        self.transport.clear()
        return [json.loads(line) for line in lines]

    def test_result(self) -> None:
        """
        Progress comes first, then the result, one line each; also if the request
        arrives byte by byte.
        """
        expected = [{"progress": 0.5}, {"result": ["x", ["y"], 9, True]}]
        self.send("a.echo", text="x", texts=["y"], number=9, flag=True)
        self.assertEqual(self.answers(), expected)
        line = b'{"command":"a.echo","args":{"text":"x","texts":["y"],"number":9,"flag":true}}\n'
        for n in range(len(line)):
            self.protocol.dataReceived(line[n : n + 1])
        self.assertEqual(self.answers(), expected)

    def test_defaults(self) -> None:
        """
        Arguments may be left out.
        """
        self.protocol.dataReceived(b'{"command": "a.echo"}\n')
        self.assertEqual(self.answers()[1:], [{"result": ["none", [], 7, False]}])

    def test_badArguments(self) -> None:
        """
        What is wrong with an argument is said in one line that names it.
        """
        for args in (
            {"text": 1},
            {"texts": "x"},
            {"texts": [1]},
            {"number": "1"},
            {"number": True},
            {"number": 0},
            {"number": 10},
            {"flag": 1},
            {"other": 1},
        ):
            self.send("a.echo", **args)
            (name,) = args
            error = self.answers()[1]["error"]
            self.assertIn(name, error)
            self.assertNotIn("\n", error)

    def test_noRequest(self) -> None:
        """
        What is no request is answered, and the next one is served.
        """
        for line in (
            b"",
            b"x",
            b"[]",
            b"1",
            b"{}",
            b'{"command": 1}',
            b"\xff",
            b"[" * 9999,
        ):
            self.protocol.dataReceived(line + b"\n")
            (answer,) = self.answers()
            self.assertIn("that is no request", answer["error"])
        self.send("a.nothing")
        self.assertIn("no command of this server", self.answers()[0]["error"])
        self.send("a.echo")
        self.assertEqual(len(self.answers()), 2)

    def test_tooLong(self) -> None:
        """
        Nobody can fill the server's memory.
        """
        self.protocol.dataReceived(b"x" * (LINE_LIMIT + 1))
        self.assertIn("too long", self.answers()[0]["error"])
        self.assertTrue(self.transport.disconnecting)
        self.protocol.dataReceived(b'{"command": "a.echo"}\n')
        self.assertEqual(self.answers(), [])

    def test_tooMany(self) -> None:
        """
        Nor with requests that wait.
        """
        for _ in range(WAITING_LIMIT + 3):
            self.send("a.wait")
        self.assertTrue(self.transport.disconnecting)

    def test_inOrder(self) -> None:
        """
        One request of a connection is carried out after the other.
        """
        self.send("a.wait")
        self.send("a.echo")
        self.assertEqual(self.answers(), [])
        self.waiting.pop().callback("done")
        self.assertEqual(
            [a for a in self.answers() if "progress" not in a],
            [{"result": "done"}, {"result": ["none", [], 7, False]}],
        )

    def test_gone(self) -> None:
        """
        A caller that goes away (Ctrl-C) does not stop what it has begun, and what
        has not begun does not begin.
        """
        self.send("a.wait")
        self.send("a.wait")
        (request,) = self.requests
        self.assertTrue(request.connected)
        self.protocol.connectionLost()
        self.assertFalse(request.connected)
        request.progress(1)
        self.waiting.pop().callback("done")
        self.assertEqual((self.answers(), len(self.requests)), ([], 1))

    def test_failures(self) -> None:
        """
        A failure is told in its words; a defect is logged, and told as such.
        """
        self.send("a.down")
        self.assertEqual(self.answers(), [{"error": "ds1 does not answer"}])
        self.send("a.break")
        self.assertIn("defect", self.answers()[0]["error"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_missing(self) -> None:
        """
        An argument without a default must be given.
        """
        error = self.assertRaises(Refused, Request("a.b", {}).text, "name")
        self.assertEqual(str(error), "a.b: name must be a text; give it")
        self.assertEqual(self.commands.names, ["a.break", "a.down", "a.echo", "a.wait"])
