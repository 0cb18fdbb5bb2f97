"""A fetch that unpacks: what is left of it while it waits for the rest of its image, and a damaged blob beside it."""

import os
import threading

import pytest

from corten.engine.blobfetches import Fetches
from corten.store.content import ContentStore
from corten.store.database import Database
from corten.store.partial import Partials
from corten.store.snapshot import Snapshots
from tests.support.layers import archive, member
from tests.unit.test_blobfetches import Pull, Source, descriptor

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

LAYER = archive(member("file", b"content"))


class Unpacking(Pull):
    def __init__(self, fetches: Fetches, source: Source) -> None:
        super().__init__(fetches, source, descriptor(LAYER), unpack=True)


@pytest.fixture
def content(tmp_path):
    return ContentStore(str(tmp_path / "content"))


@pytest.fixture
def fetches(tmp_path, content):
    database = Database(str(tmp_path / "state.db"))
    snapshots = Snapshots(str(tmp_path / "snapshots"), database)
    made = Fetches(content, Partials(str(tmp_path / "partial")), snapshots)
    yield made
    made.close()
    snapshots.close()
    database.close()


def test_an_unpacked_layer_keeps_no_thread(fetches):
    pull = Unpacking(fetches, Source(LAYER))
    assert pull.result() is None
    assert pull.ticket.fetch.diff_id == descriptor(LAYER).digest
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("layer-")]
    pull.leave()


def test_a_damaged_blob_makes_room_for_the_one_that_is_fetched(fetches, content):
    digest = content.put(LAYER)
    with open(content.path(digest), "r+b") as file:
        file.write(b"damage")
    source = Source(LAYER)
    pull = Unpacking(fetches, source)
    assert pull.result() is None
    assert source.offsets == [0]
    assert not content.has(digest)
    content.publish([pull.ticket.fetch.writer])
    pull.leave()
    assert content.read(digest) == LAYER


def test_a_whole_blob_is_not_fetched(fetches, content):
    digest = content.put(LAYER)
    pull = Unpacking(fetches, Source(error=AssertionError()))
    assert pull.result() is None
    pull.leave()
    assert content.has(digest)
