"""HTTP servers whose every answer is the test's, and a network in which names and addresses lead to them."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from corten.distribution.network import Network


@dataclass(frozen=True)
class Request:
    """As it arrived; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def proof(self) -> str:
        return self.headers.get("authorization", "")


@dataclass(frozen=True)
class Reply:
    """``cut`` closes after that many bytes of the body; ``raw`` is sent in place of everything."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    raw: bytes = b""
    length: bool = True


Script = Callable[[Request], Reply]


class Server:
    """Answers by *script* on loopback until ``close``; ``seen`` are the requests so far."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.script = script
        self.seen: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def handle_any(self) -> None:
                body = outer.body_of(self)
                request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                outer.seen.append(request)
                outer.answer(self, outer.script(request))

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = handle_any  # noqa: N815

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        class Threads(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that go away are part of the tests

            def finish_request(self, request: Any, client_address: Any) -> None:
                if tls is not None:
                    request.settimeout(30)
                    request = tls.wrap_socket(request, server_side=True)
                super().finish_request(request, client_address)

        self.server = Threads((host, 0), Handler)
        self.port: int = self.server.server_address[1]
        self.host = f"{host}:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @staticmethod
    def body_of(handler: BaseHTTPRequestHandler) -> bytes:
        length = int(handler.headers.get("Content-Length") or 0)
        return handler.rfile.read(length) if length else b""

    @staticmethod
    def answer(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.raw:
            handler.wfile.write(reply.raw)
            handler.close_connection = True
            return
        handler.send_response_only(reply.status)
        headers = dict(reply.headers)
        if reply.length:
            headers.setdefault("Content-Length", str(len(reply.body)))
        else:
            handler.close_connection = True
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
        if reply.cut is not None:
            handler.close_connection = True

    @property
    def lines(self) -> list[str]:
        """ "METHOD TARGET" of what was asked."""
        return [f"{each.method} {each.target}" for each in self.seen]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def server_tls(certificates: Path, *, demand: bool = False) -> ssl.SSLContext:
    """For a server with what ``make_certificates`` made; with *demand* clients must show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server-key.pem")
    if demand:
        context.load_verify_locations(certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Stage(Network):
    """A network of the test's own. ``names``: host → addresses, or a list of such answers, one per question, the last
    of which stays. ``places``: address, or (address, port), → the server that stands there. Whatever was dialled is
    in ``dialled``; what has no place refuses the connection."""

    def __init__(
        self,
        names: dict[str, Sequence[str] | list[list[str]]] | None = None,
        places: dict[str | tuple[str, int], Server] | None = None,
    ) -> None:
        self.names = dict(names or {})
        self.places = dict(places or {})
        self.dialled: list[tuple[str, int]] = []
        self.asked: list[str] = []

    def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        self.asked.append(host)
        found: Any = self.names.get(host)
        if found is None:
            if host.replace(".", "").isdigit() or ":" in host:
                return [(host, port)]
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if found and isinstance(found[0], list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return [(address, port) for address in found]

    def connect(self, where: tuple[str, int], timeout: float | None) -> socket.socket:
        self.dialled.append(where)
        server = self.places.get(where) or self.places.get(where[0])
        if server is None:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.create_connection(server.server.server_address[:2], timeout)
