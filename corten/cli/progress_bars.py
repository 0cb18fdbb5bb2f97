"""Progress bars; the only module that loads rich, and only when a terminal shows them."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, Task, TaskID, TextColumn, TransferSpeedColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from corten.cli import progress
from corten.cli.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


class _Bar(BarColumn):
    """A bar where there is something to measure now."""

    def render(self, task: Task) -> ProgressBar | Text:  # type: ignore[override]
        return super().render(task) if task.fields["measured"] else Text()


class _Bytes(DownloadColumn):
    """The bytes where there is something to measure now."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields["measured"] else Text()


def draw(records: Iterable[dict[str, Any]], to_stderr: bool) -> None:
    """One line per layer, with a bar while it moves. A plain line ends the block of layers above it."""
    console = Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)
    block: _Block | None = None
    try:
        for record in records:
            if record.get("id") and "status" in record and "progressDetail" in record:
                block = block or _Block(console)
                block.show(record)
                continue
            line = progress.line_of(record)
            if line is not None:
                if block is not None:
                    block.bars.stop()
                    block = None
                console.print(line, soft_wrap=True)
    finally:
        if block is not None:
            block.bars.stop()


class _Block:
    """Layers that move at the same time."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.fields[name]}:", markup=False), TextColumn("{task.description}", markup=False))
        self.bars = Progress(*columns, _Bar(bar_width=30), _Bytes(), console=console)
        self.bars.start()
        self._tasks: dict[str, TaskID] = {}

    def show(self, record: dict[str, Any]) -> None:
        name, text = str(record["id"]), visible(str(record["status"]))
        if name not in self._tasks:
            self._tasks[name] = self.bars.add_task(text, total=None, name=visible(name), measured=False)
        detail = record["progressDetail"] or {}
        total = detail.get("total") or None
        self.bars.update(
            self._tasks[name],
            description=text,
            total=total,
            completed=detail.get("current"),
            measured=total is not None,
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
