"""Case 8, system calls: what the default filter refuses, by its program's own words and tried inside a container.

The compiled program is run by an interpreter of classic BPF written here, for every system call number of three
architectures, and compared with what the profile says; so neither the compiler nor the profile is trusted.
"""

import base64
import ctypes
import os
import struct

import pytest

from corten.runtime import seccomp, seccomp_filter
from corten.runtime.capabilities import DEFAULT_CAPABILITIES
from tests.attack.hostile import make, tree
from tests.support import probe
from tests.support.daemon import Daemon
from tests.support.hosts import host
from tests.support.http import Api, joined
from tests.support.stock import Docker

EPERM, ENOSYS = 1, 38
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
X86_64, I386 = 0xC000003E, 0x40000003
X32 = 0x40000000
"""Bit of a number that means the x32 table."""

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")


def verdict(program: bytes, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel makes of one call: the filter run on its ``struct seccomp_data`` (seccomp(2), bpf(4))."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    accumulator, at = 0, 0
    while True:
        code, when_true, when_false, value = struct.unpack_from("<HBBI", program, at * 8)
        at += 1
        if code == 0x20:  # load a word
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:  # and
            accumulator &= value
        elif code == 0x05:  # jump
            at += value
        elif code in (0x15, 0x25, 0x35, 0x45):
            holds = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[code]
            at += when_true if holds else when_false
        elif code == 0x06:
            return value
        else:
            raise AssertionError(f"instruction {code:#x}")


@pytest.fixture(scope="module")
def program() -> bytes:
    if seccomp_filter._library() is None:
        pytest.skip("libseccomp is not installed")
    text = seccomp_filter.annotation(seccomp.section("", DEFAULT_CAPABILITIES, host(kernel="6.1.0")))
    assert text
    return base64.b64decode(text)


_SOCKET_CALLS = """socket socketpair bind connect listen accept4 getsockopt setsockopt getsockname getpeername sendto
sendmsg recvfrom recvmsg shutdown"""
_IPC_CALLS = "semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl"
DIRECT_I386 = {"recvmmsg": 337, "sendmmsg": 345}
DIRECT_I386 |= {name: 359 + index for index, name in enumerate(_SOCKET_CALLS.split())}
DIRECT_I386 |= {name: 393 + index for index, name in enumerate(_IPC_CALLS.split())}
"""libseccomp gives numbers of its own for what i386 also has behind socketcall and ipc (unistd_32.h)."""


def names(token: bytes) -> dict[str, int]:
    """Every name of the profile that an architecture has, with its number there."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    architecture = library.seccomp_arch_resolve_name(token)
    known = {name for rule in seccomp.published_profile().syscalls or () for name in rule.names}
    found = {name: library.seccomp_syscall_resolve_name_arch(architecture, name.encode()) for name in known}
    direct = DIRECT_I386 if token == b"x86" else {}
    return {name: number for name, number in found.items() if number >= 0} | direct


def test_every_number_of_three_tables(program: bytes) -> None:
    """A number that no unconditional rule allows is refused, and none that the profile does not know gets through."""
    section = seccomp.resolve(seccomp.default_profile(), frozenset(DEFAULT_CAPABILITIES), "amd64", (6, 1))
    allowed = {name for rule in section["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    plain = {
        name
        for rule in section["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")
        for name in rule["names"]
    }
    assert 350 < len(plain) < 420
    for token, architecture, bit in ((b"x86_64", X86_64, 0), (b"x86", I386, 0), (b"x32", X86_64, X32)):
        table = {number & ~X32: name for name, number in names(token).items()}
        assert len(table) > 250
        for number in range(600):
            got = verdict(program, architecture, number | bit, (1 << 63,) * 6)
            name = table.get(number, "")
            if name in plain:
                assert got == ALLOW, (token, name)
            elif name not in allowed:
                assert got & 0xFFFF0000 == ERRNO, (token, number, name)
        for number in (1000, 65535, 0x3FFFFFFF, 0xFFFFFFFF):
            assert verdict(program, architecture, number & ~X32 | bit) != ALLOW


def test_other_architectures_are_cut_off(program: bytes) -> None:
    """A number means another call elsewhere: an architecture that the filter does not know is not let through."""
    for architecture in (0xC00000B7, 0x40000028, 0, 0xFFFFFFFF):
        assert verdict(program, architecture, 1) != ALLOW


@pytest.mark.parametrize("architecture", [X86_64, I386])
def test_families_of_sockets(program: bytes, architecture: int) -> None:
    """AF_ALG (CVE-2026-31431, a page cache shared across containers) and AF_VSOCK, also with other high bits."""
    number = 41 if architecture == X86_64 else 359
    for family in range(64):
        allowed = verdict(program, architecture, number, (family, 1, 0)) == ALLOW
        assert allowed is (family not in (38, 40)), family
    if architecture == I386:
        for call in range(1, 21):
            assert verdict(program, I386, 102, (call, 0)) == ERRNO | ENOSYS


def test_new_namespaces(program: bytes) -> None:
    """clone(2) with any CLONE_NEW flag is refused, clone3(2) always: its flags are behind a pointer."""
    flags = {"NS": 0x20000, "CGROUP": 0x2000000, "UTS": 0x4000000, "IPC": 0x8000000, "USER": 0x10000000}
    flags |= {"PID": 0x20000000, "NET": 0x40000000}
    assert verdict(program, X86_64, 56, (0x11,)) == ALLOW
    for name, flag in flags.items():
        for other in (0, 0x11, 0x3D0F00):
            assert verdict(program, X86_64, 56, (flag | other,)) != ALLOW, name
            assert verdict(program, I386, 120, (flag | other,)) != ALLOW, name
    assert verdict(program, X86_64, 435, (0, 0)) == ERRNO | ENOSYS


REFUSED = {
    "acct": 163,
    "add_key": 248,
    "bpf": 321,
    "clock_settime": 227,
    "create_module": 174,
    "delete_module": 176,
    "finit_module": 313,
    "fsconfig": 431,
    "fsmount": 432,
    "fsopen": 430,
    "fspick": 433,
    "init_module": 175,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "io_uring_setup": 425,
    "ioperm": 173,
    "iopl": 172,
    "kcmp": 312,
    "kexec_file_load": 320,
    "kexec_load": 246,
    "keyctl": 250,
    "lookup_dcookie": 212,
    "mount": 165,
    "mount_setattr": 442,
    "move_mount": 429,
    "move_pages": 279,
    "open_by_handle_at": 304,
    "open_tree": 428,
    "perf_event_open": 298,
    "pivot_root": 155,
    "quotactl": 179,
    "reboot": 169,
    "request_key": 249,
    "setdomainname": 171,
    "sethostname": 170,
    "setns": 308,
    "settimeofday": 164,
    "swapoff": 168,
    "swapon": 167,
    "syslog": 103,
    "umount2": 166,
    "unshare": 272,
    "userfaultfd": 323,
    "ustat": 136,
    "vhangup": 153,
}


def test_tried_inside_a_container(clean: Daemon, docker: Docker, api: Api, image: str) -> None:
    """Every call of the list made for real by a program of one call, as root of a container. EPERM, by exit code."""
    cases = {name: (probe.syscall64(number, *(-1,) * 6), EPERM) for name, number in REFUSED.items()}
    cases |= {
        "x32_" + name: (probe.syscall64(number | X32, *(-1,) * 6), EPERM)
        for name, number in REFUSED.items()
        if name in ("mount", "bpf", "keyctl", "unshare", "setns", "userfaultfd")
    }
    cases |= {
        "af_alg": (probe.syscall64(41, 38, 5, 0), EPERM),
        "af_vsock": (probe.syscall64(41, 40, 1, 0), EPERM),
        "af_unix": (probe.syscall64(41, 1, 1, 0), 0),
        "clone3": (probe.syscall64(435, 0, 0), ENOSYS),
        "clone_newuser": (probe.syscall64(56, 0x10000000, 0), EPERM),
        "socketcall32_alg": (probe.socketcall32(38), ENOSYS),
        "getpid": (probe.syscall64(39), -1),
    }
    make(api, "probes", tree(files={f"probes/{name}": code for name, (code, _) in cases.items()}))
    script = "cd /probes; for p in *; do ./$p; echo $p $?; done"
    identifier = api("POST", "/containers/create", {"Image": "probes", "Cmd": ["sh", "-c", script]}).json()["Id"]
    assert api("POST", f"/containers/{identifier}/start").status == 204
    api("POST", f"/containers/{identifier}/wait")
    shown = joined(api("GET", f"/containers/{identifier}/logs", query={"stdout": 1}).body).decode()
    got = {line.split()[0]: int(line.split()[1]) for line in shown.splitlines()}
    assert got.pop("getpid") == 0
    expected = {name: code for name, (_, code) in cases.items() if code >= 0}
    assert {name: code for name, code in got.items() if code != expected[name]} == {}
    assert len(got) == len(expected)
