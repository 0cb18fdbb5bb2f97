"""System call filters: Docker's profile format resolved to the runtime spec's ``linux.seccomp``.

A profile in Docker's format says more than the runtime spec can: rules with ``includes`` and ``excludes`` depend on
capabilities, architecture and kernel, and ``archMap`` names the sub-architectures. Resolving means to drop what does
not apply and to keep the rest in the spec's form. Results are kept encoded, as a container's start needs only bytes;
crun in turn keeps the compiled filter by the section's digest, so equal sections cost the compilation once.
"""

import errno
import functools
import importlib.resources
from typing import Any

import msgspec

from corten.errors import InvalidArgument
from corten.linux.host import Host

UNCONFINED = "unconfined"
BUILTIN = "builtin"
MAX_PROFILE = 1 << 20
_SOCKETCALL = "socketcall"

_SCMP_ARCH = {
    "amd64": "SCMP_ARCH_X86_64",
    "386": "SCMP_ARCH_X86",
    "arm64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
    "mips64": "SCMP_ARCH_MIPS64",
    "riscv64": "SCMP_ARCH_RISCV64",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "s390x": "SCMP_ARCH_S390X",
    "loong64": "SCMP_ARCH_LOONGARCH64",
}
_RULE_ARCH = {"386": "x86"}  # the profile format says "x86" where Go says "386"


class _Filter(msgspec.Struct, frozen=True, rename="camel"):
    caps: list[str] | None = None
    arches: list[str] | None = None
    min_kernel: str = ""


class _Argument(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    index: int
    value: int
    op: str
    value_two: int = 0


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    action: str
    names: list[str] = []
    name: str = ""
    errno_ret: int | None = None
    args: list[_Argument] | None = None
    includes: _Filter | None = None
    excludes: _Filter | None = None


class _ArchMap(msgspec.Struct, frozen=True, rename="camel"):
    architecture: str
    sub_architectures: list[str] | None = None


class Profile(msgspec.Struct, frozen=True, rename="camel"):
    """A profile in Docker's format; one in the runtime spec's own form is valid too."""

    default_action: str
    default_errno_ret: int | None = None
    arch_map: list[_ArchMap] | None = None
    architectures: list[str] | None = None
    flags: list[str] | None = None
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[_Rule] | None = None


def parse(text: str | bytes) -> Profile:
    """A custom profile, as the client sends it in ``seccomp=<json>``. InvalidArgument when it is none."""
    if len(text) > MAX_PROFILE:
        raise InvalidArgument(f"seccomp profile is larger than {MAX_PROFILE} bytes")
    try:
        profile = msgspec.json.decode(text, type=Profile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from error
    if profile.arch_map and profile.architectures:
        raise InvalidArgument("both 'architectures' and 'archMap' are specified in the seccomp profile, use either")
    for rule in profile.syscalls or ():
        if rule.name and rule.names:
            raise InvalidArgument("both 'name' and 'names' are specified in the seccomp profile, use either")
    return profile


def published_profile() -> Profile:
    """Docker's default profile, as published with its 29.x releases."""
    return parse(importlib.resources.files(__package__).joinpath("seccomp_default.json").read_bytes())


@functools.cache
def default_profile() -> Profile:
    """The profile for containers that ask for nothing else: Docker's, without the 32-bit ``socketcall``.

    A filter cannot look behind socketcall's pointer, so allowing it undoes the refusal of AF_ALG and AF_VSOCK
    (CVE-2026-31431). Docker leaves that to an AppArmor or SELinux rule, which a host need not have. The error is
    ENOSYS, as an old kernel's, and must differ from the default's: a rule equal to the default is not handed to
    libseccomp, which then adds conditional allowances of its own for the rules about ``socket``.
    """
    published = published_profile()
    rules = [
        msgspec.structs.replace(rule, names=[name for name in rule.names if name != _SOCKETCALL])
        for rule in published.syscalls or ()
    ]
    denial = _Rule(action="SCMP_ACT_ERRNO", names=[_SOCKETCALL], errno_ret=errno.ENOSYS)
    return msgspec.structs.replace(published, syscalls=[denial, *rules])


def section(profile_text: str, capabilities: tuple[str, ...], host: Host) -> msgspec.Raw | None:
    """The encoded ``linux.seccomp`` for a container with *capabilities*; None when unconfined.

    *profile_text* is "" or "builtin" for the default, "unconfined", or a custom profile's JSON.
    """
    if profile_text == UNCONFINED:
        return None
    return _section(profile_text, frozenset(capabilities), host.architecture, host.kernel_version)


@functools.lru_cache(maxsize=64)
def _section(
    profile_text: str, capabilities: frozenset[str], architecture: str, kernel: tuple[int, int]
) -> msgspec.Raw:
    profile = default_profile() if profile_text in ("", BUILTIN) else parse(profile_text)
    return msgspec.Raw(msgspec.json.encode(resolve(profile, capabilities, architecture, kernel)))


def resolve(
    profile: Profile, capabilities: frozenset[str], architecture: str, kernel: tuple[int, int]
) -> dict[str, Any]:
    """The profile as the runtime spec has it, for one set of capabilities on one *architecture* (Go's name)."""
    result: dict[str, Any] = {"defaultAction": profile.default_action}
    if profile.default_errno_ret is not None:
        result["defaultErrnoRet"] = profile.default_errno_ret
    architectures = _architectures(profile, architecture)
    if architectures:
        result["architectures"] = architectures
    optional = {
        "flags": profile.flags,
        "listenerPath": profile.listener_path,
        "listenerMetadata": profile.listener_metadata,
    }
    result.update({key: value for key, value in optional.items() if value})
    arch = _RULE_ARCH.get(architecture, architecture)
    result["syscalls"] = [
        _oci_rule(rule) for rule in profile.syscalls or () if _applies(rule, capabilities, arch, kernel)
    ]
    return result


def _architectures(profile: Profile, architecture: str) -> list[str]:
    if profile.architectures:
        return profile.architectures
    native = _SCMP_ARCH.get(architecture)
    for entry in profile.arch_map or ():
        if entry.architecture == native:
            return [entry.architecture, *(entry.sub_architectures or ())]
    return []


def _applies(rule: _Rule, capabilities: frozenset[str], arch: str, kernel: tuple[int, int]) -> bool:
    excludes, includes = rule.excludes, rule.includes
    if excludes:
        if arch in (excludes.arches or ()) or any(name in capabilities for name in excludes.caps or ()):
            return False
        if excludes.min_kernel and kernel >= _kernel(excludes.min_kernel):
            return False
    if includes:
        if includes.arches and arch not in includes.arches:
            return False
        if not capabilities.issuperset(includes.caps or ()):
            return False
        if includes.min_kernel and kernel < _kernel(includes.min_kernel):
            return False
    return True


def _kernel(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise InvalidArgument(f"invalid kernel version {text!r} in the seccomp profile")
    return int(major), int(minor)


def _oci_rule(rule: _Rule) -> dict[str, Any]:
    result: dict[str, Any] = {"names": rule.names or [rule.name], "action": rule.action}
    if rule.errno_ret is not None:
        result["errnoRet"] = rule.errno_ret
    if rule.args:
        result["args"] = rule.args
    return result
