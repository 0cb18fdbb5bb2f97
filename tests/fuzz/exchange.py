"""One connection of a fuzzing client: what it sends and how it leaves, what came back. Sync, on a unix socket."""

import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any

RAW_STREAMS = (b"application/vnd.docker.raw-stream", b"application/vnd.docker.multiplexed-stream")


class NotHttp(ValueError):
    """What the server sent is no HTTP/1.1 answer."""


@dataclass(frozen=True)
class Request:
    """What is sent. ``live``: the answer may be endless. ``half``: the client shuts its sending side down after it."""

    data: bytes
    method: str = "GET"
    live: bool = False
    half: bool = False
    pieces: tuple[int, ...] = ()
    """Sizes of the parts it is sent in; the rest at once."""
    leave: bool = False
    """The client goes without reading the answer."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""
    whole: bool = True

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Outcome:
    """``ended``: the server closed, or the client had no reason to wait. ``answers``: all that came, in order."""

    data: bytes = b""
    ended: bool = False
    seconds: float = 0.0
    answers: list[Answer] = field(default_factory=list)


def build(method: str, target: bytes, headers: list[tuple[str, str]], body: bytes | None = None) -> bytes:
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: fuzz"]
    lines += [f"{name}: {value}".encode("latin-1", "replace") for name, value in headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def exchange(path: str, request: Request, limit: float, idle: float = 0.25) -> Outcome:
    """Send and read until the server closes; ``limit`` seconds at most, ``idle`` after the last byte when live."""
    outcome = Outcome()
    start = time.monotonic()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(limit)
        sock.connect(path)
        try:
            send(sock, request)
            if request.leave:
                outcome.ended = True
                return outcome
            read(sock, request, outcome, start + limit, idle)
        except (BrokenPipeError, ConnectionResetError):
            outcome.ended = True
            drain(sock, outcome)
        except TimeoutError:
            outcome.ended = False
    outcome.seconds = time.monotonic() - start
    outcome.answers = parse(outcome.data, request.method)
    return outcome


def send(sock: socket.socket, request: Request) -> None:
    at = 0
    for size in request.pieces:
        sock.sendall(request.data[at : at + size])
        at += size
        time.sleep(0)
    sock.sendall(request.data[at:])
    if request.half:
        sock.shutdown(socket.SHUT_WR)


def read(sock: socket.socket, request: Request, outcome: Outcome, deadline: float, idle: float) -> None:
    parts: list[bytes] = []
    try:
        while True:
            left = deadline - time.monotonic()
            sock.settimeout(max(0.001, min(left, idle) if request.live else left))
            try:
                data = sock.recv(1 << 18)
            except TimeoutError:
                if not request.live and not opaque(b"".join(parts[:1])):
                    raise
                outcome.ended = True
                return
            if not data:
                outcome.ended = True
                return
            parts.append(data)
            if len(parts) == 1 and opaque(data):
                deadline = time.monotonic() + idle
    finally:
        outcome.data += b"".join(parts)


def drain(sock: socket.socket, outcome: Outcome) -> None:
    """What the server had said before it cut the connection."""
    try:
        while data := sock.recv(1 << 16):
            outcome.data += data
    except OSError:
        return


def opaque(data: bytes) -> bool:
    """Whether an answer has handed the connection over to a stream."""
    return data.startswith(b"HTTP/1.1 101") or any(kind in data[:600] for kind in RAW_STREAMS)


def parse(data: bytes, method: str) -> list[Answer]:
    """All answers in what came. ``method`` is that of the first request; answers to HEAD have no body."""
    answers: list[Answer] = []
    while data:
        answer, data = parse_one(data, method if not answers else "")
        if answer.status >= 200 or answer.status == 101:
            answers.append(answer)
        if not answer.whole or answer.status == 101:
            break
    return answers


def parse_one(data: bytes, method: str) -> tuple[Answer, bytes]:
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        raise NotHttp(f"a head without an end: {data[:200]!r}")
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) != 3 or words[0] != b"HTTP/1.1" or not words[1].isdigit() or len(words[1]) != 3:
        raise NotHttp(f"bad status line: {first[:200]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name or any(byte < 32 for byte in value):
            raise NotHttp(f"bad header line: {line[:200]!r}")
        key = name.decode("latin-1").lower()
        if key in headers:
            raise NotHttp(f"header given twice: {line[:200]!r}")
        headers[key] = value.strip().decode("latin-1")
    answer = Answer(int(words[1]), headers)
    bodiless = method == "HEAD" and answer.status != 400  # a head that is not understood has no method yet
    if answer.status < 200 or answer.status in (204, 304) or bodiless:
        return answer, rest if answer.status != 101 else b""
    if "content-length" in headers:
        size = int(headers["content-length"])
        if method in ("", "HEAD") and (not rest or rest.startswith(b"HTTP/1.1 ")):  # to HEAD, perhaps a later one
            return answer, rest
        answer.body, answer.whole = rest[:size], len(rest) >= size
        return answer, rest[size:]
    if headers.get("transfer-encoding") == "chunked":
        return dechunked(answer, rest)
    answer.body = rest
    return answer, b""


def dechunked(answer: Answer, rest: bytes) -> tuple[Answer, bytes]:
    parts: list[bytes] = []
    answer.whole = False
    while True:
        line, end, after = rest.partition(b"\r\n")
        if not end:
            break
        try:
            size = int(line, 16)
        except ValueError:
            raise NotHttp(f"bad chunk size: {line[:60]!r}") from None
        if size == 0:
            answer.whole, rest = after.startswith(b"\r\n"), after[2:]
            break
        if len(after) < size + 2:
            parts.append(after[:size])
            break
        parts.append(after[:size])
        if after[size : size + 2] != b"\r\n":
            raise NotHttp("a chunk without its end")
        rest = after[size + 2 :]
    answer.body = b"".join(parts)
    return answer, rest
