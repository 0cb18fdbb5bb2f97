"""The order of a check: what others stand on comes first, so that a repair finds it whole."""

from collections.abc import Callable, Generator

from corten.engine.fsck.blobs import check_blobs
from corten.engine.fsck.containers import check_containers
from corten.engine.fsck.images import check_images
from corten.engine.fsck.layers import check_layers
from corten.engine.fsck.records import check_database, check_quarantine, check_rows
from corten.engine.fsck.subject import Findings, Subject
from corten.engine.fsck.volumes import check_volumes
from corten.model.finding import Finding, Progress

CHECKS: tuple[Callable[[Subject], Findings], ...] = (
    check_database,
    check_quarantine,
    check_rows,
    check_blobs,
    check_images,
    check_layers,
    check_containers,
    check_volumes,
)


def check(subject: Subject) -> Generator[Finding | Progress, None, None]:
    """Everything that is wrong, as it is found; repaired on the way when ``subject.options`` say so."""
    for each in CHECKS:
        yield from each(subject)
