"""What a command is to the command line."""

from __future__ import annotations

from corten.cli.flags import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from corten.cli.app import App
    from corten.cli.flags import Flag, Options


class Command:
    """One command: how it is called, its flags, and ``run``, which returns the exit code (None is 0).

    ``usage`` is what follows the name, one text per form. ``minimum`` and ``maximum`` bound the arguments; no maximum
    means any number. ``about`` is the long help, where the table's one line does not say all.
    """

    __slots__ = ("about", "flags", "interspersed", "maximum", "minimum", "run", "usage")

    def __init__(
        self,
        run: Callable[[App, Options], int | None],
        usage: str | tuple[str, ...] = "",
        flags: Sequence[Flag] = (),
        *,
        minimum: int = 0,
        maximum: int | None = None,
        interspersed: bool = True,
        about: str = "",
    ) -> None:
        self.run = run
        self.usage = (usage,) if isinstance(usage, str) else usage
        self.flags = tuple(flags)
        self.minimum = minimum
        self.maximum = maximum
        self.interspersed = interspersed
        self.about = about

    def check_count(self, name: str, count: int) -> None:
        """UsageError with docker's words when there are too few or too many arguments."""
        low, high = self.minimum, self.maximum
        if count >= low and (high is None or count <= high):
            return
        if high == 0:
            wanted = "accepts no arguments"
        elif low == high:
            wanted = f"requires {_plural(low)}"
        elif count < low:
            wanted = f"requires at least {_plural(low)}"
        elif low == 0:
            wanted = f"requires at most {_plural(high or 0)}"
        else:
            wanted = f"requires at least {low} and at most {_plural(high or 0)}"
        raise UsageError(f"corten: '{name}' {wanted}", 1)


def _plural(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"
