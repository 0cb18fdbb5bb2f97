"""What a daemon's records, its directories and the host say about each other; where they differ, something is wrong."""

import os
import sqlite3
import time
from contextlib import closing

import msgspec

from corten.engine.imagescan import StoredImage
from corten.oci.digest import chain_ids
from tests.support import host
from tests.support.daemon import Daemon
from tests.support.stock import PATIENCE


def differences(daemon: Daemon) -> list[str]:
    """Everything that one side has and another one lacks, in words; nothing when all is well."""
    found: list[str] = []

    def same(what: str, here: set[str], there: set[str]) -> None:
        if here != there:
            found.append(f"{what}: only here {sorted(here - there)}, only there {sorted(there - here)}")

    data, run = daemon.data_root, daemon.exec_root
    with closing(sqlite3.connect(f"file:{data}/state.db?mode=ro", uri=True)) as database:

        def column(query: str) -> set[str]:
            return {row[0] for row in database.execute(query)}

        containers = column("SELECT id FROM containers")
        snapshots = dict(database.execute("SELECT key, chain_id FROM snapshots"))
        layers = dict(database.execute("SELECT chain_id, parent FROM layers"))
        documents = [row[0] for row in database.execute("SELECT document FROM images")]
        named = column("SELECT digest FROM image_names")
        volumes = column("SELECT name FROM volumes")
        unended = column("SELECT name FROM volume_removals") & (volumes | listed(f"{data}/volumes"))
        set_aside = column("SELECT key FROM quarantine")
    images = [msgspec.json.decode(document, type=StoredImage) for document in documents]
    same("containers recorded / with a snapshot's record", containers, set(snapshots))
    same("containers recorded / with a snapshot", containers, listed(f"{data}/snapshots/active"))
    same("containers recorded / with a directory", containers, listed(f"{data}/containers"))
    blobs = {digest.removeprefix("sha256:") for image in images for digest in image.blobs()}
    same("blobs of images / there", blobs, listed(f"{data}/content/blobs/sha256"))
    needed = {chain for image in images for item in image.manifests for chain in chain_ids(item.diff_ids)}
    for chain in snapshots.values():
        while chain and chain not in needed:
            needed.add(chain)
            chain = layers.get(chain, "")
    same("layers needed / recorded", needed, set(layers))
    same("layers recorded / there", set(layers), {f"sha256:{name}" for name in listed(f"{data}/snapshots/layers")})
    same("names' images / images", named | {image.id for image in images}, {image.id for image in images})
    same("volumes recorded / there", volumes, listed(f"{data}/volumes"))
    listing = daemon.api("GET", "/containers/json").json()
    running = {each["Id"] for each in listing}
    plugged = [each for each in listing if each["HostConfig"]["NetworkMode"] in ("default", "bridge")]
    same("running / with a bundle", running, listed(f"{run}/run"))
    same("running / with a namespace", running, listed(f"{run}/netns"))
    for name in os.listdir(f"{run}/runtime"):
        same(f"running / known to {name}", running, listed(f"{run}/runtime/{name}"))
    holdings = daemon.holdings()
    mounts = [point for point in holdings.mounts if point != data]
    loose = [line for line in holdings.processes if line.split()[0] != str(daemon.pid)]
    for what, lines in (("mount", mounts), ("cgroup", holdings.cgroups), ("process", loose)):
        found += [f"{what} of nobody: {line}" for line in lines if not any(each in line for each in running)]
    if len(holdings.ports) != len(plugged):
        found.append(f"{len(holdings.ports)} devices for {len(plugged)} running containers: {holdings.ports}")
    for what, left in (
        ("unfinished removals", unended),
        ("quarantine", set_aside),
        ("unfinished blobs", listed(f"{data}/content/ingest")),
        ("trash", listed(f"{data}/snapshots/trash")),
        ("volume mounts", listed(f"{run}/volumes") - running),
    ):
        if left:
            found.append(f"{what}: {sorted(left)}")
    return found


def settled(daemon: Daemon, seconds: float = 20) -> list[str]:
    """The differences that stay: removals may go on in the background for a moment."""
    deadline = time.monotonic() + seconds * PATIENCE
    while (found := differences(daemon)) and time.monotonic() < deadline:
        time.sleep(0.03)
    return found


def listed(path: str) -> set[str]:
    return set(os.listdir(path)) if os.path.isdir(path) else set()


def rules(daemon: Daemon) -> int:
    """The rules and set elements of its firewall table."""
    return host.rules_naming(host.bridge_with(daemon.address))
