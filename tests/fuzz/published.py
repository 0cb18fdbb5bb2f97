"""Requests that schemathesis makes out of the published description, with real ids in them, and checked against it."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from tests.fuzz.exchange import Answer, Request, build
from tests.fuzz.operations import LIVE, VERSIONS
from tests.fuzz.tame import tame
from tests.fuzz.world import IMAGES, World
from tests.support import schema

PARAMETERS = (("/containers/", "container"), ("/exec/", "exec"), ("/images/", "image"), ("/volumes/", "volume"))
PARAMETERS += (("/networks/", "network"), ("/plugins/", "plugin"), ("/distribution/", "image"))
UNDESCRIBED = ("GraphDriver", "Storage", "ExitCode", "MemorySwappiness")
"""As in tests/conformance/test_schema.py: there or null by the state of things, with Docker too."""
OLD_LISTS = ("LayersSize", "Images", "Containers", "Volumes", "BuildCache")
"""/system/df keeps them for older clients."""
FEWEST_ALIKE = 3
"""Cases of one operation and kind in a short session; to make the first costs most."""
BINARY = ("application/x-tar", "application/octet-stream")


def cases(count: int, seed: str) -> Iterator[Any]:
    """*count* cases at most, over all operations alike, half of them valid. The same *seed* gives the same ones."""
    import schemathesis
    from schemathesis.generation import GenerationMode

    for media in BINARY:
        schemathesis.serializer(media)(lambda _context, value: bytes(str(value), "utf-8"))
    described = schemathesis.openapi.from_dict(copy.deepcopy(schema.document()))  # it changes what it is given
    operations = [found.ok() for found in described.get_all_operations()]
    pairs = [(each, mode) for each in operations for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    each = max(FEWEST_ALIKE, -(-count // (2 * len(operations))))
    left = count
    for operation, mode in random.Random(seed).sample(pairs, len(pairs)):
        if not left:
            return
        made = gather(operation.as_strategy(generation_mode=mode), each, f"{seed}{operation.label}")[:left]
        left -= len(made)
        yield from made


def gather(strategy: Any, count: int, seed: str) -> list[Any]:
    """So many values of a hypothesis strategy, or fewer when it has no more."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis.errors import Unsatisfiable

    made: list[Any] = []

    @seeded(int.from_bytes(seed.encode(), "big"))
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(case: Any) -> None:
        made.append(case)

    try:
        collect()
    except Unsatisfiable:
        pass  # nothing can be wrong with a request without any part
    return made


def request(case: Any, world: World, chance: random.Random) -> Request:
    """The case as bytes: real ids in most paths, harmless values in the body, any version."""
    path: str = case.operation.path
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        kind = next((kind for start, kind in PARAMETERS if path.startswith(start)), "container")
        if chance.random() < 0.8:
            shown = quote(world.pick(kind, chance), safe="/:@")
        else:
            shown = str(case.path_parameters.get(name, "x"))
        path = before + (shown.replace("{", "%7B") or "%20") + after
    query = {key: flat(value) for key, value in (case.query or {}).items()}
    for key, value in (("path", "/etc"), ("container", world.seeds["runs"]), ("t", "0")):
        if key in query and chance.random() < 0.7:
            query[key] = value
    target = chance.choice(VERSIONS) + path
    if query:
        target += "?" + urlencode(query, doseq=True, errors="surrogatepass")
    headers = [(str(key), one_line(value)) for key, value in (case.headers or {}).items()]
    headers = [(key, value) for key, value in headers if key.lower() not in ("content-length", "transfer-encoding")]
    body = payload(case, chance)
    if body is not None:
        headers = [(key, value) for key, value in headers if key.lower() != "content-type"]
        headers.append(("Content-Type", case.media_type or "application/json"))
    headers.append(("Connection", "close"))
    data = build(case.method, target.encode("utf-8", "surrogatepass"), headers, body)
    return Request(data, case.method, live=any(word in target for word in LIVE))


def flat(value: Any) -> Any:
    """A query value; what has parts goes as JSON."""
    if isinstance(value, list):
        return [entry if isinstance(entry, str) else json.dumps(entry) for entry in value]
    return value if isinstance(value, str) else json.dumps(value)


def one_line(value: Any) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(value)).strip()


def payload(case: Any, chance: random.Random) -> bytes | None:
    body = case.body
    if type(body).__name__ == "NotSet":
        return None
    if isinstance(body, bytes):
        return body
    document = tame(body, chance)
    if isinstance(document, dict) and case.operation.path == "/containers/create" and chance.random() < 0.9:
        document["Image"] = IMAGES[0]
    return json.dumps(document).encode() if case.media_type not in BINARY else str(body).encode("utf-8", "replace")


def faults(case: Any, answer: Answer, old: bool) -> list[str]:
    """How an answer differs from its description, whose bodies are those of new versions.

    Any request may be wrong (400), clash with another one (409), or be for what is not there (404, 501).
    """
    path = case.operation.path
    described = schema.document()["paths"][path][case.method.lower()]["responses"]
    if answer.status not in {*described, 101, 400, 404, 409, 501, 503}:
        return [f"{case.method} {path}: status {answer.status} is not described"]
    if answer.status >= 400 and answer.status != 404 and not answer.body and case.method != "HEAD":
        return [f"{case.method} {path}: {answer.status} without a body"]
    shape = described.get(answer.status, {}).get("schema")
    if (
        old
        or answer.status >= 300
        or not shape
        or not answer.headers.get("content-type", "").startswith("application/json")
    ):
        return []
    endless = path in ("/events", "/containers/{id}/stats", "/containers/{id}/wait")
    if endless or case.method == "HEAD" or not answer.whole or shape.get("type") == "string":
        return []
    return [f"{case.method} {path}: {text}" for text in schema.faults(shape, answer.json()) if not allowed(text, path)]


def allowed(text: str, path: str) -> bool:
    key = text.partition(":")[0].rpartition(".")[2]
    return key in UNDESCRIBED or (path == "/system/df" and key in OLD_LISTS)
