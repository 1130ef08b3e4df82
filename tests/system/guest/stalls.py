"""
Write numbered blocks, each durable before the next, for a time; then read them back.

C{stalls.py FILE SECONDS}: prints C{block N} when block N has been acknowledged by
fsync; at the end C{result blocks ...}, how many, and C{result stall ...}, the longest
that one of them took, in seconds. C{stalls.py --verify FILE COUNT} prints C{result wrong ...} with the numbers
of blocks that differ, from the servers and not from the cache.
"""

import hashlib
import os
import sys
import time

SIZE = 1 << 20
PAUSE = 0.05


def block(number: int) -> bytes:
    """
    The bytes of a block.
    """
    return hashlib.shake_128(b"block %d" % number).digest(SIZE)


def write(path: str, seconds: float) -> None:
    """
    Write until the time is over.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    until = time.monotonic() + seconds
    number = 0
    longest = 0.0
    while time.monotonic() < until:
        wanted = memoryview(block(number))
        begun = time.monotonic()
        done = 0
        while done < SIZE:
            done += os.pwrite(file, wanted[done:], number * SIZE + done)
        os.fsync(file)
        longest = max(longest, time.monotonic() - begun)
        print("block", number, flush=True)
        number += 1
        time.sleep(PAUSE)
    os.close(file)
    print("result blocks", number, flush=True)
    print(f"result stall {longest:.1f}", flush=True)


def verify(path: str, count: int) -> None:
    """
    Read all of it.
    """
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")
    with open(path, "rb") as read:
        wrong = [n for n in range(count) if read.read(SIZE) != block(n)]
        rest = len(read.read())
    print("result wrong", *wrong, flush=True)
    print("result rest", rest, flush=True)


if sys.argv[1] == "--verify":
    verify(sys.argv[2], int(sys.argv[3]))
else:
    write(sys.argv[1], float(sys.argv[2]))
