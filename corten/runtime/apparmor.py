"""The AppArmor profile for containers, on kernels that have AppArmor.

It backs up what mounts and capabilities forbid already: no mounting, no writes to kernel settings that reach the host,
no AF_ALG sockets (CVE-2026-31431), signals and ptrace only among containers of the profile. Sources: apparmor.d(5),
apparmor_parser(8).
"""

import functools
import logging
import os
import shutil
import subprocess

log = logging.getLogger("corten.apparmor")

NAME = "corten-default"
UNCONFINED = "unconfined"
_PROFILES = "/sys/kernel/security/apparmor/profiles"
_CONFIGURATION = "/etc/apparmor.d"
_TIMEOUT = 20.0

_RULES = f"""\
profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  network,
  deny network alg,
  capability,
  file,
  umount,
  deny mount,

  # the engine and its parts stop what runs inside; inside, everybody of the profile may talk to each other
  signal (receive) peer=unconfined,
  signal (receive) peer=crun,
  signal (receive) peer=runc,
  signal (send, receive) peer={NAME},
  ptrace (trace, read, tracedby, readby) peer={NAME},

  deny @{{PROC}}/{{kcore,kmem,mem,sysrq-trigger}} rwklx,
  deny @{{PROC}}/sys/fs/binfmt_misc/** wkl,
  deny @{{PROC}}/sys/kernel/{{core_pattern,modprobe,hotplug,poweroff_cmd}} wkl,
  deny @{{PROC}}/sys/kernel/usermodehelper/** wkl,
  deny @{{PROC}}/sys/vm/** wkl,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
}}
"""


def profile_text(configuration: str = _CONFIGURATION) -> str:
    """The profile, with the distribution's tunables and base abstractions where they are installed."""
    head = "include <tunables/global>\n" if os.path.isdir(f"{configuration}/tunables") else "@{PROC}=/proc/\n"
    if not os.path.isfile(f"{configuration}/abstractions/base"):
        return head + _RULES
    first, _, rest = _RULES.partition("\n")
    return f"{head}{first}\n  include <abstractions/base>\n{rest}"


def is_loaded(name: str, profiles: str = _PROFILES) -> bool:
    """Whether the kernel knows profile *name*."""
    try:
        with open(profiles, encoding="utf-8") as file:
            return any(line.startswith(f"{name} (") for line in file)
    except OSError:
        return False


@functools.cache
def ensure_default() -> str:
    """Load the profile unless it is there; returns its name, "" when this host cannot load it (logged once)."""
    if is_loaded(NAME):
        return NAME
    parser = shutil.which("apparmor_parser", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if parser is None:
        log.warning("AppArmor is on, but apparmor_parser is not installed; containers run without a profile")
        return ""
    done = subprocess.run(
        [parser, "--replace", "--skip-cache"],
        input=profile_text().encode(),
        capture_output=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        timeout=_TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        log.warning("AppArmor refuses the profile %s: %s", NAME, done.stderr.decode("utf-8", "replace").strip())
        return ""
    return NAME


def for_process(wanted: str, privileged: bool) -> str:
    """The profile of a process: the *wanted* one, else the default; privileged ones are unconfined unless told.

    The default is loaded here if need be: nobody else does it after a boot.
    """
    if wanted not in ("", NAME):
        return wanted
    return UNCONFINED if privileged and not wanted else ensure_default()
