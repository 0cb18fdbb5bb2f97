"""Progress bars; the only module that loads rich, and only when a terminal shows them."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from corten.cli import progress
from corten.cli.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


def draw(records: Iterable[dict[str, Any]], to_stderr: bool) -> None:
    """One bar per layer, plain lines above them."""
    console = Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)
    columns = (TextColumn("{task.fields[name]}:", markup=False), TextColumn("{task.description}", markup=False))
    with Progress(*columns, BarColumn(bar_width=30), DownloadColumn(), console=console) as bars:
        tasks: dict[str, TaskID] = {}
        for record in records:
            name = str(record.get("id") or "")
            detail = record.get("progressDetail") or {}
            if not name or ("status" not in record):
                line = progress.line_of(record)
                if line is not None:
                    console.print(line, soft_wrap=True)
                continue
            text = visible(str(record["status"]))
            if name not in tasks:
                tasks[name] = bars.add_task(text, total=None, name=visible(name))
            bars.update(
                tasks[name], description=text, total=detail.get("total") or None, completed=detail.get("current")
            )


def counted(parts: Iterable[bytes], label: str, done: int, total: int | None) -> Iterator[bytes]:
    """Pass ``parts`` on under a bar that goes away at the end; ``done`` bytes have gone by before."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console, transient=True) as bars:
        task = bars.add_task(label, total=total, completed=done)
        for part in parts:
            yield part
            bars.advance(task, len(part))
