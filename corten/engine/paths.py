"""Where the daemon keeps things. Data root survives a reboot, exec root (a tmpfs) need not."""

import os

from corten import errors
from corten.linux import durable, mount


class Paths:
    """Directories of one daemon; two daemons share none of them.

    data root:  state.db  content/  snapshots/  volumes/  containers/<id>/{hosts,hostname,resolv.conf,<id>-json.log}
    exec root:  run/<id>/ (the bundle: config.json, rootfs mount point, conmon's files)  netns/  runtime/<name>/
    """

    def __init__(self, data_root: str, exec_root: str) -> None:
        self.data_root = os.path.abspath(data_root)
        self.exec_root = os.path.abspath(exec_root)

    def make(self) -> None:
        """Create the roots and their first level, closed to others."""
        for path, mode in (
            (self.data_root, 0o710),
            (self.containers, 0o710),
            (self.exec_root, 0o711),
            (self.run_root, 0o711),
            (f"{self.exec_root}/runtime", 0o700),
        ):
            os.makedirs(path, mode=mode, exist_ok=True)

    def settle(self) -> None:
        """Bring the first level to the disk; later syncs are of what is in it."""
        mount.sync_directory_tree(self.data_root)
        durable.sync_directory(os.path.dirname(self.data_root))

    def check_records(self) -> None:
        """DataLoss when the records are gone and what they describe is still there.

        What no record names is garbage and is swept away at a start; a lost database must not make everything garbage.
        """
        if os.path.exists(self.database):
            return
        for kind, directory in (("containers", "containers"), ("images", "snapshots/layers")):
            path = f"{self.data_root}/{directory}"
            if os.path.isdir(path) and os.listdir(path):
                raise errors.DataLoss(
                    f"{self.database} is missing, but {path} still holds {kind}; put the file back from a backup, let "
                    f"`corten fsck --repair` make a new one from what is on disk, or "
                    f"move {self.data_root} away to begin anew"
                )

    @property
    def database(self) -> str:
        return f"{self.data_root}/state.db"

    @property
    def quarantine(self) -> str:
        """What ``corten fsck`` has set aside: damaged blobs and databases."""
        return f"{self.data_root}/quarantine"

    @property
    def containers(self) -> str:
        return f"{self.data_root}/containers"

    def container(self, container_id: str) -> str:
        """The container's files that outlive a run: network files and logs."""
        return f"{self.containers}/{container_id}"

    def log(self, container_id: str) -> str:
        return f"{self.containers}/{container_id}/{container_id}-json.log"

    @property
    def run_root(self) -> str:
        return f"{self.exec_root}/run"

    def run(self, container_id: str) -> str:
        """The bundle of the present run."""
        return f"{self.run_root}/{container_id}"

    def rootfs(self, container_id: str) -> str:
        return f"{self.run_root}/{container_id}/rootfs"

    def runtime_root(self, name: str) -> str:
        return f"{self.exec_root}/runtime/{name}"
