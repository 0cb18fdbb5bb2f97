"""``docker rmi`` and ``docker image prune``: what is untagged, what is deleted, and what refuses to go.

By name: while the image has other names only this one goes; the last one takes the image along, unless a container
uses it, which is a conflict, or with force leaves the image without a name. By id: every name goes, several
repositories need force, a stopped container needs force, and a running one forbids it.
"""

from collections.abc import Mapping, Sequence

from corten import errors
from corten.engine import imagepick
from corten.engine.imagefilter import PRUNE_FILTERS, ImageFilter
from corten.engine.imageindex import Name
from corten.engine.imagescan import StoredImage
from corten.engine.imagestore import ImageStore
from corten.model.image import ContainerUse, DeletedItem, PrunedImages
from corten.oci.platform import Platform


def short(identifier: str) -> str:
    """The twelve digits that people see."""
    return identifier.removeprefix("sha256:")[:12]


def remove_image(
    store: ImageStore, ref: str, *, force: bool = False, platforms: Sequence[Platform] = ()
) -> list[DeletedItem]:
    """Untag or delete; what was done, in order."""
    with store.exclusive():
        image, reference = store.index.find(ref)
        if platforms:
            return _remove_platforms(store, image, platforms, force=force)
        names = store.index.names_of(image.id)
        if reference is None:
            _check_by_id(store, image, names, force=force)
            return _delete(store, image, names)
        same = [
            name
            for name in names
            if name.reference == reference
            or (reference.digest and not reference.tag and name.reference.name == reference.name)
        ]
        rest = [name for name in names if name not in same]
        if rest:
            return _untag(store, image, same)
        users = store.users(image.id)
        if users and not force:
            raise errors.Conflict(
                f'conflict: unable to remove repository reference "{ref}" (must force) - container '
                f"{short(users[0].container_id)} is using its referenced image {short(image.id)}"
            )
        return _untag(store, image, same) if users else _delete(store, image, names)


def _check_by_id(store: ImageStore, image: StoredImage, names: list[Name], *, force: bool) -> None:
    users = store.users(image.id)
    running = next((use for use in users if use.running), None)
    if running is not None:
        raise _in_use(image, running, "cannot be forced", "running")
    if force:
        return
    if len({name.reference.name for name in names}) > 1:
        raise errors.Conflict(
            f"conflict: unable to delete {short(image.id)} (must be forced) - "
            "image is referenced in multiple repositories"
        )
    if users:
        raise _in_use(image, users[0], "must be forced", "stopped")


def _in_use(image: StoredImage, use: ContainerUse, advice: str, state: str) -> errors.Conflict:
    return errors.Conflict(
        f"conflict: unable to delete {short(image.id)} ({advice}) - "
        f"image is being used by {state} container {short(use.container_id)}"
    )


def _untag(store: ImageStore, image: StoredImage, names: list[Name]) -> list[DeletedItem]:
    store.index.drop_names(names)
    for name in names:
        store.named_event("untag", image, name)
    return [DeletedItem(untagged=name.reference.familiar()) for name in names]


def _delete(store: ImageStore, image: StoredImage, names: list[Name]) -> list[DeletedItem]:
    store.drop([image])
    for name in names:
        store.named_event("untag", image, name)
    store.event("delete", image)
    return [*(DeletedItem(untagged=name.reference.familiar()) for name in names), DeletedItem(deleted=image.id)]


def _remove_platforms(
    store: ImageStore, image: StoredImage, platforms: Sequence[Platform], *, force: bool
) -> list[DeletedItem]:
    """Remove the content of some platforms; the target and its names stay."""
    found = [imagepick.pick(store, image, platform, short(image.id)) for platform in platforms]
    for manifest in found:
        if manifest.descriptor.digest == image.id:
            raise errors.Conflict(
                f"conflict: unable to delete {short(image.id)} (cannot be forced) - "
                "it is the image's only platform; remove the image"
            )
    users = store.users(image.id)
    if users and (not force or any(use.running for use in users)):
        state = "running" if any(use.running for use in users) else "stopped"
        raise _in_use(image, users[0], "cannot be forced" if state == "running" else "must be forced", state)
    before = image.blobs()
    gone = {manifest.descriptor.digest for manifest in found}
    store.register_all([(image.descriptor, [])], without=gone)  # first nothing claims them
    others = {digest for other in store.index.images() if other.id != image.id for digest in other.blobs()}
    for digest in gone - others:
        store.content.remove(digest)
    store.sweep(before)
    return [DeletedItem(deleted=manifest.descriptor.digest) for manifest in found]


def prune_images(store: ImageStore, filters: Mapping[str, Sequence[str]]) -> PrunedImages:
    """Remove images that no container uses: the dangling ones, or with dangling=false all."""
    chosen = ImageFilter(filters, PRUNE_FILTERS, store.index)
    only_dangling = chosen.dangling is not False
    chosen.dangling = None
    removed: list[DeletedItem] = []
    with store.exclusive():
        doomed = [
            image
            for image in store.index.images()
            if not (only_dangling and store.index.names_of(image.id))
            and not store.users(image.id)
            and _passes(store, chosen, image)
        ]
        names = {image.id: store.index.names_of(image.id) for image in doomed}
        freed = store.drop(doomed)
        if not filters.keys() - {"dangling"}:
            freed += store.partials.expire(0, store.fetching())
    for image in doomed:
        for name in names[image.id]:
            store.named_event("untag", image, name)
        store.event("delete", image)
        removed += [DeletedItem(untagged=name.reference.familiar()) for name in names[image.id]]
        removed.append(DeletedItem(deleted=image.id))
    store.emit("prune", "", {"reclaimed": str(freed)})
    return PrunedImages(images_deleted=removed or None, space_reclaimed=freed)


def _passes(store: ImageStore, chosen: ImageFilter, image: StoredImage) -> bool:
    main = imagepick.choose(store, image, None)
    created, labels = (main.created, main.labels or {}) if main else (0, {})
    return chosen.matches(image, created, labels, named=False)
