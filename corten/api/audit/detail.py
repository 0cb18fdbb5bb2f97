"""What of a request goes into the audit log: what decides, never what may be a secret.

Environment, arguments of commands, labels, credentials and build arguments stay out; so does everything that is not
named here.
"""

import re
from collections.abc import Callable
from typing import Any

from corten import errors
from corten.api import createrequest
from corten.api.call import Call
from corten.api.decode import decode, sent_fields
from corten.api.keys import key_of
from corten.api.networkshape import request_of
from corten.api.routes import containers, networks, registries, streams, volumes
from corten.api.routing import Handler
from corten.distribution.credential import from_document, server_domain
from corten.model.container import HostConfig
from corten.model.exec import ExecOptions

LONGEST = 1024
"""Characters of one text."""
MOST = 1000
"""Entries of one list."""

QUERY = frozenset(
    (
        "all",
        "author",
        "condition",
        "container",
        "copyUIDGID",
        "detachKeys",
        "dockerfile",
        "force",
        "fromImage",
        "fromSrc",
        "link",
        "logs",
        "name",
        "names",
        "noOverwriteDirNonDir",
        "noprune",
        "path",
        "pause",
        "platform",
        "quiet",
        "repo",
        "signal",
        "stdin",
        "stdout",
        "stderr",
        "stream",
        "t",
        "tag",
        "target",
        "type",
        "v",
    )
)
"""Parameters whose values are written; ``changes`` and ``buildargs`` may hold environment, ``remote`` a password."""

Fields = dict[str, Any]
Detail = Callable[[Call, dict[str, Any]], Fields]


def _create(call: Call, document: dict[str, Any]) -> Fields:
    request = createrequest.CreateRequest(document, call.version)
    config, host = request.config, request.host
    program = [*(config.entrypoint or ()), *(config.cmd or ())][:1]
    found: Fields = {"image": config.image, "user": config.user, "program": program[0] if program else ""}
    found["networks"] = list(dict.fromkeys([host.network_mode or "default", *request.endpoints]))
    found["restart"] = host.restart_policy.name
    found["ports"] = [
        f"{binding.host_ip}:{binding.host_port}:{port}"
        for port, bindings in (host.port_bindings or {}).items()
        for binding in bindings or ()
    ]
    found["grants"] = call.backend.grants.of_create(host)
    return found


def _update(call: Call, document: dict[str, Any]) -> Fields:
    host = decode(HostConfig, document, "UpdateConfig")
    fields = sorted(map(key_of, sent_fields(HostConfig, document)))
    return {"fields": fields, "grants": call.backend.grants.of_create(host)}


def _exec(call: Call, document: dict[str, Any]) -> Fields:
    options = decode(ExecOptions, document, "ExecConfig")
    found: Fields = {"program": options.cmd[0] if options.cmd else "", "user": options.user}
    found["grants"] = call.backend.grants.of_exec(options)
    return found


def _exec_start(call: Call, document: dict[str, Any]) -> Fields:
    state = call.backend.execs.inspect(call.params["id"])
    options = state.options
    found: Fields = {"container": state.container_id, "program": options.cmd[0] if options.cmd else ""}
    found["detach"] = decode(streams.ExecStart, document, "ExecStartConfig").detach
    found["grants"] = call.backend.grants.of_exec(options)
    return found


def _volume(call: Call, document: dict[str, Any]) -> Fields:
    request = decode(volumes.Create, document, "VolumeCreateRequest")
    return {
        "name": request.name,
        "driver": request.driver,
        "grants": call.backend.grants.of_volume(request.driver_opts),
    }


def _network(call: Call, document: dict[str, Any]) -> Fields:
    request = request_of(document)
    return {"name": request.name, "driver": request.driver}


def _connect(call: Call, document: dict[str, Any]) -> Fields:
    return {"container": decode(networks.Connect, document, "ConnectRequest").container}


def _disconnect(call: Call, document: dict[str, Any]) -> Fields:
    request = decode(networks.Disconnect, document, "DisconnectRequest")
    return {"container": request.container, "force": request.force}


def _login(call: Call, document: dict[str, Any]) -> Fields:
    credential = from_document(document, "request")
    registry = server_domain(credential.server_address).rpartition("@")[2]  # what is before may be a password
    return {"registry": registry, "username": credential.username}


BODIES: dict[Handler, Detail] = {
    containers.create: _create,
    containers.update: _update,
    streams.exec_create: _exec,
    streams.exec_start: _exec_start,
    volumes.create: _volume,
    networks.create: _network,
    networks.connect: _connect,
    networks.disconnect: _disconnect,
    registries.login: _login,
}
"""Handlers with a JSON body that decides something. The handler itself reads the same bytes again."""


async def of_request(call: Call, handler: Handler) -> Fields:
    """``query`` and what the body decides. Raises what reading the body raises; a bad document is said to be one."""
    found: Fields = {}
    query = {key: values[0] for key, values in _query(call).items() if key in QUERY}
    if "fromSrc" in query:
        query["fromSrc"] = _place(query["fromSrc"])
    if query:
        found["query"] = query
    detail = BODIES.get(handler)
    if detail is not None:
        await call.read()
        try:
            found.update(detail(call, await call.json() or {}))
        except errors.CortenError:
            found["invalid"] = True  # the handler says why, to the client
    elif handler is containers.start or handler is containers.restart:
        try:
            record = call.backend.containers.get(call.params["id"]).record
        except errors.CortenError:
            return found
        found["grants"] = call.backend.grants.of_record(record)
    return found


def target(call: Call) -> Fields | None:
    """The object that the path names, with its id and name now where it is a container."""
    ref = call.params.get("id") or call.params.get("name")
    if not ref:
        return None
    kind = call.path.lstrip("/").partition("/")[0].removesuffix("s")
    found: Fields = {"type": kind, "ref": ref}
    if kind == "container":
        try:
            record = call.backend.containers.get(ref).record
        except errors.CortenError:
            return found
        found["id"], found["name"] = record.id, record.name
    return found


def _place(source: str) -> str:
    """Where an import comes from. What stands before the host may be a password, what follows the path a signature."""
    scheme, mark, rest = source.partition("://")
    if not mark:
        scheme, rest = "", source
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def bounded(value: Any) -> Any:
    """*value* with texts and lists cut to what a log can bear; a cut text ends in "…"."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else value[:LONGEST] + "…"
    if isinstance(value, dict):
        return {bounded(key): bounded(entry) for key, entry in list(value.items())[:MOST]}
    if isinstance(value, list | tuple):
        kept = [bounded(entry) for entry in value[:MOST]]
        return kept if len(value) <= MOST else [*kept, f"… {len(value) - MOST} more"]
    return value


def _query(call: Call) -> dict[str, list[str]]:
    try:
        return call.query
    except errors.InvalidArgument:
        return {}
