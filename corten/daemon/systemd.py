"""What systemd and a service agree on: inherited sockets and notifications (sd_listen_fds(3), sd_notify(3))."""

import os
import socket
import subprocess

from corten import errors

FIRST_DESCRIPTOR = 3
_ASK_TIMEOUT = 10.0


def inherited_sockets() -> list[tuple[str, socket.socket]]:
    """The sockets that this process was started with, as (name, socket); name "" when it has none.

    The variables are removed, so that no child takes them for its own.
    """
    environment = {name: os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if environment["LISTEN_PID"] != str(os.getpid()) or not environment["LISTEN_FDS"].isdigit():
        return []
    names = environment["LISTEN_FDNAMES"].split(":")
    result = []
    for index in range(int(environment["LISTEN_FDS"])):
        descriptor = FIRST_DESCRIPTOR + index
        try:
            os.set_inheritable(descriptor, False)
            listener = socket.socket(fileno=descriptor)
        except OSError as error:
            raise errors.System(f"descriptor {descriptor} from socket activation: {error.strerror}") from error
        result.append((names[index] if index < len(names) else "", listener))
    return result


def notify(state: str) -> bool:
    """Send *state* (``READY=1``, ``STOPPING=1``, ``RELOADING=1`` …) to systemd; False when nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode("utf-8"), address)
        except OSError:
            return False
    return True


def machine_goes_down() -> bool:
    """Whether systemd stops this service because the whole machine stops (systemctl(1), is-system-running)."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return False
    try:
        done = subprocess.run(
            ["systemctl", "is-system-running"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == b"stopping"
