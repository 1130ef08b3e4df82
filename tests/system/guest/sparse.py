"""
Make holes in files below a folder, reserve space, and tell what is then to be seen;
run in a mount and in a local file system, the output must be the same.

C{sparse.py FOLDER}. After each step the caches are dropped, so that what is told
comes from the servers.
"""

import ctypes
import errno
import hashlib
import os
import sys

KIB = 1024
MIB = 1 << 20
KEEP_SIZE = 1
PUNCH = 2 | KEEP_SIZE
ROUND = 64 * KIB

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def fallocate(path: str, mode: int, offset: int, length: int) -> str:
    """
    C{fallocate(2)}: how it ends.
    """
    file = os.open(path, os.O_RDWR)
    try:
        if _fallocate(file, mode, offset, length):
            return errno.errorcode[ctypes.get_errno()]
        return "done"
    finally:
        os.close(file)


def forget() -> None:
    """
    Make the kernel forget what it has cached.
    """
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")


def seek(file: int, offset: int, whence: int) -> str:
    """
    C{lseek(2)}: where it leads, or how it fails.
    """
    try:
        return str(os.lseek(file, offset, whence))
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def extents(file: int) -> str:
    """
    Where data is.
    """
    found = []
    position = 0
    while (start := seek(file, position, os.SEEK_DATA)).isdigit():
        end = seek(file, int(start), os.SEEK_HOLE)
        found.append(f"{start}-{end}")
        if not end.isdigit():
            break
        position = int(end)
    return ",".join(found) or "none"


def tell(what: str, path: str, *offsets: int, holes: bool = True) -> None:
    """
    One line about a file as a stranger sees it.

    @param offsets: where to look for data and for a hole, besides all of them.
    @param holes: tell where they are: not of reserved space, which file systems
        count as one or the other.
    """
    forget()
    file = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(file)
        total = hashlib.sha256()
        while piece := os.read(file, MIB):
            total.update(piece)
        looks = [
            seek(file, offset, whence)
            for offset in offsets
            for whence in (os.SEEK_DATA, os.SEEK_HOLE)
        ]
        used = (status.st_blocks * 512 + ROUND // 2) // ROUND
        print(
            what,
            status.st_size,
            f"used={used}",
            extents(file) if holes else "",
            " ".join(looks),
            total.hexdigest()[:16],
            flush=True,
        )
    finally:
        os.close(file)


def write(path: str, *ranges: tuple[int, int]) -> None:
    """
    Write ranges of (offset, length) and close.
    """
    with open(path, "r+b" if os.path.exists(path) else "wb") as file:
        for offset, length in ranges:
            file.seek(offset)
            file.write(hashlib.shake_128(b"%d" % offset).digest(length))


def main(folder: str) -> None:
    """
    All steps. The stripe unit is 1 MiB.
    """
    path = os.path.join(folder, "sparse")
    write(path, (0, MIB), (2 * MIB, 512 * KIB), (7 * MIB, 3 * MIB + 5))
    tell("written", path, 5, MIB, 3 * MIB - 1, 6 * MIB, 10 * MIB + 4, 10 * MIB + 5)
    os.truncate(path, 20 * MIB)
    tell("grown", path, 11 * MIB, 20 * MIB - 1, 20 * MIB)

    dense = os.path.join(folder, "dense")
    write(dense, (0, 9 * MIB))
    tell("dense", dense, 0, 9 * MIB - 1, 9 * MIB)
    for offset, length in (
        (64 * KIB, 64 * KIB),
        (MIB - 64 * KIB, 128 * KIB),
        (2 * MIB, 3 * MIB),
        (5 * MIB + 1, 100),
        (6 * MIB + 100, 2 * MIB),
        (9 * MIB - 70_000, 5 * MIB),
        (100 * MIB, MIB),
    ):
        print("punch", fallocate(dense, PUNCH, offset, length))
        tell(f"punched-{offset}", dense, offset, offset + length)
    write(dense, (3 * MIB, 5000))
    tell("rewritten", dense, 2 * MIB)

    reserved = os.path.join(folder, "reserved")
    write(reserved, (0, 10))
    print("reserve", fallocate(reserved, 0, 0, 5 * MIB + 4096))
    tell("reserved", reserved, holes=False)
    print("reserve again", fallocate(reserved, 0, MIB, MIB))
    tell("reserved again", reserved, holes=False)
    write(reserved, (4 * MIB, 128 * KIB))
    tell("filled", reserved, holes=False)
    print("give back", fallocate(reserved, PUNCH, 0, 5 * MIB + 4096))
    tell("given back", reserved)

    print("nothing", fallocate(reserved, PUNCH, 0, 0), fallocate(reserved, 0, 0, 0))
    print("too far", fallocate(reserved, 0, (1 << 63) - 5000, 5000))
    os.truncate(path, 0)
    tell("empty", path, 0)
    print("folder", fallocateFolder(folder))


def fallocateFolder(folder: str) -> str:
    """
    A folder has no space to reserve.
    """
    file = os.open(folder, os.O_RDONLY)
    try:
        _fallocate(file, 0, 0, 4096)
        return errno.errorcode[ctypes.get_errno()]
    finally:
        os.close(file)


main(sys.argv[1])
