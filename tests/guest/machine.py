"""A virtual machine of one processor without hardware help, so that it runs everywhere: ten times slower than real."""

import os
import subprocess
import sys
import tempfile

from tests.guest import image

MEMORY = 2048
"""MB."""
KERNEL_LINE = (
    "root=/dev/vda rw console=ttyS0 quiet systemd.unified_cgroup_hierarchy=1 systemd.wants=inside.service "
    "systemd.unit=multi-user.target mitigations=off net.ifnames=0"
)
ALONE = (
    "root=/dev/vda rw console=ttyS0 quiet mitigations=off net.ifnames=0 init=/bin/sh -- -c "
    '"mount /dev/vdb /project && exec sh /project/tests/guest/alone"'
)
"""Without systemd: up in a third of the time."""
PYTEST = "python3 -m pytest -p no:cacheprovider --timeout=900 --junitxml=/tmp/tests.xml"


class GuestFailed(Exception):
    """The machine ended without a result; the text says what was last on its console."""


def run(command: str, report: str = "", timeout: float = 3600) -> int:
    """Boot, run *command* by sh in the project's tree, give its exit code; its output goes to standard output.

    *report* is where a junit report goes that *command* wrote to /tmp/tests.xml. What the guest changes on its disks is
    dropped. *timeout* in seconds. Raises :class:`GuestFailed`.
    """
    system = image.system()
    tree = image.project(command)
    with tempfile.TemporaryDirectory(prefix="run-", dir=image.PLACE) as work:
        sys.stdout.flush()
        # the temporary files of snapshot=on are as large as what the guest writes
        environment = dict(os.environ, TMPDIR=work)
        reading, writing = os.pipe()  # a standard input at its end would count as a host that has hung up
        try:
            subprocess.run(
                ["nice", "-n", "10", *arguments(system, tree, work)],
                stdin=reading,
                env=environment,
                timeout=timeout,
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            raise GuestFailed(f"no end after {timeout:.0f} s\n{_tail(work)}") from error
        except subprocess.CalledProcessError as error:
            raise GuestFailed(f"qemu ended with {error.returncode}\n{_tail(work)}") from error
        finally:
            os.close(reading)
            os.close(writing)
        with open(f"{work}/result") as file:
            result = file.read().strip()
        if not result.isdecimal():
            raise GuestFailed(f"the machine went off without a result\n{_tail(work)}")
        if report and os.path.getsize(f"{work}/report"):
            os.replace(f"{work}/report", report)
        return int(result)


def arguments(system: image.System, tree: str, work: str, line: str = KERNEL_LINE) -> list[str]:
    """qemu's command line. Standard input and output are the guest's output; its console is a file in *work*."""
    words = [
        *("qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"),
        *("-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(MEMORY), "-nic", "none"),
        *("-kernel", system.kernel, "-initrd", system.initrd, "-append", line),
        *("-drive", f"file={system.disk},format=raw,if=virtio,snapshot=on"),
        *("-drive", f"file={tree},format=raw,if=virtio,snapshot=on"),
        *("-serial", f"file:{work}/console", "-device", "virtio-serial"),
        *("-chardev", "stdio,id=output,signal=off", *_port("output")),
    ]
    for name in ("result", "report"):
        words += ["-chardev", f"file,id={name},path={work}/{name}", *_port(name)]
    return words


def _port(name: str) -> tuple[str, str]:
    return ("-device", f"virtserialport,chardev={name},name={name}")


def _tail(work: str, lines: int = 30) -> str:
    with open(f"{work}/console", errors="replace") as console:
        return "".join(console.readlines()[-lines:])
