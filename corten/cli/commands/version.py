"""``corten version``."""

from __future__ import annotations

import os
import platform
import time

from corten import __version__
from corten.cli.command import Command
from corten.cli.escape import visible
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag
from corten.client.client import API_VERSION
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def _run(app: App, options: Options) -> int:
    error: CortenError | None = None
    server: dict[str, Any] | None = None
    try:
        server = app.client.get("/version")
    except CortenError as problem:
        error = problem
    document = {"Client": _client(app.client.version), "Server": server}
    if options.text("format"):
        _templated(app, options.text("format"), document)
    else:
        app.write(_text(document["Client"] or {}, server))
    if error is not None:
        app.warn(explain(error))
        return 1
    return 0


def _client(version: str) -> dict[str, Any]:
    machine = os.uname().machine
    return {
        "Version": __version__,
        "ApiVersion": version,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": platform.python_version(),
        "Os": "linux",
        "Arch": _ARCHITECTURES.get(machine, machine),
        "Context": "default",
    }


def _templated(app: App, template: str, document: dict[str, Any]) -> None:
    from corten.cli.template import Template, TemplateError

    try:
        app.print(Template("{{json .}}" if template == "json" else template).execute(document))
    except TemplateError as error:
        raise Failure(str(error)) from None


def _text(client: dict[str, Any], server: dict[str, Any] | None) -> str:
    api = client["ApiVersion"]
    if api != client["DefaultAPIVersion"]:
        api = f"{api} (downgraded from {client['DefaultAPIVersion']})"
    lines = ["Client:", f" Version:           {client['Version']}", f" API version:       {api}"]
    lines += [f" Python version:    {client['PythonVersion']}", f" OS/Arch:           linux/{client['Arch']}"]
    lines.append(" Context:           default")
    if server is not None:
        lines += ["", f"Server: {visible((server.get('Platform') or {}).get('Name', ''))}".rstrip()]
        for component in server.get("Components") or []:
            lines += _component(component)
    return "\n".join(lines) + "\n"


def _component(component: dict[str, Any]) -> list[str]:
    details = component.get("Details") or {}
    lines = [f" {visible(component['Name'])}:", f"  {'Version:':<18}{visible(component.get('Version', ''))}"]
    if "ApiVersion" in details:
        minimum = details.get("MinAPIVersion", "")
        details = {**details, "API version": f"{details['ApiVersion']} (minimum version {minimum})"}
    if "Arch" in details and "Os" in details:
        details = {**details, "OS/Arch": f"{details['Os']}/{details['Arch']}"}
    names = ("API version", "GoVersion", "PythonVersion", "GitCommit", "BuildTime", "OS/Arch", "Experimental")
    titles = {"GoVersion": "Go version", "PythonVersion": "Python version", "BuildTime": "Built"}
    if component["Name"] == "Engine":
        titles["GitCommit"] = "Git commit"
    shown = {"ApiVersion", "MinAPIVersion", "Arch", "Os", "KernelVersion"}
    others = sorted(set(details) - shown - set(names)) if component["Name"] != "Engine" else []
    for name in (*names, *others):
        if name in details:
            title = titles.get(name, name) + ":"
            details = {**details, "BuildTime": _built(str(details.get("BuildTime", "")))}
            lines.append(f"  {title:<18}{visible(str(details[name]))}".rstrip())
    return lines


def _built(text: str) -> str:
    """A build time as C's asctime writes it, or as it is when it is no RFC 3339 time."""
    from corten.cli import moment

    try:
        return time.asctime(time.gmtime(moment.parse(text) // 10**9))
    except ValueError:
        return text


COMMAND = Command(
    _run, "[OPTIONS]", (Flag("format", "string", "How to print: 'json' or a Go template", short="f"),), maximum=0
)
