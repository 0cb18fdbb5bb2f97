"""What the attacks share: a piece of the host that must stay as it is, hostile images, and how hard to try.

``CORTEN_SOAK=1`` (``make soak``) raises the number of rounds to what the threat model promises; the everyday run tries
as long as it can afford.
"""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.attack.hostile import fingerprint
from tests.support.daemon import Daemon

SECRET = "only the host knows this"


@pytest.fixture
def outside(clean: Daemon, image: str) -> Iterator[str]:
    """A folder of the host with a secret in it; nothing of it may change."""
    folder = f"{clean.base}/outside"
    os.makedirs(f"{folder}/sub")
    for name in ("secret", "sub/file"):
        with open(f"{folder}/{name}", "w") as file:
            file.write(SECRET)
    before = fingerprint(folder)
    yield folder
    after = fingerprint(folder)
    shutil.rmtree(folder)
    assert after == before
