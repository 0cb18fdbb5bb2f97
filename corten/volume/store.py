"""The volumes of one daemon: their records, who uses them, and the doors to planning and mounting.

Everything is kept in memory and written to the state database; every method may be called from any thread.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from corten import errors, faultpoint
from corten.linux import path, tree
from corten.model.container import ContainerConfig, HostConfig, MountPoint
from corten.model.mount import SpecMount
from corten.model.record import Record
from corten.model.volume import ANONYMOUS_LABEL, Volume, VolumeUsage
from corten.store.database import Database
from corten.volume import plan, realise
from corten.volume.filters import boolean, check, has_labels, matches
from corten.volume.local import LocalDriver, check_name, check_options
from corten.volume.table import Job, VolumeTable

log = logging.getLogger(__name__)

LOCAL = "local"
Filters = dict[str, list[str]]
Names = list[str]
MountPoints = list[MountPoint]
SpecMounts = list[SpecMount]


class ImageTrees(Protocol):
    """What image mounts need of the image store; the engine provides it."""

    def resolve(self, reference: str) -> str:
        """The image's id. Raises ``NotFound``."""

    def layers(self, image_id: str) -> list[str]:
        """The unpacked layers' directories, top first."""


class Volumes:
    """Volumes under *root* (the data root); private mount points under *exec_root*."""

    def __init__(self, root: str, db: Database, exec_root: str = "/run/corten") -> None:
        self.driver = LocalDriver(root)
        self.exec_root = exec_root
        self.users: Callable[[str], list[str]] = lambda _: []
        """Ids of the containers, running or not, that name a volume; injected by the engine."""
        self.emit: Callable[[str, str, dict[str, str]], None] = lambda *_: None
        """Told every change: action (create, mount, unmount, destroy), name, attributes; injected by the engine."""
        self.images: ImageTrees | None = None
        """Injected by the engine."""
        self._table = VolumeTable(db)
        self._lock = threading.RLock()
        self._volumes: dict[str, Volume] = {}
        self._active: dict[str, set[str]] = {}
        self._planned: dict[str, set[str]] = {}
        # volumes of containers that are being made, by container id: nobody may remove them before the record is there
        self._locks: dict[str, threading.RLock] = {}
        self._unrecorded: dict[str, Volume] = {}  # made, but not on disk yet
        self._doomed: set[str] = set()  # they were to go with containers that a former daemon removed
        self._load()

    def _load(self) -> None:
        for row in self._table.rows():
            self._volumes[row[0]] = self._volume(*row)
            self.driver.create(row[0])
        doomed = self._table.doomed()
        # what it was to mount is not known, so its directory is not taken for a plain volume
        unreadable = self._table.unreadable()
        for name in self.driver.found():
            if name in doomed and name not in self._volumes:
                self.driver.remove(name)
            elif name not in self._volumes and name not in unreadable and not self.driver.drop_empty(name):
                # data without a record: keep it, it may be all that somebody has left
                log.warning("volume %s was not recorded; taken up again", name)
                self._volumes[name] = self._volume(name, time.time_ns(), None, None)
                self._table.put(self._volumes[name])
        self._doomed = doomed & self._volumes.keys()
        self._table.spare(doomed - self._volumes.keys())

    def _volume(self, name: str, created: int, labels: dict[str, str] | None, options: dict[str, str] | None) -> Volume:
        return Volume(
            name=name,
            driver=LOCAL,
            mountpoint=self.driver.mountpoint(name),
            created=created,
            labels=labels,
            options=options,
        )

    # the volume API

    def create(
        self,
        name: str = "",
        driver: str = LOCAL,
        options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        *,
        holder: str = "",
    ) -> tuple[Volume, bool]:
        """Make a volume; returns it and whether it is new. An existing one of that name and driver is returned as is.

        Without a name it gets 64 hex digits and the anonymous label. For a *holder*, the id of a container that is
        being made, the record is written with the container's (``unrecorded``), and the volume cannot be removed until
        ``unplan`` or ``realise``. Raises InvalidArgument, NotFound (driver).
        """
        if not name:
            name = secrets.token_hex(32)
            labels = {**(labels or {}), ANONYMOUS_LABEL: ""}
        try:
            if driver not in ("", "default", LOCAL):
                raise errors.NotFound(f'error looking up volume plugin {driver}: plugin "{driver}" not found')
            check_name(name)
            check_options(options or {})
        except errors.CortenError as error:
            raise type(error)(f"create {name}: {error}") from error
        # a removal of the same name deletes the data after the record: what is made anew must not be what it deletes
        with self._locked(name):
            with self._lock:
                self.hold(name, holder)
                found = self._volumes.get(name)
                volume = found or self._make(self._volume(name, time.time_ns(), labels, options))
            if not holder:
                self._settle(volume)
        if found is None:
            self.emit("create", name, {"driver": volume.driver})
        return volume, found is None

    def _make(self, volume: Volume) -> Volume:
        try:
            self.driver.create(volume.name)
            faultpoint.reach("volume.made")
        except BaseException:
            self.driver.drop_empty(volume.name)
            raise
        self._volumes[volume.name] = self._unrecorded[volume.name] = volume
        return volume

    def _settle(self, volume: Volume) -> None:
        """Until the volume is on disk, made by whoever. The caller holds its lock."""
        if volume.name not in self._unrecorded:
            return
        try:
            self.driver.sync(volume.name)
            self._table.put(volume)
        except BaseException:
            self._drop_unrecorded([volume.name])
            raise
        self._unrecorded.pop(volume.name, None)
        faultpoint.reach("volume.recorded")

    def unrecorded(self, holder: str) -> Names:
        """The volumes of a container that is being made whose records are to be written with the container's."""
        with self._lock:
            return [name for name in self._planned.get(holder, ()) if name in self._unrecorded]

    def recording(self, names: Names) -> Job:
        """The job for the container's transaction; call ``recorded`` when that is durable."""
        return self._table.putting([self._volumes[name] for name in names])

    def recorded(self, names: Names) -> None:
        for name in names:
            self._unrecorded.pop(name, None)

    def _drop_unrecorded(self, names: Iterable[str]) -> None:
        """What could not be recorded is not there, unless somebody else counts on it, who will record it."""
        with self._lock:
            for name in names:
                if name in self._unrecorded and not any(name in held for held in self._planned.values()):
                    del self._unrecorded[name], self._volumes[name]
                    self.driver.drop_empty(name)

    def get(self, name: str) -> Volume:
        """The volume, or NotFound with Docker's text."""
        volume = self._volumes.get(name)
        if volume is None:
            raise errors.NotFound(f"get {name}: no such volume")
        return volume

    def list(self, filters: Filters | None = None) -> list[Volume]:
        """Volumes by name. Filters: dangling, driver, label, name; several of a kind are alternatives, labels not."""
        wanted = filters or {}
        check(wanted, ("dangling", "driver", "label", "name"))
        volumes = sorted(self._volumes.copy().values(), key=lambda volume: volume.name)
        if "dangling" in wanted:
            dangling = boolean("dangling", wanted["dangling"])
            volumes = [volume for volume in volumes if bool(self.users(volume.name)) != dangling]
        if "driver" in wanted:
            volumes = [volume for volume in volumes if volume.driver in wanted["driver"]]
        if "name" in wanted:
            volumes = [volume for volume in volumes if any(matches(name, volume.name) for name in wanted["name"])]
        return [volume for volume in volumes if has_labels(volume, wanted.get("label", []))]

    def remove(self, name: str, force: bool = False, *, ignoring: str = "") -> bool:
        """Delete a volume and its data; True if there was one. With *force* a missing one is no error.

        *ignoring* is the id of a container that goes away itself. Raises NotFound, Conflict (in use).
        """
        with self._locked(name):
            with self._lock:
                volume = self._volumes.get(name)
                if volume is None:
                    if force:
                        return False
                    raise errors.NotFound(f"get {name}: no such volume")
                users = sorted(user for user in self._holders(name) if user != ignoring)
                if users:
                    raise errors.Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
                del self._volumes[name]
            try:
                self._table.forget(name)
                self._unrecorded.pop(name, None)
            except BaseException:
                self._volumes[name] = volume
                raise
            try:
                faultpoint.reach("volume.forgotten")
                durable = self.driver.remove(name)
            except BaseException:
                self._volumes[name] = volume
                self._table.put(volume)
                raise
            if durable:
                self._table.spare([name])
            self._locks.pop(name, None)
        self.emit("destroy", name, {"driver": volume.driver})
        return True

    def prune(self, filters: Filters | None = None) -> tuple[Names, int]:
        """Remove what no container uses: names and freed bytes. Only anonymous ones unless filter ``all`` is true.

        Volumes with options are kept, as what they mount may be shared. Filters: all, label, label!.
        """
        wanted = filters or {}
        check(wanted, ("all", "label", "label!"))
        every = "all" in wanted and boolean("all", wanted["all"])
        removed, freed = [], 0
        for volume in self.list():
            if volume.options or not (every or volume.anonymous) or not has_labels(volume, wanted.get("label", [])):
                continue
            if any(has_labels(volume, [label]) for label in wanted.get("label!", [])) or self._holders(volume.name):
                continue
            size = self.size(volume.name)
            try:
                self.remove(volume.name)
            except (errors.Conflict, errors.NotFound):
                continue  # taken or removed since it was listed
            removed.append(volume.name)
            freed += size
        return removed, freed

    def usage(self, name: str) -> VolumeUsage:
        """Size on disk (-1 for a volume with options, as Docker says it) and number of containers that name it."""
        return VolumeUsage(size=-1 if self.get(name).options else self.size(name), ref_count=len(set(self.users(name))))

    def size(self, name: str) -> int:
        """Bytes in the files of a volume, hard links counted once."""
        with path.opened(self.data_root(name)) as data:
            return tree.apparent_size(data)

    def _holders(self, name: str) -> set[str]:
        """Containers that name the volume, those included that are just being made and not yet recorded."""
        planned = [user for user, names in list(self._planned.items()) if name in names]
        return {*self.users(name), *self._active.get(name, ()), *planned}

    def hold(self, name: str, holder: str) -> None:
        """Keep the volume for a container that is being made."""
        if holder:
            with self._lock:
                self._planned.setdefault(holder, set()).add(name)

    def drop_holds(self, holder: str) -> None:
        """Undo ``hold`` for everything that *holder* held."""
        with self._lock:
            names = self._planned.pop(holder, set())
        self._drop_unrecorded(names)

    # what running containers hold

    def acquire(self, name: str, user: str) -> Volume:
        """Mount the volume if *user* is the first who needs it. Pair with ``leave``."""
        volume = self.get(name)
        with self._locked(name):
            active = self._active.setdefault(name, set())
            if not active:
                try:
                    self.driver.mount(volume)
                except errors.System as error:
                    raise errors.System(f"error while mounting volume '{volume.mountpoint}': {error}") from error
            active.add(user)
        return volume

    def leave(self, name: str, user: str) -> None:
        """*user* no longer needs the volume; the last one unmounts it."""
        with self._locked(name):
            active = self._active.get(name, set())
            if user not in active:
                return
            active.discard(user)
            if not active:
                del self._active[name]
                volume = self._volumes.get(name)
                if volume is not None:
                    self.driver.unmount(volume)
        self.emit("unmount", name, {"driver": LOCAL, "container": user})

    def active(self, name: str) -> bool:
        """Whether a running container holds the volume, so that it is mounted."""
        return bool(self._active.get(name))

    def recover(self, live: Iterable[Record]) -> None:
        """After the daemon's restart: take up what the *live* containers hold, clear what others left behind."""
        records = {record.id: record for record in live}
        for record in records.values():
            for point in record.mounts:
                if point.type == "volume" and point.name in self._volumes:
                    self._active.setdefault(point.name, set()).add(record.id)
        for volume in self._volumes.values():
            if volume.options and not self._active.get(volume.name):
                self.driver.unmount(volume)
        self._remove_all(self._doomed, "")
        realise.clear_others(self.exec_root, set(records))

    # planning and mounting

    def plan(
        self,
        container_id: str,
        config: ContainerConfig,
        host: HostConfig,
        image_volumes: Names,
        lookup: Callable[[str], Record],
    ) -> MountPoints:
        """At create: check what is asked for, make the volumes that are named or needed. See ``volume.plan``."""
        return plan.plan(self, container_id, config, host, image_volumes, lookup)

    def unplan(self, container_id: str, record: Record, remove_anonymous: bool) -> Names:
        """At remove, or when a create fails after ``plan``: delete the anonymous volumes that nobody else names, if
        wanted. Returns the deleted names."""
        names = set(self.anonymous(record))
        if not record.mounts:
            held = [self._volumes.get(name) for name in self._planned.get(container_id, ())]
            names |= {volume.name for volume in held if volume is not None and volume.anonymous}
        removed = self._remove_all(names, container_id) if remove_anonymous else []
        self.drop_holds(container_id)
        return removed

    @staticmethod
    def anonymous(record: Record) -> Names:
        """The volumes that go when the container does, if that is wanted."""
        return [point.name for point in record.mounts if point.type == "volume" and point.anonymous]

    def _remove_all(self, names: Iterable[str], ignoring: str) -> Names:
        removed = []
        for name in sorted(names):
            try:
                if self.remove(name, force=True, ignoring=ignoring):
                    removed.append(name)
            except errors.Conflict:
                self._table.spare([name])  # another container took it over with --volumes-from
        return removed

    def realise(self, record: Record, rootfs: str) -> SpecMounts:
        """At start, with the root file system mounted at *rootfs*: mount, fill, describe. See ``volume.realise``."""
        with self._lock:
            self._planned.pop(record.id, None)  # it is recorded by now
        return realise.realise(self, record, rootfs)

    def populate(self, record: Record, root_fd: int) -> None:
        """Fill the empty volumes of a container that was never started from the image (see ``volume.realise``)."""
        realise.populate(self, record, root_fd)

    def release(self, record: Record) -> None:
        """After the exit: give back what ``realise`` took. May be called twice."""
        realise.release(self, record)

    def data_root(self, name: str) -> int:
        """The volume's directory as a root for ``linux.path``."""
        return path.open_root(self.driver.mountpoint(name))

    def filling(self, name: str) -> threading.RLock:
        """Held while the volume is filled, mounted or removed."""
        return self._locked(name)

    def _locked(self, name: str) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(name, threading.RLock())
