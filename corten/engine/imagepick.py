"""Which of a target's manifests serves a platform."""

from collections.abc import Iterable

from corten import errors
from corten.engine.imagescan import StoredImage, StoredManifest
from corten.engine.imagestore import ImageStore
from corten.oci.platform import Platform


def best(manifests: Iterable[StoredManifest], wanted: Platform) -> StoredManifest | None:
    """The best match among *manifests*, the first of equals; None when none matches."""
    scored = [(item.platform.score(wanted), item) for item in manifests if item.platform is not None]
    matching = [pair for pair in scored if pair[0] > 0]
    return max(matching, key=lambda pair: pair[0])[1] if matching else None


def pick(store: ImageStore, image: StoredImage, platform: Platform | None, name: str) -> StoredManifest:
    """The manifest for *platform*; without one the host's, or else the first that is here.

    ``NotFound`` in Docker's words when *name* has nothing for the platform.
    """
    found = choose(store, image, platform)
    if found is not None:
        return found
    wanted = (platform or Platform.host()).text()
    raise errors.NotFound(
        f"image with reference {name} was found but does not provide the specified platform ({wanted})"
    )


def choose(store: ImageStore, image: StoredImage, platform: Platform | None) -> StoredManifest | None:
    """As ``pick``; None when nothing serves."""
    images = [item for item in image.manifests if item.kind == "image" and item.complete]
    if platform is not None:
        return best(images, platform)
    host = best(images, Platform.host())
    if host is not None:
        return host
    return next((item for item in images if store.runnable(item)), images[0] if images else None)
