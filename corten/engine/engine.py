"""The engine: the facade that the doors talk to, and the order in which its parts come up and go down."""

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator

from corten import errors
from corten.distribution.client import RegistryClient
from corten.engine.archive import Archives, Target
from corten.engine.attachments import Attachments
from corten.engine.collector import Collector
from corten.engine.commits import Commits
from corten.engine.container import Container
from corten.engine.containers import Containers
from corten.engine.events import Events
from corten.engine.execs import Execs
from corten.engine.export import Exports
from corten.engine.fsck.online import Checks
from corten.engine.fsck.subject import Subject
from corten.engine.garbage import Garbage
from corten.engine.grants import Grants
from corten.engine.health import HealthChecks
from corten.engine.images import Images
from corten.engine.launcher import LaunchDefaults, Launcher
from corten.engine.life import Life
from corten.engine.logs import LogOptions, Logs
from corten.engine.logservice import LogPaths, LogService
from corten.engine.networks import NetworkUseCases
from corten.engine.paths import Paths
from corten.engine.peer import Peer
from corten.engine.registries import Registries
from corten.engine.restore import Restore
from corten.engine.rootview import RootViews
from corten.engine.settings import Settings
from corten.engine.shelf import Shelf
from corten.engine.stats import Stats
from corten.engine.system import System
from corten.engine.views import Views
from corten.engine.volumes import ImageMounts, VolumeUseCases
from corten.linux import host as hosts
from corten.linux.migration import Migrations
from corten.linux.pool import Pool
from corten.model.gc import Collection
from corten.model.image import ContainerUse
from corten.model.record import Record
from corten.network.networks import Networks
from corten.runtime import initprogram
from corten.runtime.ociruntime import Crun, OCIRuntime
from corten.runtime.process import become_subreaper
from corten.store import quarantine, schema
from corten.store.database import Database
from corten.store.snapshot import Snapshots
from corten.volume.store import Volumes

log = logging.getLogger("corten.engine")

THREADS = 32
"""For starts, stops and the like; they wait for the kernel and for short processes, hardly for the CPU."""

KNOWN_RUNTIMES = ("crun", "runc")


RELOADABLE = (
    "labels",
    "debug",
    "runtimes",
    "default_runtime",
    "default_shm_size",
    "insecure_registries",
    "registry_mirrors",
    "max_concurrent_uploads",
    "registry",
    "max_concurrent_downloads",
    "max_download_attempts",
    "blob_retention",
    "gc",
)
"""Settings that a running engine takes over."""


class Engine:
    """Made inside a running loop by ``open``; ``close`` lets go of the containers, which run on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.paths = Paths(settings.data_root, settings.exec_root)
        self.paths.make()
        self.paths.check_records()
        fresh = not os.path.exists(self.paths.database)
        self.host = hosts.detect()
        self.pool = Pool(THREADS, "engine")
        self.background = Pool(4, "background")
        self._runtimes: dict[str, OCIRuntime] = {}
        self.events = Events()
        self.database = Database(self.paths.database)
        self.snapshots = Snapshots(f"{settings.data_root}/snapshots", self.database)
        self.registry = RegistryClient(settings.registry)
        self.registries = Registries(self.registry)
        self.images = Images(f"{settings.data_root}/content", self.database, self.snapshots, self._image_event)
        self.images.connect(self.registry, settings)
        self.network_layer = Networks(self.database, settings.network)
        self.volume_layer = Volumes(settings.data_root, self.database, settings.exec_root)
        if fresh:
            self.paths.settle()
        self.migrations = Migrations(self.host.cgroups)
        self.launcher = Launcher(
            self.paths,
            self.host,
            self.snapshots,
            self.network_layer,
            self.volume_layer,
            self.runtime,
            self._launch_defaults(),
            self.migrations,
        )
        self.life = Life(Shelf(self.database), self.launcher, self.events, self.pool)
        self.containers = Containers(self.life, self.images, self.events, settings)
        self.attachments = Attachments(self.life, self._replay)
        self.views = Views(self.life)
        self.execs = Execs(
            self.containers,
            self.events,
            self.host,
            self.runtime,
            self.pool,
            self._launch_defaults().ulimits or {},
            self.migrations,
        )
        self.health = HealthChecks(self.life, self.execs, self.events)
        self.logs = Logs(self.paths.log, self.background)
        self.log_service = LogService(self.logs, self.events, self.containers.list, self._log_paths)
        self.images.users = self._image_users
        self.volume_layer.images = ImageMounts(self.images, self.snapshots)
        self.volumes = VolumeUseCases(
            self.volume_layer, self.events, self._records, self.pool, self.database.quarantine.mentioning
        )
        views = RootViews(self.snapshots, self.volume_layer, settings.exec_root, self.paths.rootfs)
        self.networks = NetworkUseCases(self.network_layer, self.events, self._record_of)
        self.grants = Grants(self.volume_layer.get, self._record_of, lambda: self.default_runtime)
        self.commits = Commits(self.containers, self.images, self.events)
        self.stats = Stats(self.host, self.background, self._alive)
        self.archives = Archives(views, self.containers.get, self._container_event)
        self.exports = Exports(views, self.containers.get, self._container_event)
        self.checks = Checks(
            Subject(
                paths=self.paths,
                database=self.database,
                store=self.images.store,
                records=self._records,
                running=lambda: [container.id for container in self.life.shelf if container.alive],
                volumes=lambda: [volume.name for volume in self.volume_layer.list()],
                rewrite=self._rewrite,
                online=True,
            )
        )
        self.collector = Collector(
            Garbage(self.images.store), lambda: self.settings.gc, self._collected, self.background
        )
        self.system = System(
            settings=settings,
            host=self.host,
            events=self.events,
            containers=self.containers.list,
            sizes=self.views.sizes,
            images=self.images,
            volumes=self.volumes.usage,
            facts={
                "id": lambda: self.id,
                "default_runtime": lambda: self.default_runtime,
                "init_program": lambda: initprogram.find(settings.init_path),
            },
            warnings=self.database.quarantine.warnings,
            pool=self.background,
        )

    @classmethod
    async def open(cls, settings: Settings) -> "Engine":
        """Bring everything up: defaults of the network, what ran before, what is due to start."""
        become_subreaper()
        engine = cls(settings)
        try:
            if former := engine.database.write(schema.sign):
                log.info("taking over from Corten %s", former)
            engine.network_layer.start()
            engine.images.recover()
            restore = Restore(engine.life, engine.launcher)
            restore.take_up()
            restore.resume()
            await engine.log_service.start()
            engine.collector.start()
        except BaseException:
            await engine.close()
            raise
        return engine

    async def close(self) -> None:
        """Stop serving: what is under way ends, containers and their monitors stay."""
        await self.collector.close()
        await self.log_service.stop()
        await self.stats.close()
        await self.archives.close()
        await self.exports.close()
        await self.logs.close()
        await self.health.close()
        await self.life.close()
        self.events.close()
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self.checks.close()
        self.registry.close()
        self.pool.shutdown()
        self.background.shutdown()
        self.migrations.close()
        self.network_layer.close()
        self.images.close()
        self.registries.close()
        self.snapshots.close()
        self.database.close()

    def greet(self) -> None:
        """A client has come; should it be about to start something, the kernel's wait for that begins now."""
        self.migrations.announce()

    @property
    def id(self) -> str:
        """The daemon's id, made once and kept with its data."""
        return self.network_layer.owner

    def reload(self, fresh: Settings) -> None:
        """Take over the settings that may change in a running daemon."""
        for name in RELOADABLE:
            setattr(self.settings, name, getattr(fresh, name))
        self._runtimes.clear()
        self.registry.reconfigure(fresh.registry)
        self.images.reconfigure()

    # runtimes

    def runtime(self, name: str) -> OCIRuntime:
        """The registered runtime *name* ("" = the default). InvalidArgument with Docker's words for an unknown one."""
        name = name or self.default_runtime
        found = self._runtimes.get(name)
        if found is None:
            found = self._runtimes[name] = self._make_runtime(name)
        return found

    def _make_runtime(self, name: str) -> OCIRuntime:
        if name in self.settings.runtimes:
            path, arguments = self.settings.runtimes[name]
            path = path if os.path.isabs(path) else shutil.which(path) or path
        elif name in KNOWN_RUNTIMES and (found := shutil.which(name)):
            path, arguments = found, ()
        else:
            raise errors.InvalidArgument(f"unknown or invalid runtime name: {name}")
        root = self.paths.runtime_root(name)
        os.makedirs(root, mode=0o700, exist_ok=True)
        if os.path.basename(path) == "crun":
            return Crun(name, path, root, arguments, self.host.cgroups)
        return OCIRuntime(name, path, root, arguments)

    @property
    def default_runtime(self) -> str:
        """The configured one; runc in crun's place where crun cannot work (absent, or hybrid cgroups)."""
        name = self.settings.default_runtime
        if name == "crun" and "crun" not in self.settings.runtimes and not self._crun_works and shutil.which("runc"):
            return "runc"
        return name

    @property
    def _crun_works(self) -> bool:
        return shutil.which("crun") is not None and self.host.cgroups.version != "hybrid"

    # logs

    async def read_logs(
        self,
        ref: str,
        *,
        stdout: bool,
        stderr: bool,
        follow: bool,
        since: int,
        until: int,
        tail: int,
        timestamps: bool,
        details: bool,
    ) -> AsyncIterator[tuple[int, bytes]]:
        """The log's chunks; what is wrong with the request is raised here and not at the first chunk."""
        options = LogOptions(
            stdout=stdout, stderr=stderr, follow=follow, since=since, until=until, tail=tail, timestamps=timestamps,
            details=details,
        )  # fmt: skip
        return self.logs.read(self.containers.get(ref), options)

    async def _replay(self, container: Container, peer: Peer, stdout: bool, stderr: bool) -> None:
        async for stream, data in self.logs.read(container, LogOptions(stdout=stdout, stderr=stderr)):
            peer.write(stream, data)
            await peer.drain()

    def _log_paths(self, container_id: str) -> LogPaths:
        return LogPaths(self.paths.log(container_id), f"{self.paths.run(container_id)}/ctl")

    # wiring

    def _collected(self, result: Collection) -> None:
        attributes = {"removed": str(len(result.removed)), "reclaimed": str(result.reclaimed)}
        self.events.emit("daemon", "gc", self.id, {"name": self.host.hostname, **attributes})

    def _rewrite(self, kind: str, key: str) -> bool:
        """Write a record anew that was damaged while the daemon ran; False when nothing is known of it."""
        if kind == quarantine.CONTAINER:
            found = [container for container in self.life.shelf if container.id == key]
            for container in found:
                self.life.shelf.write(container.record)
            return bool(found)
        image = self.images.store.index.get(key) if kind == quarantine.IMAGE else None
        if image is not None:
            self.images.store.index.add([(image, [])])
        return image is not None

    def _record_of(self, reference: str) -> Record:
        return self.containers.get(reference).record

    def _alive(self) -> list[Container]:
        return [container for container in self.containers.list() if container.alive]

    def _launch_defaults(self) -> LaunchDefaults:
        settings = self.settings
        return LaunchDefaults(
            conmon=settings.conmon,
            init_path=initprogram.find(settings.init_path),
            init=settings.init,
            ulimits={name: (each.soft, each.hard) for name, each in settings.default_ulimits.items()},
            seccomp=settings.seccomp_profile,
            cgroupns=settings.default_cgroupns_mode,
            shm_size=settings.default_shm_size,
            cgroup_parent=settings.cgroup_parent,
            cdi_directories=settings.cdi_spec_dirs,
        )

    def _records(self) -> list[Record]:
        return [container.record for container in self.life.shelf]

    def _image_users(self, image_id: str) -> list[ContainerUse]:
        """The containers made from an image, and those that have it mounted."""
        return [
            ContainerUse(container_id=each.id, running=each.active, image=each.config.image)
            for each in self.life.shelf
            if each.record.image == image_id or any(point.image_id == image_id for point in each.record.mounts)
        ] + [
            ContainerUse(container_id=container_id, running=False)
            for container_id in self.database.quarantine.mentioning(image_id)
        ]

    def _container_event(self, container: Target, action: str) -> None:
        record = container.record
        attributes = {**(record.config.labels or {}), "image": record.config.image, "name": record.name}
        self.events.emit("container", action, record.id, attributes)

    def _image_event(self, action: str, actor_id: str, attributes: dict[str, str]) -> None:
        self.events.emit("image", action, actor_id, attributes)
