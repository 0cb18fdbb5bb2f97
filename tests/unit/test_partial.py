"""Downloads that are not whole yet: what a later one finds, and what it believes."""

import hashlib
import os

import pytest

from corten import errors
from corten.store.content import CHUNK, ContentStore
from corten.store.partial import Partials

DATA = hashlib.shake_128(b"partial").digest(3 * CHUNK + 12345)
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def partials(tmp_path):
    return Partials(str(tmp_path / "partial"))


def write(blob, data, size=100_000):
    for start in range(0, len(data), size):
        blob.write(data[start : start + size])


def test_whole_buffers_are_found_again(partials, tmp_path):
    first = partials.open(DIGEST, len(DATA))
    assert first.resumed == 0
    write(first, DATA[: 2 * CHUNK + 999])
    first.abort()
    again = partials.open(DIGEST, len(DATA))
    assert again.resumed == 2 * CHUNK
    assert b"".join(again.replay()) == DATA[: 2 * CHUNK]
    write(again, DATA[2 * CHUNK :])
    assert (again.digest, again.size) == (DIGEST, len(DATA))
    again.finish()
    content = ContentStore(str(tmp_path / "content"))
    content.publish([again])
    again.abort()
    assert content.read(DIGEST) == DATA
    assert partials.sizes() == {}


def test_a_whole_one_needs_no_more(partials):
    first = partials.open(DIGEST, len(DATA))
    write(first, DATA)
    first.finish()
    first.abort()
    again = partials.open(DIGEST, len(DATA))
    assert again.resumed == len(DATA)
    assert sum(map(len, again.replay())) == len(DATA)
    assert again.digest == DIGEST
    again.finish()
    again.discard()
    assert os.listdir(partials.root) == []


@pytest.mark.parametrize("found", [0, 1, CHUNK - 1, CHUNK, len(DATA) - 1, len(DATA) + 1, 9 * CHUNK])
def test_what_an_old_file_counts_for(partials, found):
    with open(partials.path(DIGEST), "wb") as file:
        file.truncate(found)
    blob = partials.open(DIGEST, len(DATA))
    assert blob.resumed == (found // CHUNK * CHUNK if found < len(DATA) else 0)
    assert sum(map(len, blob.replay())) == blob.resumed
    blob.restart()
    write(blob, DATA)
    assert blob.digest == DIGEST
    blob.finish()
    with open(partials.path(DIGEST), "rb") as file:
        assert file.read() == DATA
    blob.discard()


def test_an_empty_one_leaves_nothing(partials):
    partials.open(DIGEST, len(DATA)).abort()
    assert os.listdir(partials.root) == []


def test_removal_spares_what_is_under_way(partials):
    blob = partials.open(DIGEST, len(DATA))
    write(blob, DATA[: 2 * CHUNK])
    assert partials.remove(DIGEST) == 0
    assert partials.expire(0) == 0
    assert partials.sizes() == {DIGEST: 2 * CHUNK}
    blob.abort()
    assert partials.expire(3600) == 0
    assert partials.expire(0, keep=[DIGEST]) == 0
    assert partials.expire(0) == 2 * CHUNK
    assert partials.remove(DIGEST) == 0


def test_rubbish_goes_whatever_its_age(partials):
    with open(f"{partials.root}/rubbish", "w") as file:
        file.write("x")
    assert partials.sizes() == {}
    partials.expire()
    assert os.listdir(partials.root) == []


def test_only_digests_name_files(partials):
    with pytest.raises(errors.InvalidArgument):
        partials.open("sha256:../../../etc/passwd", 1)
