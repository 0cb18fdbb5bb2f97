"""Hostile and senseless requests in large numbers; ``make soak`` sends 100,000. See tests/fuzz."""

import os
import subprocess

import pytest

from tests.fuzz import sandbox
from tests.support import busybox
from tests.support.daemon import REPOSITORY
from tests.support.stock import PATIENCE

REQUESTS = int(os.environ.get("CORTEN_FUZZ_REQUESTS", "2000"))
PACE = 20
"""Requests per second of a very slow machine."""


@pytest.mark.soak
@pytest.mark.timeout(600 + REQUESTS / PACE)
@pytest.mark.skipif(os.geteuid() != 0, reason="a daemon needs root")
@pytest.mark.skipif(busybox.binary() is None, reason="busybox-static is not installed")
def test_nothing_but_answers() -> None:
    environment = {**sandbox.environment(), "CORTEN_FUZZ_REQUESTS": str(REQUESTS)}
    done = subprocess.run(
        sandbox.command([]),
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=(500 + REQUESTS / PACE) * PATIENCE,
        check=False,
    )
    print(done.stdout[-1500:])
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-5000:]}"
