"""Extended attributes of an open file, ``O_PATH`` descriptors and links themselves included.

``/proc/self/fd/N`` leads to the very file that N is open on and is not followed further, so attributes of a link are
the link's own and no name can be swapped in between (xattr(7), proc(5)).
"""

import errno
import os

_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM)
NOT_PORTABLE = ("trusted.overlay.", "user.overlay.", "security.selinux", "system.")
"""Prefixes of attributes that belong to the mount or the host, not to the file."""


def read(fd: int) -> dict[str, bytes]:
    """All attributes that make sense elsewhere too; none where the file system has no attributes."""
    path = f"/proc/self/fd/{fd}"
    try:
        names = os.listxattr(path)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return {}
        raise
    result = {}
    for name in names:
        if name.startswith(NOT_PORTABLE):
            continue
        try:
            result[name] = os.getxattr(path, name)
        except OSError as error:
            if error.errno != errno.ENODATA:  # removed since it was listed
                raise
    return result


def write(fd: int, attributes: dict[str, bytes]) -> list[str]:
    """Set attributes; returns the names that the file system or its mount does not take."""
    refused = []
    for name, value in attributes.items():
        try:
            os.setxattr(f"/proc/self/fd/{fd}", name, value)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            refused.append(name)
    return refused
