"""What every container's file system has at the very bottom: places that the engine mounts something on.

They lie below the image's layers, so whatever the image has wins, owners and modes of its directories included; only
where it has nothing does this show. Without it the runtime would make the places in the container's own directory, and
``docker diff`` and ``docker commit`` would take them for the user's work. The list is what people know from Docker.
"""

import os

DIRECTORIES = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
LINKS = {"etc/mtab": "/proc/mounts"}


def make_base(root: str) -> None:
    """Bring *root* into shape; it may exist already, whole or in part."""
    os.makedirs(root, exist_ok=True)
    for name in ("", *DIRECTORIES):
        path = os.path.join(root, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)
    for name in FILES:
        fd = os.open(os.path.join(root, name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.fchmod(fd, 0o644)
        finally:
            os.close(fd)
    for name, target in LINKS.items():
        if not os.path.lexists(os.path.join(root, name)):
            os.symlink(target, os.path.join(root, name))
