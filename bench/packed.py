"""Images as registries hold them: gzip layers of thousands of files whose content compresses about 2:1."""

import gzip
import hashlib
import http.client
import io
import json
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial

VERSION = "prepared-1"
"""Changes with what is made here."""
TOTAL = 500_000_000
LAYERS = 8
POOL = 16 << 20
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
WORDS = 5000


class Source:
    """Bytes as files have them: text of words, code-like bytes of few values, and what is compressed already."""

    def __init__(self) -> None:
        chance = random.Random(1)
        words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 11))) for _ in range(WORDS)]
        weights = [1 / (rank + 1) for rank in range(WORDS)]
        text = b" ".join(chance.choices(words, weights, k=POOL // 5))
        noise = chance.randbytes(POOL)
        few = bytes(min(value & 15, value >> 4) * 5 for value in range(256))
        self.pools = [text[:POOL], noise.translate(few), noise]

    def file(self, chance: random.Random, size: int) -> bytes:
        pool = chance.choices(self.pools, (6, 4, 2))[0]
        start = chance.randrange(len(pool) - size)
        return pool[start : start + size]


def layer(source: Source, number: int, size: int) -> bytes:
    """A tar of about *size* bytes; the files are from 1 KB to 300 KB, most of them small."""
    chance = random.Random(number)
    buffer = io.BytesIO()
    count = 0
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        while buffer.tell() < size:
            length = min(int(chance.paretovariate(0.7) * 4000), 300_000)
            add(tar, f"usr/lib/part{number}/dir{count % 40}/file{count}", source.file(chance, length))
            count += 1
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))


class Blob:
    """A layer, compressed as builders do it (gzip, level 6)."""

    def __init__(self, plain: bytes) -> None:
        self.diff_id = digest(plain)
        self.data = gzip.compress(plain, 6, mtime=0)
        self.digest = digest(self.data)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def fill(host: str, port: int, small: int) -> None:
    """Put bench/eight (latest, next), bench/one and bench/small0... into the registry."""
    source = Source()
    part = TOTAL // LAYERS
    with ThreadPoolExecutor(2) as pool:
        layers = list(pool.map(lambda number: Blob(layer(source, number, part)), range(LAYERS + 1)))
        *eight, other = layers
        put(host, port, "bench/eight", {"latest": eight, "next": [*eight[:-1], other]})
        del layers, eight, other
        put(host, port, "bench/one", {"latest": [Blob(layer(source, 100, TOTAL))]})
        list(pool.map(partial(tiny, host, port, source), range(small)))


def tiny(host: str, port: int, source: Source, number: int) -> None:
    put(host, port, f"bench/small{number}", {"latest": [Blob(layer(source, 1000 + number, 100_000))]})


def put(host: str, port: int, repository: str, tags: dict[str, list[Blob]]) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=120)
    try:
        for blob in {each.digest: each for layers in tags.values() for each in layers}.values():
            upload(connection, repository, blob.digest, blob.data)
        for tag, layers in tags.items():
            config = json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "config": {"Cmd": ["sh"]},
                    "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
                    "history": [{"created_by": "bench"} for _ in layers],
                }
            ).encode()
            upload(connection, repository, digest(config), config)
            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": each.digest, "size": len(each.data)} for each in layers],
            }
            path = f"/v2/{repository}/manifests/{tag}"
            send(connection, "PUT", path, json.dumps(manifest).encode(), {"Content-Type": MANIFEST})
    finally:
        connection.close()


def upload(connection: http.client.HTTPConnection, repository: str, name: str, data: bytes) -> None:
    where = send(connection, "POST", f"/v2/{repository}/blobs/uploads/", b"", {})
    path = where.split("//", 1)[-1].partition("/")[2]
    mark = "&" if "?" in path else "?"
    send(connection, "PUT", f"/{path}{mark}digest={name}", data, {"Content-Type": "application/octet-stream"})


def send(connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]) -> str:
    """The answer's Location."""
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status in (201, 202), (method, path, answer.status, text)
    return answer.headers.get("Location", "")
