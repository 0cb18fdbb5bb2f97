"""One wanted mount: its text or fields checked, and turned into a ``MountPoint``. No volume is made here.

Error texts are Docker's, as scripts and the CLI's users know them.
"""

import os
import posixpath

import msgspec

from corten import errors
from corten.model.container import BindOptions, DriverConfig, MountPoint, MountSpec, VolumeOptions
from corten.volume import modes, tmpfs


def clean(path: str) -> str:
    """An absolute path without ``.``, ``..``, doubled and trailing slashes, by text alone."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


class _Wrong(Exception):
    """What is wrong with a mount, without the frame that ``check`` puts around it."""


def parse_bind(text: str, volume_driver: str) -> tuple[MountSpec, str]:
    """``-v`` syntax: ``[source:]destination[:mode]`` → the equal ``Mounts`` entry and the mode text."""
    parts = text.split(":")
    wrong = errors.InvalidArgument(f"invalid volume specification: '{text}'")
    if not parts[0] or len(parts) > 3 or (len(parts) == 2 and modes.valid(parts[1])):
        raise wrong
    mode = parts[2] if len(parts) == 3 else ""
    modes.check(mode)
    source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    is_bind = source.startswith("/")
    spec = MountSpec(
        type="bind" if is_bind else "volume",
        source=clean(source) if is_bind else source,
        target=target,
        read_only=not modes.writable(mode),
        bind_options=BindOptions(propagation=modes.propagation(mode)) if modes.propagation(mode) else None,
        volume_options=_volume_options(mode, "" if is_bind else volume_driver),
    )
    try:
        check(spec, source_must_exist=False)
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(f"{wrong}: {error}") from error
    return spec, mode


def _volume_options(mode: str, driver: str) -> VolumeOptions | None:
    if not driver and not modes.no_copy(mode):
        return None
    return VolumeOptions(no_copy=modes.no_copy(mode), driver_config=DriverConfig(name=driver) if driver else None)


def check(spec: MountSpec, source_must_exist: bool = True) -> None:
    """Refuse a mount that contradicts itself, and a bind whose source is missing when *source_must_exist*."""
    try:
        _check_target(spec.target)
        checker = _CHECKS.get(spec.type)
        if checker is None:
            raise _Wrong("mount type unknown")
        checker(spec, source_must_exist)
    except (_Wrong, errors.InvalidArgument) as error:
        raise errors.InvalidArgument(f'invalid mount config for type "{spec.type}": {error}') from error


def check_target(target: str) -> None:
    """Refuse a destination that is relative or the root (for ``Tmpfs`` keys and image volumes)."""
    try:
        _check_target(target)
    except _Wrong as error:
        raise errors.InvalidArgument(str(error)) from error


def _check_target(target: str) -> None:
    if not target:
        raise _Wrong("field Target must not be empty")
    _printable(target)
    if clean(target) == "/" and target.startswith("/"):
        raise _Wrong("invalid specification: destination can't be '/'")
    _absolute(target)


def _absolute(path: str) -> None:
    if not path.startswith("/"):
        raise _Wrong(f"invalid mount path: '{path}' mount path must be absolute")


def _printable(path: str) -> None:
    if "\0" in path or "\n" in path:
        raise _Wrong("a path must not contain NUL bytes or line ends")


def _without(spec: MountSpec, **fields: object) -> None:
    for name, value in fields.items():
        if value is not None and value != "":
            raise _Wrong(f"field {name} must not be specified")


def _check_bind(spec: MountSpec, source_must_exist: bool) -> None:
    if not spec.source:
        raise _Wrong("field Source must not be empty")
    options = spec.bind_options or BindOptions()
    if options.propagation and options.propagation not in modes.PROPAGATIONS:
        raise _Wrong(f"invalid propagation mode: {options.propagation}")
    _without(spec, VolumeOptions=spec.volume_options, ImageOptions=spec.image_options, TmpfsOptions=spec.tmpfs_options)
    _printable(spec.source)
    _absolute(spec.source)
    if options.read_only_non_recursive and options.read_only_force_recursive:
        raise _Wrong("mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive")
    if source_must_exist and not options.create_mountpoint and not os.path.exists(spec.source):
        raise _Wrong(f"bind source path does not exist: {spec.source}")


def _check_volume(spec: MountSpec, _: bool) -> None:
    _without(spec, BindOptions=spec.bind_options, ImageOptions=spec.image_options, TmpfsOptions=spec.tmpfs_options)
    subpath = spec.volume_options.subpath if spec.volume_options else ""
    if subpath:
        if not spec.source:
            raise _Wrong("must not set Subpath when using anonymous volumes")
        _check_subpath(subpath)
    if not spec.source and spec.read_only:
        raise _Wrong("must not set ReadOnly mode when using anonymous volumes")


def _check_tmpfs(spec: MountSpec, _: bool) -> None:
    _without(
        spec,
        BindOptions=spec.bind_options,
        VolumeOptions=spec.volume_options,
        ImageOptions=spec.image_options,
        Source=spec.source,
    )
    tmpfs.from_fields(spec.tmpfs_options, spec.read_only)


def _check_image(spec: MountSpec, _: bool) -> None:
    if not spec.source:
        raise _Wrong("field Source must not be empty")
    _without(spec, BindOptions=spec.bind_options, VolumeOptions=spec.volume_options, TmpfsOptions=spec.tmpfs_options)
    if spec.image_options and spec.image_options.subpath:
        _check_subpath(spec.image_options.subpath)


def _check_subpath(subpath: str) -> None:
    normal = posixpath.normpath(subpath)
    if subpath.startswith("/") or normal == ".." or normal.startswith("../"):
        raise _Wrong("subpath must be a relative path within the volume")
    _printable(subpath)


_CHECKS = {"bind": _check_bind, "volume": _check_volume, "tmpfs": _check_tmpfs, "image": _check_image}


def mount_point(spec: MountSpec, mode: str = "") -> MountPoint:
    """The mount point for a checked *spec*; a volume still lacks name, source and driver, an image its id."""
    point = MountPoint(type=spec.type, destination=clean(spec.target), mode=mode, rw=not spec.read_only, source="")
    change = msgspec.structs.replace
    if spec.type == "bind":
        options = spec.bind_options or BindOptions()
        return change(
            point,
            source=clean(spec.source),
            propagation=options.propagation or modes.DEFAULT_PROPAGATION,
            non_recursive=options.non_recursive,
            create_source=options.create_mountpoint,
            read_only_recursive=not options.read_only_non_recursive,
            read_only_force_recursive=options.read_only_force_recursive,
        )
    if spec.type == "volume":
        wanted = spec.volume_options or VolumeOptions()
        return change(point, anonymous=not spec.source, no_copy=wanted.no_copy, subpath=wanted.subpath)
    if spec.type == "tmpfs":
        return change(point, tmpfs_options=tmpfs.from_fields(spec.tmpfs_options, spec.read_only))
    return change(point, name=spec.source, rw=False, subpath=spec.image_options.subpath if spec.image_options else "")
