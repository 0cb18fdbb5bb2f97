"""What a container runs: the client's config merged with the image's (docker create's rules)."""

from typing import Any

from msgspec.structs import replace

from corten import errors
from corten.model.container import ContainerConfig, Healthcheck
from corten.oci.image import ImageConfig, RunConfig


def merge(config: ContainerConfig, image: ImageConfig) -> ContainerConfig:
    """The client's values win; lists and maps are joined where Docker joins them.

    An entrypoint of the client drops the image's command; [""] clears the entrypoint. "KEY" without "=" in the
    client's environment removes the image's KEY. InvalidArgument "no command specified" when nothing is left to run.
    """
    base = image.config or RunConfig()
    entrypoint, cmd = config.entrypoint, config.cmd
    if entrypoint is None:
        entrypoint = base.entrypoint
        if not cmd:
            cmd = base.cmd
    elif entrypoint == [""]:
        entrypoint = None
    if not entrypoint and not cmd:
        raise errors.InvalidArgument("no command specified")
    return replace(
        config,
        entrypoint=entrypoint,
        cmd=cmd,
        user=config.user or base.user,
        exposed_ports=_join(base.exposed_ports, config.exposed_ports),
        env=merge_env(base.env or [], config.env or []),
        volumes=_join(base.volumes, config.volumes),
        working_dir=config.working_dir or base.working_dir,
        labels={**(base.labels or {}), **(config.labels or {})},
        stop_signal=config.stop_signal or base.stop_signal,
        on_build=config.on_build or base.on_build,
        shell=config.shell or base.shell,
        healthcheck=_health(config.healthcheck, base),
    )


def merge_env(base: list[str], wanted: list[str]) -> list[str]:
    """Wanted variables first, then the image's that were neither given nor removed. Malformed ones are dropped."""
    names = {entry.split("=", 1)[0] for entry in wanted}
    kept = [entry for entry in base if "=" in entry[1:] and entry.split("=", 1)[0] not in names]
    return [entry for entry in wanted if "=" in entry] + kept


def command(config: ContainerConfig) -> tuple[str, list[str]]:
    """(program, arguments) of a merged config."""
    words = [*(config.entrypoint or []), *(config.cmd or [])]
    return words[0], words[1:]


def _join(base: dict[str, Any] | None, wanted: dict[str, Any] | None) -> dict[str, Any] | None:
    return {**base, **(wanted or {})} if base else wanted


def _health(wanted: Healthcheck | None, base: RunConfig) -> Healthcheck | None:
    inherited = base.healthcheck
    if inherited is None:
        return wanted
    if wanted is None:
        wanted = Healthcheck()
    if wanted.test and wanted.test[0] == "NONE":
        return wanted
    return Healthcheck(
        test=wanted.test or inherited.test,
        interval=wanted.interval or inherited.interval,
        timeout=wanted.timeout or inherited.timeout,
        start_period=wanted.start_period or inherited.start_period,
        start_interval=wanted.start_interval or inherited.start_interval,
        retries=wanted.retries or inherited.retries,
    )
