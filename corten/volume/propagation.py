"""What the kernel and the host's mounts allow: recursive read-only binds, shared and slave propagation."""

import functools
import os

from corten import errors


@functools.cache
def recursive_read_only() -> bool:
    """Whether the kernel has mount_setattr(2), since 5.12."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(c for c in minor if c.isdigit()) or "0")) >= (5, 12)


def check(source: str, propagation: str) -> None:
    """Refuse a shared or slave bind whose source's mount does not pass mounts on (Docker's texts)."""
    if propagation not in ("shared", "rshared", "slave", "rslave"):
        return
    target, optional = _mount_of(os.path.realpath(source))
    shared = any(field.startswith("shared:") for field in optional)
    slave = any(field.startswith("master:") for field in optional)
    if propagation.endswith("shared") and not shared:
        raise errors.InvalidArgument(f"path {source} is mounted on {target} but it is not a shared mount")
    if propagation.endswith("slave") and not (shared or slave):
        raise errors.InvalidArgument(f"path {source} is mounted on {target} but it is not a shared or slave mount")


def _mount_of(source: str) -> tuple[str, list[str]]:
    """Mount point and optional fields (proc(5), mountinfo) of the mount that holds *source*."""
    best: tuple[str, list[str]] = ("/", [])
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.split()
            target = fields[4].encode().decode("unicode_escape")
            inside = source == target or source.startswith(target.rstrip("/") + "/")
            if inside and len(target) >= len(best[0]):  # a later mount on the same point covers the earlier
                best = target, fields[6 : fields.index("-")]
    return best
