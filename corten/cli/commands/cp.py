"""``corten cp``."""

from __future__ import annotations

import base64
import json
import os
import posixpath

from corten.cli import input_file, progress
from corten.cli.attach import container_path
from corten.cli.command import Command
from corten.cli.copy import paths
from corten.cli.copy.paths import Stat
from corten.cli.failure import Failure
from corten.cli.flags import Flag
from corten.cli.pump import write
from corten.client.error import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from corten.cli.app import App
    from corten.cli.flags import Options
    from corten.client.response import Response

FLAGS = (
    Flag("archive", help="Keep owner and group", short="a"),
    Flag("follow-link", help="Copy what a link at the source points to", short="L"),
    Flag("quiet", help="Do not say what was copied", short="q"),
)

_ABOUT = """With '-' as the source, a tar archive is read from standard input and unpacked in the container;
with '-' as the destination, a tar archive is written to standard output."""


def _run(app: App, options: Options) -> None:
    source, target = options.args
    if not source:
        raise Failure("source can not be empty")
    if not target:
        raise Failure("destination can not be empty")
    source_container, source_path = paths.split(source)
    target_container, target_path = paths.split(target)
    if source_container and target_container:
        raise Failure("copying between containers is not supported")
    if source_container:
        size = _from_container(app, options, source_container, source_path, target_path)
    elif target_container:
        size = _to_container(app, options, source_path, target_container, target_path)
    else:
        raise Failure("must specify at least one container source")
    if size is not None and not options.on("quiet") and os.isatty(1):
        from corten.cli import units

        app.warn(f"Successfully copied {units.decimal_size(size, 3)} to {target}")


def _archive(container: str) -> str:
    return f"{container_path(container)}/archive"


def _stat(response: Response) -> Stat:
    header = response.headers.get("x-docker-container-path-stat", "")
    try:
        return Stat(json.loads(base64.b64decode(header)))
    except ValueError:
        raise Failure("the daemon sent no valid X-Docker-Container-Path-Stat header") from None


def _stat_in(app: App, container: str, path: str) -> Stat | None:
    """What is at a path in the container; None when nothing is there."""
    try:
        return _stat(app.client.call("HEAD", _archive(container), {"path": path}))
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def _from_container(app: App, options: Options, container: str, source: str, target: str) -> int | None:
    source = paths.in_container(source)
    name = paths.base(source)
    if target != "-":
        _check_folder(target)
    if options.on("follow-link"):
        found = _stat_in(app, container, source)
        if found is not None and found.is_link:
            source = paths.resolve_link(source, found.link)
    response = app.client.call("GET", _archive(container), {"path": source})
    if target == "-":
        if os.isatty(1):
            raise Failure("cowardly refusing to copy to a terminal; redirect the output")
        for data in response:
            write(1, data)
        return None
    folder, new_name = _place(target, name, _stat(response).is_directory)
    if new_name is None and name not in (".", "/", paths.base(source)):
        new_name = name  # the link's own name, not that of what it points to
    from corten.cli.copy.unpack import unpack

    parts = iter(response if options.on("quiet") else progress.counted(response, "Copying"))
    return unpack(lambda: next(parts, b""), folder, new_name, paths.is_content(source) or source == "/")


def _check_folder(target: str) -> None:
    folder = os.path.dirname(os.path.abspath(target.rstrip("/") or "/"))
    if not os.path.isdir(folder):
        raise Failure(f'invalid output path: directory "{folder}" does not exist')


def _place(target: str, name: str, source_is_folder: bool) -> tuple[str, str | None]:
    """(folder, name): where the source's root goes; no name when it keeps its own inside an existing directory."""
    wants_folder = target.endswith(("/", "/.")) or target == "."
    real = os.path.realpath(target)
    if os.path.isdir(real):
        return real, None
    if os.path.lexists(real):
        if source_is_folder:
            raise Failure("cannot copy directory")
        if wants_folder:
            raise Failure("not a directory")
    elif wants_folder and not source_is_folder:
        raise Failure("no such directory")
    return os.path.dirname(real), os.path.basename(real)


def _to_container(app: App, options: Options, source: str, container: str, target: str) -> int | None:
    target = paths.in_container(target)
    found = _stat_in(app, container, target)
    if found is not None and found.is_link:
        resolved = paths.resolve_link(target, found.link)
        behind = _stat_in(app, container, resolved)
        if behind is not None:
            target, found = resolved, behind
    values = {"noOverwriteDirNonDir": "true", "copyUIDGID": "true" if options.on("archive") else None}
    if source == "-":
        if found is None or not found.is_directory:
            raise Failure(f'destination "{container}:{options.args[1].partition(":")[2]}" must be a directory')
        _put(app, container, target, values, input_file.blocks(0))
        return None
    folder, name = _place_in(source, target, found, options.on("follow-link"))
    from corten.cli.copy.pack import pack

    archive = pack(source, name, options.on("follow-link") or source.endswith(("/", "/.")))
    counted = _Counted(archive if options.on("quiet") else progress.counted(archive, "Copying"))
    _put(app, container, folder, values, counted)
    return counted.size


def _place_in(source: str, target: str, found: Stat | None, follow: bool) -> tuple[str, str]:
    """(directory in the container, name of the archive's root entry)."""
    if not os.path.lexists(source):
        raise Failure(f"lstat {os.path.abspath(source)}: no such file or directory")
    is_folder = os.path.isdir(source) and (follow or source.endswith("/") or not os.path.islink(source))
    if (source.endswith(("/", "/."))) and not is_folder:
        raise Failure(f"stat {source}: not a directory")
    own = paths.base(source) if paths.is_content(source) else os.path.basename(os.path.abspath(source)) or "."
    wants_folder = target.endswith(("/", "/."))
    clean = posixpath.normpath(target)
    if found is not None and found.is_directory:
        return clean, own
    if found is not None and is_folder:
        raise Failure("cannot copy directory")
    if wants_folder and not is_folder:
        raise Failure("no such directory" if found is None else "not a directory")
    return posixpath.dirname(clean), posixpath.basename(clean)


class _Counted:
    """A stream that knows how much of it has passed."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self.size += len(part)
            yield part


def _put(app: App, container: str, path: str, values: dict[str, str | None], body: Iterable[bytes]) -> None:
    app.client.upload("PUT", _archive(container), {"path": path, **values}, body).read()


COMMAND = Command(
    _run,
    ("[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-", "[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH"),
    FLAGS,
    minimum=2,
    maximum=2,
    about=_ABOUT,
)
