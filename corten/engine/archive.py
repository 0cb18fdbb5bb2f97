"""``docker cp``: look at, take out and put in files of a container, running or not, volumes included.

No program and no library of the container takes part: names are resolved by the kernel inside the container's root
(``corten.linux.path``), archives are made, unpacked and decompressed in this process.
"""

import asyncio
import contextlib
import os
import posixpath
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol, TypeVar

from corten import errors
from corten.engine.download import Download
from corten.engine.feed import Feed, heeded
from corten.engine.rootview import RootViews
from corten.engine.treetar import TreeTar
from corten.engine.treewrite import TreeWriter
from corten.linux import path
from corten.linux.pool import Pool
from corten.model.archive import PathStat
from corten.model.record import Record
from corten.runtime import user
from corten.wire import compress, tarwrite
from corten.wire.tarread import TarReader

T = TypeVar("T")

_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFREG: 0,
}
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


class Target(Protocol):
    """What is needed of a container."""

    @property
    def record(self) -> Record: ...
    @property
    def lock(self) -> asyncio.Lock: ...


class Archives:
    """The use cases. *get* finds a container, *emit* tells an event: (container, action)."""

    def __init__(
        self, views: RootViews, get: Callable[[str], Target], emit: Callable[[Target, str], None], threads: int = 8
    ) -> None:
        self._views = views
        self._get = get
        self._emit = emit
        self._pool = Pool(threads, "archive")

    async def stat(self, reference: str, name: str) -> PathStat:
        """What the HEAD request answers. NotFound, InvalidArgument."""
        container = self._get(reference)
        with path.opened(await self._open(container)) as root:
            return await self._call(lambda: _stat(root, _checked(name), reference))

    async def get(self, reference: str, name: str) -> tuple[PathStat, Download]:
        """The stat and the tar of a file or directory; ``aclose`` a download that is not read to its end."""
        container = self._get(reference)
        root = await self._open(container)
        try:
            found = await self._call(lambda: _stat(root, _checked(name), reference))
            source, label = await self._call(lambda: _source(root, _checked(name), found))
        except BaseException:
            os.close(root)
            raise
        self._emit(container, "archive-path")
        return found, Download(self._pool, _tar(source, label), (source, root))

    async def put(
        self,
        reference: str,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        no_overwrite_dir_non_dir: bool = False,
        copy_uid_gid: bool = False,
    ) -> None:
        """Unpack an archive (plain, gzip, bzip2, xz or zstd) into an existing directory.

        With *copy_uid_gid* files belong to the container's user, else to the ids in the archive. NotFound when the
        directory is missing, InvalidArgument when it is none, read-only, or the archive is bad.
        """
        container = self._get(reference)
        async with contextlib.AsyncExitStack() as scope:
            if not container.record.state.pid:
                await scope.enter_async_context(container.lock)  # nobody starts it on a tree that is being written
            root = await self._open(container, locked=True)
            scope.callback(os.close, root)
            record = container.record
            directory = await self._call(lambda: _directory(root, _checked(name), reference, record))

            def unpack(feed: Feed) -> None:
                owner = _owner(root, record) if copy_uid_gid else None
                writer = TreeWriter(root, directory, owner, no_overwrite_dir_non_dir)
                writer.unpack(TarReader(compress.auto(feed.read)))

            await self._consume(chunks, unpack)
        self._emit(container, "extract-to-dir")

    async def close(self) -> None:
        """Let running transfers end, refuse new ones."""
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)

    async def _open(self, container: Target, locked: bool = False) -> int:
        record = container.record
        if record.state.pid or locked:
            return await self._call(lambda: self._views.open(record))
        async with container.lock:
            return await self._call(lambda: self._views.open(container.record))

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _consume(self, chunks: AsyncIterator[bytes], work: Callable[[Feed], None]) -> None:
        """Run *work* in a thread on what *chunks* brings; ends only when the thread has ended."""
        feed = Feed(asyncio.get_running_loop())

        def run() -> None:
            try:
                work(feed)
            finally:
                feed.close()

        worker = heeded(asyncio.get_running_loop().run_in_executor(self._pool, run))
        pump = heeded(asyncio.ensure_future(feed.pump(chunks)))
        try:
            await asyncio.shield(worker)
            await pump  # what follows the archive's end is read, so that the connection can go on
        finally:
            feed.end(asyncio.CancelledError())
            pump.cancel()
            await asyncio.wait([pump, worker])


def _checked(name: str) -> str:
    """The client's path as an absolute one. What it says at its end is kept: a slash or ``/.`` follows a last link."""
    if not name:
        raise errors.InvalidArgument("path cannot be empty")
    if "\0" in name:
        raise errors.InvalidArgument("path cannot contain a NUL byte")
    clean = posixpath.normpath("/" + name.lstrip("/"))
    if name.endswith("/.") or name == ".":
        return clean.rstrip("/") + "/."
    return clean + "/" if name.endswith("/") and clean != "/" else clean


def _stat(root: int, name: str, reference: str) -> PathStat:
    follow = name.endswith(("/", "/."))
    try:
        status = path.stat(root, name) if follow else path.lstat(root, name)
        target = path.resolve(root, name) if stat.S_ISLNK(status.st_mode) else ""
    except OSError as error:
        raise _translated(error, name, reference) from error
    mode = stat.S_IMODE(status.st_mode)
    return PathStat(
        name=_base(name),
        size=status.st_size,
        mode=mode & 0o777 | _GO_TYPES[stat.S_IFMT(status.st_mode)] | _go_bits(mode),
        mtime=status.st_mtime_ns,
        link_target=target,
    )


def _go_bits(mode: int) -> int:
    return sum(go for bit, go in _GO_BITS if mode & bit)


def _base(name: str) -> str:
    """Go's filepath.Base: "/etc/" is "etc", "/etc/." is ".", "/" is "/"."""
    return name.rstrip("/").rpartition("/")[2] or "/"


def _translated(error: OSError, name: str, reference: str) -> errors.CortenError:
    if isinstance(error, FileNotFoundError):
        return errors.NotFound(f"Could not find the file {name} in container {reference}")
    return errors.InvalidArgument(f"{name}: {os.strerror(error.errno or 0).lower()}")


def _source(root: int, name: str, found: PathStat) -> tuple[int, bytes]:
    """What is archived, opened once and for all, and the name of its first member."""
    follow = name.endswith(("/", "/."))
    try:
        fd = path.open_in_root(root, name, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        raise _translated(error, name, found.name) from error
    return fd, os.fsencode("" if found.name == "/" else found.name)


def _tar(source: int, label: bytes) -> Iterator[bytes]:
    yield from TreeTar().entry(source, label)
    yield tarwrite.TRAILER


def _directory(root: int, name: str, reference: str, record: Record) -> str:
    """The link-free name of the directory to unpack into, checked for what Docker refuses."""
    try:
        if not stat.S_ISDIR(path.stat(root, name).st_mode):
            raise errors.InvalidArgument("extraction point is not a directory")
        directory = path.resolve(root, name)
    except NotADirectoryError as error:
        raise errors.InvalidArgument("extraction point is not a directory") from error
    except OSError as error:
        raise _translated(error, name, reference) from error
    covering = [point for point in record.mounts if f"{directory}/".startswith(f"{point.destination.rstrip('/')}/")]
    if covering:
        if not max(covering, key=lambda point: len(point.destination)).rw:
            raise errors.InvalidArgument("mounted volume is marked read-only")
    elif record.host_config.readonly_rootfs and not (record.state.pid and _in_tmpfs(directory, record)):
        raise errors.InvalidArgument("container rootfs is marked read-only")
    return directory


def _in_tmpfs(directory: str, record: Record) -> bool:
    return any(f"{directory}/".startswith(f"{target.rstrip('/')}/") for target in record.host_config.tmpfs or {})


def _owner(root: int, record: Record) -> tuple[int, int] | None:
    if not record.config.user:
        return None
    found = user.resolve(root, record.config.user)
    return found.uid, found.gid
