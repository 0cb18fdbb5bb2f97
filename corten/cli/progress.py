"""Progress that the daemon reports while it pulls, loads or imports."""

from __future__ import annotations

import os
import sys
import time

from corten.cli.escape import visible, visible_lines
from corten.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from corten.cli.app import App


def show(app: App, records: Iterable[dict[str, Any]], *, quiet: bool = False, to_stderr: bool = False) -> None:
    """Print progress records until they end: bars on a terminal, lines elsewhere. Failure for an error among them."""
    descriptor = 2 if to_stderr else 1
    if not quiet and os.isatty(descriptor):
        from corten.cli import progress_bars

        progress_bars.draw(_checked(records), to_stderr)
        return
    write = (lambda text: sys.stderr.write(text + "\n")) if to_stderr else app.print
    for record in _checked(records):
        if quiet:
            continue
        line = line_of(record)
        if line is not None:
            write(line)


def line_of(record: dict[str, Any]) -> str | None:
    """A record as a line; None for those that only move a bar."""
    if "stream" in record:
        return visible_lines(str(record["stream"]).rstrip("\n"))
    if "status" not in record or (record.get("progressDetail") or {}).get("total") or record.get("progress"):
        return None
    identifier = record.get("id")
    prefix = f"{visible(identifier)}: " if identifier else ""
    return prefix + visible(str(record["status"]))


def _checked(records: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for record in records:
        error = record.get("errorDetail") or ({"message": record["error"]} if "error" in record else None)
        if error:
            raise Failure(visible_lines(str(error.get("message"))), 1)
        yield record


_PATIENCE = 1.0
"""Seconds that a transfer may take before it is shown."""


def counted(parts: Iterable[bytes], label: str, total: int | None = None) -> Iterator[bytes]:
    """Pass ``parts`` on; when that takes long and standard error is a terminal, show how many bytes have gone by."""
    if not os.isatty(2):
        yield from parts
        return
    begin, size = time.monotonic(), 0
    source = iter(parts)
    for part in source:
        size += len(part)
        yield part
        if time.monotonic() - begin > _PATIENCE:
            break
    else:
        return
    from corten.cli import progress_bars

    yield from progress_bars.counted(source, label, size, total)
