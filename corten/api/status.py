"""The human words of a container's state, as ``docker ps`` shows them."""

from corten.model.record import RunState

_NANO = 1_000_000_000


def human_duration(seconds: float) -> str:
    """Docker's rough words for a span of time: "2 minutes", "About an hour"."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for days, limit, unit in ((1, 14, "days"), (7, 60, "weeks"), (30, 730, "months")):
        if hours < 24 * limit:
            return f"{hours // 24 // days} {unit}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def status_text(state: RunState, now: int) -> str:
    """ "Up 2 minutes (healthy)", "Exited (0) 3 hours ago", ... at the time *now* (nanoseconds)."""
    status = state.status
    if status in ("running", "paused"):
        up = human_duration((now - state.started_at) / _NANO)
        if status == "paused":
            return f"Up {up} (Paused)"
        health = state.health
        if health is None or health.status == "none":
            return f"Up {up}"
        return f"Up {up} ({'health: starting' if health.status == 'starting' else health.status})"
    if status == "restarting":
        return f"Restarting ({state.exit_code}) {human_duration((now - state.finished_at) / _NANO)} ago"
    if status == "removing":
        return "Removal In Progress"
    if status == "dead":
        return "Dead"
    if not state.started_at:
        return "Created"
    if not state.finished_at:
        return ""
    return f"Exited ({state.exit_code}) {human_duration((now - state.finished_at) / _NANO)} ago"
