"""``corten images --tree``: images with their platforms."""

from __future__ import annotations

from corten.cli import table, units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App


def show(app: App, images: list[dict[str, Any]]) -> None:
    """Print the images, and below each the manifests that it is made of."""
    rows = [("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE")]
    for image in images:
        names = image.get("RepoTags") or ["<untagged>"]
        manifests = [entry for entry in image.get("Manifests") or [] if entry.get("Kind") == "image"]
        content = sum((entry.get("Size") or {}).get("Content", 0) for entry in manifests)
        size = units.decimal_size(image.get("Size") or 0, 3)
        identifier = units.short_id(image["Id"])
        rows.extend((name, identifier, size, units.decimal_size(content, 3)) for name in names)
        rows.extend(_platform(entry, entry is manifests[-1]) for entry in manifests)
    app.write(table.render(rows, app.terminal_width()))


def _platform(entry: dict[str, Any], last: bool) -> tuple[str, str, str, str]:
    data = entry.get("ImageData") or {}
    platform = data.get("Platform") or (entry.get("Descriptor") or {}).get("platform") or {}
    parts = (platform.get("os", ""), platform.get("architecture", ""), platform.get("variant", ""))
    sizes = entry.get("Size") or {}
    branch = "└─" if last else "├─"
    return (
        f"{branch} {'/'.join(part for part in parts if part)}",
        units.short_id(entry.get("ID", "")),
        units.decimal_size(sizes.get("Total", 0), 3),
        units.decimal_size(sizes.get("Content", 0), 3),
    )
