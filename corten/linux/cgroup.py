"""Control groups: which layout the host has, and where a container's groups are.

Sources: cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2 of the kernel. A container's cgroup path is the
path inside the hierarchies, as in the runtime spec's ``cgroupsPath`` ("/corten/ID"), never a host file name.
"""

import errno
import os
import time
from dataclasses import dataclass
from typing import Literal

DEFAULT_PARENT = "/corten"
Version = Literal["v1", "hybrid", "v2"]

_MOUNTINFO_SUPER = " - "


@dataclass(frozen=True, slots=True)
class CgroupLayout:
    """Where the hierarchies are mounted.

    ``version`` "v1": controllers on v1 only, perhaps with an empty unified tree for systemd; "hybrid": some controllers
    on v2 as well; "v2": only the unified tree. ``v1`` maps controller name to mount point (``name=systemd`` without its
    prefix), ``unified`` is the v2 mount point or "".
    """

    version: Version
    v1: dict[str, str]
    unified: str
    unified_controllers: frozenset[str]

    @property
    def is_v2(self) -> bool:
        return self.version == "v2"

    @property
    def api_version(self) -> str:
        """What ``/info`` calls ``CgroupVersion``."""
        return "2" if self.is_v2 else "1"

    @property
    def controllers(self) -> frozenset[str]:
        """Every controller that containers can use."""
        return self.unified_controllers if self.is_v2 else frozenset(self.v1)

    @property
    def crun_problem(self) -> str:
        """Why crun cannot work here, with the way out; "" when it can.

        crun takes a tmpfs on /sys/fs/cgroup with a unified tree that holds controllers for an unsupported mix.
        """
        if self.version != "hybrid":
            return ""
        names = ", ".join(sorted(self.unified_controllers))
        first = sorted(self.unified_controllers)[0]
        return (
            f"cgroup controllers on both v1 and v2 (on v2: {names}), which crun refuses; mount them as v1 too, e.g. "
            f"mkdir /sys/fs/cgroup/{first}; mount -t cgroup -o {first} cgroup /sys/fs/cgroup/{first}"
        )

    def directory(self, controller: str, path: str) -> str:
        """Host directory of cgroup *path* in the hierarchy of *controller*; "" when it is not mounted."""
        if self.is_v2:
            return self.unified + path
        mount = self.v1.get(controller)
        return mount + path if mount else ""

    def directories(self, path: str) -> list[str]:
        """Every host directory that cgroup *path* may have, each once."""
        mounts = [self.unified] if self.is_v2 else [*self.v1.values(), self.unified]
        return list(dict.fromkeys(mount + path for mount in mounts if mount))


def detect(mountinfo: str | None = None) -> CgroupLayout:
    """The layout from ``/proc/self/mountinfo`` (or the given text of one)."""
    if mountinfo is None:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mountinfo = file.read()
    v1: dict[str, str] = {}
    unified = ""
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(_MOUNTINFO_SUPER)
        kind, _, options = tail.partition(" ")
        point = head.split(" ")[4] if head else ""
        if kind == "cgroup2" and not unified:
            unified = point
        elif kind == "cgroup":
            for name in options.split(" ")[-1].split(","):
                if name not in ("rw", "ro", "xattr", "clone_children") and not name.startswith("release_agent"):
                    v1.setdefault(name.removeprefix("name="), point)
    controllers = frozenset(_read_words(f"{unified}/cgroup.controllers")) if unified else frozenset[str]()
    version: Version = "v2" if not v1 and unified else "hybrid" if controllers - set(v1) else "v1"
    return CgroupLayout(version, v1, unified, controllers)


def container_path(container_id: str, parent: str = "") -> str:
    """The cgroup path of a container: below *parent* (``HostConfig.CgroupParent``), else below ``/corten``."""
    clean = os.path.normpath("/" + (parent or DEFAULT_PARENT))
    return f"{clean.replace('//', '/').rstrip('/')}/{container_id}"


def pids(layout: CgroupLayout, path: str) -> list[int]:
    """Pids of every process in cgroup *path* and below; [] when it does not exist."""
    top = layout.directory("pids", path) or layout.directory("memory", path) or layout.directory("devices", path)
    found: list[int] = []
    if not top:
        return found
    for directory, _, files in os.walk(top):
        if "cgroup.procs" in files:
            found.extend(int(word) for word in _read_words(f"{directory}/cgroup.procs"))
    return found


def exists(layout: CgroupLayout, path: str) -> bool:
    """Whether any hierarchy still has cgroup *path*."""
    return any(os.path.isdir(directory) for directory in layout.directories(path))


def frozen(layout: CgroupLayout, path: str) -> bool:
    """Whether the container is paused."""
    if layout.is_v2:
        return "frozen 1" in _read(f"{layout.unified}{path}/cgroup.events")
    directory = layout.directory("freezer", path)
    return bool(directory) and _read(f"{directory}/freezer.state").strip() == "FROZEN"


def set_frozen(layout: CgroupLayout, path: str, value: bool) -> None:
    """Pause or resume every process of cgroup *path*. ``OSError`` when the host cannot."""
    if layout.is_v2:
        _write(f"{layout.unified}{path}/cgroup.freeze", "1" if value else "0")
        return
    directory = layout.directory("freezer", path)
    if not directory:
        raise OSError(errno.ENODEV, "the freezer cgroup is not mounted", path)
    _write(f"{directory}/freezer.state", "FROZEN" if value else "THAWED")


def oom_kills(layout: CgroupLayout, path: str) -> int:
    """How many processes of cgroup *path* the kernel killed for memory; 0 when the cgroup is gone."""
    directory = layout.directory("memory", path)
    if not directory:
        return 0
    text = _read(f"{directory}/memory.events" if layout.is_v2 else f"{directory}/memory.oom_control")
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "oom_kill":
            return int(value)
    return 0


def remove(layout: CgroupLayout, path: str, timeout: float = 2.0) -> None:
    """Remove cgroup *path* and what is below it from every hierarchy; a missing one is no error.

    A group stays busy for a moment after its last process died: EBUSY is tried again until *timeout* seconds passed.
    """
    if path.strip("/") == "":
        raise ValueError("the root cgroup is not ours to remove")
    deadline = time.monotonic() + timeout
    for top in layout.directories(path):
        for directory, _, _ in os.walk(top, topdown=False):
            _remove_one(directory, deadline)


def _remove_one(directory: str, deadline: float) -> None:
    while True:
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise
        time.sleep(0.002)


def _read(path: str) -> str:
    """A control file's text; "" when the cgroup or the file is gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed between open and read
            return ""
        raise


def _read_words(path: str) -> list[str]:
    return _read(path).split()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
