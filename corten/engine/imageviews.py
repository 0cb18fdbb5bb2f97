"""Reading use cases: list, inspect, history, disk usage."""

from corten import errors
from corten.engine import imagepick
from corten.engine.imagefilter import LIST_FILTERS, ImageFilter, created_at
from corten.engine.imageindex import Name
from corten.engine.imagescan import StoredImage, StoredManifest
from corten.engine.imagesizes import Sizes
from corten.engine.imagestore import ImageStore
from corten.model.image import (
    HistoryItem,
    ImageInspect,
    ImageMetadata,
    ImageQuery,
    ImageRootFS,
    ImageSummary,
)
from corten.oci import timestamp
from corten.oci.digest import chain_ids
from corten.oci.image import ImageConfig
from corten.oci.platform import Platform


def repo_tags(names: list[Name]) -> list[str]:
    """The names that are tags, familiar."""
    return [name.reference.familiar() for name in names if name.reference.tag]


def repo_digests(names: list[Name]) -> list[str]:
    """name@digest of every repository that names the image."""
    return list(dict.fromkeys(f"{name.reference.familiar_name()}@{name.digest}" for name in names))


def list_images(store: ImageStore, query: ImageQuery) -> list[ImageSummary]:
    """Newest first."""
    chosen = ImageFilter(query.filters, LIST_FILTERS, store.index)
    sizes = Sizes(store)
    images = store.index.images()
    shared = sizes.shared(images) if query.shared_size else {}
    rows = []
    for image in images:
        names = store.index.names_of(image.id)
        main = imagepick.choose(store, image, None)
        created = main.created if main else created_at(image)
        labels = main.labels if main else None
        if not chosen.matches(image, created, labels or {}, named=bool(names)):
            continue
        if chosen.by_name:
            names = [name for name in names if chosen.name_matches(name.reference)]
            if not names:
                continue
        rows.append(
            ImageSummary(
                containers=len(store.users(image.id)) if query.containers else -1,
                created=created,
                id=image.id,
                labels=labels,
                parent_id="",
                descriptor=image.descriptor,
                repo_digests=repo_digests(names),
                repo_tags=repo_tags(names),
                shared_size=shared.get(image.id, -1),
                size=sizes.total(image),
                manifests=sizes.summaries(image) if query.manifests else None,
            )
        )
    return sorted(rows, key=lambda row: row.created, reverse=True)


def inspect_image(
    store: ImageStore, ref: str, *, manifests: bool = False, platform: Platform | None = None
) -> ImageInspect:
    """One image, seen as the host's platform or *platform*."""
    if manifests and platform is not None:
        raise errors.InvalidArgument("conflicting options: manifests and platform options cannot both be set")
    image, name = store.index.find(ref)
    if platform is not None:
        main: StoredManifest | None = imagepick.pick(store, image, platform, name.familiar() if name else ref)
    else:
        main = imagepick.choose(store, image, None)
    names = store.index.names_of(image.id)
    sizes = Sizes(store)
    config = store.config(main) if main is not None else ImageConfig()
    comment = config.comment or (config.history[-1].comment if config.history else "")
    content = sizes.content(main) if main is not None else sizes.present(image.id)
    if main is not None and main.descriptor.digest != image.id:
        content += sizes.present(image.id)
    if main is not None and not all(sizes.present(layer.digest) for layer in main.layers):
        content += store.unpacked_size(main)  # their blobs were given up: what is left of the layers are the files
    return ImageInspect(
        id=image.id,
        repo_tags=repo_tags(names),
        repo_digests=repo_digests(names),
        comment=comment,
        created=timestamp.parse(config.created),
        author=config.author,
        config=config.run if main is not None else None,
        architecture=config.architecture,
        variant=config.variant,
        os=config.os,
        os_version=config.os_version,
        size=content,
        root_fs=ImageRootFS(type=config.rootfs.type, layers=config.diff_ids),
        metadata=ImageMetadata(last_tag_time=max((entry.tagged for entry in names), default=0)),
        descriptor=main.descriptor if main is not None and platform is not None else image.descriptor,
        manifests=sizes.summaries(image) if manifests else None,
    )


def image_history(store: ImageStore, ref: str, platform: Platform | None = None) -> list[HistoryItem]:
    """Newest first; sizes are those of the unpacked layers."""
    image, name = store.index.find(ref)
    main = imagepick.pick(store, image, platform, name.familiar() if name else ref)
    config = store.config(main)
    layers = [store.snapshots.layer(chain_id) for chain_id in chain_ids(main.diff_ids)]
    sizes = iter([layer.size if layer else 0 for layer in layers])
    rows = [
        HistoryItem(
            comment=step.comment,
            created=timestamp.parse(step.created),
            created_by=step.created_by,
            id="<missing>",
            size=0 if step.empty_layer else next(sizes, 0),
            tags=None,
        )
        for step in config.history or ()
    ]
    rows.reverse()
    rows[:0] = _unnamed_steps(list(sizes))
    return _with_top(rows, image, repo_tags(store.index.names_of(image.id)))


def _unnamed_steps(sizes: list[int]) -> list[HistoryItem]:
    """Layers that the config has no history for, newest first."""
    return [
        HistoryItem(comment="", created=0, created_by="", id="<missing>", size=size, tags=None)
        for size in reversed(sizes)
    ]


def _with_top(rows: list[HistoryItem], image: StoredImage, tags: list[str]) -> list[HistoryItem]:
    if not rows:
        return rows
    top = rows[0]
    rows[0] = HistoryItem(
        comment=top.comment,
        created=top.created,
        created_by=top.created_by,
        id=image.id,
        size=top.size,
        tags=tags or None,
    )
    return rows


def layers_size(store: ImageStore) -> int:
    """Bytes of all blobs, unpacked layers and unfinished downloads, each once (for system df)."""
    sizes = Sizes(store)
    blobs = store.content.digests()  # those too that no image has, as a pull that is not done yet
    unpacked = sum(layer.size for layer in store.snapshots.layers())
    return sum(sizes.present(digest) for digest in blobs) + unpacked + sum(store.partials.sizes().values())
