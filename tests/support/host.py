"""What one daemon holds on the host, found by its directories, bridge and cgroup parent: the ground of leak checks."""

import errno
import json
import os
import subprocess
import time
from dataclasses import dataclass, fields

import pytest

CGROUP_ROOT = "/sys/fs/cgroup"
SPARE_DEVICES = ("/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/vhost-net", "/dev/kvm", "/dev/port")


@dataclass(frozen=True)
class Holdings:
    """Sorted tuples of names; ``a - b`` gives what a has more than b."""

    processes: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    rules: int = 0

    def __sub__(self, other: "Holdings") -> dict[str, list[str] | int]:
        more: dict[str, list[str] | int] = {}
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, int):
                if mine > theirs:
                    more[field.name] = mine - theirs
            elif extra := [item for item in mine if item not in theirs]:
                more[field.name] = extra
        return more


def observe(base: str, bridge_address: str, cgroup_parent: str) -> Holdings:
    """What is on the host now for the daemon whose directories lie below ``base``."""
    bridge = bridge_with(bridge_address)
    return Holdings(
        processes=tuple(sorted(processes_naming(base))),
        mounts=tuple(sorted(mounts_below(base))),
        namespaces=tuple(sorted(namespaces_below(base))),
        ports=tuple(sorted(bridge_ports(bridge))) if bridge else (),
        cgroups=tuple(sorted(cgroups_below(cgroup_parent))),
        rules=rules_naming(bridge) if bridge else 0,
    )


def processes_naming(text: str) -> list[str]:
    """Processes (not this one) whose command line names ``text``: conmon, runtimes, proxies, the daemon itself."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        line = read_bytes(f"/proc/{entry}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
        if text in line:
            found.append(f"{entry} {line[:200]}")
    return found


def mounts_below(base: str) -> list[str]:
    lines = read_bytes("/proc/self/mountinfo").decode(errors="replace").splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(base + "/")]


def namespaces_below(base: str) -> list[str]:
    """Files that pin a network namespace below ``base``."""
    found = []
    for folder, _, names in os.walk(base):
        if os.path.basename(folder) == "netns":
            found += [os.path.join(folder, name) for name in names]
    return found


def bridge_with(address: str) -> str:
    """Name of the interface that carries ``address``, empty when there is none."""
    if not address:
        return ""
    for link in ip_json("addr"):
        if any(entry.get("local") == address for entry in link.get("addr_info", [])):
            return str(link["ifname"])
    return ""


def bridge_ports(bridge: str) -> list[str]:
    return [str(link["ifname"]) for link in ip_json("link") if link.get("master") == bridge]


def cgroups_below(parent: str) -> list[str]:
    found = []
    controllers = [os.path.join(CGROUP_ROOT, name) for name in os.listdir(CGROUP_ROOT)] + [CGROUP_ROOT]
    for top in (os.path.join(path, parent.strip("/")) for path in controllers):
        if os.path.isdir(top):
            found += [os.path.join(top, name) for name in os.listdir(top) if os.path.isdir(os.path.join(top, name))]
    return found


def rules_naming(bridge: str) -> int:
    """Rules and set elements in the tables that name ``bridge``."""
    listing = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, check=True).stdout
    entries = json.loads(listing)["nftables"]
    tables = {json.dumps(e["rule"]["table"]) for e in entries if "rule" in e and f'"{bridge}"' in json.dumps(e)}
    count = 0
    for entry in entries:
        if "rule" in entry and json.dumps(entry["rule"]["table"]) in tables:
            count += 1
        for kind in ("set", "map"):
            if kind in entry and json.dumps(entry[kind]["table"]) in tables:
                count += len(entry[kind].get("elem", []))
    return count


def tables_naming(bridge: str) -> list[tuple[str, str]]:
    """(family, name) of the nftables tables of Corten that name ``bridge``."""
    listing = subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, check=True).stdout
    found = set()
    for entry in json.loads(listing)["nftables"]:
        for kind in ("rule", "set", "map", "chain"):
            if kind in entry and f'"{bridge}"' in json.dumps(entry):
                found.add((str(entry[kind]["family"]), str(entry[kind]["table"])))
    return sorted(pair for pair in found if "corten" in pair[1])


def remove_network(address: str) -> None:
    """Remove the bridge that carries ``address`` and its tables: containers that outlive a daemon need both."""
    bridge = bridge_with(address)
    if not bridge:
        return
    for family, table in tables_naming(bridge):
        subprocess.run(["nft", "delete", "table", family, table], check=False, capture_output=True)
    subprocess.run(["ip", "link", "delete", bridge], check=False, capture_output=True)


def remove_cgroup_parent(parent: str, patience: float = 2) -> None:
    """Remove the cgroups of that path in every hierarchy; killed processes may take a moment to leave them."""
    deadline = time.monotonic() + patience
    tops = [f"{CGROUP_ROOT}/{name}/{parent.strip('/')}" for name in os.listdir(CGROUP_ROOT)]
    for top in [*tops, f"{CGROUP_ROOT}/{parent.strip('/')}"]:
        for folder, _, _ in os.walk(top, topdown=False):
            while True:
                try:
                    os.rmdir(folder)
                except OSError as error:
                    if error.errno == errno.EBUSY and time.monotonic() < deadline:
                        time.sleep(0.02)
                        continue
                break


def spare_device() -> tuple[str, int, int]:
    """Path, major and minor of a character device that this host may open and that no container gets by default."""
    for path in SPARE_DEVICES:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            continue
        number = os.stat(path).st_rdev
        return path, os.major(number), os.minor(number)
    pytest.skip(f"this host can open none of {', '.join(SPARE_DEVICES)}")


def ip_json(what: str) -> list[dict]:
    listing = subprocess.run(["ip", "-j", what, "show"], capture_output=True, check=True).stdout
    return list(json.loads(listing or b"[]"))


def read_bytes(path: str) -> bytes:
    """The file's content; empty when the process or file is gone meanwhile."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
