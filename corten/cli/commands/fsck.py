"""``corten fsck``: is the store whole? Asks the daemon; where none answers, looks itself by way of ``cortend fsck``."""

from __future__ import annotations

import os
import sys

from corten.cli import table
from corten.cli.command import Command
from corten.cli.escape import visible
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag
from corten.client.error import ConnectFailed
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

_SWITCHES = ("repair", "quick", "deep")
_PLACES = ("data-root", "exec-root", "config-file")
FLAGS = (
    Flag("config-file", "string", "The daemon's configuration file; for a check without a daemon"),
    Flag("data-root", "string", "The daemon's data root; for a check without a daemon"),
    Flag("deep", help="Compare every unpacked layer with its archive, byte for byte"),
    Flag("discard", "list", "Keep no longer what is in quarantine (KIND:ID)"),
    Flag("exec-root", "string", "The daemon's exec root; for a check without a daemon"),
    Flag("format", "string", '"table" or "json"', shown="table"),
    Flag("quick", help="Do not hash the blobs"),
    Flag("repair", help="Repair what can be repaired, one object at a time"),
)
ABOUT = """Checks records, blobs, images, layers, containers and volumes, and what they say about each other. Nothing is
changed without --repair. Where no daemon answers on this machine, its data root is checked directly; --data-root,
--exec-root and --config-file ask for that. The exit code is 0 when all is well or repaired, 1 when problems are left, 2
when the check could not be done."""


def _run(app: App, options: Options) -> int:
    form = options.text("format") or "table"
    if form not in ("table", "json"):
        raise Failure(f'invalid format "{form}": table or json', 2)
    try:
        found, summary = _collect(_records(app, options))
    except (CortenError, OSError) as error:
        raise Failure(explain(error), 2) from error
    if form == "json":
        import json

        app.print(json.dumps({"Findings": found, "Summary": summary}, indent=2))
    else:
        app.write(_table(found))
        app.print(_sentence(summary, options.on("repair")))
    return 1 if summary.get("Problems") else 0


def _records(app: App, options: Options) -> Iterable[dict[str, Any]]:
    if not any(options.given(name) for name in _PLACES):
        query: dict[str, Any] = {name: True for name in _SWITCHES if options.on(name)}
        try:
            return app.client.call("POST", "/corten/fsck", {**query, "discard": options.texts("discard")}).records()
        except ConnectFailed:
            if not app.client.endpoint.path or os.geteuid() != 0:
                raise
            app.warn("No daemon answers; checking its data root.")
    return _offline(options)


def _offline(options: Options) -> Iterator[dict[str, Any]]:
    import json
    import subprocess

    words = [sys.executable, "-m", "corten.daemon.main", "fsck"]
    words += [f"--{name}" for name in _SWITCHES if options.on(name)]
    words += [f"--discard={text}" for text in options.texts("discard")]
    words += [f"--{name}={options.text(name)}" for name in _PLACES if options.given(name)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)


def _collect(records: Iterable[dict[str, Any]]) -> tuple[list[dict[str, str]], dict[str, int]]:
    found: list[dict[str, str]] = []
    summary: dict[str, int] | None = None
    for record in records:
        if "error" in record:
            raise Failure(visible(str(record["error"])), 2)
        if "Progress" in record:
            _show(record["Progress"])
        elif "Finding" in record:
            found.append(record["Finding"])
        else:
            summary = record["Summary"]
    _show(None)
    if summary is None:
        raise Failure("the check ended before its time", 2)
    return found, summary


def _show(progress: dict[str, Any] | None) -> None:
    """A line that moves, on a terminal alone; None takes it away."""
    if not sys.stderr.isatty():
        return
    text = ""
    if progress is not None and progress["Total"]:
        filled = 30 * progress["Done"] // progress["Total"]
        text = f"{visible(progress['What'])} [{'=' * filled:<30}] {100 * progress['Done'] // progress['Total']} %"
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()


def _table(found: list[dict[str, str]]) -> str:
    if not found:
        return ""
    rows = [["STATE", "KIND", "ID", "PROBLEM", "ACTION"]]
    rows += [[item["State"], item["Kind"], _short(item["ID"]), item["Problem"], item["Action"]] for item in found]
    return table.render(rows)


def _short(identifier: str) -> str:
    digits = identifier.removeprefix("sha256:")
    return identifier[: 12 + len(identifier) - len(digits)] if len(digits) == 64 else identifier


def _sentence(summary: dict[str, int], repaired: bool) -> str:
    problems, done = summary["Problems"], summary["Repaired"]
    parts = [f"{done} repaired"] if done else []
    if problems:
        parts.append(f"{problems} problem{'' if problems == 1 else 's'} left")
        return ", ".join(parts) + ("." if repaired else "; `corten fsck --repair` repairs what it can.")
    return ", ".join(parts) + "." if parts else "Everything is in order."


COMMAND = Command(_run, "[OPTIONS]", FLAGS, maximum=0, about=ABOUT)
