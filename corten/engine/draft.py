"""From a create request to the record of a container: image, defaults, checks, references to other containers.

Nothing is made here: a draft that is refused leaves no trace. Memory only, the loop's thread.
"""

import secrets
import time
from typing import NamedTuple

from msgspec.structs import replace

from corten import errors
from corten.engine import merge, names
from corten.engine.images import Images
from corten.engine.launcher import Launcher
from corten.engine.settings import Settings
from corten.engine.shelf import Shelf
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig
from corten.model.record import Record
from corten.network.validate import check_endpoints
from corten.oci.platform import Platform
from corten.runtime import apparmor, security
from corten.runtime.defaults import fill
from corten.runtime.logdrivers.registry import validate as check_log_options
from corten.runtime.validate import check_create


class Draft(NamedTuple):
    """A container that could be made: its record without mounts, what it stands on, what the host cannot honour."""

    record: Record
    chain_id: str
    image_volumes: list[str]
    warnings: list[str]


class Drafts:
    """Makes drafts out of requests."""

    def __init__(self, shelf: Shelf, images: Images, launcher: Launcher, settings: Settings) -> None:
        self._shelf = shelf
        self._images = images
        self._launcher = launcher
        self._settings = settings

    def make(
        self,
        name: str | None,
        config: ContainerConfig,
        host: HostConfig,
        endpoints: dict[str, EndpointSettings],
        platform: Platform | None,
    ) -> Draft:
        """NotFound for the image, InvalidArgument in Docker's words for what cannot be."""
        image = self._images.resolve(config.image, platform)
        sent, config = config, merge.merge(config, image.config)
        host, driver, options = self._with_defaults(host)
        warnings = check_create(config, host, self._launcher.host, sent=sent)
        name = names.check(name) if name else names.generate(self._shelf.has_name)
        container_id = secrets.token_hex(32)
        host = self._resolve_references(host)
        if not config.hostname and host.uts_mode != "host":
            config = replace(config, hostname=self._hostname(host, container_id))
        path, args = merge.command(config)
        wanted = self._wanted_endpoints(host, endpoints)
        record = Record(
            id=container_id,
            name=name,
            created=time.time_ns(),
            image=image.id,
            manifest_digest=image.manifest.digest,
            manifest_media_type=image.manifest.media_type,
            manifest_size=image.manifest.size,
            platform_os=image.config.os or "linux",
            platform_architecture=image.config.architecture,
            platform_variant=image.config.variant,
            path=path,
            args=args,
            config=config,
            host_config=host,
            endpoints=wanted,
            wanted_endpoints=wanted,
            runtime=host.runtime,
            log_driver=driver,
            log_options=options,
            apparmor_profile=self._apparmor_profile(host),
        )
        image_volumes = list((image.config.config.volumes if image.config.config else None) or {})
        return Draft(record, image.chain_id, image_volumes, warnings)

    def _with_defaults(self, host: HostConfig) -> tuple[HostConfig, str, dict[str, str]]:
        settings, launcher = self._settings, self._launcher
        driver = host.log_config.type or settings.log_driver
        options = dict(host.log_config.config or {})
        if driver == settings.log_driver:
            options = {**settings.log_options, **options}
        check_log_options(driver, options)
        host = replace(
            host,
            shm_size=host.shm_size or settings.default_shm_size,
            cgroup_parent=host.cgroup_parent or settings.cgroup_parent,
            security_opt=_security_options(host.security_opt, settings.no_new_privileges),
            log_config=replace(host.log_config, type=driver, config=options),
        )
        runtime = launcher.runtimes(host.runtime)  # unknown names are refused now and not at the start
        host = fill(
            host, launcher.host, ipc_mode=settings.default_ipc_mode, cgroupns=settings.default_cgroupns_mode,
            runtime=runtime.name,
        )  # fmt: skip
        return host, driver, options

    def _resolve_references(self, host: HostConfig) -> HostConfig:
        """container:NAME becomes container:ID, so that a later rename does not matter."""
        changes: dict[str, str] = {}
        for field in ("network_mode", "ipc_mode", "pid_mode"):
            value: str = getattr(host, field)
            if value.startswith("container:"):
                try:
                    changes[field] = "container:" + self._shelf.get(value.removeprefix("container:")).id
                except errors.NotFound as error:  # not as 404: clients take that for a missing image and pull it
                    raise errors.InvalidArgument(str(error)) from error
        return replace(host, **changes) if changes else host

    def _apparmor_profile(self, host: HostConfig) -> str:
        """What ``inspect`` shows; "" where the kernel has no AppArmor."""
        if not self._launcher.host.apparmor:
            return ""
        return apparmor.for_process(security.parse(host.security_opt).apparmor, host.privileged)

    def _hostname(self, host: HostConfig, container_id: str) -> str:
        """Of a container that names none: what it shares the network with is called, else its short id."""
        if host.network_mode.startswith("container:"):
            return self._shelf.get(host.network_mode.removeprefix("container:")).config.hostname
        return self._launcher.host.hostname if host.network_mode == "host" else container_id[:12]

    @staticmethod
    def _wanted_endpoints(host: HostConfig, sent: dict[str, EndpointSettings]) -> dict[str, EndpointSettings]:
        if host.network_mode.startswith("container:"):
            return {}
        wanted = {("bridge" if name == "default" else name): settings for name, settings in sent.items()}
        if host.network_mode not in wanted:
            wanted[host.network_mode] = EndpointSettings()
        check_endpoints(wanted)
        return wanted


def _security_options(given: list[str] | None, no_new_privileges: bool) -> list[str] | None:
    """The client's options, with the daemon's default where they say nothing about new privileges."""
    if not no_new_privileges or any(option.startswith("no-new-privileges") for option in given or ()):
        return given
    return [*(given or ()), "no-new-privileges=true"]
