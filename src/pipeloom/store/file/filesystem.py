"""The type of the file system of a path. A write-ahead log needs memory that all its users share, so one host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

NETWORK_FILESYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "fuse.glusterfs", "fuse.sshfs"}
)


def filesystem_of(path: Path, mounts: str | None = None) -> str:
    """Return the type of the file system of `path`; "" where the system does not tell.

    `mounts` is the content of Linux's /proc/self/mounts: device, mount point and type of each mount; a later
    mount covers an earlier one.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    real, found, length = os.path.realpath(path), "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").rstrip("/")
        if len(point) >= length and (real == point or real.startswith(point + "/")):
            found, length = fields[2], len(point)
    return found
