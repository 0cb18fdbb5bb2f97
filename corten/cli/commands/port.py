"""``corten port``."""

from __future__ import annotations

from corten.cli.attach import container_path
from corten.cli.command import Command
from corten.cli.failure import Failure
from corten.cli.listing import sort_key
from corten.cli.ports import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options


def _run(app: App, options: Options) -> None:
    container = app.client.get(f"{container_path(options.args[0])}/json")
    ports: dict[str, list[dict[str, str]] | None] = container["NetworkSettings"].get("Ports") or {}
    if len(options.args) > 1:
        port, _, protocol = options.args[1].partition("/")
        if not port.isdigit() or int(port) > 65535:
            raise Failure(f'invalid port "{port}": invalid syntax')
        wanted = f"{port}/{protocol or 'tcp'}"
        bindings = ports.get(wanted)
        if not bindings:
            raise Failure(f"Error: No public port '{options.args[1]}' published for {options.args[0]}")
        for binding in bindings:
            app.print(join(binding.get("HostIp", ""), binding["HostPort"]))
        return
    lines = [
        f"{port} -> {join(binding.get('HostIp', ''), binding['HostPort'])}"
        for port, bindings in ports.items()
        for binding in bindings or []
    ]
    for line in sorted(lines, key=sort_key):
        app.print(line)


COMMAND = Command(_run, "CONTAINER [PRIVATE_PORT[/PROTO]]", minimum=1, maximum=2)
