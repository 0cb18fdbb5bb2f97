"""Who may use the daemon: its socket, the user, the docker group; and what else shares the firewall."""

from __future__ import annotations

import os
import resource
import shutil
import socket

from corten.cli.doctor.finding import ADVICE, OK, PROBLEM, Finding, read

DEFAULT_SOCKETS = ("/run/corten/corten.sock",)


def findings(address: str) -> list[Finding]:
    """``address``: the daemon's, as in DOCKER_HOST; empty for the default ones."""
    return [daemon(address), capabilities(), descriptors(), other_firewalls()]


def daemon(address: str) -> Finding:
    if address and not address.startswith("unix://"):
        return Finding("daemon", OK, f"reached over {address}; not examined")
    paths = [address.removeprefix("unix://")] if address else [path for path in DEFAULT_SOCKETS if os.path.exists(path)]
    if not paths:
        return Finding("daemon", ADVICE, "not running here", "Start it: systemctl start cortend, or cortend as root.")
    path = paths[0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(3)
        try:
            client.connect(path)
        except PermissionError:
            remedy = f"Join the group that owns {path}; it is as powerful as root."
            return Finding("daemon", PROBLEM, f"{path} may not be opened by you", remedy)
        except OSError as error:
            remedy = "Start it: systemctl start cortend, or cortend as root."
            return Finding("daemon", ADVICE, f"nothing answers at {path} ({error.strerror})", remedy)
    return Finding("daemon", OK, f"answers at {path}")


def capabilities() -> Finding:
    """In a sandbox root may lack what containers get by default."""
    if os.geteuid() != 0:
        return Finding("user", OK, "not root: as a client only")
    line = next((line for line in read("/proc/self/status").splitlines() if line.startswith("CapBnd:")), "CapBnd: 0")
    bounding = int(line.split()[1], 16)
    if not bounding >> 21 & 1:  # CAP_SYS_ADMIN
        return Finding("user", PROBLEM, "root without CAP_SYS_ADMIN", "Run cortend outside of this sandbox.")
    last = int(read("/proc/sys/kernel/cap_last_cap") or 40)
    if bounding != (1 << (last + 1)) - 1:
        text = "root, with some capabilities taken away"
        return Finding("user", ADVICE, text, "Containers get what is left; create and run name the rest in a warning.")
    return Finding("user", OK, "root with all capabilities")


def descriptors() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 65_536:
        text = f"at most {hard}; higher ulimits of containers are clamped to it"
        return Finding("open files", ADVICE, text, "Raise it: LimitNOFILE=infinity in cortend.service.")
    return Finding("open files", OK, "unlimited" if hard == resource.RLIM_INFINITY else str(hard))


def other_firewalls() -> Finding:
    present = [name for name in ("ufw", "firewall-cmd", "dockerd") if shutil.which(name)]
    if not present:
        return Finding("firewall", OK, "no other manager found")
    text = f"shared with {', '.join(present)}"
    return Finding(
        "firewall", ADVICE, text, "A policy of theirs that drops what is forwarded holds for containers too."
    )
