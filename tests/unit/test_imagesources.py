"""Where blobs came from: recorded for good, per registry, the nearest repository first, and bounded."""

import pytest

from corten.engine.imagesources import MAX_SOURCES, BlobSources
from corten.oci.reference import Reference
from corten.store.database import Database

BLOB = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state.db")


@pytest.fixture
def database(path):
    made = Database(path)
    yield made
    made.close()


def settle(database) -> None:
    database.write(lambda connection: None)


def test_candidates(database) -> None:
    sources = BlobSources(database)
    for name in ("r:5000/team/base", "r:5000/other/base", "r:5000/team/app", "busybox"):
        sources.record(Reference.parse(name), [BLOB])
    settle(database)
    target = Reference.parse("r:5000/team/app")
    assert sources.candidates(target, BLOB) == ["team/base", "other/base"]
    assert sources.candidates(target, OTHER) == []
    assert sources.candidates(Reference.parse("elsewhere:5000/team/app"), BLOB) == []
    assert sources.candidates(Reference.parse("me/app"), BLOB) == ["library/busybox"]


def test_survives_a_restart(path) -> None:
    database = Database(path)
    BlobSources(database).record(Reference.parse("r:5000/base"), [BLOB, OTHER])
    database.close()
    database = Database(path)
    try:
        assert BlobSources(database).candidates(Reference.parse("r:5000/app"), OTHER) == ["base"]
    finally:
        database.close()


def test_bounded(database) -> None:
    sources = BlobSources(database)
    for number in range(MAX_SOURCES + 5):
        sources.record(Reference.parse(f"r:5000/app{number}"), [BLOB])
    settle(database)
    target = Reference.parse("r:5000/target")
    assert len(sources.candidates(target, BLOB)) == MAX_SOURCES
    sources.discard(target, "app0", BLOB)
    sources.record(Reference.parse("r:5000/new"), [BLOB])
    settle(database)
    assert "new" in sources.candidates(target, BLOB)
    assert "app0" not in sources.candidates(target, BLOB)


def test_forget(database) -> None:
    sources = BlobSources(database)
    sources.record(Reference.parse("r:5000/base"), [BLOB, OTHER])
    sources.forget([BLOB])
    settle(database)
    target = Reference.parse("r:5000/target")
    assert (sources.candidates(target, BLOB), sources.candidates(target, OTHER)) == ([], ["base"])
