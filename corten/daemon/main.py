"""cortend: reads the configuration, wires the parts, serves until a signal. The only composition root."""

import asyncio
import contextlib
import ctypes
import gc
import logging
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import cast

import corten
from corten import errors
from corten.api.audit.file import AuditFile
from corten.api.audit.trail import Trail
from corten.api.audit.writer import AuditWriter
from corten.api.backend import Backend
from corten.api.server import create_app
from corten.daemon import fsck, ownlog, systemd
from corten.daemon.checks import registry_config
from corten.daemon.config import HELP, Config
from corten.daemon.listeners import Listeners
from corten.daemon.pidfile import PidFile
from corten.daemon.rootlock import locked
from corten.engine.engine import Engine
from corten.engine.paths import Paths
from corten.engine.settings import Settings
from corten.model.gc import policy_from
from corten.network.config import NetworkConfig

log = logging.getLogger("corten.daemon")

M_ARENA_MAX = -8
HEAPS = 2

LONGEST_END = 75.0
"""Seconds that a container may take to end with the machine: systemd kills a service after 90 (TimeoutStopSec)."""


def main(words: Sequence[str] | None = None) -> int:
    """Entry point of ``cortend``; returns the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    if words[:1] == ["fsck"]:
        return fsck.main(words[1:])
    try:
        config = Config.load(words)
    except errors.CortenError as error:
        print(f"cortend: {error}", file=sys.stderr)
        return 1
    if config.help:
        print(HELP)
        return 0
    if config.version:
        print(f"Corten version {corten.__version__}")
        return 0
    if config.validate:
        print("configuration OK")
        return 0
    ownlog.configure(config)
    raise_descriptor_limit()
    bound_heaps()
    try:
        set_oom_score(config.oom_score_adjust)
        asyncio.run(serve(config, words))
    except (errors.CortenError, OSError) as error:
        log.debug("failed", exc_info=True)
        print(f"cortend: {error}", file=sys.stderr)
        return 1
    return 0


def raise_descriptor_limit() -> None:
    """Use all descriptors that the host allows: each running container takes two, each published port up to two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def bound_heaps() -> None:
    """Let the threads share two heaps of the C library (mallopt(3), M_ARENA_MAX) instead of having up to eight a core.

    Each would keep the most that its threads have ever needed at a time, such as the firewall's table with all ports.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # glibc's
        library.mallopt(M_ARENA_MAX, HEAPS)


async def serve(config: Config, words: Sequence[str]) -> None:
    """Bring up engine and doors, wait for SIGTERM or SIGINT, let go in the reverse order."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    current = [config]
    pidfile = PidFile(config.pidfile)
    pidfile.acquire()
    try:
        listeners = Listeners.open(config)
        own = contextlib.ExitStack()
        try:
            Paths(config.data_root, config.exec_root).make()
            own.enter_context(locked(config.data_root, config.exec_root))
            trail = own.enter_context(audit_trail(config))
            engine = await Engine.open(settings_of(config))
            server = create_app(cast("Backend", engine), trail)
            try:
                for listener in listeners.listeners:
                    await server.serve(listener.socket, listener.tls)
                    log.info("API listens on %s", listener.address)
                loop.add_signal_handler(signal.SIGHUP, reload, engine, current, words)
                systemd.notify("READY=1")
                # what is alive now lives long: keep it out of every later collection
                gc.collect()
                gc.freeze()
                await stop.wait()
                systemd.notify("STOPPING=1")
                if await loop.run_in_executor(None, systemd.machine_goes_down):
                    await engine.life.end_all(LONGEST_END)
            finally:
                await server.close(timeout=float(current[0].shutdown_timeout))
                await engine.close()
        finally:
            own.close()
            listeners.close()
    finally:
        pidfile.release()


@contextlib.contextmanager
def audit_trail(config: Config) -> Iterator[Trail | None]:
    """The audit trail, if one is asked for. A daemon that cannot write it does not start."""
    if not config.audit_log:
        yield None
        return
    writer = AuditWriter(AuditFile(config.audit_log, config.audit_log_max_size, config.audit_log_max_file))
    trail = Trail(writer)
    trail.start()
    try:
        yield trail
    finally:
        trail.end()
        writer.close()


def reload(engine: Engine, current: list[Config], words: Sequence[str]) -> None:
    """SIGHUP: take over what may change in a running daemon; a bad file changes nothing."""
    try:
        fresh, waiting = Config.reload(current[0], words)
    except errors.CortenError as error:
        log.error("reload: %s", error)
        return
    current[0] = fresh
    ownlog.set_level(fresh)
    engine.reload(settings_of(fresh))
    for key in waiting:
        log.warning("reload: a change of %s takes a restart", key)
    engine.events.emit("daemon", "reload", engine.id, {"name": engine.host.hostname, **fresh.reload_attributes()})


def set_oom_score(score: int) -> None:
    """``--oom-score-adjust``; 0 leaves the daemon as it was started (proc(5), /proc/PID/oom_score_adj)."""
    if not score:
        return
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(score))
    except OSError as error:
        raise errors.System(f"failed to set oom score {score} on the daemon: {error.strerror}") from error


def settings_of(config: Config) -> Settings:
    """The engine's part of the configuration."""
    return Settings(
        data_root=config.data_root,
        exec_root=config.exec_root,
        network=NetworkConfig(
            exec_root=config.exec_root,
            bridge=config.bridge,
            bip=config.bip,
            bip6=config.bip6,
            fixed_cidr=config.fixed_cidr,
            fixed_cidr_v6=config.fixed_cidr_v6,
            default_gateway=config.default_gateway,
            default_gateway_v6=config.default_gateway_v6,
            default_ip=config.ip,
            mtu=config.mtu,
            icc=config.icc,
            ip_masq=config.ip_masq,
            ip_forward=config.ip_forward,
            ipv6=config.ipv6,
            iptables=config.iptables,
            dns=list(config.dns),
            dns_search=list(config.dns_search),
            dns_options=list(config.dns_options),
            host_gateway_ips=list(config.host_gateway_ips),
        ),
        runtimes={name: (each.path, each.arguments) for name, each in config.runtimes.items()},
        default_runtime=config.default_runtime,
        init=config.init,
        init_path=config.init_path,
        cgroup_parent=config.cgroup_parent,
        default_cgroupns_mode=config.default_cgroupns_mode,
        default_ipc_mode=config.default_ipc_mode,
        default_shm_size=config.default_shm_size,
        default_ulimits=dict(config.default_ulimits),
        seccomp_profile=_profile(config.seccomp_profile),
        no_new_privileges=config.no_new_privileges,
        cdi_spec_dirs=config.cdi_spec_dirs,
        log_driver=config.log_driver,
        log_options=dict(config.log_options),
        labels=config.labels,
        debug=config.debug,
        experimental=config.experimental,
        insecure_registries=config.insecure_registries,
        max_concurrent_uploads=config.max_concurrent_uploads,
        registry_mirrors=config.registry_mirrors,
        registry=registry_config(config),
        max_concurrent_downloads=config.max_concurrent_downloads,
        max_download_attempts=config.max_download_attempts,
        blob_retention=config.blob_retention,
        gc=policy_from(config.gc),
    )


def _profile(setting: str) -> str:
    """``--seccomp-profile``: "", "builtin", "unconfined" or the path of a file."""
    if setting in ("", "builtin", "unconfined"):
        return "" if setting == "builtin" else setting
    try:
        with open(setting, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise errors.InvalidArgument(f"opening seccomp profile ({setting}) failed: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
