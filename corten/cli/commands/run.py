"""``corten run`` and ``corten create``."""

from __future__ import annotations

import os

from corten.cli import attach, terminal
from corten.cli.attach import Attachment, Waiter
from corten.cli.command import Command
from corten.cli.container import request
from corten.cli.container.flags import FLAGS
from corten.cli.escape import visible_lines
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag
from corten.client.error import ApiError
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App
    from corten.cli.flags import Options

_RUN_FLAGS = (
    *FLAGS,
    Flag("detach", help="Leave the container in the background and print its id", short="d"),
    Flag("detach-keys", "string", "Keys that detach from the container", shown=terminal.DEFAULT_KEYS),
    Flag("sig-proxy", help="Pass signals on to the container", default=True),
)


def _create(app: App, options: Options) -> None:
    body = _body(app, options)
    try:
        identifier = _create_container(app, options, body)
    except ApiError as error:
        raise Failure(explain(error)) from None
    app.print(identifier)


def _run(app: App, options: Options) -> int:
    try:
        return _run_container(app, options)
    except ApiError as error:
        raise _with_help(explain(error), attach.start_code(str(error))) from None
    except CortenError as error:
        raise _with_help(str(error), 125) from None


def _with_help(message: str, code: int, name: str = "run") -> Failure:
    return Failure(f"corten: {message}\n\nRun 'corten {name} --help' for more information", code)


def _body(app: App, options: Options) -> dict[str, Any]:
    image, *command = options.args
    try:
        body = request.build(options, image, command)
    except Failure as failure:
        raise _with_help(failure.message, failure.exit_code, app.name.removeprefix("corten ")) from None
    if options.on("use-api-socket"):
        socket = app.client.endpoint.path
        if not socket:
            raise _with_help("flag --use-api-socket needs a daemon on a unix socket", 125)
        mount = {"Type": "bind", "Source": socket, "Target": "/var/run/docker.sock", "BindOptions": {}}
        body["HostConfig"].setdefault("Mounts", []).append(mount)
    return body


def _run_container(app: App, options: Options) -> int:
    body = _body(app, options)
    streams = request.attached(options)
    tty = options.on("tty")
    detach = options.on("detach")
    if detach and options.texts("attach"):
        raise _with_help("conflicting options: cannot specify both --attach and --detach", 125)
    if not detach:
        attach.check_tty("stdin" in streams, tty)
        if tty:
            body["HostConfig"]["ConsoleSize"] = terminal.size()
    keys = attach.detach_keys(app, options)
    identifier = _create_container(app, options, body)
    if detach or not streams:
        return _start_unattended(app, options, identifier)
    attachment = Attachment(app, identifier, streams=streams, tty=tty, keys=keys, sig_proxy=options.on("sig-proxy"))
    waiter = Waiter(app, identifier, "removed" if options.on("rm") else "next-exit")
    try:
        _start(app, identifier)
    except ApiError:
        attachment.close()
        if options.on("rm"):
            waiter.code()  # the daemon removes it; its name must be free when we leave
        raise
    return attachment.run(waiter)


def _start_unattended(app: App, options: Options, identifier: str) -> int:
    if options.on("detach"):
        _start(app, identifier)
        app.print(identifier)
        return 0
    waiter = Waiter(app, identifier, "removed" if options.on("rm") else "next-exit")
    _start(app, identifier)
    return waiter.code()


def _start(app: App, identifier: str) -> None:
    app.client.post(f"/containers/{identifier}/start")


def _create_container(app: App, options: Options, body: dict[str, Any]) -> str:
    """Create the container, pulling its image when that is wanted, and return its id."""
    cidfile = options.text("cidfile")
    if cidfile and os.path.exists(cidfile):
        raise _with_help(
            f"container ID file found, make sure the other container isn't running or delete {cidfile}", 125
        )
    policy = options.text("pull")
    if policy not in ("always", "missing", "never"):
        raise _with_help(f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"', 125)
    query = {"name": options.text("name") or None, "platform": options.text("platform") or None}
    if policy == "always":
        _pull(app, options, body["Image"])
    try:
        answer = app.client.post("/containers/create", query, body)
    except ApiError as error:
        if error.status != 404 or policy != "missing" or not str(error).startswith("No such image"):
            raise
        app.warn(f"Unable to find image '{_familiar(body['Image'])}' locally")
        _pull(app, options, body["Image"])
        answer = app.client.post("/containers/create", query, body)
    for warning in answer.get("Warnings") or []:
        app.warn(f"WARNING: {visible_lines(warning)}")
    if cidfile:
        with open(cidfile, "w", encoding="ascii") as file:
            file.write(answer["Id"])
    return str(answer["Id"])


def _familiar(image: str) -> str:
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


def _pull(app: App, options: Options, image: str) -> None:
    from corten.cli import progress, registry_auth

    name, at, digest = image.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, "latest"
    query = {"fromImage": repository, "tag": digest if at else tag, "platform": options.text("platform") or None}
    response = app.client.call("POST", "/images/create", query, headers=registry_auth.headers(app, image))
    progress.show(app, response.records(), quiet=options.on("quiet"), to_stderr=True)


RUN = Command(_run, "[OPTIONS] IMAGE [COMMAND] [ARG...]", _RUN_FLAGS, minimum=1, interspersed=False)
CREATE = Command(_create, "[OPTIONS] IMAGE [COMMAND] [ARG...]", FLAGS, minimum=1, interspersed=False)
