"""The image store after kill -9 amid loads, imports and removals: whole images or none, and no leftovers."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from corten.engine.images import Images
from corten.store.database import Database
from corten.store.snapshot import Snapshots
from tests.support.layers import archive, config_for, docker_archive, member

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

WORKER = """
import asyncio, sys
from tests.system.test_images_crash import open_store
root = sys.argv[1]
database, snapshots, images = open_store(root)

async def chunks(path):
    with open(path, "rb") as file:
        while piece := file.read(20_000):
            yield piece

async def main():
    print("ready", flush=True)
    while True:
        for name in ("a", "b"):
            async for _ in images.load(chunks(f"{root}/{name}.tar")):
                pass
        await images.remove("a:1", force=True)
        await images.remove("b:1", force=True)

asyncio.run(main())
"""


def open_store(root):
    database = Database(f"{root}/state.db")
    snapshots = Snapshots(f"{root}/snapshots", database)
    images = Images(f"{root}/content", database, snapshots)
    snapshots.clean([])
    images.recover()
    return database, snapshots, images


def test_killed_at_any_moment(tmp_path):
    shared = archive(*[member(f"s{n}", os.urandom(3000)) for n in range(30)])
    for name in ("a", "b"):
        own = archive(*[member(f"{name}{n}", os.urandom(3000)) for n in range(30)])
        layers = [shared, own]
        data = docker_archive(layers, [f"{name}:1"], config_for(layers, author=name))
        (tmp_path / f"{name}.tar").write_bytes(data)
    rng = random.Random(7)
    for _ in range(12):
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE)
        try:
            assert worker.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0, 0.15))
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker.stdout.close()
        check(tmp_path)


def check(root):
    database, snapshots, images = open_store(str(root))
    try:
        snapshots.drain()
        index = images._store.index
        wanted = {digest for image in index.images() for digest in image.blobs()}
        assert {"sha256:" + name for name in os.listdir(root / "content/blobs/sha256")} == wanted
        for digest in wanted:
            assert images._store.content.size(digest) >= 0
        chains = set()
        for image in index.images():
            (manifest,) = image.manifests
            chains |= {layer.chain_id for layer in snapshots.chain(manifest.chain_id)}
            assert images.resolve(image.id).config.author in ("a", "b")
        assert {"sha256:" + name for name in os.listdir(root / "snapshots/layers")} == chains
        for chain in chains:
            assert len(os.listdir(root / "snapshots/layers" / chain[7:])) == 30
        assert os.listdir(root / "content/ingest") == os.listdir(root / "snapshots/trash") == []
    finally:
        images.close()
        snapshots.close()
        database.close()
