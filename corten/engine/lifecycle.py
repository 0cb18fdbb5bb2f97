"""The states of a container and the only code that derives one from another.

    created ──start──▶ running ──exit──▶ exited ──start──▶ running
                        │   ▲              ▲ │
                      pause unpause        │ └─▶ removing ─▶ (gone), dead when that failed
                        ▼   │              │
                       paused ──exit───────┤
    running ──exit, policy says again──▶ restarting ──start──▶ running
                                           └──stop──▶ exited

Rules: a state is derived, never assigned; what a transition does not mention stays as it was; a transition that the
table does not allow raises. "Running" in the API's sense covers running, paused and restarting.
"""

from msgspec.structs import replace

from corten import errors
from corten.model.record import HealthState, RunState

ALIVE = frozenset({"running", "paused"})
"""States with a process."""

ACTIVE = ALIVE | {"restarting"}
"""States that the API reports as Running."""

_ALLOWED: dict[str, frozenset[str]] = {
    "created": frozenset({"running", "exited", "removing", "created"}),
    "running": frozenset({"paused", "exited", "restarting", "running"}),
    "paused": frozenset({"running", "exited", "restarting"}),
    "restarting": frozenset({"running", "exited", "removing", "restarting"}),
    "exited": frozenset({"running", "restarting", "removing", "exited"}),
    "removing": frozenset({"dead"}),
    "dead": frozenset({"removing"}),
}


def _to(state: RunState, status: str, **changes: object) -> RunState:
    if status not in _ALLOWED[state.status]:
        raise errors.Conflict(f"a container that is {state.status} cannot become {status}")
    return replace(state, status=status, **changes)


def started(state: RunState, *, pid: int, monitor_pid: int, now: int, health: bool, by_policy: bool) -> RunState:
    """The program runs. A start by a person resets the restart count, one by the restart policy raises it."""
    return _to(
        state, "running", pid=pid, monitor_pid=monitor_pid, exit_code=0, error="", oom_killed=False, started_at=now,
        restart_count=state.restart_count + 1 if by_policy else 0, manually_stopped=False, has_been_started=True,
        health=HealthState() if health else None,
    )  # fmt: skip


def start_failed(state: RunState, *, exit_code: int, error: str) -> RunState:
    """Nothing runs; created stays created, so that the CLI can tell a container that never ran."""
    status = "created" if state.status == "created" else "exited"
    return _to(state, status, pid=0, monitor_pid=0, exit_code=exit_code, error=error)


def exited(state: RunState, *, exit_code: int, now: int, oom: bool) -> RunState:
    """The program has ended and nobody will start it again by itself."""
    health = replace(state.health, status="unhealthy") if state.health is not None else None
    return _to(
        state, "exited", pid=0, monitor_pid=0, exit_code=exit_code, finished_at=now, oom_killed=oom, health=health
    )


def restarting(state: RunState, *, exit_code: int, now: int, oom: bool) -> RunState:
    """The program has ended and the restart policy will start it again."""
    return _to(state, "restarting", pid=0, monitor_pid=0, exit_code=exit_code, finished_at=now, oom_killed=oom)


def gave_up(state: RunState) -> RunState:
    """A restart that was due will not come: stopped by a person or by the policy's bound."""
    return _to(state, "exited")


def paused(state: RunState) -> RunState:
    return _to(state, "paused")


def resumed(state: RunState) -> RunState:
    return _to(state, "running")


def removing(state: RunState) -> RunState:
    return _to(state, "removing")


def dead(state: RunState, error: str) -> RunState:
    """Removal failed half-way."""
    return _to(state, "dead", error=error)


def stopped_by_hand(state: RunState, value: bool = True) -> RunState:
    """Remember that a person stopped it: policies "always" and "unless-stopped" then leave it alone."""
    return replace(state, manually_stopped=value)


def probed(state: RunState, health: HealthState) -> RunState:
    """A new result of the health check."""
    return replace(state, health=health)
