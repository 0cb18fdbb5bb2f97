"""The guest's disks: Debian with all that Corten runs with, made once by mmdebstrap, and the project's tree, made anew.

Packages come from where this machine's own apt gets them, Python packages through this machine's pip. Needs root.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass

from tests.support.daemon import REPOSITORY

PLACE = os.environ.get("CORTEN_GUEST_DIR", f"{REPOSITORY}/build/guest")
"""Where the disks are kept; the system's is some 2 GB of a sparse file."""
SUITE = "bookworm"
PACKAGES = (
    *("linux-image-cloud-amd64", "systemd", "systemd-sysv", "dbus", "udev", "kmod", "util-linux", "procps"),
    *("python3", "ca-certificates", "curl", "xz-utils", "iproute2", "nftables", "libnftables1"),
    *("conmon", "crun", "runc", "busybox-static", "catatonit", "apparmor"),
)
WITHOUT = ("doc", "man", "locale", "info")
NO_USE_INSIDE = ("mypy", "ruff", "import-linter", "types-")
"""Development packages that tests do without."""
PROGRAMS = ("mmdebstrap", "mke2fs", "qemu-system-x86_64")
DISK = 4 << 30


def missing() -> str:
    """Why no guest can be had here; "" when one can."""
    if os.geteuid() != 0:
        return "building a guest needs root"
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"a guest needs {', '.join(lacking)} (Debian: qemu-system-x86 mmdebstrap e2fsprogs)" if lacking else ""


@dataclass(frozen=True)
class System:
    """Files of the guest's own system."""

    disk: str
    kernel: str
    initrd: str


def system() -> System:
    """The system's disk, from an earlier run where nothing that decides about it has changed."""
    place = f"{PLACE}/system-{_key()}"
    made = System(f"{place}/disk", f"{place}/vmlinuz", f"{place}/initrd")
    if not os.path.exists(made.disk):
        os.makedirs(PLACE, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="new-", dir=PLACE) as work:
            os.mkdir(f"{work}/files")
            _build(f"{work}/root", f"{work}/files")
            for old in glob.glob(f"{PLACE}/system-*"):
                shutil.rmtree(old)
            os.rename(f"{work}/files", place)
    return made


def project(command: str) -> str:
    """A disk with the project's tree as it is now, *command* for the guest, and the docker program if there is one."""
    os.makedirs(PLACE, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tree-", dir=PLACE) as work:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY,
            capture_output=True,
            check=True,
        )
        for name in listed.stdout.decode().rstrip("\0").split("\0"):
            if os.path.isfile(f"{REPOSITORY}/{name}"):
                os.makedirs(os.path.dirname(f"{work}/{name}"), exist_ok=True)
                shutil.copy2(f"{REPOSITORY}/{name}", f"{work}/{name}")
        _write(f"{work}/guest-command", command + "\n")
        if docker := shutil.which("docker"):
            os.mkdir(f"{work}/bin")
            shutil.copy2(docker, f"{work}/bin/docker")
        # the guest runs the same minor version nearly always; otherwise it compiles for itself
        subprocess.run([sys.executable, "-m", "compileall", "-q", "-s", work, "-p", "/project", work], check=True)
        _make_disk(f"{PLACE}/project", work, "project", 512 << 20)
    return f"{PLACE}/project"


def _key() -> str:
    """What the system's disk depends on, in short."""
    with open(f"{REPOSITORY}/pyproject.toml", "rb") as pyproject, open(__file__, "rb") as source:
        return hashlib.sha256(pyproject.read() + source.read()).hexdigest()[:12]


def _build(root: str, files: str) -> None:
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in WITHOUT]
    # archives kept on purpose as they were on some day are past their date
    command += ["--aptopt=Acquire::Check-Valid-Until false", SUITE, root, *_apt_sources()]
    subprocess.run(command, check=True)
    _install_python_packages(root)
    _configure(root)
    for kind, name in (("vmlinuz", "vmlinuz"), ("initrd.img", "initrd")):
        (found,) = glob.glob(f"{root}/boot/{kind}-*")
        shutil.copyfile(found, f"{files}/{name}")
    _make_disk(f"{files}/disk", root, "system", DISK)
    shutil.rmtree(root)


def _apt_sources() -> list[str]:
    """This machine's own list of package archives."""
    parts = [*glob.glob("/etc/apt/sources.list.d/*.sources"), *glob.glob("/etc/apt/sources.list.d/*.list")]
    return [name for name in ("/etc/apt/sources.list", *sorted(parts)) if os.path.exists(name)]


def _install_python_packages(root: str) -> None:
    with open(f"{REPOSITORY}/pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    (folder,) = glob.glob(f"{root}/usr/lib/python3.[0-9]*")
    version = os.path.basename(folder).removeprefix("python")
    target = f"usr/local/lib/python{version}/dist-packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--target", f"{root}/{target}", "--python-version", version, "--only-binary=:all:"]
    subprocess.run([*command, *(name for name in wanted if not name.startswith(NO_USE_INSIDE))], check=True)
    subprocess.run(["chroot", root, "python3", "-m", "compileall", "-q", f"/{target}"], check=True)


def _configure(root: str) -> None:
    """Boots without a password or a network, and runs what the second disk holds."""
    _write(f"{root}/etc/fstab", "/dev/vda / ext4 rw 0 1\n/dev/vdb /project ext4 rw 0 2\n")
    _write(f"{root}/etc/hostname", "guest\n")
    os.mkdir(f"{root}/project")
    for name in ("cortend", "corten"):
        package = "daemon" if name == "cortend" else "cli"
        script = (
            f"import sys\nsys.path.insert(0, '/project')\nfrom corten.{package}.main import main\nsys.exit(main())\n"
        )
        _write(f"{root}/usr/bin/{name}", f"#!/usr/bin/python3\n{script}")
        os.chmod(f"{root}/usr/bin/{name}", 0o755)
    os.symlink("/project/bin/docker", f"{root}/usr/local/bin/docker")
    unit = "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nExecStart=/project/tests/guest/inside\n"
    _write(f"{root}/etc/systemd/system/inside.service", unit)
    # started by name from the kernel's command line, so that it waits for everything else
    for name in ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"):
        os.symlink("/dev/null", f"{root}/etc/systemd/system/{name}")


def _make_disk(disk: str, tree: str, label: str, size: int) -> None:
    """An ext4 file system with *tree* in it; sparse."""
    with open(f"{disk}.new", "wb") as file:
        file.truncate(size)
    options = ["-q", "-F", "-t", "ext4", "-L", label, "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"]
    subprocess.run(["mke2fs", *options, "-d", tree, f"{disk}.new"], check=True, stdout=subprocess.DEVNULL)
    os.rename(f"{disk}.new", disk)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
