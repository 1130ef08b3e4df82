"""
Write numbered blocks, each durable before the next; then read them back.

C{blocks.py FILE COUNT}: prints C{block N} when block N has been acknowledged by
fsync, and at the end C{result wrong ...} with the numbers of blocks that differ.
A block's bytes follow from its number alone, so a lost, stale or misplaced one
shows.
"""

import hashlib
import os
import sys

SIZE = 4 << 20


def block(number: int) -> bytes:
    """
    The bytes of a block.
    """
    return hashlib.shake_128(b"block %d" % number).digest(SIZE)


def main(path: str, count: int) -> None:
    """
    Write, forget, read.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for number in range(count):
        wanted = memoryview(block(number))
        done = 0
        while done < SIZE:
            done += os.pwrite(file, wanted[done:], number * SIZE + done)
        os.fsync(file)
        print("block", number, flush=True)
    os.close(file)
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")
    with open(path, "rb") as read:
        wrong = [n for n in range(count) if read.read(SIZE) != block(n)]
        rest = len(read.read())
    print("result wrong", *wrong, flush=True)
    print("result rest", rest, flush=True)


main(sys.argv[1], int(sys.argv[2]))
