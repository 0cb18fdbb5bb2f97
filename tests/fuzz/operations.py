"""What can be asked of the API, and requests for it with more or less sensible values."""

import gzip
import json
import random
from typing import Any, NamedTuple
from urllib.parse import quote

from corten.api.routes.networks import Connect, Disconnect
from corten.api.routes.streams import ExecStart
from corten.api.routes.volumes import Create
from corten.model.base import Value
from corten.model.container import ContainerConfig, EndpointSettings, HostConfig
from corten.model.exec import ExecOptions
from tests.fuzz import values
from tests.fuzz.exchange import Request, build
from tests.fuzz.mutation import mutate
from tests.fuzz.tame import tame
from tests.fuzz.world import IMAGES, World
from tests.support.layers import archive, directory, member, symlink

VERSIONS = ["", "", "/v1.24", "/v1.30", "/v1.40", "/v1.41", "/v1.43", "/v1.44", "/v1.47", "/v1.51", "/v1.52", "/v1.56"]
ODD_VERSIONS = ("/v1.23", "/v1.57", "/v2", "/v0", "/v1.24.1", "/v99999999999", "/v1.", "/v", "//v1.47", "/V1.47")
FLAG = ("0", "1", "true", "false", "")
LIVE = ("/events", "/stats", "/logs", "/wait", "/attach", "/stop", "/restart", "/start")
FILTERS = (
    "label", "label!", "name", "id", "status", "ancestor", "before", "since", "until", "dangling", "reference",
    "driver", "scope", "type", "event", "container", "image", "volume", "exited", "publish", "expose", "health",
    "is-task", "network", "all", "no-such",
)  # fmt: skip


class Operation(NamedTuple):
    """``body``: a struct of the model, "tar", "image", "create" or None."""

    method: str
    path: str
    query: tuple[str, ...] = ()
    body: type[Value] | str | None = None


def operations() -> list[Operation]:
    """The table below, one operation a line: METHOD /path query,query body."""
    bodies: dict[str, type[Value]] = {
        kind.__name__: kind
        for kind in (ContainerConfig, HostConfig, ExecOptions, ExecStart, Create, Connect, Disconnect)
    }
    found = []
    for line in TABLE.split("\n"):
        method, path, query, body = (*line.split(), "-", "-")[:4]
        names = () if query == "-" else tuple(query.split(","))
        found.append(Operation(method, path, names, None if body == "-" else bodies.get(body, body)))
    return found


TABLE = """\
GET /containers/json all,limit,size,filters,before,since
POST /containers/create name,platform create
GET /containers/{container}/json size
GET /containers/{container}/top ps_args
GET /containers/{container}/logs follow,stdout,stderr,since,until,timestamps,tail,details
GET /containers/{container}/changes
GET /containers/{container}/export
GET /containers/{container}/stats stream,one-shot
POST /containers/{container}/resize h,w
POST /containers/{container}/start detachKeys,checkpoint
POST /containers/{container}/stop signal,t
POST /containers/{container}/restart signal,t
POST /containers/{container}/kill signal
POST /containers/{container}/update - HostConfig
POST /containers/{container}/rename name
POST /containers/{container}/pause
POST /containers/{container}/unpause
POST /containers/{container}/attach detachKeys,logs,stream,stdin,stdout,stderr
GET /containers/{container}/attach/ws detachKeys,logs,stream,stdin,stdout,stderr
POST /containers/{container}/wait condition
DELETE /containers/{container} v,force,link
HEAD /containers/{container}/archive path
GET /containers/{container}/archive path
PUT /containers/{container}/archive path,noOverwriteDirNonDir,copyUIDGID tar
POST /containers/prune filters
POST /containers/{container}/exec - ExecOptions
POST /exec/{exec}/start - ExecStart
POST /exec/{exec}/resize h,w
GET /exec/{exec}/json
GET /images/json all,filters,shared-size,digests,manifests,identity
POST /images/create fromImage,fromSrc,repo,tag,message,changes,platform tar
GET /images/{image}/json manifests,platform
GET /images/{image}/attestations platform,type,statement
GET /images/{image}/history platform
POST /images/{image}/tag repo,tag
DELETE /images/{image} force,noprune,platforms
POST /images/prune filters
GET /images/{image}/get platform
GET /images/get names,platform
POST /images/load quiet,platform image
POST /images/{image}/push tag,platform
GET /images/search term,limit,filters
POST /commit container,repo,tag,comment,author,pause,changes ContainerConfig
POST /auth - Create
GET /distribution/{image}/json
GET /info
GET /version
GET /_ping
HEAD /_ping
GET /events since,until,filters
GET /system/df type,verbose
GET /volumes filters
POST /volumes/create - Create
GET /volumes/{volume}
PUT /volumes/{volume} version Create
DELETE /volumes/{volume} force
POST /volumes/prune filters
GET /networks filters
GET /networks/{network} verbose,scope
DELETE /networks/{network}
POST /networks/create - Create
POST /networks/{network}/connect - Connect
POST /networks/{network}/disconnect - Disconnect
POST /networks/prune filters
POST /build dockerfile,t,remote,memory,buildargs tar
POST /build/prune all,filters
GET /plugins filters
GET /plugins/{plugin}/json
POST /plugins/{plugin}/enable timeout
GET /swarm
POST /swarm/init - Create
GET /nodes filters
GET /services/{container}
POST /session"""
OPERATIONS = operations()


class Builder:
    """Requests out of one chance; ``wild`` is how often a part has a value that makes no sense."""

    def __init__(self, world: World, chance: random.Random, wild: float) -> None:
        self.world, self.chance, self.wild = world, chance, wild

    def request(self, operation: Operation | None = None) -> Request:
        chance = self.chance
        operation = operation or chance.choice(OPERATIONS)
        target = self.prefix() + self.path(operation.path)
        pairs = [self.pair(name) for name in operation.query if chance.random() < 0.6]
        if self.odd():
            pairs.append((values.text(chance), values.text(chance)))
        if pairs:
            target += "?" + "&".join(f"{self.escaped(name)}={self.escaped(value)}" for name, value in pairs)
        headers, body = self.body(operation)
        method = operation.method
        if chance.random() < self.wild / 10:
            method = chance.choice(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"))
        headers.append(("Connection", "close"))
        live = any(word in target for word in LIVE)
        data = build(method, target.encode("utf-8", "surrogatepass"), headers, body)
        return Request(data, method, live=live)

    def odd(self) -> bool:
        return self.chance.random() < self.wild

    def prefix(self) -> str:
        return self.chance.choice(ODD_VERSIONS if self.chance.random() < self.wild / 8 else VERSIONS)

    def path(self, pattern: str) -> str:
        before, brace, rest = pattern.partition("{")
        if not brace:
            return pattern
        kind, _, after = rest.partition("}")
        if self.odd():
            shown = quote(self.world.pick(self.chance.choice(list(self.world.ids)), self.chance), safe="/:@")
            if self.chance.random() < 0.6:
                shown = quote(values.text(self.chance).encode("utf-8", "surrogatepass"), safe="/:@%")
        else:
            shown = quote(self.world.pick(kind, self.chance), safe="/:@")
        return before + shown + after

    def pair(self, name: str) -> tuple[str, str]:
        chance = self.chance
        if self.odd():
            if name == "t":  # seconds in which others wait
                return name, chance.choice(("-2", "x", "1.5", "99999999999999999999", "0", "2", "١"))
            return name, chance.choice((values.text(chance), str(values.number(chance))))
        if name == "filters":
            return name, self.filters()
        sensible: dict[str, tuple[str, ...]] = {
            "limit": ("0", "1", "5", "-1"), "t": ("0", "1"), "h": ("24", "1"), "w": ("80", "1"), "name": ("fuzz",),
            "signal": ("SIGTERM", "KILL", "15", "HUP"), "condition": ("not-running", "next-exit", "removed"),
            "path": ("/etc", "/etc/passwd", "/bin/sh", "/tmp", "/proc/self", "/dev/null", "/nothing", "/", "."),
            "fromSrc": ("-",), "repo": ("fuzz/made",), "tag": ("1", "2"), "names": IMAGES,
            "changes": ("CMD true", "ENV a=b", "EXPOSE 80", "USER 1"), "container": (self.world.seeds.get("runs", ""),),
            "since": ("0", "1700000000", "1h"), "until": ("0", "1700000000.5"), "tail": ("all", "0", "3"),
            "platform": ("linux/amd64",), "platforms": ('{"os":"linux","architecture":"amd64"}',),
            "detachKeys": ("ctrl-p,ctrl-q",), "ps_args": ("aux", "-ef"), "type": ("container", "image", "volume"),
            "fromImage": ("127.0.0.1:1/fuzz/nothing",), "term": ("127.0.0.1:1/fuzz",), "checkpoint": ("",),
            "remote": ("http://127.0.0.1:1/",), "pause": ("0", "1"),
        }  # fmt: skip
        return name, chance.choice(sensible.get(name, FLAG))

    def filters(self) -> str:
        chance = self.chance
        found: dict[str, Any] = {}
        for _ in range(chance.randrange(3)):
            texts = [values.text(chance) for _ in range(chance.randrange(3))]
            found[chance.choice(FILTERS)] = dict.fromkeys(texts, True) if chance.random() < 0.3 else texts
        return json.dumps(found)

    def escaped(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        return quote(raw, safe="%+" if self.chance.random() < self.wild / 4 else "")

    # bodies

    def body(self, operation: Operation) -> tuple[list[tuple[str, str]], bytes | None]:
        chance, kind = self.chance, operation.body
        if kind is None:
            wanted = chance.random() < self.wild / 3
            return [("Content-Type", "application/json")] if wanted else [], b'{"a": 1}' if wanted else None
        if kind == "tar":
            return [("Content-Type", "application/x-tar")], self.archive(small_tar())
        if kind == "image":
            return [("Content-Type", "application/x-tar")], self.archive(self.world.archive)
        document = tame(self.document(kind), chance)
        text = json.dumps(document).encode()
        media = "application/json"
        if self.odd() and chance.random() < 0.3:
            text = chance.choice((
                b"", b"null", b"[]", b"1", b'"a"', b"\xff\xfe{}", b"\xef\xbb\xbf" + text, text + text, text + b" x",
                text[: len(text) // 2], b"[" * 100_000, b'{"a":' * 5000, text.replace(b"a", b"\xff"),
                json.dumps(document, ensure_ascii=False).encode("utf-16", "surrogatepass"), b"{" + b" " * 70_000 + b"}",
                text[:-1] + b', "Labels": ' + b"[" * 5000 + b"]" * 5000 + b"}",
                text[:-1] + b', "HostConfig": {"Memory": ' + b'{"a":' * 900 + b"1" + b"}" * 902,
                b'{"Image":"a","image":"b","IMAGE":1}', b'{"Memory": 1e400}', b'{"Memory": 00}', b"{'a': 1}",
            ))  # fmt: skip
            media = chance.choice(("application/json", "application/json; charset=x", "text/plain", "", "a" * 300))
        return [("Content-Type", media)], text

    def document(self, kind: type[Value] | str) -> Any:
        chance = self.chance
        if self.odd() and chance.random() < 0.1:
            return values.anything(chance)
        if isinstance(kind, str):
            document = values.of_struct(ContainerConfig, chance) if self.odd() else {"Cmd": ["true"]}
            document["Image"] = self.world.pick("image", chance) if chance.random() < 0.2 else IMAGES[0]
            if chance.random() < 0.7:
                document["HostConfig"] = values.of_struct(HostConfig, chance)
            if chance.random() < 0.2:
                name = chance.choice(("bridge", "none", "host", values.text(chance)))
                document["NetworkingConfig"] = {"EndpointsConfig": {name: values.of_struct(EndpointSettings, chance)}}
            return document
        document = values.of_struct(kind, chance) if self.odd() or kind is HostConfig else {}
        if kind is ExecOptions and not self.odd():
            document |= {"Cmd": ["echo", "hello"], "AttachStdout": True}
        if kind in (Connect, Disconnect) and not self.odd():
            document["Container"] = self.world.pick("container", chance)
        return document

    def archive(self, data: bytes) -> bytes:
        if self.odd():
            data = gzip.compress(data, 1) if self.chance.random() < 0.3 else data
            return mutate(data, self.chance)
        return data


def small_tar() -> bytes:
    return archive(directory("d"), member("d/file", b"text\n", mode=0o644), symlink("d/link", "file"), member("top"))
