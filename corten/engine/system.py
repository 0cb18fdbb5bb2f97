"""Use cases of the daemon itself: info, version, disk usage."""

import asyncio
import os
import platform
import shutil
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import corten
from corten import errors
from corten.distribution.config import RegistryConfig
from corten.engine import programs
from corten.engine.events import Events
from corten.linux.host import Host
from corten.model.image import ImageQuery, ImageSummary
from corten.model.record import RunState
from corten.model.system import (
    Component,
    ContainerCounts,
    ContainerUsage,
    DiskUsage,
    RuntimeInfo,
    SystemInfo,
    SystemVersion,
)
from corten.model.volume import Volume
from corten.runtime.logdrivers import registry

T = TypeVar("T")

STORAGE_DRIVER = "overlayfs"
NETWORK_DRIVERS = ["bridge", "host", "null"]
DISK_USAGE_TYPES = ("container", "image", "volume", "build-cache")
KNOWN_RUNTIMES = ("crun", "runc")
ACTIVE = frozenset(("running", "paused", "restarting"))
_NEEDED_LIMITS = {
    "memory": "WARNING: No memory limit support",
    "swap": "WARNING: No swap limit support",
    "cpu_cfs": "WARNING: No cpu cfs quota support",
    "cpu_shares": "WARNING: No cpu shares support",
    "cpuset": "WARNING: No cpuset support",
    "pids": "WARNING: No pids limit support",
}


class SystemSettings(Protocol):
    """What of the engine's settings is told; a reload may change the values."""

    data_root: str
    runtimes: dict[str, tuple[str, tuple[str, ...]]]
    labels: tuple[str, ...]
    debug: bool
    experimental: bool
    log_driver: str
    conmon: str
    cdi_spec_dirs: tuple[str, ...]
    insecure_registries: tuple[str, ...]
    registry_mirrors: tuple[str, ...]
    registry: RegistryConfig


class _Container(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def state(self) -> RunState: ...


class _Images(Protocol):
    async def list(self, query: ImageQuery) -> Sequence[ImageSummary]: ...
    async def layers_size(self) -> int: ...
    def count(self) -> int: ...


class System:
    """The daemon about itself.

    *sizes* gives a container's (writable, whole) bytes, *volumes* all volumes with their usage. *facts* are what other
    parts know: ``id``, ``default_runtime`` and ``init_program``, each a function, as a reload may change them.
    *warnings* are what else the user should know.
    """

    def __init__(
        self,
        *,
        settings: SystemSettings,
        host: Host,
        events: Events,
        containers: Callable[[], Sequence[_Container]],
        sizes: Callable[[str], Awaitable[tuple[int, int]]],
        images: _Images,
        volumes: Callable[[], Awaitable[Sequence[Volume]]],
        facts: Mapping[str, Callable[[], str]],
        pool: Executor,
        warnings: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._settings = settings
        self._host = host
        self._events = events
        self._containers = containers
        self._sizes = sizes
        self._images = images
        self._volumes = volumes
        self._facts = facts
        self._pool = pool
        self._more_warnings = warnings
        self._running: dict[str, asyncio.Task[Any]] = {}

    # info and version

    async def info(self) -> SystemInfo:
        """The state of the daemon and its host; concurrent calls share one answer."""
        return await self._shared("info", self._info)

    async def _info(self) -> SystemInfo:
        loop = asyncio.get_running_loop()
        runtimes = await loop.run_in_executor(self._pool, self._runtimes)
        settings, host = self._settings, self._host
        return SystemInfo(
            id=self._facts["id"](),
            name=host.hostname,
            counts=_counts(self._containers()),
            images=self._images.count(),
            driver=STORAGE_DRIVER,
            driver_status=[("driver-type", "io.containerd.snapshotter.v1")],
            volume_drivers=["local"],
            network_drivers=NETWORK_DRIVERS,
            log_drivers=registry.names(),
            limits=host.limits,
            ip_forwarding=_read("/proc/sys/net/ipv4/ip_forward").strip() == "1",
            debug=settings.debug,
            descriptors=len(os.listdir("/proc/self/fd")),
            tasks=len(asyncio.all_tasks()),
            time=time.time_ns(),
            logging_driver=settings.log_driver,
            cgroup_driver="cgroupfs",
            cgroup_version=host.cgroups.api_version,
            listeners=self._events.listeners,
            kernel=host.kernel,
            operating_system=_os_release("PRETTY_NAME") or "Linux",
            os_version=_os_release("VERSION_ID"),
            machine=platform.machine(),
            insecure_registries=list(settings.insecure_registries),
            registry_mirrors=list(settings.registry_mirrors),
            cpus=host.cpus,
            memory_total=host.memory_total,
            data_root=settings.data_root,
            http_proxy=_masked(settings.registry.proxies.http),
            https_proxy=_masked(settings.registry.proxies.https),
            no_proxy=settings.registry.proxies.no_proxy,
            labels=list(settings.labels),
            experimental=settings.experimental,
            version=corten.__version__,
            runtimes=runtimes,
            default_runtime=self._facts["default_runtime"](),
            init_program=os.path.basename(self._facts["init_program"]()),
            security_options=self._security_options(),
            firewall="nftables",
            cdi_spec_dirs=list(settings.cdi_spec_dirs),
            warnings=self._warnings(runtimes),
        )

    async def version(self) -> SystemVersion:
        """Versions of Corten and of the programs that it stands on."""
        components = await asyncio.get_running_loop().run_in_executor(self._pool, self._components)
        return SystemVersion(
            version=corten.__version__,
            kernel=self._host.kernel,
            architecture=self._host.architecture,
            interpreter=f"Python {platform.python_version()}",
            experimental=self._settings.experimental,
            components=components,
        )

    def _runtimes(self) -> dict[str, RuntimeInfo]:
        paths = {name: (path, ()) for name in KNOWN_RUNTIMES if (path := shutil.which(name))}
        found: dict[str, tuple[str, tuple[str, ...]]] = {**paths, **self._settings.runtimes}
        return {
            name: RuntimeInfo(path=path, arguments=arguments, version=programs.version_of(path))
            for name, (path, arguments) in sorted(found.items())
        }

    def _components(self) -> list[Component]:
        name = self._facts["default_runtime"]()
        runtime = self._runtimes().get(name)
        conmon = self._settings.conmon
        return [
            Component(name="conmon", version=programs.version_of(conmon), details={"Path": conmon}),
            *([Component(name=name, version=runtime.version, details={"Path": runtime.path})] if runtime else []),
        ]

    def _security_options(self) -> list[str]:
        host = self._host
        options = [("name=apparmor", host.apparmor), ("name=seccomp,profile=builtin", host.seccomp)]
        options.append(("name=cgroupns", os.path.exists("/proc/self/ns/cgroup")))
        return [text for text, present in options if present]

    def _warnings(self, runtimes: dict[str, RuntimeInfo]) -> list[str]:
        warnings = [text for limit, text in _NEEDED_LIMITS.items() if limit not in self._host.limits]
        name = self._facts["default_runtime"]()
        if name in runtimes and (text := programs.weakness(name, runtimes[name])):
            warnings.append(text)
        return [*warnings, *self._more_warnings()]

    # disk usage

    async def disk_usage(self, types: Collection[str] = DISK_USAGE_TYPES) -> DiskUsage:
        """What takes space, by kind. Each kind is measured in threads; calls at the same time share a measurement."""
        for kind in types:
            if kind not in DISK_USAGE_TYPES:
                raise errors.InvalidArgument(f"unknown object type: {kind}")
        images, containers, volumes = await asyncio.gather(
            self._if_wanted("image", types, self._image_usage),
            self._if_wanted("container", types, self._container_usage),
            self._if_wanted("volume", types, self._volume_usage),
        )
        layers_size, summaries = images or (0, None)
        return DiskUsage(layers_size=layers_size, images=summaries, containers=containers, volumes=volumes)

    async def _if_wanted(self, kind: str, types: Collection[str], measure: Callable[[], Awaitable[T]]) -> T | None:
        return await self._shared(kind, measure) if kind in types else None

    async def _image_usage(self) -> tuple[int, list[ImageSummary]]:
        query = ImageQuery(all=True, shared_size=True, containers=True)
        return await self._images.layers_size(), list(await self._images.list(query))

    async def _container_usage(self) -> list[ContainerUsage]:
        containers = list(self._containers())
        sizes = await asyncio.gather(*(self._sizes(each.id) for each in containers), return_exceptions=True)
        result = []
        for container, size in zip(containers, sizes, strict=True):
            if isinstance(size, errors.NotFound):
                continue  # removed meanwhile
            if isinstance(size, BaseException):
                raise size
            own, whole = size
            active = container.state.status in ACTIVE
            result.append(ContainerUsage(id=container.id, active=active, own=own, whole=whole))
        return result

    async def _volume_usage(self) -> list[Volume]:
        return list(await self._volumes())

    async def _shared(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """The result of *work*; whoever asks while it runs gets the same. It runs on when a caller goes away."""
        task: asyncio.Task[T] | None = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(_awaited(work))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


def _counts(containers: Sequence[_Container]) -> ContainerCounts:
    statuses = [container.state.status for container in containers]
    running = sum(status in ("running", "restarting") for status in statuses)
    paused = statuses.count("paused")
    return ContainerCounts(
        total=len(statuses), running=running, paused=paused, stopped=len(statuses) - running - paused
    )


def _masked(text: str) -> str:
    """A proxy's URL without its credentials."""
    parts = urlsplit(text)
    if "@" not in parts.netloc:
        return text
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"xxxxx:xxxxx@{host}"))


def _os_release(key: str) -> str:
    """A value of os-release(5); "" without one."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        for line in _read(path).splitlines():
            name, _, value = line.partition("=")
            if name == key:
                return value.strip().strip("\"'")
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
