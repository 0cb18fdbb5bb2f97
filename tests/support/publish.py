"""Putting an OCI layout's content into a registry with plain requests, so that a pull depends on no push of ours."""

import json
import urllib.request
from urllib.parse import quote, urljoin

from tests.support.ocilayout import DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor, Layout
from tests.support.registry import Registry

MANIFESTS = (INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)


def publish(
    registry: Registry, layout: Layout, target: Descriptor, repository: str, *tags: str, without: tuple[str, ...] = ()
) -> str:
    """Everything below *target* but the digests of *without*; gives the target's digest."""
    for digest in reversed(layout.below(target)):
        if digest not in without and digest != target["digest"]:
            _put(registry, layout, repository, digest, _kind(layout, target, digest), ())
    _put(registry, layout, repository, target["digest"], target["mediaType"], tags)
    return str(target["digest"])


def _kind(layout: Layout, target: Descriptor, digest: str) -> str:
    """The media type that the descriptor of *digest* has, wherever it stands below *target*."""
    for parent in layout.below(target):
        data = layout.blobs[parent]
        if digest.encode() not in data:
            continue
        document = json.loads(data)
        for child in (*document.get("manifests", ()), *document.get("layers", ()), document.get("config")):
            if child and child["digest"] == digest:
                return str(child["mediaType"])
    raise AssertionError(digest)


def _put(registry: Registry, layout: Layout, repository: str, digest: str, kind: str, tags: tuple[str, ...]) -> None:
    data = layout.blobs[digest]
    if kind in MANIFESTS:
        for name in tags or (digest,):
            path = f"/v2/{repository}/manifests/{quote(name, safe=':')}"
            _send(registry, "PUT", registry.url + path, data, kind)
        return
    opened = _send(registry, "POST", f"{registry.url}/v2/{repository}/blobs/uploads/", b"", "")
    place = urljoin(registry.url, opened)
    mark = "&" if "?" in place else "?"
    _send(registry, "PUT", f"{place}{mark}digest={digest}", data, "application/octet-stream")


def _send(registry: Registry, method: str, url: str, data: bytes, kind: str) -> str:
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind} if kind else {})
    if registry.users:
        user, password = next(iter(registry.users.items()))
        import base64

        text = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {text}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return str(answer.headers.get("Location", ""))
