# -*- test-case-name: tests.rpc.test_connection -*-
"""
The unsent output of a socket: bytes, views and slices of files, in order.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from itertools import islice
from typing import Sequence, Union

from pnfs.rpc.hub import release
from pnfs.rpc.limits import SMALL
from pnfs.values import FileSlice, Piece

_ZEROS = memoryview(bytes(64 << 10))
_NO_SENDFILE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_MOST_VIEWS = 256
"""Views given to one sendmsg; the kernel takes up to 1024."""


class OutputQueue:
    """
    Sends pieces over a non-blocking socket as far as it takes them.

    Small pieces are joined, large ones go out from where they lie; of a file
    nothing is copied. What precedes a file is sent with MSG_MORE, so that it
    shares its packet.

    @ivar size: bytes queued.
    """

    __slots__ = ("size", "_socket", "_queue", "_sliceSent")

    def __init__(self, sock: socket.socket) -> None:
        self.size = 0
        self._socket = sock
        self._queue: deque[Union[memoryview, FileSlice]] = deque()
        self._sliceSent = 0

    def add(self, pieces: Sequence[Piece]) -> None:
        """
        Put pieces at the end.
        """
        small: list[Union[bytes, memoryview]] = []
        for piece in pieces:
            if isinstance(piece, FileSlice):
                self._addJoined(small)
                self._append(piece, piece.count)
            elif len(piece) < SMALL:
                small.append(piece)
            else:
                self._addJoined(small)
                self._append(memoryview(piece), len(piece))
        self._addJoined(small)

    def _addJoined(self, small: list[Union[bytes, memoryview]]) -> None:
        if small:
            data = b"".join(small)
            small.clear()
            if data:
                self._append(memoryview(data), len(data))

    def _append(self, piece: Union[memoryview, FileSlice], size: int) -> None:
        self._queue.append(piece)
        self.size += size

    def send(self) -> int:
        """
        Send what the socket takes now.

        @return: how many bytes that was.
        @raise OSError: the connection, or a file, is broken.
        """
        before = self.size
        queue = self._queue
        try:
            while queue:
                first = queue[0]
                if isinstance(first, FileSlice):
                    self._sendSlice(first)
                elif not self._sendViews():
                    break
        except (BlockingIOError, InterruptedError):
            pass
        return before - self.size

    def _sendViews(self) -> bool:
        """
        @return: False after a short send.
        """
        queue = self._queue
        if len(queue) > 1 and queue[1].__class__ is FileSlice:
            # What READ gives: a head, then the file.
            head = queue[0]
            sent = self._socket.send(head, socket.MSG_MORE)  # type: ignore[arg-type]
            self.size -= sent
            if sent < len(head):
                queue[0] = head[sent:]  # type: ignore[index]
                return False
            queue.popleft()
            return True
        views: list[memoryview] = []
        flags = size = 0
        for piece in islice(queue, _MOST_VIEWS):
            if isinstance(piece, FileSlice):
                flags = socket.MSG_MORE
                break
            views.append(piece)
            size += len(piece)
        sent = left = self._socket.sendmsg(views, (), flags)
        self.size -= sent
        for view in views:
            if left < len(view):
                queue[0] = view[left:]
                break
            left -= len(view)
            queue.popleft()
        return sent == size

    def _sendSlice(self, piece: FileSlice) -> None:
        """
        Send from a file until done or until the socket is full (an OSError).
        """
        wanted = piece.count - self._sliceSent
        offset = piece.offset + self._sliceSent
        if not wanted:
            self._endSlice(piece)
            return
        try:
            sent = os.sendfile(self._socket.fileno(), piece.fd, offset, wanted)
        except OSError as error:
            if error.errno not in _NO_SENDFILE:
                raise
            data = os.pread(piece.fd, min(wanted, len(_ZEROS)), offset)
            sent = self._socket.send(data) if data else 0
            if data and not sent:
                raise BlockingIOError from None
        if sent:
            self._sliceSent += sent
            self.size -= sent
        else:
            # The file has become shorter since the answer was made: zeros.
            self._endSlice(piece)
            while wanted:
                part = min(wanted, len(_ZEROS))
                wanted -= part
                self._queue.appendleft(_ZEROS[:part])

    def _endSlice(self, piece: FileSlice) -> None:
        self._queue.popleft()
        self._sliceSent = 0
        piece.release()

    def clear(self) -> None:
        """
        Forget all: the connection is gone.
        """
        pieces = list(self._queue)
        self._queue.clear()
        self.size = 0
        release(pieces)
