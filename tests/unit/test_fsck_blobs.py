"""The check of blobs by their sizes alone."""

from types import SimpleNamespace

import pytest

from corten.engine.fsck.blobs import check_blobs
from corten.engine.fsck.subject import Options
from corten.store.content import ContentStore


@pytest.fixture
def content(tmp_path):
    return ContentStore(str(tmp_path / "content"))


def found(content: ContentStore, sizes: dict[str, int]) -> list[str]:
    """The blobs that are called damaged when an image says that they have *sizes*."""
    image = SimpleNamespace(id="sha256:" + "0" * 64, manifests=[], blobs=lambda: sizes)
    index = SimpleNamespace(images=lambda: [image], names_of=lambda digest: [])
    store = SimpleNamespace(content=content, index=index)
    subject = SimpleNamespace(store=store, options=Options(quick=True), settle=lambda finding, repair: finding)
    return [finding.id for finding in check_blobs(subject)]


def test_a_blob_that_became_shorter_is_damaged(content):
    digest = content.put(b"a layer's archive")
    with open(content.path(digest), "r+b") as file:
        file.truncate(5)
    assert found(content, {digest: 17}) == [digest]


def test_a_descriptor_that_lies_does_not_make_a_blob_bad(content):
    digest = content.put(b"a layer that other images have too")
    assert found(content, {digest: 5}) == []
