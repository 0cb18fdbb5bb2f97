"""A seccomp section compiled to the kernel's filter program, once for all containers that share it.

A runtime compiles the section at every start, which takes some 14 ms for the default profile: two thirds of what crun
needs for a whole container. crun takes a ready program from an annotation instead (crun(1), "run.oci.seccomp_bpf_data")
and keeps it for later execs; other runtimes ignore the annotation and compile the section, which stays in the document.

Calls libseccomp(3), the library that crun itself uses for this. Where it is missing, or a profile needs more (a user
space listener), there is no program and the runtime does its work as ever.
"""

import base64
import ctypes
import functools
import os
from typing import Any

import msgspec

ANNOTATION = "run.oci.seccomp_bpf_data"

_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_ERRNO = frozenset(("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"))
_OPERATORS = {
    f"SCMP_CMP_{name}": number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), start=1)
}
_EPERM = 1
_UNKNOWN_SYSCALL = -1
_EEXIST = -17
_MAX_ARGUMENTS = 6


class _Compare(ctypes.Structure):
    """``struct scmp_arg_cmp`` of seccomp.h."""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class _Unsupported(Exception):
    """The section says something that is left to the runtime."""


def annotation(section: msgspec.Raw) -> str | None:
    """The value for ``ANNOTATION``: the program in base64; None when it is left to the runtime."""
    return _compiled(bytes(section))


@functools.lru_cache(maxsize=64)
def _compiled(section: bytes) -> str | None:
    library = _library()
    if library is None:
        return None
    try:
        return base64.b64encode(_compile(library, msgspec.json.decode(section))).decode("ascii")
    except _Unsupported:
        return None


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Compare),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def _compile(library: ctypes.CDLL, section: dict[str, Any]) -> bytes:
    if section.get("listenerPath"):
        raise _Unsupported
    default = _action(section["defaultAction"], section.get("defaultErrnoRet"))
    context = library.seccomp_init(default)
    if not context:
        raise _Unsupported
    try:
        for name in section.get("architectures", ()):
            token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
            if token == 0 or library.seccomp_arch_add(context, token) not in (0, _EEXIST):
                raise _Unsupported
        for rule in section.get("syscalls", ()):
            action = _action(rule["action"], rule.get("errnoRet"))
            if action != default:
                _add_rule(library, context, action, rule)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _add_rule(library: ctypes.CDLL, context: int, action: int, rule: dict[str, Any]) -> None:
    """Conditions on different arguments must all hold; several on the same argument are alternatives, as in runc."""
    conditions = [_condition(argument) for argument in rule.get("args") or ()]
    if len(conditions) > _MAX_ARGUMENTS:
        raise _Unsupported
    distinct = len({condition.arg for condition in conditions}) == len(conditions)
    groups = [conditions] if distinct else [[condition] for condition in conditions]
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _UNKNOWN_SYSCALL:
            continue  # a newer kernel's call, which this libseccomp does not know: the default action stays
        for group in groups:
            array = (_Compare * max(len(group), 1))(*group)
            if library.seccomp_rule_add_array(context, action, number, len(group), array) != 0:
                raise _Unsupported


def _condition(argument: dict[str, Any]) -> _Compare:
    operator = _OPERATORS.get(argument["op"])
    if operator is None:
        raise _Unsupported
    return _Compare(argument["index"], operator, argument["value"], argument.get("valueTwo", 0))


def _action(name: str, errno_value: int | None) -> int:
    action = _ACTIONS.get(name)
    if action is None:
        raise _Unsupported
    if name in _WITH_ERRNO:
        return action | (_EPERM if errno_value is None else errno_value & 0xFFFF)
    return action


def _export(library: ctypes.CDLL, context: int) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        if library.seccomp_export_bpf(context, fd) != 0:
            raise _Unsupported
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)
