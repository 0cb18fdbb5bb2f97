"""A small file system of its own, to fill up: ext4 on a loop device, or tmpfs where the kernel has none."""

import contextlib
import errno
import os
import subprocess

import pytest

from corten.linux import mount

STEPS = (8 << 20, 1 << 20, 64 << 10, 4 << 10)


class Disk:
    """Mounted at *path*, which is made; ``close`` unmounts it."""

    def __init__(self, path: str, image: str, size: int, inodes: int) -> None:
        self.path = path
        self.image = image
        os.mkdir(path)
        with open(image, "wb") as file:
            file.truncate(size)
        make = ["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-N", str(inodes), image]
        made = subprocess.run(make, capture_output=True, check=False)
        mounted = subprocess.run(["mount", "-o", "loop", image, path], capture_output=True, check=False)
        if made.returncode or mounted.returncode:
            pytest.skip(f"no ext4 on a loop device: {(made.stderr + mounted.stderr).decode().strip()}")

    @property
    def device(self) -> str:
        """The loop device's name, like loop3."""
        with open("/proc/self/mountinfo") as file:
            found = [line.rsplit(" - ", 1)[1].split()[1] for line in file if line.split()[4] == self.path]
        return os.path.basename(found[-1])

    def close(self) -> None:
        while os.path.ismount(self.path):
            mount.umount(self.path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.image)

    # room

    def fill(self) -> None:
        """Take every block; inodes stay."""
        os.sync()
        fd = os.open(f"{self.path}/filler", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            for step in STEPS:
                while allocated(fd, size, step):
                    size += step
        finally:
            os.close(fd)
        assert os.statvfs(self.path).f_bavail == 0

    def fill_inodes(self) -> None:
        """Take every inode; blocks stay."""
        os.makedirs(f"{self.path}/fillers", exist_ok=True)
        number = 0
        while True:
            try:
                os.close(os.open(f"{self.path}/fillers/{number}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
                break
            number += 1
        assert os.statvfs(self.path).f_bavail > 0

    def free(self) -> None:
        """Give back what was taken."""
        for name in os.listdir(self.path):
            if name == "filler":
                os.unlink(f"{self.path}/filler")
            elif name == "fillers":
                for each in os.listdir(f"{self.path}/fillers"):
                    os.unlink(f"{self.path}/fillers/{each}")

    # reading only

    def cover(self) -> None:
        """A read-only mount of the same files on top: every path leads there, what is open stays writable."""
        mount.bind(self.path, self.path, readonly=True)

    def uncover(self) -> None:
        mount.umount(self.path)

    def abort(self) -> None:
        """What the kernel does when the disk fails: the file system is read-only at once, open files too."""
        subprocess.run(["mount", "-o", "remount,errors=remount-ro", self.path], check=True)
        with open(f"/sys/fs/ext4/{self.device}/trigger_fs_error", "w") as file:
            file.write("a disk that fails")

    def repair(self) -> None:
        """Unmount, check and mount again; nothing may have files open.

        A copy of the disk: any process of the host that has mounts of its own may keep the failed file system alive.
        """
        subprocess.run(["umount", self.path], check=True, capture_output=True)
        failed, self.image = self.image, f"{self.image}-repaired"
        subprocess.run(["cp", "--sparse=always", failed, self.image], check=True)
        os.unlink(failed)
        subprocess.run(["fsck.ext4", "-p", "-f", self.image], check=False, capture_output=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True, capture_output=True)


def allocated(fd: int, offset: int, size: int) -> bool:
    try:
        os.posix_fallocate(fd, offset, size)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        return False
    return True
