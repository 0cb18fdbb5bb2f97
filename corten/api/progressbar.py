"""Progress of a transfer as dockerd sends it: the numbers, and a bar for clients that cannot draw one."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_WIDTH = 50


def detail(current: int, total: int) -> dict[str, int]:
    """``progressDetail``: bytes; empty when there is nothing to measure."""
    if total:
        return {"current": current, "total": total}
    return {"current": current} if current else {}


def text(current: int, total: int) -> str:
    """``progress``: "[=====>        ]  1.05MB/10MB"."""
    if total <= 0:
        return f"{size(current):>8}"
    done = min(_WIDTH, int(current / total * 100) // 2)
    bar = f"[{'=' * done}>{' ' * (_WIDTH - done)}] "
    if current > total:
        return bar + f"{size(current):>8}"
    return bar + f"{size(current):>8}/{size(total)}"


def size(number: int) -> str:
    """Four significant digits and a decimal unit, as Go's units.HumanSize."""
    value, unit = float(number), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.4g}{_UNITS[unit]}"
