"""Images: the documents and layers that a record names are there, and say what the record says."""

from functools import partial

import msgspec

from corten import errors
from corten.engine.fsck.subject import Findings, Subject
from corten.engine.imagescan import StoredImage, StoredManifest, scan
from corten.model.finding import NOTE, Finding
from corten.oci.platform import Platform
from corten.store import quarantine

AGAIN = "pull or load the image again"


def check_images(subject: Subject) -> Findings:
    """Every target, then every name."""
    index = subject.store.index
    for image in index.images():
        if index.get(image.id) is not None:  # not removed meanwhile
            yield from _check(subject, image)
    unreadable = subject.quarantine.keys(quarantine.IMAGE)
    for name, entry in index.names().items():
        if index.get(entry.digest) is None and index.name(name) == entry and entry.digest not in unreadable:
            finding = Finding(
                kind="image name",
                id=name,
                problem=f"points to {entry.digest}, which is not here",
                action="name removed",
            )
            yield subject.settle(finding, partial(index.drop_names, [entry]))


def _check(subject: Subject, image: StoredImage) -> Findings:
    content = subject.store.content
    missing = []
    for what, digest in _documents(image):
        try:
            content.read(digest)
        except (errors.NotFound, errors.DataLoss, errors.InvalidArgument) as error:
            if subject.store.index.get(image.id) is None:
                return
            missing.append(digest)
            lack = "is missing" if isinstance(error, errors.NotFound) else "is damaged"
            yield Finding(kind="image", id=image.id, problem=f"its {what} {digest} {lack}", action=AGAIN)
    if not missing:
        yield from _compare(subject, image)
    for manifest in image.manifests:
        if manifest.complete and manifest.descriptor.digest not in missing:
            yield from _layers(subject, image, manifest)


def _documents(image: StoredImage) -> list[tuple[str, str]]:
    """(what it is, digest) of the documents that were there when the image came in."""
    found = {index.digest: "index" for index in image.indexes[:1]}
    for manifest in image.manifests:
        if manifest.complete:
            found[manifest.descriptor.digest] = "manifest"
            if manifest.config is not None and manifest.diff_ids:
                found[manifest.config.digest] = "config"
    return [(what, digest) for digest, what in found.items()]


def _compare(subject: Subject, image: StoredImage) -> Findings:
    store = subject.store

    def document(digest: str) -> bytes | None:
        return store.content.read(digest) if store.content.has(digest) else None

    try:
        fresh = scan(image.descriptor, document, image.stored_at)
    except errors.CortenError as error:
        yield Finding(kind="image", id=image.id, problem=f"its documents cannot be used: {error}", action=AGAIN)
        return
    if msgspec.structs.replace(fresh, stored_at=0) != msgspec.structs.replace(image, stored_at=0):
        finding = Finding(
            kind="image", id=image.id, problem="its record differs from its documents", action="record made anew"
        )
        yield subject.settle(finding, lambda: store.register(image.descriptor, []))


def _layers(subject: Subject, image: StoredImage, manifest: StoredManifest) -> Findings:
    """A layer may lack its archive as long as it is unpacked, and be packed as long as its archive is here."""
    store = subject.store
    lacking = [
        layer.digest
        for layer in manifest.layers
        if not store.content.has(layer.digest) and not store.sources.repositories(layer.digest)
    ]
    if not lacking or store.index.get(image.id) is None:
        return
    if store.runnable(manifest):
        problem = f"{len(lacking)} of its {len(manifest.layers)} layers are unpacked only; pushing or saving lacks them"
        yield Finding(kind="image", id=image.id, problem=problem, action=AGAIN, state=NOTE)
    elif manifest.kind == "image" and _for_this_host(manifest) and len(lacking) < len(manifest.layers):
        yield Finding(kind="image", id=image.id, problem=f"its layer {lacking[0]} is missing", action=AGAIN)


def _for_this_host(manifest: StoredManifest) -> bool:
    host = Platform.host()
    return manifest.platform is not None and manifest.platform.architecture == host.architecture
