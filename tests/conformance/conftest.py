"""Every conformance test cleans its containers up, so that each starts from an empty daemon with one image."""

import pytest


@pytest.fixture(autouse=True)
def tidy(clean: object, image: str) -> None:
    """Containers go after each test; the image is there before."""
