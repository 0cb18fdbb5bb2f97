"""Section C, layers and archives that climb, link, mark and name their way out: cases 13 and 15, through every door."""

import json
import os
import re
from collections.abc import Callable

import pytest

from tests.attack.conftest import SECRET
from tests.attack.doors import DOORS, problem
from tests.attack.hostile import SOAK, climb
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.layers import (
    archive,
    busybox_layer,
    config_for,
    directory,
    docker_archive,
    hardlink,
    member,
    sha256,
    symlink,
)

UP = "../" * 12


def ways(shapes: dict[str, Callable[[str], list[bytes]]]) -> list[tuple[str, str]]:
    """Every shape through two doors, all four in a long run: what unpacks is the same behind each."""
    doors = list(DOORS)
    chosen = [(shape, door) for shape in shapes for door in doors]
    if SOAK:
        return chosen
    return [(shape, door) for at, (shape, door) in enumerate(chosen) if (at + at // 4) % 2 == 0]


def pax(name: str, *records: tuple[bytes, bytes]) -> bytes:
    """An extended header for the member that follows."""
    data = b""
    for key, value in records:
        body = key + b"=" + value + b"\n"
        length = len(body) + 2
        while len(str(length)) + 1 + len(body) != length:
            length += 1
        data += b"%d " % length + body
    return member(name, data, kind=b"x")


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return member("././@LongLink", name + b"\0", kind=kind)


REFUSED: dict[str, Callable[[str], list[bytes]]] = {
    "dots": lambda out: [member(f"{climb(out)}/planted", b"evil")],
    "dots in the middle": lambda out: [directory("a"), member(f"a/{climb(out)}/planted", b"evil")],
    "dots of a directory": lambda out: [directory(f"{climb(out)}/planted")],
    "dots of a link": lambda out: [symlink(f"{climb(out)}/planted", "/")],
    "hard link to the host": lambda out: [hardlink("h", f"{out}/secret")],
    "hard link by dots": lambda out: [hardlink("h", climb(f"{out}/secret"))],
    "hard link through a link": lambda out: [symlink("s", out), hardlink("h", "s/secret")],
    "whiteout by dots": lambda out: [member(f"{climb(out)}/.wh.secret")],
    "opaque by dots": lambda out: [member(f"{climb(out)}/.wh..wh..opq")],
    "whiteout of dots": lambda out: [member(".wh...")],
    "whiteout of a dot": lambda out: [member(".wh..")],
    "whiteout of nothing": lambda out: [member(".wh.")],
    "pax path": lambda out: [pax("x", (b"path", f"{climb(out)}/planted".encode())), member("fine", b"evil")],
    "pax link": lambda out: [pax("x", (b"linkpath", f"{out}/secret".encode())), hardlink("h", "fine")],
    "pax NUL": lambda out: [pax("x", (b"path", b"fine\0/../../x")), member("fine", b"evil")],
    "gnu long name": lambda out: [long_name(f"{climb(out)}/planted".encode()), member("fine", b"evil")],
    "gnu long link": lambda out: [long_name(f"{out}/secret".encode(), b"K"), hardlink("h", "fine")],
    "path too long": lambda out: [member("/".join(["d" * 100] * 60), b"x")],
    "too deep": lambda out: [member("a/" * 3000 + "f", b"x")],
    "name too long": lambda out: [member("n" * 300, b"x")],
    "unknown kind": lambda out: [member("x", b"", kind=b"V")],
    "root is a link": lambda out: [symlink("./", out)],
}
"""Layers of which nothing may come in; *out* is a folder of the host."""

HARMLESS: dict[str, Callable[[str], list[bytes]]] = {
    "absolute": lambda out: [member(f"{out}/planted", b"evil")],
    "through a link": lambda out: [symlink("l", out), member("l/planted", b"evil")],
    "through a relative link": lambda out: [symlink("l", climb(out)), member("l/planted", b"evil")],
    "through two links": lambda out: [symlink("a", UP), symlink("b", f"a{out}"), member("b/planted", b"evil")],
    "through proc": lambda out: [symlink("l", f"/proc/self/root{out}"), member("l/planted", b"evil")],
    "over a link": lambda out: [symlink("l", f"{out}/secret"), member("l", b"evil")],
    "hard link to a link": lambda out: [symlink("s", f"{out}/secret"), hardlink("h", "s"), member("h", b"evil")],
    "whiteout through a link": lambda out: [symlink("l", out), member("l/.wh.secret")],
    "opaque through a link": lambda out: [symlink("l", out), member("l/.wh..wh..opq")],
    "mode through a link": lambda out: [symlink("l", out), directory("l", mode=0o777)],
    "owner of a link": lambda out: [member("l", kind=b"2", link=out.encode(), uid=1234, mode=0o777)],
    "devices": lambda out: [
        member("sda", kind=b"4", device=(8, 0), mode=0o666),
        member("mem", kind=b"3", device=(1, 1), mode=0o666),
    ],
    "setuid and capability": lambda out: [
        member(
            "su", b"x", mode=0o6755, xattrs={"security.capability": bytes.fromhex("01000002ffffffff00000000" * 2)[:20]}
        )
    ],
    "overlay marks": lambda out: [
        directory("d", xattrs={"trusted.overlay.redirect": climb(out).encode(), "trusted.overlay.opaque": b"y"}),
        member(
            "f", b"", xattrs={"trusted.overlay.metacopy": b"", "trusted.overlay.redirect": f"{out}/secret".encode()}
        ),
    ],
    "kinds that change": lambda out: [
        directory("d"),
        member("d/a", b"1"),
        symlink("d", out),
        member("d/planted", b"evil"),
        directory("d"),
        member("d/b", b"2"),
    ],
    "twice": lambda out: [member("f", b"1"), symlink("f", f"{out}/secret"), member("f", b"evil"), hardlink("g", "f")],
}
"""Layers that may come in or not: whatever they name is inside."""


@pytest.mark.parametrize(("what", "door"), ways(REFUSED))
def test_layers_that_are_refused(clean: Daemon, api: Api, outside: str, what: str, door: str) -> None:
    """CVE-2026-17106, CVE-2025-4517: the error names the entry, nothing of the image stays, the host is unchanged."""
    before = len(os.listdir(f"{clean.data_root}/snapshots/layers"))
    layer = archive(directory("tmp"), *REFUSED[what](outside))
    text = DOORS[door](api, [busybox_layer(), layer] if door != "import" else [layer], "hostile")
    assert text, "it was taken"
    if what not in ("root is a link",):
        assert re.search(r'"|\bNUL\b|name', text), text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    assert api("GET", "/images/hostile:1/json").status == 404
    left = len(os.listdir(f"{clean.data_root}/snapshots/layers")) - before
    assert left == 0 or door == "pull"  # a pull keeps the layers that were right for its next attempt


@pytest.mark.parametrize(("what", "door"), ways(HARMLESS))
def test_layers_that_stay_inside(clean: Daemon, api: Api, outside: str, what: str, door: str) -> None:
    """The same names by ways that a container may use: they lead to places in the root. A container runs on top."""
    layer = archive(directory("tmp"), *HARMLESS[what](outside))
    layers = [busybox_layer(), layer] if door != "import" else [archive(busybox_layer()[:-1024], layer[:-1024])]
    text = DOORS[door](api, layers, "harmless")
    if text:
        return
    body = {"Image": "harmless:1", "Cmd": ["/bin/busybox", "cat", f"{outside}/secret", "/f", "/l", "/l/secret", "/h"]}
    created = api("POST", "/containers/create", body)
    assert created.status == 201, created.body
    identifier = created.json()["Id"]
    if api("POST", f"/containers/{identifier}/start").status == 204:
        api("POST", f"/containers/{identifier}/wait")
        shown = api("GET", f"/containers/{identifier}/logs", query={"stdout": 1})
        assert SECRET.encode() not in shown.body
    api("DELETE", f"/containers/{identifier}", query={"force": 1})
    assert api("DELETE", "/images/harmless:1").status == 200


def test_link_of_a_lower_layer(clean: Daemon, api: Api, outside: str) -> None:
    """A link in one layer, a write and a whiteout through it in the next ones: each layer is unpacked by itself."""
    layers = [
        archive(busybox_layer()[:-1024], symlink("l", outside)),
        archive(member("l/planted", b"evil")),
        archive(member("l/.wh.secret"), member("l/.wh..wh..opq")),
    ]
    for door in ("load", "layout", "pull"):
        assert DOORS[door](api, layers, "stacked") == ""
        body = {"Image": "stacked:1", "Cmd": ["/bin/busybox", "ls", "-l", "/l"]}
        identifier = api("POST", "/containers/create", body).json()["Id"]
        assert api("POST", f"/containers/{identifier}/start").status == 204
        api("POST", f"/containers/{identifier}/wait")
        api("DELETE", f"/containers/{identifier}", query={"force": 1})
        api("DELETE", "/images/stacked:1")


def test_devices_of_an_image_cannot_be_opened(clean: Daemon, api: Api, outside: str) -> None:
    """A layer's device nodes are kept, as with Docker; the device list of the container decides who may open them."""
    layer = archive(*HARMLESS["devices"](outside))
    assert DOORS["load"](api, [busybox_layer(), layer], "devices") == ""
    script = "for d in /sda /mem; do ( : < $d ) 2>/dev/null && echo OPENED $d; done; echo end"
    body = {"Image": "devices:1", "Cmd": ["/bin/busybox", "sh", "-c", script]}
    identifier = api("POST", "/containers/create", body).json()["Id"]
    assert api("POST", f"/containers/{identifier}/start").status == 204
    api("POST", f"/containers/{identifier}/wait")
    shown = api("GET", f"/containers/{identifier}/logs", query={"stdout": 1}).body
    assert b"OPENED" not in shown and b"end" in shown


# case 15: the archive around the layers


def listing(layer: bytes, **fields: object) -> bytes:
    config = config_for([layer])
    item = {"Config": sha256(config) + ".json", "RepoTags": ["evil:1"], "Layers": ["a/layer.tar"], **fields}
    parts = member("a/layer.tar", layer), member(sha256(config) + ".json", config)
    return archive(*parts, member("manifest.json", json.dumps([item]).encode()))


LAYER = archive(directory("d"), member("d/file", b"content"))
LIE = "0" * 64 + ".json"
ARCHIVES = {
    "config of the host": listing(LAYER, Config="../../../../etc/passwd"),
    "config absolute": listing(LAYER, Config="/etc/passwd"),
    "layer of the host": listing(LAYER, Layers=["../../../../etc/passwd"]),
    "layer by a link": archive(symlink("a/layer.tar", "/etc/passwd"), member("x", b""), listing(LAYER)[1024:]),
    "config digest": archive(
        member("a/layer.tar", LAYER),
        member(LIE, config_for([LAYER])),
        member(
            "manifest.json", json.dumps([{"Config": LIE, "RepoTags": ["evil:1"], "Layers": ["a/layer.tar"]}]).encode()
        ),
    ),
    "layer digest": archive(
        member("a/layer.tar", archive(directory("other"))),
        member(sha256(config_for([LAYER])) + ".json", config_for([LAYER])),
        member(
            "manifest.json",
            json.dumps(
                [{"Config": sha256(config_for([LAYER])) + ".json", "RepoTags": ["evil:1"], "Layers": ["a/layer.tar"]}]
            ).encode(),
        ),
    ),
    "tag with a digest": listing(LAYER, RepoTags=["x@sha256:" + "0" * 64]),
    "tag with control bytes": listing(LAYER, RepoTags=["evil\x1b[2J:1"]),
    "tag with dots": listing(LAYER, RepoTags=["../../evil:1"]),
    "second image is bad": listing(LAYER)[:-1024],
    "cut off": docker_archive([LAYER], ["evil:1"])[:-2048],
}


@pytest.mark.parametrize("what", list(ARCHIVES))
def test_archives_that_are_refused(clean: Daemon, api: Api, outside: str, what: str) -> None:
    """Names out of the archive, digests that lie, names that are none: rejected as a whole, existing names unmoved."""
    assert DOORS["load"](api, [busybox_layer()], "evil") == ""
    before = api("GET", "/images/evil:1/json").json()["Id"]
    blobs = sorted(os.listdir(f"{clean.data_root}/content/blobs/sha256"))
    data = ARCHIVES[what]
    if what == "second image is bad":
        items = [{"Config": sha256(config_for([LAYER])) + ".json", "RepoTags": ["evil:1"], "Layers": ["a/layer.tar"]}]
        items.append({"Config": "none.json", "RepoTags": ["other:1"], "Layers": []})
        data = archive(data[:-2048], member("manifest.json", json.dumps(items).encode()))
    answer = api("POST", "/images/load", data)
    assert problem(answer.status, answer.body)
    assert api("GET", "/images/evil:1/json").json()["Id"] == before
    assert sorted(os.listdir(f"{clean.data_root}/content/blobs/sha256")) == blobs
    assert api("GET", "/images/other:1/json").status == 404
