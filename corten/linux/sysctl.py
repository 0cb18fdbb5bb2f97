"""Kernel settings under /proc/sys, read and written as files. /proc/sys/net is that of the thread's namespace."""

from corten import errors


def read(name: str) -> str:
    """The value of ``net/ipv4/ip_forward`` and the like, "" if this kernel does not have it."""
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def write(name: str, value: str) -> bool:
    """Set a value; False if this kernel does not have it. Raises ``errors.System`` if it refuses."""
    try:
        with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
            file.write(value)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise errors.System(f"cannot set /proc/sys/{name} to {value}: {error.strerror}") from error
    return True
