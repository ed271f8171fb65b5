"""A directory with everything that files can have, and what can be seen of one."""

import hashlib
import os
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
ACL = "system.posix_acl_access"
# Version 2: user rw-, user 4242 r--, group r--, mask r--, other ---.
_RULES = bytes.fromhex(
    "02000000 01000600ffffffff 02000400 92100000 04000400ffffffff10000400ffffffff 20000000ffffffff"
)


def furnished(folder: Path) -> Path:
    """A new directory with all of it."""
    folder.mkdir()
    furnish(folder)
    return folder


def furnish(folder: Path, small_files: int = 20) -> None:
    """Files of every kind; hard and soft links, holes, owners, modes, times, attributes."""
    (folder / "d" / "deep").mkdir(parents=True)
    (folder / "empty").touch()
    (folder / "d" / "large").write_bytes(os.urandom(3 * MIB + 5))
    (folder / "script").write_text("#!/bin/sh\n")
    (folder / "script").chmod(0o4751)
    os.chown(folder / "script", 4242, 4343)
    os.setxattr(folder / "script", "user.mark", b"a\0b=c\n")
    (folder / "d" / ("n" * 200)).write_text("a long name")
    (folder / "d" / "new\nline é").write_text("a strange name")
    os.link(folder / "script", folder / "d" / "deep" / "hard")
    (folder / "soft").symlink_to("../no/where")
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "acl").write_text("kept from some")
    os.setxattr(folder / "acl", ACL, _RULES)
    with (folder / "sparse").open("wb") as sparse:
        sparse.seek(8 * MIB)
        sparse.write(os.urandom(2 * MIB))
        sparse.truncate(24 * MIB)
    (folder / "many").mkdir()
    for number in range(small_files):
        (folder / "many" / f"{number:06}").write_bytes(b"%d %d" % (number, number * number))
    (folder / "d").chmod(0o2770)
    os.utime(folder / "empty", ns=(10**18 + 7, 10**18 + 123456789))
    for path in (folder / "d", folder):
        os.utime(path, ns=(10**18, 10**18 + 987654321))


def seen(folder: Path) -> dict[str, Any]:
    """Everything of every file but its inode; hard links by the first of their names."""
    first: dict[int, str] = {}
    return {
        str(path.relative_to(folder)): _seen(path, folder, first)
        for path in sorted((folder, *folder.rglob("*")))
    }


def _seen(path: Path, folder: Path, first: dict[int, str]) -> Any:
    found = path.lstat()
    is_link = path.is_symlink()
    same = first.setdefault(found.st_ino, str(path.relative_to(folder)))
    attributes = {} if is_link else {name: os.getxattr(path, name) for name in os.listxattr(path)}
    content = ""
    if is_link:
        content = str(path.readlink())
    elif path.is_file():
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "blake2b").hexdigest()
    # A file system may need a block more or less for the same holes.
    is_sparse = path.is_file() and found.st_blocks * 512 < found.st_size // 2
    return (
        found.st_mode,
        (found.st_uid, found.st_gid),
        found.st_mtime_ns,
        found.st_size if path.is_file() else 0,
        is_sparse,
        same,
        attributes,
        content,
    )
