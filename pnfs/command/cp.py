# -*- test-case-name: tests.command.test_remote -*-
"""
C{pnfs cp}: copy between this machine and servers, or between servers.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional, Union

from twisted.internet.threads import deferToThread

from pnfs.client.errors import FAILURES
from pnfs.client.file import File
from pnfs.client.mount import SHARE_WRITE
from pnfs.client.transfer import (
    Progress,
    Source,
    download,
    fileSink,
    fileSource,
    streamSink,
    upload,
)
from pnfs.client.url import URL, BadURL, isRemote, parseURL
from pnfs.command.remote import (
    Mounts,
    addRemoteOptions,
    complain,
    runRemote,
)

from pnfs.nfs4.status import NFSError, nfsstat4
from pnfs.values import FileType

Place = Union[URL, str]
"""Remote, or the name of a local file, or C{-}."""

_EXPECTED = (*FAILURES, OSError, BadURL)


def configure(parser: argparse.ArgumentParser) -> None:
    """
    Add the command's options.
    """
    parser.description = (
        "Copy files. Each may be local or pnfs://HOST[:PORT]/PATH; - is standard input "
        "or output. If DEST is a directory the copy gets the name of the source. A copy "
        "is on stable storage when the command ends."
    )
    parser.add_argument("sources", nargs="+", type=place, metavar="SOURCE")
    parser.add_argument("destination", type=place, metavar="DEST")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress bar on a terminal"
    )
    addRemoteOptions(parser)


def place(text: str) -> Place:
    """
    For C{argparse}: a URL or a local name.
    """
    if not isRemote(text):
        return text
    try:
        return parseURL(text)
    except BadURL as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """
    Do it. @return: the exit status.
    """
    places = [*args.sources, args.destination]
    if not any(isinstance(each, URL) for each in places):
        print("pnfs cp: neither SOURCE nor DEST is remote", file=sys.stderr)
        return 2
    return runRemote(args, lambda mounts: copyAll(mounts, args))


async def copyAll(mounts: Mounts, args: argparse.Namespace) -> int:
    """
    Copy each of C{args.sources}.
    """
    destination: Place = args.destination
    try:
        into = await _isDirectory(mounts, destination)
    except _EXPECTED as error:
        return complain("cp", destination, error)
    if len(args.sources) > 1 and not into:
        print(f"pnfs cp: {destination}: not a directory", file=sys.stderr)
        return 1
    status = 0
    for source in args.sources:
        target = _inside(destination, source) if into else destination
        try:
            await _copy(mounts, source, target, not args.quiet)
        except _EXPECTED as error:
            status = complain("cp", f"{source} to {target}", error)
    return status


async def _isDirectory(mounts: Mounts, where: Place) -> bool:
    if isinstance(where, str):
        return where != "-" and os.path.isdir(where)
    mount = await mounts.of(where)
    try:
        return (await mount.getattr(where.path)).ftype == FileType.DIR
    except NFSError as error:
        if error.status != nfsstat4.NFS4ERR_NOENT:
            raise
        return False


def _inside(directory: Place, source: Place) -> Place:
    """
    The place in a directory for a copy of a source.
    """
    if isinstance(source, URL):
        name = source.name
    else:
        name = os.fsencode(os.path.basename(source.rstrip("/")))
    if isinstance(directory, URL):
        return directory.child(name)
    return os.path.join(directory, os.fsdecode(name))


async def _copy(mounts: Mounts, source: Place, target: Place, bar: bool) -> None:
    if isinstance(source, URL):
        file = await (await mounts.of(source)).open(source.path)
        try:
            with progressBar(source.name, file.size, bar) as progress:
                if isinstance(target, URL):
                    mode = file.attributes.mode & 0o777
                    await _put(mounts, file.read, target, mode, progress)
                else:
                    mode = file.attributes.mode & 0o777
                    await _get(file, target, mode, progress)
        finally:
            await file.close()
        return
    if not isinstance(target, URL):
        raise BadURL(f"{source} and {target} are both local")
    with _openLocal(source) as (fd, size, mode):
        reader = fileSource(fd) if size is not None else pipeSource(fd)
        with progressBar(os.fsencode(source), size, bar) as progress:
            await _put(mounts, reader, target, mode, progress)


async def _put(
    mounts: Mounts, source: Source, target: URL, mode: int, progress: Progress
) -> None:
    mount = await mounts.of(target)
    file = await mount.open(
        target.path, SHARE_WRITE, create=True, mode=mode, truncate=True
    )
    complete = False
    try:
        await upload(source, file, progress=progress)
        complete = True
    finally:
        await file.close(complete)


async def _get(file: File, target: str, mode: int, progress: Progress) -> None:
    if target == "-":
        await download(file, streamSink(1), progress=progress)
        return
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, 0)
            done = await download(file, fileSink(fd), ordered=False, progress=progress)
            os.ftruncate(fd, done.count)
        else:
            await download(file, streamSink(fd), progress=progress)
    finally:
        os.close(fd)


@contextmanager
def _openLocal(name: str) -> Iterator[tuple[int, Optional[int], int]]:
    """
    File descriptor, size (None for what has none) and permissions for a copy.
    """
    if name == "-":
        mask = os.umask(0)
        os.umask(mask)
        yield 0, None, 0o666 & ~mask
        return
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        regular = stat.S_ISREG(found.st_mode)
        yield fd, found.st_size if regular else None, found.st_mode & 0o777
    finally:
        os.close(fd)


def pipeSource(fd: int) -> Source:
    """
    The bytes of a pipe or terminal, read in a thread: waiting for them must not keep
    the lease from being renewed.
    """

    def read(count: int) -> bytes:
        parts = []
        while count:
            data = os.read(fd, count)
            if not data:
                break
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    return lambda offset, count: deferToThread(read, count)


@contextmanager
def progressBar(name: bytes, size: Optional[int], wanted: bool) -> Iterator[Progress]:
    """
    Show how far it is, if standard error is a terminal.
    """
    if not wanted or not sys.stderr.isatty():
        yield lambda count: None
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    title = os.fsdecode(name).rpartition("/")[2]
    with tqdm(
        total=size, desc=title, unit="B", unit_scale=True, unit_divisor=1024
    ) as bar:
        update: Callable[[int], Any] = bar.update
        yield update
