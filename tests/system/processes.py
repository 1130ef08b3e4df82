"""
Waiting for real processes, with a deadline for everything.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from typing import Callable, Optional, Sequence

import attrs


class Late(Exception):
    """
    Something did not happen in time; the text says what, and what was seen.
    """


def waitUntil(condition: Callable[[], object], seconds: float, what: str) -> None:
    """
    Look every 50 ms until C{condition()} is true.

    @raise Late: C{seconds} have passed.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Late(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def answers(host: str, port: int) -> bool:
    """
    Does somebody accept TCP connections there?
    """
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


@attrs.define(eq=False)
class Process:
    """
    A child in a session of its own whose output is collected by lines.

    @ivar lines: standard output so far, without newlines.
    @ivar errors: where standard error goes.
    """

    child: "subprocess.Popen[bytes]"
    errors: str
    lines: list[str] = attrs.field(factory=list)
    _grown: threading.Condition = attrs.field(factory=threading.Condition)
    _ended: bool = False
    _reader: Optional[threading.Thread] = None

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        errors: str,
        environment: Optional[dict[str, str]] = None,
        directory: Optional[str] = None,
    ) -> "Process":
        """
        @param errors: the file that standard error is appended to.
        """
        with open(errors, "ab") as stderr:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )
        self = cls(child, errors)
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        return self

    @property
    def pid(self) -> int:
        """
        The child's process id, also that of its group.
        """
        return self.child.pid

    def _collect(self) -> None:
        assert self.child.stdout is not None
        for raw in self.child.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            with self._grown:
                self.lines.append(line)
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def expect(self, accept: Callable[[str], bool], seconds: float, what: str) -> str:
        """
        The first line of output, from the beginning, that C{accept} likes.

        @raise Late: none came within C{seconds}, or the process ended before.
        """
        end = time.monotonic() + seconds
        seen = 0
        with self._grown:
            while True:
                for line in self.lines[seen:]:
                    if accept(line):
                        return line
                seen = len(self.lines)
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    raise Late(f"no {what} within {seconds:g} s\n{self.report()}")
                self._grown.wait(left)

    def report(self) -> str:
        """
        The end of what it said, for the message of a failure.
        """
        with open(self.errors, errors="replace") as errors:
            tail = errors.read()[-4000:]
        return "\n".join([*self.lines[-40:], "--- standard error:", tail])

    def wait(self, seconds: float) -> int:
        """
        @return: the exit status, negative for a signal.
        @raise Late: it still runs.
        """
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Late(f"still running after {seconds:g} s\n{self.report()}") from None
        assert self._reader is not None
        self._reader.join(5)
        return status

    def signal(self, number: int) -> None:
        """
        Send a signal to the process alone (not to its group).
        """
        if self.child.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """
        End the whole group at once; a no-op for what has ended.
        """
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait(10)
        if self.child.stdout is not None and self._reader is not None:
            self._reader.join(5)
            if not self._reader.is_alive():
                self.child.stdout.close()
