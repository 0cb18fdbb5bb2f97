"""``corten info``."""

from __future__ import annotations

from corten import __version__
from corten.cli import units
from corten.cli.command import Command
from corten.cli.escape import visible
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options


def _run(app: App, options: Options) -> int:
    client = {"Version": __version__, "Context": "default", "Debug": False, "Plugins": [], "Warnings": None}
    info: dict[str, Any] = {}
    problem: CortenError | None = None
    try:
        info = app.client.get("/info")
    except CortenError as error:
        problem = error
    if options.text("format"):
        _templated(app, options.text("format"), {**info, "ClientInfo": client})
    else:
        app.write(_text(info, problem))
    if problem is not None:
        if options.text("format"):
            app.warn(_explained(problem))
        else:
            app.warn("errors pretty printing info")
        return 1
    for warning in () if options.text("format") else info.get("Warnings") or []:
        app.warn(visible(warning))
    return 0


def _explained(problem: CortenError) -> str:
    return explain(problem)


def _templated(app: App, template: str, document: dict[str, Any]) -> None:
    from corten.cli.template import Template, TemplateError

    try:
        app.print(Template("{{json .}}" if template == "json" else template).execute(document))
    except TemplateError as error:
        raise Failure(str(error)) from None


def _text(info: dict[str, Any], problem: CortenError | None) -> str:
    lines = ["Client:", f" Version:    {__version__}", " Context:    default", " Debug Mode: false", "", "Server:"]
    if problem is not None:
        return "\n".join(lines) + f"\nERROR: {_explained(problem)}\n"
    lines += _Page(info).lines()
    return "\n".join(lines) + "\n\n"


class _Page:
    """The lines about the daemon; a fact that the daemon does not tell is left out."""

    def __init__(self, info: dict[str, Any]) -> None:
        self._info = info
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        self._counts()
        self._storage()
        self._drivers()
        self._parts()
        self._host()
        self._registries()
        return self._lines

    def _add(self, title: str, value: object, indent: int = 1) -> None:
        if value is None or value == "":
            return
        text = str(value).lower() if isinstance(value, bool) else visible(str(value))
        self._lines.append(f"{' ' * indent}{title}: {text}")

    def _add_list(self, title: str, values: list[str] | None) -> None:
        if values:
            self._lines.append(f" {title}:")
            self._lines.extend(f"  {visible(value)}" for value in values)

    def _facts(self, names: dict[str, str]) -> None:
        for title, name in names.items():
            self._add(title, self._info.get(name))

    def _counts(self) -> None:
        self._facts({"Containers": "Containers"})
        for title in ("Running", "Paused", "Stopped"):
            self._add(title, self._info.get(f"Containers{title}"), 2)
        self._facts({"Images": "Images", "Server Version": "ServerVersion", "Storage Driver": "Driver"})

    def _storage(self) -> None:
        for name, value in self._info.get("DriverStatus") or []:
            self._add(name, value, 2)
        for name, value in self._info.get("SystemStatus") or []:
            self._add(name, value, 1)
        self._facts({"Logging Driver": "LoggingDriver", "Cgroup Driver": "CgroupDriver"})
        self._facts({"Cgroup Version": "CgroupVersion"})

    def _drivers(self) -> None:
        plugins = self._info.get("Plugins") or {}
        if plugins:
            self._lines.append(" Plugins:")
            for name in ("Volume", "Network", "Authorization", "Log"):
                self._add(name, " ".join(plugins.get(name) or []), 2)
        devices = [f"{item.get('Source')}: {item.get('ID')}" for item in self._info.get("DiscoveredDevices") or []]
        self._add_list("CDI spec directories", self._info.get("CDISpecDirs"))
        self._add_list("Discovered Devices", devices)

    def _parts(self) -> None:
        swarm = (self._info.get("Swarm") or {}).get("LocalNodeState")
        self._add("Swarm", swarm)
        self._add("Runtimes", " ".join(sorted(self._info.get("Runtimes") or {})))
        self._facts({"Default Runtime": "DefaultRuntime", "Init Binary": "InitBinary"})
        for title, name in (("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")):
            commit = self._info.get(name)
            if commit is not None:
                self._lines.append(f" {title} version: {visible(commit.get('ID') or '')}")
        self._security()

    def _security(self) -> None:
        options = self._info.get("SecurityOptions") or []
        if not options:
            return
        self._lines.append(" Security Options:")
        for option in options:
            fields = dict(part.partition("=")[::2] for part in option.split(","))
            self._lines.append(f"  {visible(fields.pop('name', option))}")
            self._lines.extend(f"   {visible(key.capitalize())}: {visible(text)}" for key, text in fields.items())

    def _host(self) -> None:
        self._facts(
            {
                "Kernel Version": "KernelVersion",
                "Operating System": "OperatingSystem",
                "OSType": "OSType",
                "Architecture": "Architecture",
                "CPUs": "NCPU",
            }
        )
        self._add("Total Memory", units.binary_size(self._info.get("MemTotal") or 0))
        self._facts({"Name": "Name", "ID": "ID", "Docker Root Dir": "DockerRootDir", "Debug Mode": "Debug"})
        if self._info.get("Debug"):
            for title, name in (("File Descriptors", "NFd"), ("Goroutines", "NGoroutines")):
                self._add(title, self._info.get(name), 2)
            self._add("System Time", self._info.get("SystemTime"), 2)
            self._add("EventsListeners", self._info.get("NEventsListener"), 2)
        self._facts({"HTTP Proxy": "HttpProxy", "HTTPS Proxy": "HttpsProxy", "No Proxy": "NoProxy"})
        self._add_list("Labels", self._info.get("Labels"))
        self._add("Experimental", bool(self._info.get("ExperimentalBuild")))

    def _registries(self) -> None:
        registry = self._info.get("RegistryConfig") or {}
        indexes = registry.get("IndexConfigs") or {}
        insecure = [name for name, index in sorted(indexes.items()) if not index.get("Secure")]
        insecure += registry.get("InsecureRegistryCIDRs") or []
        self._add_list("Insecure Registries", insecure)
        self._add_list("Registry Mirrors", registry.get("Mirrors"))
        self._add("Live Restore Enabled", bool(self._info.get("LiveRestoreEnabled")))
        self._add("Product License", self._info.get("ProductLicense"))
        pools = self._info.get("DefaultAddressPools") or []
        self._add_list("Default Address Pools", [f"Base: {pool['Base']}, Size: {pool['Size']}" for pool in pools])
        self._facts(
            {"Firewall Backend": "FirewallBackend"} if isinstance(self._info.get("FirewallBackend"), str) else {}
        )
        backend = self._info.get("FirewallBackend")
        if isinstance(backend, dict):
            self._add("Firewall Backend", backend.get("Driver"))


COMMAND = Command(
    _run, "[OPTIONS]", (Flag("format", "string", "How to print: 'json' or a Go template", short="f"),), maximum=0
)
