"""The ``process`` object of the runtime's document: a container's first process and those of ``exec``."""

import errno
import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from corten.errors import InvalidArgument
from corten.linux import path as rooted
from corten.linux.host import Host
from corten.model.record import Record
from corten.runtime import apparmor, capabilities, user
from corten.runtime.limits import rlimits
from corten.runtime.security import SecurityOptions
from corten.runtime.security import parse as parse_security

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_PATH = "/sbin/docker-init"

_OWN_TREES = ("/proc", "/sys", "/dev")
"""Where a working directory is left to the runtime: these are mounts that do not exist yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecInput:
    """What a client asks of ``exec`` (API ``ExecConfig``). ``console_size`` is [height, width] or None."""

    cmd: Sequence[str]
    tty: bool = False
    env: Sequence[str] | None = None
    user: str = ""
    working_dir: str = ""
    privileged: bool = False
    console_size: Sequence[int] | None = None


def container_process(
    record: Record,
    who: user.User,
    cwd: str,
    caps: list[str],
    limits: list[dict[str, Any]],
    options: SecurityOptions,
    host: Host,
    hostname: str,
    with_init: bool,
) -> dict[str, Any]:
    """The container's first process: the program of the record, behind the init program when *with_init*."""
    config, host_config = record.config, record.host_config
    args = [record.path, *record.args]
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": _user(who),
        "args": [INIT_PATH, "--", *args] if with_init else args,
        "env": environment(config.env, hostname or config.hostname, config.tty, who.home),
        "cwd": cwd,
        "capabilities": capabilities.oci(caps, who.uid),
        "noNewPrivileges": options.no_new_privileges,
        "oomScoreAdj": max(host_config.oom_score_adj, host.lowest_oom_score_adj),
    }
    if limits:
        process["rlimits"] = limits
    if config.tty and host_config.console_size and any(host_config.console_size):
        process["consoleSize"] = _console(host_config.console_size)
    return _confined(process, options.apparmor or record.apparmor_profile, host, host_config.privileged)


def exec_process(
    record: Record,
    wanted: ExecInput,
    root_fd: int,
    host: Host,
    hostname: str = "",
    default_ulimits: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> dict[str, Any]:
    """The document for ``crun exec --process``.

    *root_fd* is the running container's root (``O_PATH``), for the look-up of users. Environment: the container's with
    the exec's on top. A relative working directory counts from the container's. InvalidArgument as ``build_spec``.
    """
    config, host_config = record.config, record.host_config
    options = parse_security(host_config.security_opt)
    who = user.resolve(root_fd, wanted.user or config.user, host_config.group_add)
    privileged = wanted.privileged or host_config.privileged
    caps, _ = capabilities.clamp(
        capabilities.effective(host_config.cap_add, host_config.cap_drop, privileged), host.bounding
    )
    cwd = check_cwd(posixpath.join(config.working_dir or "/", wanted.working_dir))
    refuse_magic_links(root_fd, cwd)
    process: dict[str, Any] = {
        "terminal": wanted.tty,
        "user": _user(who),
        "args": list(wanted.cmd),
        "env": environment(
            [*(config.env or ()), *(wanted.env or ())], hostname or config.hostname, wanted.tty, who.home
        ),
        "cwd": cwd,
        "capabilities": capabilities.oci(caps, who.uid),
        "noNewPrivileges": options.no_new_privileges,
        "oomScoreAdj": max(host_config.oom_score_adj, host.lowest_oom_score_adj),
    }
    if limits := rlimits(host_config.ulimits, default_ulimits, host)[0]:
        process["rlimits"] = limits
    if wanted.tty and wanted.console_size and any(wanted.console_size):
        process["consoleSize"] = _console(wanted.console_size)
    profile = apparmor.UNCONFINED if wanted.privileged else options.apparmor or record.apparmor_profile
    return _confined(process, profile, host, privileged)


def environment(wanted: Sequence[str] | None, hostname: str, tty: bool, home: str) -> list[str]:
    """The environment: Docker's own variables, replaced by and followed by the wanted ones, HOME last.

    An entry without "=" removes the variable; one without a name is dropped, and nothing ever comes from the daemon's
    own environment.
    """
    values = {"PATH": DEFAULT_PATH}
    if hostname:
        values["HOSTNAME"] = hostname
    if tty:
        values["TERM"] = "xterm"
    for entry in wanted or ():
        name, has_value, value = entry.partition("=")
        if not name or "\0" in entry:
            continue
        if has_value:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", home)
    return [f"{name}={value}" for name, value in values.items()]


def check_cwd(working_dir: str) -> str:
    """The working directory, normalised. InvalidArgument when it is relative or leads through descriptors.

    A runtime that changes into /proc/self/fd/N would start the program in a directory of the host (CVE-2024-21626).
    """
    if not working_dir:
        return "/"
    if not working_dir.startswith("/") or "\0" in working_dir:
        raise InvalidArgument(f"the working directory '{working_dir}' is invalid, it needs to be an absolute path")
    clean = "/" + posixpath.normpath(working_dir).lstrip("/")
    parts = clean.split("/")
    if parts[1] == "proc" and any(word in parts[2:] for word in ("fd", "cwd", "root", "fdinfo", "map_files", "exe")):
        raise InvalidArgument(f"the working directory '{working_dir}' is invalid: it leads through a process's files")
    return clean


def refuse_magic_links(root_fd: int, cwd: str) -> None:
    """InvalidArgument when *cwd* leads through links of /proc, such as a container can make for the next exec.

    A directory that does not exist is left to the runtime to report.
    """
    try:
        check_cwd(rooted.resolve(root_fd, cwd))
    except OSError as error:
        raise InvalidArgument(f"the working directory '{cwd}' is invalid: it cannot be resolved") from error
    try:
        os.close(rooted.open_in_root(root_fd, cwd, os.O_PATH | os.O_DIRECTORY))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InvalidArgument(
                f"the working directory '{cwd}' is invalid: it leads through links of /proc"
            ) from error


def ensure_cwd(root_fd: int, working_dir: str, mounted: Sequence[str] = ()) -> str:
    """The working directory, made in the root when missing. Below a mount of *mounted* it is left to the runtime."""
    cwd = check_cwd(working_dir)
    if cwd == "/":
        return cwd
    try:
        resolved = rooted.resolve(root_fd, cwd)
        check_cwd(resolved)  # an image may hide /proc/self/fd behind a link
        if not _inside(resolved, (*_OWN_TREES, *mounted)):
            os.close(rooted.mkdir_in_root(root_fd, cwd))
    except OSError as error:
        if error.errno == errno.EROFS:
            return cwd  # a read-only root without the directory: the runtime reports it
        if error.errno == errno.ENOTDIR:
            raise InvalidArgument(f"Cannot mkdir: {cwd} is not a directory") from error
        raise InvalidArgument(f"mkdir {cwd}: {os.strerror(error.errno or 0).lower()}") from error
    return cwd


def _inside(path: str, trees: Sequence[str]) -> bool:
    return any(path == tree or path.startswith(tree.rstrip("/") + "/") for tree in trees)


def _user(who: user.User) -> dict[str, Any]:
    return {"uid": who.uid, "gid": who.gid, "additionalGids": list(who.groups)}


def _console(size: Sequence[int]) -> dict[str, int]:
    return {"height": size[0], "width": size[1]}


def _confined(process: dict[str, Any], wanted: str, host: Host, privileged: bool) -> dict[str, Any]:
    """Add the AppArmor profile where the kernel has AppArmor; *wanted* is "" for the default."""
    if host.apparmor and (profile := apparmor.for_process(wanted, privileged)):
        process["apparmorProfile"] = profile
    return process
