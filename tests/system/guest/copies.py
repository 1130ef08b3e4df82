"""
Copies files in a folder by copy_file_range(2) and tells what comes of it, a line
each. Runs in the guest, and without this package.
"""

import hashlib
import os
import sys
import time

FOLDER = sys.argv[1]
MIB = 1 << 20
SIZE = 64 * MIB + 12345


def path(name: str) -> str:
    """
    Of a file in the folder.
    """
    return os.path.join(FOLDER, name)


def copy(source: str, target: str, start: int, to: int, count: int) -> None:
    """
    Copy a range, in as many calls as it takes.
    """
    reading = os.open(path(source), os.O_RDONLY)
    writing = os.open(path(target), os.O_RDWR | os.O_CREAT, 0o644)
    done = calls = 0
    while done < count:
        calls += 1
        more = os.copy_file_range(
            reading, writing, count - done, start + done, to + done
        )
        if not more:
            break
        done += more
    os.fsync(writing)
    os.close(writing)
    os.close(reading)
    print(f"result copied-{target} {done}", flush=True)


def check(target: str, expected: bytes) -> None:
    """
    Read it back, from the servers.
    """
    with open(path(target), "rb") as file:
        found = file.read()
    same = hashlib.sha256(found).digest() == hashlib.sha256(expected).digest()
    print(f"result same-{target} {same} {len(found)}", flush=True)


data = os.urandom(SIZE)
with open(path("source"), "wb") as file:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
print("written", flush=True)
if len(sys.argv) > 2:
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.05)
copy("source", "whole", 0, 0, SIZE)
copy("source", "shifted", 0, MIB + 7, SIZE)
with open(path("patched"), "wb") as file:
    file.write(b"x" * (40 * MIB))
copy("source", "patched", 3 * MIB + 11, 10 * MIB, 20 * MIB + 1)
with open(path("short"), "wb") as file:
    file.write(b"y" * 10)
copy("source", "short", 5, 2, 4)
with open("/proc/sys/vm/drop_caches", "w") as file:
    os.sync()
    file.write("3")
check("whole", data)
check("shifted", bytes(MIB + 7) + data)
patched = bytearray(b"x" * (40 * MIB))
patched[10 * MIB : 30 * MIB + 1] = data[3 * MIB + 11 :][: 20 * MIB + 1]
check("patched", bytes(patched))
check("short", b"yy" + data[5:9] + b"yyyy")
