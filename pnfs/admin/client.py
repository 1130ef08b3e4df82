# -*- test-case-name: tests.admin.test_client -*-
"""
The other end of the control channel, for programs: it waits for each answer.
"""

from __future__ import annotations

import glob
import json
import os
import socket
import tempfile
import tomllib
from typing import Any, Callable, Mapping, Optional, Union

from pnfs.admin.tlsclient import SCHEME, TLSFailed, TLSServer, connectTLS, tlsServer

ENVIRONMENT = "PNFS_MDS"
STANDARD = "/etc/pnfs/pnfs-mds.toml"
SOCKET = "control.sock"
ANSWER_LIMIT = 256 << 20
_HINT = f"name it with --socket or --config, or in {ENVIRONMENT}"


class ControlFailed(Exception):
    """
    The command was refused, has failed or could not be sent. The text is one line.
    """


def socketOf(config: str) -> str:
    """
    The control socket that a metadata server's configuration file names.

    @raise ControlFailed: it names none.
    """
    try:
        with open(config, "rb") as stream:
            values = tomllib.load(stream)
        found = values.get("admin", {}).get("socket", "")
        path = found or os.path.join(values["state"], SOCKET)
        return os.path.join(os.path.dirname(os.path.abspath(config)), path)
    except OSError as error:
        raise ControlFailed(f"{config}: {error.strerror}; {_HINT}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ControlFailed(f"{config}: is not TOML: {error}; mend that line") from None
    except (KeyError, AttributeError, TypeError):
        raise ControlFailed(f"{config}: state: is missing; add it") from None


def findSocket(
    path: Optional[str], config: Optional[str], environment: Mapping[str, str]
) -> str:
    """
    The control socket to use: as named, else that of the environment, of the standard
    configuration file, or of the one C{pnfs demo} of this user that runs.

    @raise ControlFailed: there is none, or more than one.
    """
    if path is not None:
        return path
    if config is not None:
        return socketOf(config)
    named = environment.get(ENVIRONMENT, "")
    if named:
        if os.path.isdir(named):
            named = os.path.join(named, "mds.toml")
        return socketOf(named) if named.endswith(".toml") else named
    if os.path.exists(STANDARD):
        return socketOf(STANDARD)
    demos = [
        found
        for found in glob.glob(
            os.path.join(tempfile.gettempdir(), "pnfs-demo-*", "mds", SOCKET)
        )
        if os.stat(found).st_uid == os.getuid()
    ]
    if len(demos) == 1:
        return demos[0]
    raise ControlFailed(
        f"which metadata server? {'several demos run' if demos else 'none is known'}; "
        + _HINT
    )


def findServer(
    server: Optional[str],
    path: Optional[str],
    config: Optional[str],
    files: Mapping[str, Optional[str]],
    environment: Mapping[str, str],
) -> Union[str, TLSServer]:
    """
    The metadata server to talk to: one elsewhere if C{server} says so, or the
    environment does and nothing else is named; else as L{findSocket}.

    @param files: for TLS: C{certificate}, C{key}, C{ca} as named by options.
    @raise ControlFailed: there is none, or more than one.
    """
    if server is None and path is None and config is None:
        named = environment.get(ENVIRONMENT, "")
        server = named if named.startswith(SCHEME) else None
    if server is None:
        return findSocket(path, config, environment)
    if path is not None or config is not None:
        raise ControlFailed("--server is somewhere else than --socket or --config")
    try:
        return tlsServer(server, files, environment)
    except TLSFailed as error:
        raise ControlFailed(str(error)) from None


class ControlClient:
    """
    A connection to the control channel.
    """

    def __init__(self, where: Union[str, TLSServer]) -> None:
        """
        @param where: path of a UNIX socket, or a server elsewhere.
        @raise ControlFailed: nobody answers there, or we are not welcome.
        """
        self._buffer = bytearray()
        if isinstance(where, TLSServer):
            self._path = f"{SCHEME}{where.host}:{where.port}"
            self._socket: socket.socket = self._secured(where)
            return
        self._path = where
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(where)
        except OSError as error:
            self._socket.close()
            raise ControlFailed(
                f"{where}: {error.strerror or error}; does the metadata server run?"
            ) from None

    def _secured(self, where: TLSServer) -> socket.socket:
        """
        Connect, and wait until our certificate has been accepted.
        """
        try:
            self._socket = connectTLS(where)
        except TLSFailed as error:
            raise ControlFailed(str(error)) from None
        try:
            self._answer()
        except (OSError, ValueError) as error:
            self._socket.close()
            raise ControlFailed(
                f"{self._path}: {error}; is {where.certificate} of an authority that "
                "it accepts ('clients' in its [admin]), and still valid?"
            ) from None
        # Commands may take long.
        self._socket.settimeout(None)
        return self._socket

    def call(
        self,
        command: str,
        args: Mapping[str, Any],
        progress: Callable[[Any], None] = lambda progress: None,
    ) -> Any:
        """
        Have a command carried out.

        @param progress: called with each progress that is told.
        @return: its result.
        @raise ControlFailed: it was not carried out.
        """
        request = json.dumps({"command": command, "args": dict(args)}) + "\n"
        try:
            self._socket.sendall(request.encode("utf-8"))
            while True:
                answer = self._answer()
                if "progress" in answer:
                    progress(answer["progress"])
                elif "error" in answer:
                    raise ControlFailed(str(answer["error"]))
                else:
                    return answer["result"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ControlFailed(
                f"{self._path}: no answer: {error}; whether it was done is not known"
            ) from None

    def _answer(self) -> Any:
        while (end := self._buffer.find(b"\n")) < 0:
            data = self._socket.recv(1 << 16)
            if not data:
                raise OSError("the connection has ended")
            self._buffer += data
            if len(self._buffer) > ANSWER_LIMIT:
                raise OSError("the answer is too long")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return json.loads(line)

    def close(self) -> None:
        """
        Hang up.
        """
        self._socket.close()
