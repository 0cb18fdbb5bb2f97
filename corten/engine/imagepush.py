"""``docker push``: a tag, or all tags of a repository, to the registry that the name says, digests unchanged."""

import threading

import msgspec

from corten import errors
from corten.distribution.repository import Repository
from corten.engine import imagepushplan
from corten.engine.feed import Report
from corten.engine.imageorigin import Origins
from corten.engine.imagepushplan import Plan
from corten.engine.imagescan import StoredImage
from corten.engine.imagestore import ImageStore
from corten.engine.imageupload import Uploads
from corten.model.image import Progress
from corten.oci.manifest import Descriptor
from corten.oci.platform import Platform
from corten.oci.reference import Reference


def tags_of(store: ImageStore, wanted: Reference) -> list[tuple[Reference, StoredImage]]:
    """What is to be pushed: the tag, or without one every tag of the repository. ``NotFound`` in Docker's words."""
    if wanted.digest is not None:
        raise errors.InvalidArgument("cannot push a digest reference")
    names = [name for name in store.index.names().values() if name.reference.name == wanted.name and name.reference.tag]
    if wanted.tag is not None:
        names = [name for name in names if name.reference.tag == wanted.tag]
    found = [(name.reference, store.index.get(name.digest)) for name in names]
    tags = [(reference, image) for reference, image in found if image is not None]
    if not tags:
        known = "tag does not exist" if wanted.tag else "An image does not exist locally with the tag"
        raise errors.NotFound(f"{known}: {wanted.familiar()}")
    return sorted(tags, key=lambda tag: tag[0].canonical)


def push_tags(
    store: ImageStore,
    repository: Repository,
    wanted: Reference,
    platform: Platform | None,
    at_once: int,
    report: Report,
    stop: threading.Event,
    origins: Origins,
) -> None:
    """Bring everything *wanted* means to *repository*, *at_once* blobs at a time. Blobs are pinned meanwhile."""
    report(Progress(status=f"The push refers to repository [{wanted.name}]"))
    uploads = Uploads(store, repository, wanted, at_once, report, stop, origins)
    for reference, image in tags_of(store, wanted):
        with store.pinned() as pin:
            for digest in image.blobs():
                pin(digest)
            pushed = _push(store, repository, uploads, reference, image, platform, report)
        assert reference.tag is not None
        size = f"{reference.tag}: digest: {pushed.digest} size: {pushed.size}"
        report(Progress(status=size))
        report(Progress(aux={"Tag": reference.tag, "Digest": pushed.digest, "Size": pushed.size}))
        labels = next((manifest.labels for manifest in image.manifests if manifest.labels), None) or {}
        store.emit("push", reference.familiar(), {**labels, "name": reference.familiar_name()})


def _push(
    store: ImageStore,
    repository: Repository,
    uploads: Uploads,
    reference: Reference,
    image: StoredImage,
    platform: Platform | None,
    report: Report,
) -> Descriptor:
    """One tag; returns what it means in the registry now."""
    if platform is not None:
        plan = imagepushplan.of_platform(store, image, platform, reference.familiar())
        _transfer(store, repository, uploads, reference, plan)
        return plan.target
    plan = imagepushplan.whole(store, image)
    lacking = [each for each in plan.absent if not _has_manifest(repository, each)] + uploads.missing(plan.blobs)
    if lacking:
        alone = imagepushplan.only_one(store, image) if plan.is_index else None
        if alone is None:
            report(Progress(aux={"contentMissing": True, "desc": msgspec.to_builtins(lacking[0])}))
            raise _lacking(reference, plan, lacking)
        report(
            Progress(
                aux={
                    "manifestPushedInsteadOfIndex": True,
                    "originalIndex": msgspec.to_builtins(plan.target),
                    "selectedManifest": msgspec.to_builtins(alone.descriptor),
                }
            )
        )
        plan = imagepushplan.of_manifest(alone)
    _transfer(store, repository, uploads, reference, plan)
    return plan.target


def _transfer(store: ImageStore, repository: Repository, uploads: Uploads, reference: Reference, plan: Plan) -> None:
    uploads.bring(plan.blobs)
    *below, target = plan.documents
    for document in below:
        uploads.check()
        _put(store, repository, document.digest, document)
    uploads.check()
    assert reference.tag is not None
    _put(store, repository, reference.tag, target)
    store.sources.record(reference, [blob.digest for blob in plan.blobs])


def _put(store: ImageStore, repository: Repository, name: str, document: Descriptor) -> None:
    """The document's own bytes. A registry that stores anything else than them is found out by its digest."""
    data = store.content.read(document.digest)
    said = repository.put_manifest(name, document.media_type, data)
    if said != document.digest:
        raise errors.DataLoss(f"the registry stored {document.digest} as {said}")


def _has_manifest(repository: Repository, document: Descriptor) -> bool:
    try:
        repository.resolve(document.digest)
    except errors.NotFound:
        return False
    return True


def _lacking(reference: Reference, plan: Plan, lacking: list[Descriptor]) -> errors.NotFound:
    digests = ", ".join(each.digest for each in lacking[:3]) + (", ..." if len(lacking) > 3 else "")
    if not plan.is_index:
        return errors.NotFound(
            f"cannot push {reference.familiar()}: content {digests} is neither here nor in the registry"
        )
    return errors.NotFound(
        f"cannot push {reference.familiar()}: it is an index, and of what it refers to {digests} is neither here nor "
        "in the registry; pull the platforms that lack, or push one with --platform"
    )
