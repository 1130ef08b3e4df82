# -*- test-case-name: tests.mds.test_scrub -*-
"""
How far a scrub is and what it has found, durably: a restart goes on with it.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Optional

import attrs
from twisted.logger import Logger

from pnfs.backends.metadata.recovery import writeDurably

PROBLEMS = 1000
"""That are told of; more are counted only."""

ORPHANS = 20_000
"""Data files that are looked at twice; more are left for the next scrub."""

FILE = "scrub.json"

_log = Logger()


@attrs.define
class Problem:
    """
    What is wrong with a file.

    @ivar export: id; handle: of the file there.
    @ivar path: empty as long as it is not known.
    @ivar text: what is wrong; repaired: it is being repaired.
    """

    export: int
    handle: bytes
    text: str
    repaired: bool = False
    path: str = ""


@attrs.define
class Orphan:
    """
    A data file that belongs to no file.

    @ivar uuid: of the data server; name: of the data file.
    @ivar size: in bytes; None until it has been looked at twice.
    @ivar removed: it is gone.
    """

    uuid: bytes
    name: bytes
    size: Optional[int] = None
    removed: bool = False


@attrs.define
class ScrubState:
    """
    One scrub. Times are nanoseconds since 1970.

    @ivar repair: what can be repaired is; removeOrphans: these are removed.
    @ivar limit: bytes to be read in a second at each data server; 0: as many as
        possible.
    @ivar running: it goes on after a restart; else it has ended or is paused.
    @ivar phase: what it does: C{list}, C{compare}, C{wait}, C{name}; C{done} at the end.
    @ivar position: name of the data files of the last file looked at.
    @ivar listed: when data files were listed.
    @ivar files: looked at; bytes: of them compared; busy: of them that could not be
        looked at, or are being repaired or moved; wrong: of them that are; repaired: of
        these whose repair has begun.
    @ivar silent: names of data servers that could not be asked for what they have.
    @ivar problems: up to L{PROBLEMS}.
    @ivar suspects: data files that seemed to belong to nothing when they were listed.
    @ivar orphans: those of them that still did later.
    @ivar foreign: data files of exports that are not served here.
    """

    repair: bool = False
    removeOrphans: bool = False
    limit: int = 0
    running: bool = False
    phase: str = "done"
    position: bytes = b""
    began: int = 0
    ended: int = 0
    listed: int = 0
    files: int = 0
    bytes: int = 0
    busy: int = 0
    wrong: int = 0
    repaired: int = 0
    foreign: int = 0
    silent: list[str] = attrs.Factory(list)
    problems: list[Problem] = attrs.Factory(list)
    suspects: list[Orphan] = attrs.Factory(list)
    orphans: list[Orphan] = attrs.Factory(list)

    def problem(self, problem: Problem) -> None:
        """
        A file is not as it should be.
        """
        self.wrong += 1
        self.repaired += problem.repaired
        if len(self.problems) < PROBLEMS:
            self.problems.append(problem)


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if attrs.has(type(value)):
        return {
            f.name: _encode(getattr(value, f.name)) for f in attrs.fields(type(value))
        }
    if isinstance(value, list):
        return [_encode(each) for each in value]
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _many(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def converted(values: Any) -> Any:
        if not isinstance(values, list):
            raise ValueError(f"{values!r} is no list")
        return [convert(value) for value in values]

    return converted


def _decoded(cls: Any, converters: Any) -> Callable[[Any], Any]:
    """
    Values that are not named are numbers, booleans or None.
    """

    def decode(values: Any) -> Any:
        if not isinstance(values, dict):
            raise ValueError(f"{values!r} is no object")
        found = {}
        for name, value in values.items():
            if name in converters:
                found[name] = converters[name](value)
            elif value is None or isinstance(value, int):
                found[name] = value
            else:
                raise ValueError(f"{name} is {value!r}")
        return cls(**found)

    return decode


_hex = bytes.fromhex
_orphan = _decoded(Orphan, {"uuid": _hex, "name": _hex})
_state = _decoded(
    ScrubState,
    {
        "phase": _text,
        "position": _hex,
        "silent": _many(_text),
        "problems": _many(
            _decoded(Problem, {"handle": _hex, "text": _text, "path": _text})
        ),
        "suspects": _many(_orphan),
        "orphans": _many(_orphan),
    },
)


def encode(state: ScrubState) -> bytes:
    """
    The contents of the file.
    """
    return json.dumps(_encode(state), indent=1).encode("ascii")


def store(folder: str, content: bytes) -> None:
    """
    Make it durable. Blocks.
    """
    writeDurably(os.path.join(folder, FILE), content)


def load(folder: str) -> ScrubState:
    """
    What the last run has left. If that cannot be understood there was none: it is only
    a report, and can be had again.
    """
    path = os.path.join(folder, FILE)
    try:
        with open(path, "rb") as file:
            state: ScrubState = _state(json.loads(file.read()))
            return state
    except FileNotFoundError:
        return ScrubState()
    except (ValueError, TypeError) as error:
        _log.warn("{path} is damaged and passed over: {error}", path=path, error=error)
        return ScrubState()
