"""The table of container states."""

import pytest
from msgspec.structs import replace

from corten import errors
from corten.engine import lifecycle
from corten.engine.restartpolicy import FIRST_DELAY, LONGEST_DELAY, next_delay, wants_restart, wants_start_at_boot
from corten.model.container import RestartPolicy
from corten.model.record import RunState

CREATED = RunState()


def running(**changes):
    state = lifecycle.started(CREATED, pid=7, monitor_pid=6, now=5, health=False, by_policy=False)
    return replace(state, **changes)


def test_a_start_sets_pids_and_forgets_the_former_end():
    ended = lifecycle.exited(running(), exit_code=3, now=9, oom=True)
    again = lifecycle.started(ended, pid=8, monitor_pid=9, now=10, health=True, by_policy=False)
    assert (again.status, again.pid, again.exit_code, again.oom_killed) == ("running", 8, 0, False)
    assert again.health is not None
    assert again.health.status == "starting"
    assert again.finished_at == 9


def test_restart_count_rises_by_policy_and_falls_by_hand():
    waiting = lifecycle.restarting(running(restart_count=2), exit_code=1, now=9, oom=False)
    by_policy = lifecycle.started(waiting, pid=1, monitor_pid=1, now=1, health=False, by_policy=True)
    assert by_policy.restart_count == 3
    by_hand = lifecycle.started(lifecycle.gave_up(waiting), pid=1, monitor_pid=1, now=1, health=False, by_policy=False)
    assert by_hand.restart_count == 0


def test_a_failed_first_start_stays_created_and_keeps_the_reason():
    state = lifecycle.start_failed(CREATED, exit_code=127, error="no such file")
    assert (state.status, state.exit_code, state.error) == ("created", 127, "no such file")
    ended = lifecycle.exited(running(), exit_code=0, now=1, oom=False)
    assert lifecycle.start_failed(ended, exit_code=126, error="x").status == "exited"


@pytest.mark.parametrize(
    "step",
    [
        lambda: lifecycle.paused(CREATED),
        lambda: lifecycle.removing(running()),
        lambda: lifecycle.gave_up(lifecycle.removing(CREATED)),
        lambda: lifecycle.paused(lifecycle.paused(running())),
    ],
)
def test_what_the_table_does_not_allow_is_refused(step):
    with pytest.raises(errors.Conflict):
        step()


def test_exit_while_paused_is_an_exit():
    assert lifecycle.exited(lifecycle.paused(running()), exit_code=137, now=1, oom=False).status == "exited"


@pytest.mark.parametrize(
    ("policy", "state", "code", "again"),
    [
        ("no", {}, 1, False),
        ("always", {}, 0, True),
        ("always", {"manually_stopped": True}, 1, False),
        ("unless-stopped", {}, 0, True),
        ("on-failure", {}, 0, False),
        ("on-failure", {}, 1, True),
    ],
)
def test_policies(policy, state, code, again):
    assert wants_restart(RestartPolicy(name=policy), running(**state), code) is again


def test_on_failure_is_bounded():
    policy = RestartPolicy(name="on-failure", maximum_retry_count=2)
    assert wants_restart(policy, running(restart_count=1), 1)
    assert not wants_restart(policy, running(restart_count=2), 1)


def test_at_boot_a_stopped_container_stays_stopped_unless_always():
    stopped = replace(lifecycle.exited(running(), exit_code=0, now=1, oom=False), manually_stopped=True)
    assert wants_start_at_boot(RestartPolicy(name="always"), stopped)
    assert not wants_start_at_boot(RestartPolicy(name="unless-stopped"), stopped)
    assert not wants_start_at_boot(RestartPolicy(name="always"), CREATED)


def test_back_off_doubles_up_to_a_bound_and_starts_anew_after_a_steady_run():
    delay, seen = 0.0, []
    for _ in range(12):
        delay = next_delay(delay, 0)
        seen.append(delay)
    assert seen[:3] == [FIRST_DELAY, FIRST_DELAY * 2, FIRST_DELAY * 4]
    assert seen[-1] == LONGEST_DELAY
    assert next_delay(LONGEST_DELAY, 11 * 10**9) == FIRST_DELAY
