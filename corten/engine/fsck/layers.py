"""Unpacked layers: record and directory belong together, and the tree is what it was when it was unpacked.

A damaged or lost layer is unpacked anew from its blob, whose digest vouches for it; a blob that was given up
comes from its registry again.
"""

import os
from functools import partial

from corten import errors
from corten.engine.fsck.subject import Findings, Subject
from corten.model.finding import NOTE, Finding
from corten.oci.digest import chain_ids
from corten.store.ingest import Ingest
from corten.store.layerrecord import Layer
from corten.store.treesize import tree_size
from corten.store.treesum import tree_sum

ANEW = "unpacked anew from its blob"


def check_layers(subject: Subject) -> Findings:
    """Records from the lowest layer up, then directories without a record."""
    snapshots = subject.store.snapshots
    named = subject.layers_of_images()
    for layer in sorted(snapshots.layers(), key=lambda layer: len(_below(subject, layer))):
        if snapshots.layer(layer.chain_id) is not None:  # not removed meanwhile
            yield from _check(subject, layer)
    needed = {chain for key in snapshots.active() for chain in _chain_of(subject, key)}
    for chain_id, (parent, blob, diff_id) in named.items():
        if snapshots.layer(chain_id) is not None:
            continue
        layer = Layer(chain_id, parent, diff_id, blob.size)
        if os.path.isdir(snapshots.layer_dir(chain_id)):
            yield _without_record(subject, layer, blob.digest)
        elif chain_id in needed:
            finding = Finding(kind="layer", id=chain_id, problem="a container stands on it and it is gone", action=ANEW)
            yield subject.settle(finding, partial(unpack, subject, layer))
    yield from _orphans(subject, set(named))


def _check(subject: Subject, layer: Layer) -> Findings:
    snapshots = subject.store.snapshots
    path = snapshots.layer_dir(layer.chain_id)
    if layer.parent and snapshots.layer(layer.parent) is None:
        problem = f"the layer below it, {layer.parent}, has no record"
        yield Finding(kind="layer", id=layer.chain_id, problem=problem, action="see the layer below it")
    if not os.path.isdir(path):
        yield _broken(subject, layer, "its directory is missing")
        return
    recorded = snapshots.tree_sum(layer.chain_id)
    try:
        found = tree_sum(path)
    except OSError as error:
        if snapshots.layer(layer.chain_id) is not None:
            yield _broken(subject, layer, f"its tree cannot be read: {error}")
        return
    if recorded is not None and found != recorded:
        changes = [
            f"{now} {what} instead of {then}"
            for what, now, then in (
                ("entries", found.entries, recorded.entries),
                ("bytes in files", found.size, recorded.size),
            )
            if now != then
        ]
        yield _broken(subject, layer, f"its tree was changed: {', '.join(changes) or 'names, times, owners or modes'}")
    elif subject.options.deep or (recorded is None and not subject.options.quick):
        yield from _compare(subject, layer, recorded is None)


def _compare(subject: Subject, layer: Layer, unknown: bool) -> Findings:
    """Unpack the blob beside the layer, and look whether they are equal to the last byte."""
    store = subject.store
    blob = subject.layers_of_images().get(layer.chain_id, ("", None, ""))[1]
    if blob is None or not store.content.has(blob.digest):
        if subject.options.deep:
            problem = "its archive is not kept, so its contents cannot be compared"
            yield Finding(kind="layer", id=layer.chain_id, problem=problem, state=NOTE)
        return
    with store.pinned() as pin, Ingest(store.content, store.snapshots) as ingest:
        pin(layer.chain_id)
        pin(blob.digest)
        try:
            stream = ingest.layer_from_blob(blob.digest)
            stream.ready()
        except (errors.CortenError, OSError) as error:
            problem = f"its archive {blob.digest} cannot be unpacked: {error}"
            yield Finding(kind="layer", id=layer.chain_id, problem=problem, action="see the blob")
            return
        if stream.digest != blob.digest:
            return  # told with the blob
        stream.take_looks(layer.parent)
        good = tree_sum(stream.directory, contents=True)
    path = store.snapshots.layer_dir(layer.chain_id)
    try:
        same = tree_sum(path, contents=True) == good
    except OSError:
        same = False
    if not same:
        yield _broken(subject, layer, "its tree differs from its archive")
    elif unknown and subject.options.repair:
        store.snapshots.note_sum(layer.chain_id, tree_sum(path))


def _broken(subject: Subject, layer: Layer, problem: str) -> Finding:
    finding = Finding(kind="layer", id=layer.chain_id, problem=problem, action=ANEW)
    return subject.settle(finding, lambda: unpack(subject, layer))


def _without_record(subject: Subject, layer: Layer, blob: str) -> Finding:
    problem = "its directory has no record"
    if subject.store.content.has(blob) or subject.store.sources.repositories(blob):
        finding = Finding(kind="layer", id=layer.chain_id, problem=problem, action=ANEW)
        return subject.settle(finding, lambda: unpack(subject, layer))
    action = "recorded as it is, as its archive is not kept"
    finding = Finding(kind="layer", id=layer.chain_id, problem=problem, action=action)
    snapshots = subject.store.snapshots
    size = tree_size(snapshots.layer_dir(layer.chain_id))
    known = Layer(layer.chain_id, layer.parent, layer.diff_id, size)
    return subject.settle(finding, lambda: snapshots.adopt_layer(known))


def _orphans(subject: Subject, named: set[str]) -> Findings:
    snapshots = subject.store.snapshots
    for chain_id in snapshots.layer_dirs():
        if chain_id in named or snapshots.layer(chain_id) is not None:
            continue
        if subject.quarantine.holds_content or chain_id in subject.store.leases.held():
            continue
        finding = Finding(kind="layer", id=chain_id, problem="nothing knows its directory", action="directory removed")
        yield subject.settle(finding, partial(snapshots.drop_orphan, chain_id))


def unpack(subject: Subject, layer: Layer) -> None:
    """Put a fresh tree in the layer's place. ``Conflict`` while containers run on it, ``NotFound`` without its blob."""
    store = subject.store
    _check_unused(subject, layer)
    blob = subject.layers_of_images().get(layer.chain_id, ("", None, ""))[1]
    if blob is None:
        raise errors.NotFound("no image names its archive; pull or load the image again")
    if not store.content.has(blob.digest):
        store.fetch_again(blob)
    with store.pinned() as pin, Ingest(store.content, store.snapshots) as ingest:
        pin(layer.chain_id)
        pin(blob.digest)
        stream = ingest.layer_from_blob(blob.digest)
        ready = stream.ready()
        if (ready.digest, ready.diff_id) != (blob.digest, layer.diff_id):
            raise errors.DataLoss(f"its blob {blob.digest} is damaged too")
        _check_unused(subject, layer)
        stream.replace(Layer(layer.chain_id, layer.parent, layer.diff_id, ready.unpacked.size))


def _check_unused(subject: Subject, layer: Layer) -> None:
    users = [key for key in subject.running() if layer.chain_id in _chain_of(subject, key)]
    if users:
        names = ", ".join(user[:12] for user in users)
        raise errors.Conflict(f"containers run on it, stop them first: {names}")


def _chain_of(subject: Subject, key: str) -> list[str]:
    """The chainIDs below a container's files, as far as they are known."""
    chain_id = subject.store.snapshots.active().get(key, "")
    known = {chain_ids(item.diff_ids)[-1]: item.chain() for item in subject.manifests() if item.diff_ids}
    if chain_id in known:
        return known[chain_id]
    found = []
    while chain_id:
        found.append(chain_id)
        layer = subject.store.snapshots.layer(chain_id)
        chain_id = layer.parent if layer else ""
    return found


def _below(subject: Subject, layer: Layer) -> list[str]:
    found: list[str] = []
    at: Layer | None = layer
    while at is not None and at.parent:
        found.append(at.parent)
        at = subject.store.snapshots.layer(at.parent)
    return found
