"""Platforms and their matching (image-spec, image-index.md; the normal forms follow the Go names of architectures)."""

import os
import re

import msgspec

from corten import errors
from corten.oci.base import OciValue

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", "v8"),
    "arm64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v8"),
}
_SYSTEMS = {"macos": "darwin", "": "linux"}
_KNOWN_SYSTEMS = frozenset(
    [
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "hurd",
        "illumos",
        "ios",
        "js",
        "linux",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "windows",
        "zos",
    ]
)
_KNOWN_ARCHITECTURES = frozenset(
    [
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mips64",
        "mips64le",
        "mipsle",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
        "wasm",
    ]
)
_COMPONENT = re.compile(r"[A-Za-z0-9_-]+")


class Platform(OciValue, frozen=True):
    """``architecture`` and ``variant`` by their Go names: amd64, arm64/v8, arm/v7, riscv64 ..."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] = msgspec.field(default_factory=list, name="os.features")
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """From "os", "arch", "os/arch" or "os/arch/variant". ``InvalidArgument`` for anything else."""
        parts = text.split("/")
        if len(parts) > 3:
            raise errors.InvalidArgument(f'"{text}": cannot parse platform specifier: invalid argument')
        if not all(_COMPONENT.fullmatch(part) for part in parts):
            raise errors.InvalidArgument(
                f'"{text}" is an invalid OS component of "{text}": '
                "OSAndVersion specifier component must match platform syntax os[/arch[/variant]]"
            )
        if len(parts) == 1:
            system = _SYSTEMS.get(parts[0].lower(), parts[0].lower())
            if system in _KNOWN_SYSTEMS:
                return cls(os=system, architecture=cls.host().architecture, variant=cls.host().variant)
            found = cls(os="linux", architecture=parts[0]).normal()
            if found.architecture not in _KNOWN_ARCHITECTURES:
                raise errors.InvalidArgument(f'"{text}": unknown operating system or architecture: invalid argument')
            return found
        return cls(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else "").normal()

    @classmethod
    def host(cls) -> "Platform":
        """The platform of this machine's kernel."""
        return _host()

    def normal(self) -> "Platform":
        """With the Go names, and without the variants that say nothing (arm64/v8, amd64/v1)."""
        system = self.os.lower()
        architecture = self.architecture.lower()
        variant = self.variant.lower()
        if architecture in _ARCHITECTURES:
            architecture, implied = _ARCHITECTURES[architecture]
            variant = variant or implied
        if variant and variant.isdigit():
            variant = "v" + variant
        if (architecture, variant) in {("arm64", "v8"), ("amd64", "v1")}:
            variant = ""
        if architecture == "arm" and not variant:
            variant = "v7"
        return msgspec.structs.replace(
            self, os=_SYSTEMS.get(system, system), architecture=architecture, variant=variant
        )

    def text(self) -> str:
        """ "os/arch[/variant]"."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def score(self, wanted: "Platform") -> int:
        """How well this platform serves *wanted*: 0 not at all, larger is better. Lower ARM variants run on higher."""
        have, want = self.normal(), wanted.normal()
        if have.os != want.os:
            return 0
        if have.architecture == want.architecture:
            if have.variant == want.variant:
                return 100
            if have.architecture in {"arm", "amd64", "arm64"} and _level(have) <= _level(want):
                return 50 + min(_level(have), 40)
            return 0
        if (want.architecture, have.architecture) in {("amd64", "386"), ("arm64", "arm")}:
            return 10 + min(_level(have), 10)
        return 0


def _level(platform: Platform) -> int:
    match = re.match(r"v([0-9]{1,4})", platform.variant)
    if match:
        return int(match[1])
    return {"arm64": 8, "amd64": 1, "arm": 7}.get(platform.architecture, 0)


_cached: list[Platform] = []


def _host() -> Platform:
    if not _cached:
        machine = os.uname().machine
        architecture, variant = _ARCHITECTURES.get(machine, (machine, ""))
        _cached.append(Platform(os="linux", architecture=architecture, variant=variant).normal())
    return _cached[0]
