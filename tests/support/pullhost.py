"""A private daemon that pulls from scripted registries, and whose faults a test can arm (corten/faultpoint.py)."""

import contextlib
import gzip
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.client import HTTPException

from tests.support.daemon import Daemon
from tests.support.layers import archive, config_for, member
from tests.support.scriptedregistry import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, ScriptedRegistry
from tests.support.stock import eventually


def noise(text: str, size: int) -> bytes:
    """Bytes that do not compress, the same ones for the same *text*."""
    return hashlib.shake_128(text.encode()).digest(size)


def layer(text: str, size: int = 3 << 20) -> bytes:
    """A layer of one file of *size* bytes that do not compress."""
    return archive(member(f"file-{text}", noise(text, size)))


def packed(tar: bytes) -> bytes:
    return gzip.compress(tar, 1, mtime=0)


def offer(
    registry: ScriptedRegistry, repository: str, tag: str, tars: list[bytes], **fields: object
) -> tuple[str, list[str]]:
    """An image of gzip layers; gives the manifest's digest and the layers'."""
    layers = [registry.descriptor(packed(tar), OCI_LAYER) for tar in tars]
    config = registry.descriptor(config_for(tars, **fields), OCI_CONFIG)
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    return registry.manifest(repository, tag, document, OCI_MANIFEST), [str(each["digest"]) for each in layers]


class PullHost(Daemon):
    """The daemon with a directory of faults, and its store seen from outside."""

    def environment(self) -> dict[str, str]:
        os.makedirs(self.faults, exist_ok=True)
        return {"CORTEN_FAULTS": self.faults}

    @property
    def faults(self) -> str:
        return f"{self.base}/faults"

    def arm(self, order: str) -> None:
        """ "STEP ACTION [COUNT]", or "" for none."""
        path = f"{self.faults}/armed"
        if not order:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        with open(f"{path}.new", "w") as file:
            file.write(order)
        os.rename(f"{path}.new", path)

    def reached(self) -> list[str]:
        """The steps so far, in order."""
        try:
            with open(f"{self.faults}/trace") as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def pull(self, registry: ScriptedRegistry, repository: str, tag: str = "1", **query: str) -> list[dict]:
        """The records of a pull through the API."""
        answer = self.api(
            "POST", "/images/create", query={"fromImage": f"{registry.host}/{repository}", "tag": tag, **query}
        )
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.splitlines()]

    def pull_dies(self, registry: ScriptedRegistry, repository: str) -> None:
        """Pull, and see the daemon kill itself amid it."""
        with contextlib.suppress(OSError, HTTPException):
            self.pull(registry, repository)
        assert self.process is not None
        self.process.wait(30)

    def files(self, place: str) -> list[str]:
        """The names in a directory of the data root."""
        return sorted(os.listdir(f"{self.data_root}/{place}"))

    def partial(self, digest: str) -> str:
        return f"{self.data_root}/content/partial/{digest[7:]}"

    def check_store(self) -> None:
        """Nothing but what the images need lies in the store, and all of that does."""
        eventually(lambda: not self.files("snapshots/trash"), what="an empty trash")
        wanted: set[str] = set()
        chains: set[str] = set()
        for row in self.api("GET", "/images/json").json():
            wanted.add(row["Id"])
            path = f"{self.data_root}/content/blobs/sha256"
            with open(f"{path}/{row['Id'][7:]}") as file:
                manifest = json.load(file)
            wanted.add(manifest["config"]["digest"])
            wanted.update(each["digest"] for each in manifest["layers"])
            with open(f"{path}/{manifest['config']['digest'][7:]}") as file:
                chain = ""
                for diff_id in json.load(file)["rootfs"]["diff_ids"]:
                    text = f"{chain} {diff_id}" if chain else diff_id
                    chain = "sha256:" + hashlib.sha256(text.encode()).hexdigest() if chain else diff_id
                    chains.add(chain)
        assert {"sha256:" + name for name in self.files("content/blobs/sha256")} == wanted
        for digest in wanted:
            with open(f"{self.data_root}/content/blobs/sha256/{digest[7:]}", "rb") as file:
                assert "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() == digest
        assert {"sha256:" + name for name in self.files("snapshots/layers")} == chains
        assert self.files("content/ingest") == []


class Pulling(threading.Thread):
    """A pull in the background; ``records`` when it has ended."""

    def __init__(self, host: PullHost, registry: ScriptedRegistry, repository: str) -> None:
        super().__init__(daemon=True)
        self.host, self.registry, self.repository = host, registry, repository
        self.records: list[dict] = []
        self.start()

    def run(self) -> None:
        self.records = self.host.pull(self.registry, self.repository)

    def ended(self) -> list[dict]:
        self.join(60)
        assert not self.is_alive()
        return self.records


@contextlib.contextmanager
def pull_host(*arguments: str) -> Iterator[PullHost]:
    """Up and running; nothing of it may be left at the end."""
    host = PullHost("cortend", arguments)
    try:
        host.start()
        yield host
    finally:
        host.arm("")
        leaks = host.close()
    assert not leaks, leaks
