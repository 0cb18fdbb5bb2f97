"""The prune commands."""

from __future__ import annotations

import sys

from corten.cli import listing, units
from corten.cli.command import Command
from corten.cli.escape import visible
from corten.cli.failure import Failure
from corten.cli.flags import Flag
from corten.client.error import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

_ALL = Flag("all", help="Remove all unused images, not only those without a name", short="a")
_ALL_VOLUMES = Flag("all", help="Remove all unused volumes, not only anonymous ones", short="a")
_FILTER = Flag("filter", "filter", "Remove only what fits, as in label=NAME=VALUE")
_FORCE = Flag("force", help="Do not ask", short="f")


def _confirm(app: App, options: Options, warning: str) -> None:
    """Ask the user; Failure when the answer is no."""
    if options.on("force"):
        return
    app.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    app.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("", 0)


def _prune(app: App, path: str, filters: list[tuple[str, str]]) -> dict[str, Any]:
    answer: dict[str, Any] = app.client.post(path, {"filters": listing.filters(filters)})
    return answer or {}


def _print_deleted(app: App, title: str, lines: list[str]) -> None:
    if lines:
        app.write(f"Deleted {title}:\n" + "".join(f"{visible(line)}\n" for line in lines) + "\n")


def _total(app: App, size: int) -> None:
    app.print(f"Total reclaimed space: {units.decimal_size(size)}")


def _do_containers(app: App, filters: list[tuple[str, str]]) -> int:
    answer = _prune(app, "/containers/prune", filters)
    _print_deleted(app, "Containers", answer.get("ContainersDeleted") or [])
    return int(answer.get("SpaceReclaimed") or 0)


def _do_images(app: App, filters: list[tuple[str, str]], all_images: bool) -> int:
    answer = _prune(app, "/images/prune", [*filters, ("dangling", "false" if all_images else "true")])
    lines = [
        f"untagged: {item['Untagged']}" if item.get("Untagged") else f"deleted: {item.get('Deleted', '')}"
        for item in answer.get("ImagesDeleted") or []
    ]
    _print_deleted(app, "Images", lines)
    return int(answer.get("SpaceReclaimed") or 0)


def _do_volumes(app: App, filters: list[tuple[str, str]], all_volumes: bool) -> int:
    wanted = [*filters, *([("all", "true")] if all_volumes else [])]
    answer = _prune(app, "/volumes/prune", wanted)
    _print_deleted(app, "Volumes", answer.get("VolumesDeleted") or [])
    return int(answer.get("SpaceReclaimed") or 0)


def _do_networks(app: App, filters: list[tuple[str, str]]) -> None:
    answer = _prune(app, "/networks/prune", filters)
    _print_deleted(app, "Networks", answer.get("NetworksDeleted") or [])


def _containers(app: App, options: Options) -> None:
    _confirm(app, options, "WARNING! This will remove all stopped containers.")
    _total(app, _do_containers(app, options.value("filter")))


def _images(app: App, options: Options) -> None:
    what = "images without at least one container associated to them" if options.on("all") else "dangling images"
    _confirm(app, options, f"WARNING! This will remove all {what}.")
    _total(app, _do_images(app, options.value("filter"), options.on("all")))


def _volumes(app: App, options: Options) -> None:
    kind = "all" if options.on("all") else "anonymous"
    _confirm(app, options, f"WARNING! This will remove {kind} local volumes not used by at least one container.")
    _total(app, _do_volumes(app, options.value("filter"), options.on("all")))


def _networks(app: App, options: Options) -> None:
    _confirm(app, options, "WARNING! This will remove all custom networks not used by at least one container.")
    _do_networks(app, options.value("filter"))


def _system(app: App, options: Options) -> None:
    filters = options.value("filter")
    if options.on("volumes") and any(name == "until" for name, _ in filters):
        raise Failure('ERROR: The "until" filter is not supported with "--volumes"')
    _confirm(app, options, _system_warning(options))
    size = _do_containers(app, filters)
    _do_networks(app, filters)
    if options.on("volumes"):
        size += _do_volumes(app, filters, all_volumes=False)
    size += _do_images(app, filters, options.on("all"))
    size += _build_cache(app, filters, options.on("all"))
    _total(app, size)


def _system_warning(options: Options) -> str:
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if options.on("volumes"):
        lines.append("all anonymous volumes not used by at least one container")
    everything = options.on("all")
    lines.append(
        "all images without at least one container associated to them" if everything else "all dangling images"
    )
    lines.append("all build cache" if everything else "unused build cache")
    text = "WARNING! This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
    if options.value("filter"):
        text += "\n  Items to be pruned will be filtered with:\n"
        text += "".join(f"  - {name}={value}\n" for name, value in options.value("filter"))
    return text


def _build_cache(app: App, filters: list[tuple[str, str]], everything: bool) -> int:
    """Prune the build cache; a daemon that cannot build has none."""
    query = {"filters": listing.filters(filters), "all": True if everything else None}
    try:
        answer = app.client.post("/build/prune", query) or {}
    except ApiError as error:
        if error.status in (404, 501):
            return 0
        raise
    lines = answer.get("CachesDeleted") or []
    if lines:
        app.write("Deleted build cache objects:\n" + "".join(f"{visible(line)}\n" for line in lines) + "\n")
    return int(answer.get("SpaceReclaimed") or 0)


CONTAINERS = Command(_containers, "[OPTIONS]", (_FILTER, _FORCE), maximum=0)
IMAGES = Command(_images, "[OPTIONS]", (_ALL, _FILTER, _FORCE), maximum=0)
VOLUMES = Command(_volumes, "[OPTIONS]", (_ALL_VOLUMES, _FILTER, _FORCE), maximum=0)
NETWORKS = Command(_networks, "[OPTIONS]", (_FILTER, _FORCE), maximum=0)
SYSTEM = Command(
    _system, "[OPTIONS]", (_ALL, _FILTER, _FORCE, Flag("volumes", help="Remove anonymous volumes too")), maximum=0
)
