"""The test image: Debian's busybox-static with a link per applet and the few files a small system has."""

import io
import os
import shutil
import subprocess
import sys
import tarfile

FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/home:/bin/false\n"
        "user:x:1000:1000::/home/user:/bin/sh\n"
    ),
    "etc/group": "root:x:0:\nnogroup:x:65534:\nuser:x:1000:\nextra:x:2000:user\n",
    "etc/shadow": "root:*:::::::\n",
}
FOLDERS = ["bin", "dev", "etc", "home", "home/user", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "var"]
IMAGE = "busybox:latest"


def binary() -> str | None:
    """Path of a static busybox on this host, None when there is none."""
    for path in ("/bin/busybox", "/usr/bin/busybox", shutil.which("busybox") or ""):
        if path and os.path.exists(path) and b"statically" in describe(path):
            return path
    return None


def describe(path: str) -> bytes:
    """b"statically linked" when the ELF file asks for no interpreter (no PT_INTERP program header)."""
    with open(path, "rb") as file:
        data = file.read(4096)
    if data[:4] != b"\x7fELF" or data[4] != 2:
        return b""
    offset, size, count = (int.from_bytes(data[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    kinds = [int.from_bytes(data[offset + i * size : offset + i * size + 4], "little") for i in range(count)]
    return b"" if 3 in kinds else b"statically linked"


def rootfs_tar() -> bytes:
    """The root file system as an uncompressed tar; the same bytes for the same busybox."""
    path = binary()
    assert path is not None, "busybox-static is not installed"
    applets = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            if folder == "home/user":
                entry.uid = entry.gid = 1000
            tar.addfile(entry)
        with open(path, "rb") as file:
            add(tar, "bin/busybox", file.read(), 0o755)
        for name, text in FILES.items():
            add(tar, name, text.encode(), 0o644)
        for applet in sorted(set(applets) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":  # the root file system to standard output
    sys.stdout.buffer.write(rootfs_tar())
