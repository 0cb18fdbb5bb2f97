"""Small pure parts of the engine: merging configs, detach keys, names, prune filters, ps rows."""

import pytest

from corten import errors
from corten.engine import merge, names
from corten.engine.health import judge
from corten.engine.prunefilter import PruneFilter, parse_moment
from corten.engine.top import select
from corten.model.container import ContainerConfig, Healthcheck
from corten.model.record import HealthResult, HealthState
from corten.oci.image import Healthcheck as ImageHealthcheck
from corten.oci.image import ImageConfig, RunConfig
from corten.runtime.ociruntime import plain_message, start_failure
from corten.wire.detachkeys import DEFAULT, DetachScanner, parse


def image(**fields):
    return ImageConfig(config=RunConfig(**fields))


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "expected"),
    [
        (None, None, ("/entry", ["arg"])),
        (None, ["x"], ("/entry", ["x"])),
        (["/mine"], None, ("/mine", [])),
        (["/mine"], ["y"], ("/mine", ["y"])),
        ([""], ["z"], ("z", [])),
    ],
)
def test_command_rules(entrypoint, cmd, expected):
    merged = merge.merge(ContainerConfig(entrypoint=entrypoint, cmd=cmd), image(entrypoint=["/entry"], cmd=["arg"]))
    assert merge.command(merged) == expected


def test_nothing_to_run_is_refused():
    with pytest.raises(errors.InvalidArgument, match="no command specified"):
        merge.merge(ContainerConfig(), image())


def test_environment_overrides_removes_and_drops_malformed():
    assert merge.merge_env(["A=1", "B=2", "*", "=x", "C=3"], ["B=9", "C"]) == ["B=9", "A=1"]


def test_labels_and_volumes_are_joined():
    merged = merge.merge(
        ContainerConfig(cmd=["x"], labels={"a": "mine"}, volumes={"/w": {}}),
        image(labels={"a": "theirs", "b": "1"}, volumes={"/v": {}}),
    )
    assert merged.labels == {"a": "mine", "b": "1"}
    assert set(merged.volumes) == {"/v", "/w"}


def test_healthcheck_inherits_field_by_field():
    base = image(healthcheck=ImageHealthcheck(test=["CMD", "a"], interval=9, retries=2))
    merged = merge.merge(ContainerConfig(cmd=["x"], healthcheck=Healthcheck(interval=5)), base)
    assert merged.healthcheck == Healthcheck(test=["CMD", "a"], interval=5, retries=2)


def test_detach_keys_parse():
    assert parse("") == DEFAULT
    assert parse("ctrl-a,x,ctrl-[") == b"\x01x\x1b"
    for bad in ("ctrl-", "ab", "ctrl-1", ","):
        with pytest.raises(errors.InvalidArgument):
            parse(bad)


@pytest.mark.parametrize("cut", [1, 2, 3, 100])
def test_detach_scanner_holds_back_and_gives_again(cut):
    typed = b"ab\x10c\x10\x10\x11rest"
    scanner, passed, found = DetachScanner(DEFAULT), b"", False
    for start in range(0, len(typed), cut):
        out, found = scanner.feed(typed[start : start + cut])
        passed += out
        if found:
            break
    assert found
    assert passed == b"ab\x10c\x10"


def test_names():
    assert names.check("/web.1-x_y") == "web.1-x_y"
    for bad in ("a", "", "-ab", "a/b", "a b", "ab\n", "../x"):
        with pytest.raises(errors.InvalidArgument, match="Invalid container name"):
            names.check(bad)
    assert names.generate(lambda name: False) != ""


def test_prune_filter():
    now = 1_000_000 * 10**9
    assert parse_moment("90m", now) == now - 5400 * 10**9
    assert parse_moment("1h30m", now) == now - 5400 * 10**9
    assert parse_moment("12.5") == 12_500_000_000
    assert parse_moment("1970-01-01T00:00:01Z") == 10**9
    with pytest.raises(errors.InvalidArgument):
        parse_moment("yesterday")
    wanted = PruneFilter({"label": ["a=1"], "label!": ["b"]}, ("label", "label!"))
    assert wanted.matches({"a": "1"}, 0)
    assert not wanted.matches({"a": "2"}, 0)
    assert not wanted.matches({"a": "1", "b": ""}, 0)
    with pytest.raises(errors.InvalidArgument, match="invalid filter 'x'"):
        PruneFilter({"x": []}, ("label",))


def test_ps_rows_are_those_of_the_container_only():
    output = "UID PID CMD\nroot 1 init\nroot 42 sleep 10 20\n"
    assert select(output, {42}) == (["UID", "PID", "CMD"], [["root", "42", "sleep 10 20"]])
    with pytest.raises(errors.InvalidArgument, match="PID"):
        select("A B\n", {1})


def result(code, start=0):
    return HealthResult(start=start, end=start + 1, exit_code=code)


def test_health_turns_unhealthy_after_retries_and_back():
    check = Healthcheck(test=["CMD", "x"], retries=2)
    health = judge(HealthState(), check, result(1), within_start=False)
    assert (health.status, health.failing_streak) == ("starting", 1)
    health = judge(health, check, result(1), within_start=False)
    assert health.status == "unhealthy"
    health = judge(health, check, result(0), within_start=False)
    assert (health.status, health.failing_streak, len(health.log)) == ("healthy", 0, 3)


def test_failures_in_the_start_period_do_not_count():
    check = Healthcheck(test=["CMD", "x"], retries=1, start_period=10)
    health = judge(HealthState(), check, result(1), within_start=True)
    assert (health.status, health.failing_streak) == ("starting", 0)


@pytest.mark.parametrize(
    ("raw", "program", "code", "text"),
    [
        ("executable file `x` not found in $PATH: No such file or directory", "x", 127, "executable file not found"),
        ("executable file `/x` not found in $PATH: No such file or directory", "/x", 127, "no such file or directory"),
        ("open executable: Permission denied", "/x", 126, "permission denied"),
        ("open executable: Operation not permitted", "/tmp", 126, "permission denied"),
        ("mount `/a` to `/b`: No such file or directory", "x", 128, "mount"),
        ("something else", "x", 128, "something else"),
    ],
)
def test_runtime_errors_become_dockers(raw, program, code, text):
    error = start_failure(raw, program)
    assert error.exit_code == code
    assert text in str(error)


def test_plain_message_unwraps_both_runtimes():
    assert plain_message(b'{"msg":"a b","level":"error","time":"x"}\n') == "a b"
    assert plain_message(b'time="x" level=error msg="runc: say \\"hi\\""\n') == 'runc: say "hi"'
