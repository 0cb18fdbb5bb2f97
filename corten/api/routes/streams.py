"""Attach, exec, logs: answers that are streams of a container's stdio."""

import base64
from struct import Struct

from corten import errors
from corten.api import hijack, times
from corten.api.backend import ContainerView
from corten.api.call import Call
from corten.api.decode import decode
from corten.api.hijack import MULTIPLEXED, RAW
from corten.api.response import Response, json_response
from corten.api.routes.containers import window_size
from corten.api.routing import Route
from corten.api.websocket import accept
from corten.engine.logs import LogOptions
from corten.model.base import Value
from corten.model.exec import ExecOptions, ExecState
from corten.wire import detachkeys

DEMULTIPLEXING_CLIENTS = ("Docker-Client/", "corten")
"""User agents that only look at the bytes of frames. Others, docker-py among them, take a frame of the log for a line,
as dockerd sends it so; a frame with many lines is far quicker, though."""

MOST_PARTS = 8
"""More pieces are joined before they are written."""

_frame_header = Struct(">BxxxI").pack


def _content_type(call: Call, tty: bool) -> str:
    """What the stream announces itself as; the framing itself depends on the terminal alone."""
    return MULTIPLEXED if not tty and call.version >= (1, 42) else RAW


async def attach(call: Call) -> None:
    ref = call.params["id"]
    container = call.backend.containers.get(ref)
    call.backend.attachments.check_attach(ref)
    tty = container.record.config.tty
    _detach_keys(call)
    peer = await call.hijack(not tty, _content_type(call, tty))
    await _attach(call, container, peer)


async def attach_websocket(call: Call) -> Response | None:
    """Binary messages without frames. Below 1.42 all streams are attached, whatever the parameters say."""
    ref = call.params["id"]
    container = call.backend.containers.get(ref)
    call.backend.attachments.check_attach(ref)
    _detach_keys(call)
    head = accept(call)
    if head is None:
        raise errors.InvalidArgument("the request does not ask for a websocket")
    every = call.version < (1, 42)
    await _attach(call, container, call.connection.websocket(head), every)
    return None


async def _attach(call: Call, container: ContainerView, peer: hijack.HijackedPeer, every: bool = False) -> None:
    try:
        await call.backend.attachments.attach(
            container.record.id,
            peer,
            stdin=every or call.flag("stdin"),
            stdout=every or call.flag("stdout"),
            stderr=every or call.flag("stderr"),
            logs=call.flag("logs"),
            stream=call.flag("stream"),
            detach_keys=call.text("detachKeys"),
        )
    finally:
        peer.close()


def _detach_keys(call: Call) -> None:
    """Refuse bad keys while that can still be an answer."""
    call.backend.attachments.check_detach_keys(call.text("detachKeys"))


# exec


async def exec_create(call: Call) -> Response:
    document = await call.json()
    if document is None:
        raise errors.InvalidArgument("invalid JSON: got EOF while reading request body")
    options = decode(ExecOptions, document, "ExecConfig")
    if not options.cmd:
        raise errors.InvalidArgument("No exec command specified")
    call.backend.attachments.check_detach_keys(options.detach_keys)
    return json_response({"Id": await call.backend.execs.create(call.params["id"], options)}, 201)


class ExecStart(Value, frozen=True):
    """Body of POST /exec/{id}/start. ``console_size`` is [height, width]."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] | None = None


async def exec_start(call: Call) -> Response | None:
    execs = call.backend.execs
    document = await call.json()
    request = decode(ExecStart, document or {}, "ExecStartConfig")
    exec_id = call.params["id"]
    size = _console_size(request.console_size, request.tty)
    execs.check_start(exec_id)
    if request.detach:
        await execs.start(exec_id, None, True, request.tty, size)
        return Response(200)
    peer = await call.hijack(not request.tty, _content_type(call, request.tty))
    try:
        await execs.start(exec_id, peer, False, request.tty, size)
    except errors.CortenError as error:
        peer.write(1, f"{error}\r\n".encode())
    finally:
        peer.close()
    return None


def _console_size(size: list[int] | None, tty: bool) -> tuple[int, int] | None:
    """Height and width; [0, 0] means none given."""
    if size is None or not any(size):
        return None
    if len(size) != 2 or min(size) < 0:
        raise errors.InvalidArgument("invalid console size: expected [height, width]")
    if not tty:
        raise errors.InvalidArgument("console size is only supported when TTY is enabled")
    return size[0], size[1]


async def exec_resize(call: Call) -> Response:
    height, width = window_size(call)
    await call.backend.execs.resize(call.params["id"], height, width)
    return Response(200)


async def exec_inspect(call: Call) -> Response:
    return json_response(exec_document(call.backend.execs.inspect(call.params["id"])))


def exec_document(state: ExecState) -> dict[str, object]:
    options = state.options
    command = options.cmd or [""]
    process: dict[str, object] = {
        "tty": options.tty,
        "entrypoint": command[0],
        "arguments": command[1:],
        "privileged": options.privileged,
    }
    if options.user:
        process["user"] = options.user
    return {
        "ID": state.id,
        "Running": state.running,
        "ExitCode": state.exit_code,
        "ProcessConfig": process,
        "OpenStdin": options.attach_stdin,
        "OpenStderr": options.attach_stderr,
        "OpenStdout": options.attach_stdout,
        "CanRemove": state.can_remove,
        "ContainerID": state.container_id,
        "DetachKeys": base64.b64encode(detachkeys.parse(keys)).decode() if (keys := options.detach_keys) else "",
        "Pid": state.pid,
    }


# logs


async def logs(call: Call) -> None:
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    if not stdout and not stderr:
        raise errors.InvalidArgument("Bad parameters: you must choose at least one stream")
    container = call.backend.containers.get(call.params["id"])
    tty = container.record.config.tty
    options = LogOptions(
        stdout=stdout,
        stderr=stderr,
        follow=call.flag("follow"),
        since=times.parse(call.text("since"), "since"),
        until=times.parse(call.text("until"), "until"),
        tail=_tail(call.text("tail")),
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
    )
    blocks = call.backend.logs.read_blocks(container, options)
    stream = call.stream(_content_type(call, tty))
    many_lines = call.header(b"user-agent").startswith(DEMULTIPLEXING_CLIENTS)
    try:
        async for chunks in blocks:
            if tty:
                parts = [data for _, data in chunks]
            elif many_lines:
                parts = [part for number, data in chunks for part in (_frame_header(number, len(data)), data)]
            else:
                parts = [_line_frames(number, data) for number, data in chunks]
            if len(parts) > MOST_PARTS:
                parts = [b"".join(parts)]
            stream.write(*parts)
            await stream.drain()
    finally:
        await blocks.aclose()


def _line_frames(number: int, data: bytes) -> bytes:
    """A frame for every line."""
    *lines, rest = data.split(b"\n")
    frames = [_frame_header(number, len(line) + 1) + line + b"\n" for line in lines]
    if rest:
        frames.append(_frame_header(number, len(rest)) + rest)
    return b"".join(frames)


def frame_lines(number: int, data: bytes) -> bytes:
    """One frame for each line, as Docker sends logs: clients such as docker-py give a frame out as a line."""
    lines = _split(data) if b"\r" in data else data.splitlines(keepends=True)
    headers = {length: _frame_header(number, length) for length in set(map(len, lines))}
    return b"".join([part for line in lines for part in (headers[len(line)], line)])


def _split(data: bytes) -> list[bytes]:
    """Lines of *data* with their ends; a carriage return alone ends none."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()
    return [*lines, last[:-1]] if len(last) > 1 else lines


def _tail(text: str) -> int:
    """Lines from the end; -1 for all, which is also what Docker makes of anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


ROUTES = [
    Route("POST", "/containers/{id}/attach", attach),
    Route("GET", "/containers/{id}/attach/ws", attach_websocket),
    Route("GET", "/containers/{id}/logs", logs),
    Route("POST", "/containers/{id}/exec", exec_create),
    Route("POST", "/exec/{id}/start", exec_start),
    Route("POST", "/exec/{id}/resize", exec_resize),
    Route("GET", "/exec/{id}/json", exec_inspect),
]
