"""What is thrown away goes, now or with what is thrown next."""

import os
from pathlib import Path

import pytest

from corten.linux import tree
from corten.store.trash import Trash


@pytest.fixture
def trash(tmp_path: Path):
    found = Trash(str(tmp_path / "trash"))
    yield found
    found.close()


def test_what_could_not_be_deleted_goes_with_the_next(trash: Trash, tmp_path: Path, monkeypatch) -> None:
    def refuse(parent: int, name: str) -> None:
        raise OSError(24, os.strerror(24))

    for name in ("one", "two"):
        (tmp_path / name / "below").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(tree, "remove", refuse)
        trash.throw(str(tmp_path / "one"))
        trash.drain()
    assert not (tmp_path / "one").exists()
    assert len(os.listdir(tmp_path / "trash")) == 1
    trash.throw(str(tmp_path / "two"))
    trash.drain()
    assert os.listdir(tmp_path / "trash") == []


def test_nothing_to_throw(trash: Trash, tmp_path: Path) -> None:
    trash.throw(str(tmp_path / "missing"))
    assert os.listdir(tmp_path / "trash") == []
