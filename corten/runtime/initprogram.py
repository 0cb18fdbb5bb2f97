"""The program that runs as process 1 with ``--init``: a small reaper from the host, bound into the container."""

import functools
import os
import shutil
import struct

PROGRAMS = ("docker-init", "catatonit", "tini-static", "tini")
_PT_INTERP = 3


@functools.cache
def find(configured: str = "") -> str:
    """Path of the configured program, else of the first installed one that is static; "" when there is none.

    A dynamically linked program would need the container's own loader and libraries.
    """
    if configured:
        return configured
    for name in PROGRAMS:
        path = shutil.which(name, path="/usr/libexec/docker:/usr/libexec/podman:/usr/local/bin:/usr/bin:/bin:/usr/sbin")
        if path and is_static(path):
            return os.path.realpath(path)
    return ""


def is_static(path: str) -> bool:
    """Whether an ELF file needs no interpreter (elf(5): no program header of type PT_INTERP)."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:4] != b"\x7fELF" or len(head) < 64:
                return False
            order = "<" if head[5] == 1 else ">"
            wide = head[4] == 2
            offset = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 32 if wide else 28)[0]
            size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
            file.seek(offset)
            table = file.read(size * count)
    except OSError:
        return False
    kinds = [struct.unpack_from(f"{order}I", table, at)[0] for at in range(0, len(table), size)] if size else []
    return bool(kinds) and _PT_INTERP not in kinds
