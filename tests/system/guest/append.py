"""
Append numbered pieces to a file, a little at a time; then read them back.

C{append.py FILE COUNT}: prints C{piece N} when piece N has been written (to the
cache), and at the end C{result wrong ...}: where the first piece stands that is not in
its place, and what is there; nothing if all are.
"""

import os
import struct
import sys
import time

SIZE = 1 << 18
PAUSE = 0.25


def piece(number: int) -> bytes:
    """
    The bytes of a piece.
    """
    return struct.pack(">Q", number) * (SIZE // 8)


def write(path: str, count: int) -> None:
    """
    Append them all.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(count):
        if os.write(file, piece(number)) != SIZE:
            raise OSError("short write")
        print("piece", number, flush=True)
        time.sleep(PAUSE)
    os.close(file)


def check(path: str, count: int) -> str:
    """
    What is wrong first, from the servers and not from the cache.
    """
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")
    with open(path, "rb") as read:
        for number in range(count):
            found = read.read(SIZE)
            if found != piece(number):
                return f"at {number}: {found[:8].hex()} and {len(found)} bytes"
        return "more" if read.read(1) else ""


write(sys.argv[1], int(sys.argv[2]))
print("result wrong", check(sys.argv[1], int(sys.argv[2])), flush=True)
