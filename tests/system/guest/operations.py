"""
Do many things to files below a folder and tell what is then to be seen; run in a
mount and in a local file system, the output must be the same.

C{operations.py FOLDER}. After each step the caches are dropped, so that what is
told comes from the servers.
"""

import hashlib
import mmap
import os
import sys
from typing import Callable

MIB = 1 << 20
STRIPE = MIB


def pattern(length: int, seed: int = 0) -> bytes:
    """
    Bytes in which every place is different from its neighbours.
    """
    return hashlib.shake_128(b"%d" % seed).digest(length)


def forget() -> None:
    """
    Make the kernel forget what it has cached.
    """
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")


def readAll(path: str) -> str:
    """
    Checksum by ordinary reads.
    """
    total = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(MIB):
            total.update(piece)
    return total.hexdigest()


def readDirect(path: str, unit: int) -> str:
    """
    Checksum by O_DIRECT reads of C{unit} bytes (ordinary ones where the file
    system has no O_DIRECT).
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        file = os.open(path, os.O_RDONLY)
    buffer = mmap.mmap(-1, unit)
    total = hashlib.sha256()
    offset = 0
    while count := os.preadv(file, [buffer], offset):
        total.update(buffer[:count])
        offset += count
        if count % 512:
            break
    os.close(file)
    return total.hexdigest()


def pieces(path: str, places: list[int]) -> str:
    """
    Checksum of 64 KiB around some places of a file too large to be read whole.
    """
    total = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        for place in places:
            file.seek(max(0, place - 32768))
            total.update(b"%d:" % place + file.read(65536))
    return total.hexdigest()


def write(path: str, *parts: tuple[int, bytes]) -> None:
    """
    Write each (offset, bytes) in turn, creating the file.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for offset, data in parts:
        done = 0
        while done < len(data):
            done += os.pwrite(file, data[done:], offset + done)
    os.close(file)


def mapped(path: str) -> None:
    """
    Change two bytes through a shared mapping.
    """
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[5] = 1
        memory[len(memory) - 5] = 2


def append(path: str, data: bytes) -> None:
    """
    As a log is written.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(file, data)
    os.close(file)


def growing(path: str) -> list[int]:
    """
    Grow a file in small synchronous steps, which no LAYOUTCOMMIT tells of.

    @return: its size as seen after each step, while it is still open.
    """
    sizes = []
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for place in (10, 3 * STRIPE, 5 * STRIPE + 7):
        os.pwrite(file, b"grown", place)
        os.fsync(file)
        sizes.append(os.fstat(file).st_size)
        forget()
        with os.scandir(os.path.dirname(path)) as entries:
            sizes += [e.stat().st_size for e in entries if path.endswith(e.name)]
        append(path, b"end")
        sizes.append(os.fstat(file).st_size)
    os.close(file)
    return sizes


def main(folder: str) -> None:
    """
    Every step and what is seen after it, one line each.
    """

    def path(name: str) -> str:
        return os.path.join(folder, name)

    def tell(step: str, name: str) -> None:
        forget()
        size = os.stat(path(name)).st_size
        seen = [readAll(path(name)), readDirect(path(name), 256 * 1024)]
        seen.append(readDirect(path(name), 4 * MIB))
        print(step, name, size, *(value[:16] for value in seen), flush=True)

    for length in (0, 1, STRIPE - 1, STRIPE, STRIPE + 1, 3 * STRIPE, 7 * STRIPE + 13):
        name = f"length-{length}"
        write(path(name), (0, pattern(length)))
        tell("written", name)

    holes: list[tuple[str, list[tuple[int, bytes]]]] = [
        ("hole-first", [(5 * MIB + 3, b"x" * 1000)]),
        ("hole-middle", [(0, pattern(10)), (6 * MIB - 7, pattern(MIB, 1))]),
        ("hole-pages", [(n * 3 * 4096, pattern(4096, n)) for n in range(300)]),
        ("hole-stripes", [(n * 4 * MIB, pattern(100, n)) for n in range(5)]),
        ("backwards", [(n * MIB, pattern(MIB, n)) for n in (5, 3, 4, 0, 1, 2)]),
    ]
    for name, parts in holes:
        write(path(name), *parts)
        tell("written", name)

    steps: list[tuple[str, Callable[[str], None]]] = [
        ("up", lambda file: os.truncate(file, 9 * MIB + 1)),
        ("down", lambda file: os.truncate(file, 2 * MIB + 77)),
        ("up-again", lambda file: os.truncate(file, 4 * MIB)),
        ("written-over", lambda file: write(file, (MIB - 5, b"y" * 10))),
        ("written-behind", lambda file: write(file, (8 * MIB, b"z"))),
        ("appended", lambda file: append(file, pattern(123456, 9))),
        ("mapped", mapped),
        ("to-stripe", lambda file: os.truncate(file, STRIPE)),
        ("to-nothing", lambda file: os.truncate(file, 0)),
        ("from-nothing", lambda file: os.truncate(file, 3 * STRIPE + 1)),
    ]
    write(path("changed"), (0, pattern(6 * MIB)))
    for step, act in steps:
        act(path("changed"))
        tell(step, "changed")

    print("growing", *growing(path("growing")))
    tell("grown", "growing")

    large = 5 << 30
    places = [0, MIB, large // 2, 3 << 30, (4 << 30) - 10, 4 << 30, large - 5, large]
    write(path("large"), (large - 5, b"right"), (3 << 30, b"three"), (1, b"left"))
    forget()
    print("large", os.stat(path("large")).st_size, pieces(path("large"), places))
    os.truncate(path("large"), 3 << 30)
    os.truncate(path("large"), large)
    forget()
    print("large-cut", os.stat(path("large")).st_size, pieces(path("large"), places))


main(sys.argv[1])
