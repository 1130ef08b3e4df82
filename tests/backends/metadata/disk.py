"""
A disk whose plug can be pulled: what was not synced may be lost, in whole or in
part.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, Optional, Union

import attrs


class PowerCut(Exception):
    """
    The plug has been pulled.
    """


@attrs.define(eq=False)
class File:
    """
    @ivar content: as processes see it; durable: as it is on the disk.
    """

    content: bytes = b""
    durable: bytes = b""


@attrs.define(eq=False)
class Folder:
    """
    @ivar names: as processes see them; durable: as they are on the disk.
    """

    names: dict[str, Any] = attrs.Factory(dict)
    durable: dict[str, Any] = attrs.Factory(dict)


@attrs.frozen
class Loss:
    """
    What becomes of that which was not synced.

    @ivar names: changed names have come to the disk.
    @ivar contents: what part of new content has.
    """

    names: bool
    contents: float


LOSSES = (
    Loss(False, 0.0),
    Loss(True, 0.0),
    Loss(True, 0.5),
    Loss(False, 1.0),
    Loss(True, 1.0),
)


class Disk:
    """
    Stands for the module C{os}, as far as recovery stores use it.

    @ivar operations: how many changes have been made.
    @ivar cutAt: before which change the plug is pulled, or None.
    """

    def __init__(self, cutAt: Optional[int] = None) -> None:
        self.operations = 0
        self.cutAt = cutAt
        self._root = Folder()
        self._open: dict[int, list[Any]] = {}
        self._next = 3

    def again(self, loss: Loss, cutAt: Optional[int] = None) -> Disk:
        """
        The disk after the power has come back.
        """
        disk = Disk(cutAt)
        disk._root = self._survivor(self._root, loss)
        return disk

    def _survivor(self, node: Union[File, Folder], loss: Loss) -> Any:
        if isinstance(node, Folder):
            found = node.names if loss.names else node.durable
            names = {name: self._survivor(each, loss) for name, each in found.items()}
            return Folder(names, dict(names))
        content = node.durable
        if node.content != content:
            kept = len(os.path.commonprefix([node.content, content]))
            kept += int((len(node.content) - kept) * loss.contents)
            content = node.content[:kept] if loss.contents else content
        return File(content, content)

    def _change(self) -> None:
        if self.operations == self.cutAt:
            raise PowerCut()
        self.operations += 1

    def _find(self, path: str) -> Any:
        node: Any = self._root
        for name in path.strip("/").split("/"):
            if name:
                node = node.names.get(name)
                if node is None:
                    raise FileNotFoundError(path)
        return node

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        """
        As C{os.open}.
        """
        try:
            node = self._find(path)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            self._change()
            node = File()
            self._find(os.path.dirname(path)).names[os.path.basename(path)] = node
        if flags & os.O_TRUNC and node.content:
            self._change()
            node.content = b""
        self._next += 1
        self._open[self._next] = [node, 0]
        return self._next

    def close(self, fd: int) -> None:
        """
        As C{os.close}.
        """
        del self._open[fd]

    def read(self, fd: int, count: int) -> bytes:
        """
        As C{os.read}.
        """
        node, pos = self._open[fd]
        found: bytes = node.content[pos : pos + count]
        self._open[fd][1] += len(found)
        return found

    def write(self, fd: int, content: Any) -> int:
        """
        As C{os.write}, at the end of the file.
        """
        self._change()
        self._open[fd][0].content += bytes(content)
        return len(content)

    def fsync(self, fd: int) -> None:
        """
        As C{os.fsync}: of a file its content, of a folder its names.
        """
        self._change()
        node = self._open[fd][0]
        if isinstance(node, Folder):
            node.durable = dict(node.names)
        else:
            node.durable = node.content

    fdatasync = fsync

    def fstat(self, fd: int) -> Any:
        """
        As C{os.fstat}: the size.
        """
        return SimpleNamespace(st_size=len(self._open[fd][0].content))

    def stat(self, path: str) -> Any:
        """
        As C{os.stat}: whether it is there.
        """
        return self._find(path)

    def ftruncate(self, fd: int, size: int) -> None:
        """
        As C{os.ftruncate}.
        """
        self._change()
        node = self._open[fd][0]
        node.content = node.content[:size]

    def replace(self, source: str, target: str) -> None:
        """
        As C{os.replace}, within a folder.
        """
        self._change()
        names = self._find(os.path.dirname(source)).names
        names[os.path.basename(target)] = names.pop(os.path.basename(source))

    def makedirs(self, path: str, mode: int, exist_ok: bool) -> None:
        """
        As C{os.makedirs}, of one folder.
        """
        self._change()
        self._find(os.path.dirname(path)).names[os.path.basename(path)] = Folder()
