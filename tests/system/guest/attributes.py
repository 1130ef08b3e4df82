"""
Extended attributes and access control lists through a mount; what is to be seen is
told as C{result NAME VALUE}.

C{attributes.py xattrs FOLDER}: set, read, list, copy and remove, as root.
C{attributes.py acl FOLDER}: who may what, as users 1000 and 1001.
"""

import errno
import os
import struct
import subprocess
import sys
from typing import Any, Callable

MIB = 1 << 20
ALICE, BOB = 1000, 1001
READ, WRITE, APPEND, EXECUTE = 1, 2, 4, 0x20
ATTRIBUTES = 0x120080
FILES_AND_FOLDERS = 3


def result(name: str, value: object) -> None:
    """
    Tell the test.
    """
    print("result", name, value, flush=True)


def outcome(call: Callable[..., Any], *args: Any) -> str:
    """
    C{ok}, or why it failed.
    """
    try:
        call(*args)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "ok"


def as_(uid: int, call: Callable[..., Any], *args: Any) -> str:
    """
    The same, by a user, in a process that has never been anybody else.
    """
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.umask(0o022)
        name = outcome(call, *args)
        os._exit(0 if name == "ok" else getattr(errno, name))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return "ok" if not code else errno.errorcode[code]


def acl(*aces: tuple[int, int, int, str]) -> bytes:
    """
    C{fattr4_acl}.
    """
    wire = struct.pack(">I", len(aces))
    for kind, flag, mask, who in aces:
        name = who.encode()
        wire += struct.pack(">IIII", kind, flag, mask, len(name)) + name
        wire += bytes(-len(name) % 4)
    return wire


def give(path: str, *aces: tuple[int, int, int, str]) -> None:
    """
    Set an access control list.
    """
    os.setxattr(path, "system.nfs4_acl", acl(*aces))


def read(path: str) -> None:
    """
    Read a file and compare it.
    """
    with open(path, "rb") as file:
        if file.read() != bytes(range(256)) * 4096:
            raise OSError(errno.EILSEQ, "other bytes")


def write(path: str) -> None:
    """
    Write all of a file.
    """
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, bytes(range(256)) * 4096)
        os.fsync(fd)
    finally:
        os.close(fd)


def create(path: str) -> None:
    """
    Make a file as a shell does.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def xattrs(folder: str) -> None:
    """
    Extended attributes.
    """
    path, copy = f"{folder}/file", f"{folder}/copy"
    create(path)
    result("none", os.listxattr(path))
    os.setxattr(path, "user.small", b"\0\xff")
    os.setxattr(path, "user.large", bytes(range(250)) * 8)
    os.setxattr(path, "user.pnfsd.dsfile", b"mine")
    os.setxattr(folder, "user.folder", b"too")
    result("again", outcome(os.setxattr, path, "user.small", b"", os.XATTR_CREATE))
    result("absent", outcome(os.setxattr, path, "user.other", b"", os.XATTR_REPLACE))
    result("trusted", outcome(os.setxattr, path, "trusted.pnfsd.dsfile", b""))
    result("missing", outcome(os.getxattr, path, "user.missing"))
    write(path)
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3")
    subprocess.run(["cp", "--preserve=xattr", path, copy], check=True)
    os.rename(path, f"{folder}/renamed")
    for name in (f"{folder}/renamed", copy):
        seen = {
            key: os.getxattr(name, key)
            for key in os.listxattr(name)
            if not key.startswith("system.")
        }
        right = {
            "user.small": b"\0\xff",
            "user.large": bytes(range(250)) * 8,
            "user.pnfsd.dsfile": b"mine",
        }
        result(os.path.basename(name), seen == right)
        result("bytes-of-" + os.path.basename(name), outcome(read, name))
    os.removexattr(copy, "user.small")
    result("removed", outcome(os.getxattr, copy, "user.small"))
    result("folder", os.getxattr(folder, "user.folder"))
    many = f"{folder}/many"
    create(many)
    for number in range(60):
        os.setxattr(many, f"user.{'n' * 20}{number}", b"")
    result("many", len([n for n in os.listxattr(many) if n.startswith("user.n")]))


def lists(folder: str) -> None:
    """
    Access control lists.
    """
    path = f"{folder}/file"
    os.chmod(folder, 0o777)
    result("made", as_(ALICE, create, path))
    result("written", as_(ALICE, write, path))
    result("mode-private", as_(ALICE, os.chmod, path, 0o600))
    result("stranger", as_(BOB, read, path))
    owner = (0, 0, READ | WRITE | APPEND | ATTRIBUTES, "OWNER@")
    bob = str(BOB)
    result(
        "given",
        as_(ALICE, give, path, owner, (0, 0, READ | WRITE | APPEND | ATTRIBUTES, bob)),
    )
    result("mode-given", oct(os.stat(path).st_mode & 0o777))
    result("reads", as_(BOB, read, path))
    result("writes", as_(BOB, write, path))
    result("others-list", as_(BOB, give, path, owner))
    result(
        "denied",
        as_(
            ALICE,
            give,
            path,
            (1, 0, WRITE | APPEND, bob),
            owner,
            (0, 0, READ | WRITE | APPEND | ATTRIBUTES, "EVERYONE@"),
        ),
    )
    result("mode-denied", oct(os.stat(path).st_mode & 0o777))
    result("still-reads", as_(BOB, read, path))
    result("writes-no-more", as_(BOB, write, path))
    result("third", as_(1002, write, path))
    result("chmod", as_(ALICE, os.chmod, path, 0o640))
    result("mode-chmod", oct(os.stat(path).st_mode & 0o777))
    result("after-chmod", as_(1002, read, path))
    result("owner-still", as_(ALICE, write, path))
    shared = f"{folder}/shared"
    result("folder", as_(ALICE, os.mkdir, shared))
    everything = READ | WRITE | APPEND | EXECUTE | ATTRIBUTES
    result(
        "inheritable",
        as_(
            ALICE,
            give,
            shared,
            (0, FILES_AND_FOLDERS, everything, "OWNER@"),
            (0, FILES_AND_FOLDERS, everything, bob),
        ),
    )
    result("inherits", as_(ALICE, create, f"{shared}/file"))
    result("inherited", as_(BOB, write, f"{shared}/file"))
    result("not-inherited", as_(1002, read, f"{shared}/file"))
    result("below", as_(BOB, os.mkdir, f"{shared}/below"))
    result("below-file", as_(ALICE, create, f"{shared}/below/file"))


if __name__ == "__main__":
    {"xattrs": xattrs, "acl": lists}[sys.argv[1]](sys.argv[2])
