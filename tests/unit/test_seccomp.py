"""Profiles; with attack A8: what the default profile must not allow."""

import json
import os

import msgspec
import pytest

from corten.errors import InvalidArgument
from corten.runtime import seccomp, seccomp_filter
from corten.runtime.capabilities import DEFAULT_CAPABILITIES
from tests.support.hosts import host

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PUBLISHED = os.path.join(REPOSITORY, "..", "shared", "reference", "specs", "seccomp-default.json")


def resolved(capabilities=DEFAULT_CAPABILITIES, architecture="amd64", kernel=(6, 1)):
    return seccomp.resolve(seccomp.default_profile(), frozenset(capabilities), architecture, kernel)


def rules_for(section, name):
    return [rule for rule in section["syscalls"] if name in rule["names"]]


def test_equals_the_published_default():
    if not os.path.exists(PUBLISHED):
        pytest.skip(f"{PUBLISHED} is not here")
    with open(PUBLISHED, "rb") as file:
        published = seccomp.parse(file.read())
    assert published == seccomp.published_profile()


DANGEROUS = """
mount umount2 bpf keyctl add_key userfaultfd io_uring_setup io_uring_enter setns unshare kexec_load init_module
open_by_handle_at perf_event_open move_mount fsopen pivot_root swapon reboot
"""


@pytest.mark.parametrize("name", DANGEROUS.split())
def test_dangerous_calls_are_not_allowed(name):
    section = resolved()
    assert section["defaultAction"] == "SCMP_ACT_ERRNO"
    assert rules_for(section, name) == []


def test_conditions():
    section = resolved()
    assert rules_for(section, "socketcall") == [{"names": ["socketcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
    families = [(rule["args"][0].op, rule["args"][0].value) for rule in rules_for(section, "socket")]
    assert families == [("SCMP_CMP_LT", 38), ("SCMP_CMP_EQ", 39), ("SCMP_CMP_GT", 40)]  # not AF_ALG, not AF_VSOCK
    assert rules_for(section, "clone3") == [{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
    assert len(rules_for(section, "clone")) == 1
    assert section["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def test_includes_by_capability_kernel_and_architecture():
    with_admin = resolved((*DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN"))
    assert rules_for(with_admin, "mount") and rules_for(with_admin, "clone3")[0]["action"] == "SCMP_ACT_ALLOW"
    assert rules_for(resolved(kernel=(4, 8)), "ptrace") and not rules_for(resolved(kernel=(4, 7)), "ptrace")
    assert rules_for(resolved(architecture="amd64"), "arch_prctl")
    assert not rules_for(resolved(architecture="arm64"), "arch_prctl")
    assert rules_for(resolved(architecture="arm64"), "set_tls")
    assert not rules_for(resolved(()), "chroot")


def test_section_is_encoded_once():
    first = seccomp.section("", DEFAULT_CAPABILITIES, host())
    assert first is seccomp.section("builtin", DEFAULT_CAPABILITIES, host()) or bytes(first) == bytes(
        seccomp.section("builtin", DEFAULT_CAPABILITIES, host())
    )
    assert first is seccomp.section("", tuple(reversed(DEFAULT_CAPABILITIES)), host())
    assert json.loads(bytes(first))["syscalls"]
    assert seccomp.section("unconfined", DEFAULT_CAPABILITIES, host()) is None


def test_custom_profile():
    text = '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"mkdir","action":"SCMP_ACT_ERRNO","errnoRet":2}]}'
    section = json.loads(bytes(seccomp.section(text, (), host())))
    assert section["syscalls"] == [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2}]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"syscalls":[]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","architectures":["A"],"archMap":[{"architecture":"A"}]}',
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_KILL"}]}',
        '{"defaultAction":"' + "x" * (1 << 20) + '"}',
    ],
)
def test_bad_profiles(text):
    with pytest.raises(InvalidArgument):
        seccomp.parse(text)


def test_program_for_crun():
    if seccomp_filter._library() is None:
        pytest.skip("libseccomp is not installed")
    import base64

    section = seccomp.section("", DEFAULT_CAPABILITIES, host())
    program = base64.b64decode(seccomp_filter.annotation(section))
    assert len(program) % 8 == 0 and len(program) > 1000
    other = seccomp_filter.annotation(seccomp.section("", (*DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN"), host()))
    assert base64.b64decode(other) != program


def test_listener_profiles_are_left_to_the_runtime():
    section = msgspec.Raw(b'{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/x","syscalls":[]}')
    assert seccomp_filter.annotation(section) is None
    section = msgspec.Raw(
        b'{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}'
    )
    assert seccomp_filter.annotation(section) is None
