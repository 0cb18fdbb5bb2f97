"""What a check of the store says about one object."""

from corten.model.base import Value

PROBLEM, REPAIRED, FAILED, NOTE = "problem", "repaired", "failed", "note"


class Finding(Value, frozen=True):
    """One object and what is wrong with it. ``action`` is what a repair does, or what the user can do.

    ``state``: problem (as found), repaired, failed (the repair did not work), note (told, and nothing is wrong now).
    """

    kind: str
    id: str
    problem: str
    action: str = ""
    state: str = PROBLEM

    @property
    def open(self) -> bool:
        """Whether something is still wrong."""
        return self.state in (PROBLEM, FAILED)


class Progress(Value, frozen=True):
    """How far a long check is, in bytes."""

    what: str
    done: int
    total: int
