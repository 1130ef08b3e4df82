"""
Write files whose bytes follow from their names; read them again.

C{files.py write FOLDER COUNT}; C{files.py verify FOLDER COUNT WHAT} prints C{result WHAT}
with the names of those that are not right, from the servers and not from the cache.
"""

import hashlib
import os
import sys

SIZE = 3 << 20


def content(name: str) -> bytes:
    """
    The bytes of a file.
    """
    return hashlib.shake_128(name.encode("ascii")).digest(SIZE)


def right(path: str, name: str) -> bool:
    """
    Can a file be read, and has it its bytes?
    """
    try:
        with open(path, "rb") as file:
            found = file.read()
    except OSError as error:
        print(name, error, flush=True)
        return False
    wanted = content(name)
    for at in range(0, SIZE, 4096):
        if found[at : at + 4096] != wanted[at : at + 4096]:
            print(name, len(found), "bytes, wrong at", at, flush=True)
            return False
    return len(found) == SIZE


action, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
names = [f"file{number}" for number in range(count)]
if action == "write":
    for each in names:
        with open(os.path.join(folder, each), "wb") as new:
            new.write(content(each))
            new.flush()
            os.fsync(new.fileno())
else:
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")
    wrong = [each for each in names if not right(os.path.join(folder, each), each)]
    print("result", sys.argv[4], *wrong, flush=True)
