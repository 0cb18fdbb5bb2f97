"""The records of a check of the store, as the API streams them and ``cortend fsck`` prints them."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from corten.model.finding import FAILED, NOTE, PROBLEM, REPAIRED, Finding, Progress


class Report:
    """Turns findings into records, and counts them for the last one."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys((PROBLEM, REPAIRED, FAILED, NOTE), 0)

    def record(self, found: Finding | Progress) -> dict[str, Any]:
        """``{"Finding": ...}`` or ``{"Progress": ...}``."""
        if isinstance(found, Progress):
            return {"Progress": {"What": found.what, "Done": found.done, "Total": found.total}}
        self._counts[found.state] += 1
        fields = {"Kind": found.kind, "ID": found.id, "Problem": found.problem, "Action": found.action}
        return {"Finding": {**fields, "State": found.state}}

    def summary(self) -> dict[str, Any]:
        """``{"Summary": ...}``: how many findings there were in each state."""
        counts = self._counts
        return {
            "Summary": {
                "Problems": counts[PROBLEM] + counts[FAILED],
                "Repaired": counts[REPAIRED],
                "Failed": counts[FAILED],
                "Notes": counts[NOTE],
            }
        }


def records(findings: Iterable[Finding | Progress]) -> Iterator[dict[str, Any]]:
    """All records of a check."""
    report = Report()
    for found in findings:
        yield report.record(found)
    yield report.summary()


async def records_of(findings: AsyncIterator[Finding | Progress]) -> AsyncIterator[dict[str, Any]]:
    """As ``records``, for a check that runs in the daemon."""
    report = Report()
    async for found in findings:
        yield report.record(found)
    yield report.summary()
