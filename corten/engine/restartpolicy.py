"""When a container that ended is started again, and after how long (docker run --restart)."""

from corten.model.container import RestartPolicy
from corten.model.record import RunState

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
STEADY_RUN = 10_000_000_000
"""A run of at least this many nanoseconds starts the back-off anew."""


def wants_restart(policy: RestartPolicy, state: RunState, exit_code: int) -> bool:
    """Whether an exit by itself (nobody stopped the container) is followed by a start."""
    if state.manually_stopped:
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name == "on-failure":
        bound = policy.maximum_retry_count
        return exit_code != 0 and (bound == 0 or state.restart_count < bound)
    return False


def wants_start_at_boot(policy: RestartPolicy, state: RunState) -> bool:
    """Whether the daemon's start starts a container that is not running."""
    if policy.name == "always":
        return state.has_been_started
    if policy.name == "unless-stopped":
        return state.has_been_started and not state.manually_stopped
    return policy.name == "on-failure" and state.status == "restarting"


def next_delay(former: float, ran_for: int) -> float:
    """Seconds to wait: doubling from 0.1 s up to a minute, from the start again after a steady run."""
    if ran_for >= STEADY_RUN or former == 0.0:
        return FIRST_DELAY
    return min(former * 2, LONGEST_DELAY)
