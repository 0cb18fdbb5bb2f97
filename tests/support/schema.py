"""Checks answers against the published description of the Engine API: Swagger 2.0, in a file beside the repository.

Two liberties, both of Docker's own answers: a list or object that was never set is null (Go's nil), and formats are not
looked at. What the description does not name is refused, so that a misspelt key is found.
"""

import os
from functools import cache
from typing import Any

from tests.support.daemon import REPOSITORY

NAME = "shared/reference/specs/docker-engine-api.yaml"
PLACES = [os.path.join(REPOSITORY, *[".."] * steps, NAME) for steps in (1, 2)]
PATH = next((place for place in PLACES if os.path.exists(place)), "")


@cache
def document() -> dict[str, Any]:
    import yaml

    with open(PATH) as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node without ``$ref`` and ``allOf`` at its top."""
    while "$ref" in node:
        node = document()["definitions"][node["$ref"].rpartition("/")[2]]
    if "allOf" in node:
        merged: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
        for part in node["allOf"]:
            flat = resolved(part)
            merged["properties"].update(flat.get("properties", {}))
            merged["required"] += flat.get("required", [])
            merged["type"] = flat.get("type", "object")
        merged["properties"].update(node.get("properties", {}))
        return {**{key: value for key, value in node.items() if key != "allOf"}, **merged}
    return node


def faults(node: dict[str, Any], value: Any, where: str = "") -> list[str]:
    """What in ``value`` is not as the description says; empty when all is."""
    node = resolved(node)
    kind = node.get("type", "object" if "properties" in node else None)
    if value is None:
        return [] if kind in (None, "object", "array") or node.get("x-nullable") else [f"{where}: null, not {kind}"]
    if kind == "object":
        return object_faults(node, value, where)
    if kind == "array":
        if not isinstance(value, list):
            return [f"{where}: {type(value).__name__}, not a list"]
        return [text for index, entry in enumerate(value) for text in faults(node["items"], entry, f"{where}[{index}]")]
    python = {"string": str, "integer": int, "number": (int, float), "boolean": bool}.get(kind or "", object)
    if not isinstance(value, python) or (kind in ("integer", "number") and isinstance(value, bool)):
        return [f"{where}: {value!r}, not {kind}"]
    if "enum" in node and value not in [*node["enum"], ""]:
        return [f"{where}: {value!r}, not one of {node['enum']}"]
    return []


def object_faults(node: dict[str, Any], value: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {type(value).__name__}, not an object"]
    properties = node.get("properties", {})
    found = [f"{where}.{key}: missing" for key in node.get("required", []) if key not in value and key in properties]
    more = node.get("additionalProperties")
    for key, entry in value.items():
        if key in properties:
            found += faults(properties[key], entry, f"{where}.{key}")
        elif isinstance(more, dict):
            found += faults(more, entry, f"{where}.{key}")
        elif properties and not more:
            found.append(f"{where}.{key}: not in the description")
    return found


def answer_faults(method: str, path: str, status: int, value: Any) -> list[str]:
    """``path`` as the description writes it: /containers/{id}/json."""
    answer = document()["paths"][path][method.lower()]["responses"][status]
    return faults(answer["schema"], value)
