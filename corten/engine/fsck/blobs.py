"""Blobs: does each have the digest that it is named by? Hashed in parallel; a damaged one is set aside."""

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from corten import faultpoint
from corten.engine.fsck.subject import Findings, Subject
from corten.model.finding import Finding, Progress

_CHUNK = 1 << 20
_STEP = 64 << 20
_THREADS = min(8, os.cpu_count() or 1)


def check_blobs(subject: Subject) -> Findings:
    """Every blob on disk; with ``quick``, only its size against what the images say."""
    content = subject.store.content
    uses = _uses(subject)
    if subject.options.quick:
        for digest in sorted(content.digests()):
            size = content.size(digest)
            expected = uses[digest][0] if digest in uses else size
            # a descriptor may lie: who writes one for a blob that is here already has it taken unread
            if size not in (expected, -1) and _problem(content.path(digest), digest):
                yield _damaged(subject, digest, f"it has {size} bytes instead of {expected}", uses)
        return
    for item in _hashed(subject):
        if isinstance(item, Progress):
            yield item
        else:
            yield _damaged(subject, *item, uses)


def _hashed(subject: Subject) -> Iterator[tuple[str, str] | Progress]:
    """(digest, what is wrong) of damaged blobs, and the progress; some are hashed ahead."""
    content = subject.store.content
    sizes = {digest: max(content.size(digest), 0) for digest in sorted(content.digests())}
    total, done, told = sum(sizes.values()), 0, 0
    waiting: deque[tuple[str, Future[str]]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="fsck-hash") as pool:
        pending = iter(sizes)
        while True:
            while len(waiting) < 4 * _THREADS and (digest := next(pending, "")):
                waiting.append((digest, pool.submit(_problem, content.path(digest), digest)))
            if not waiting:
                break
            digest, future = waiting.popleft()
            if problem := future.result():
                yield digest, problem
            done += sizes[digest]
            if done - told >= _STEP or not waiting:
                told = done
                yield Progress(what="blobs", done=done, total=total)


def _problem(path: str, digest: str) -> str:
    found, size = hashlib.sha256(), 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""  # removed meanwhile
    try:
        while chunk := os.read(fd, _CHUNK):
            found.update(chunk)
            size += len(chunk)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    finally:
        os.close(fd)
    actual = "sha256:" + found.hexdigest()
    return "" if actual == digest else f"its {size} bytes have the digest {actual}"


def _uses(subject: Subject) -> dict[str, tuple[int, str]]:
    """Digest -> its size by the descriptor, and what happens to whom when it is missing."""
    found: dict[str, tuple[int, str]] = {}
    store = subject.store
    for image in store.index.images():
        name = next((name.reference.familiar() for name in store.index.names_of(image.id)), image.id[:19])
        for digest, size in image.blobs().items():
            found[digest] = (size, f"image {name} has to be pulled or loaded again")
        for manifest in image.manifests:
            if store.runnable(manifest):
                for layer in manifest.layers:
                    found[layer.digest] = (layer.size, f"image {name} goes on working, as the layer is unpacked")
    return found


def _damaged(subject: Subject, digest: str, problem: str, uses: dict[str, tuple[int, str]]) -> Finding:
    effect = uses[digest][1] if digest in uses else "no image needs it"
    finding = Finding(kind="blob", id=digest, problem=problem, action=f"blob moved to quarantine; {effect}")
    return subject.settle(finding, lambda: set_aside(subject, digest))


def set_aside(subject: Subject, digest: str) -> str:
    """Move the blob to ``<data root>/quarantine/blobs``; returns where it is now."""
    directory = os.path.join(subject.paths.quarantine, "blobs")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    target = os.path.join(directory, f"{digest.removeprefix('sha256:')}-{time.time_ns()}")
    with subject.store.exclusive():
        os.rename(subject.store.content.path(digest), target)
        faultpoint.reach("fsck.blob-moved")
        subject.store.content.sync_names()
        subject.store.forget_config(digest)
    return target
