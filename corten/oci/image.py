"""The image config document (image-spec config.md, with the keys that Docker adds to it)."""

from typing import Any

import msgspec

from corten.oci.base import decode


class Healthcheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """Probe settings; durations in nanoseconds."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """Defaults for containers made from the image. ``msgspec.to_builtins`` gives the API's keys as well."""

    user: str = ""
    exposed_ports: dict[str, Any] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    volumes: dict[str, Any] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: list[str] | None = None
    shell: list[str] | None = None


class RootFS(msgspec.Struct, frozen=True, kw_only=True):
    """Digests of the uncompressed layers, bottom first."""

    type: str = "layers"
    diff_ids: list[str] | None = None


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step that made the image; ``empty_layer`` steps have no layer."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The config of one image of one platform. ``created`` is RFC 3339 or None."""

    created: str | None = None
    author: str = ""
    architecture: str = ""
    variant: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    config: RunConfig | None = None
    rootfs: RootFS = RootFS()
    history: list[History] | None = None
    comment: str = ""

    @property
    def run(self) -> RunConfig:
        """``config``, never None."""
        return self.config or RunConfig()

    @property
    def diff_ids(self) -> list[str]:
        """The layers' diffIDs, bottom first, never None."""
        return self.rootfs.diff_ids or []


def decode_config(data: bytes) -> ImageConfig:
    """A config from an image's bytes. Null where a text or number belongs counts as absent, as in Go."""
    try:
        return msgspec.json.decode(data, type=ImageConfig)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        plain = decode(data, dict[str, Any], "image config")
    return decode(msgspec.json.encode(_without_nulls(plain)), ImageConfig, "image config")


def encode_config(config: ImageConfig) -> bytes:
    """The document as it is stored."""
    return msgspec.json.encode(config)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
