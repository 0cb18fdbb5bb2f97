"""A root file system with busybox and runs of it by an OCI runtime, without daemon, images or conmon."""

import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass, field

from msgspec.structs import replace

from corten.linux import cgroup
from corten.linux import host as host_module
from corten.model.container import ContainerConfig, HostConfig
from corten.model.record import Record
from corten.runtime.spec import SpecInput, SpecResult, build_spec
from tests.support import busybox

CGROUP_PARENT = "/corten-spec-test"


@dataclass
class Bundle:
    """``directory`` holds rootfs, config.json and the runtime's state."""

    directory: str
    runtime: str
    host: host_module.Host = field(default_factory=host_module.detect)

    @property
    def rootfs(self) -> str:
        return f"{self.directory}/rootfs"

    def populate(self) -> None:
        """busybox with its applets, and small passwd and group files."""
        path = busybox.binary()
        assert path is not None
        for folder in busybox.FOLDERS:
            os.makedirs(f"{self.rootfs}/{folder}", exist_ok=True)
        shutil.copy(path, f"{self.rootfs}/bin/busybox")
        names = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for name in set(names) - {"busybox"}:
            os.symlink("busybox", f"{self.rootfs}/bin/{name}")
        for name, text in busybox.FILES.items():
            with open(f"{self.rootfs}/{name}", "w", encoding="ascii") as file:
                file.write(text)

    def spec(self, *command: str, config: ContainerConfig | None = None, host: HostConfig | None = None, **more):
        """(container id, result of ``build_spec``), and config.json written."""
        container_id = uuid.uuid4().hex
        host = replace(host or HostConfig(), cgroup_parent=CGROUP_PARENT)
        record = Record(
            id=container_id,
            name="test",
            created=1,
            path=command[0],
            args=list(command[1:]),
            config=config or ContainerConfig(),
            host_config=host,
        )
        result: SpecResult = build_spec(SpecInput(record=record, rootfs=self.rootfs, host=self.host, **more))
        with open(f"{self.directory}/config.json", "wb") as file:
            file.write(result.encode())
        return container_id, result

    def run(self, *command: str, **options) -> subprocess.CompletedProcess[str]:
        """Run *command* to its end as a container."""
        container_id, _ = self.spec(*command, **options)
        try:
            return self.call("run", "-b", self.directory, container_id)
        finally:
            self.call("delete", "--force", container_id)

    def shell(self, script: str, **options) -> str:
        """What *script* prints in a container; it must succeed."""
        done = self.run("/bin/sh", "-c", script, **options)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def create(self, container_id: str, *options: str) -> str:
        """Create without starting; returns the runtime's complaint. The container's output goes to a file."""
        argv = [self.runtime, "--root", f"{self.directory}/state", "create", "-b", self.directory]
        argv += [*options, container_id]
        with open(f"{self.directory}/output", "w+b") as output:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=30, check=False)
            output.seek(0)
            return output.read().decode() if done.returncode else ""

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [self.runtime, "--root", f"{self.directory}/state", *words]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        cgroup.remove(self.host.cgroups, CGROUP_PARENT)
