"""The synchronous client of the Engine API."""

from __future__ import annotations

import json
import os

from corten.client import endpoint, query
from corten.client.connection import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from corten.client.endpoint import Endpoint
    from corten.client.query import Value
    from corten.client.response import Response
    from corten.client.stream import Stream

API_VERSION = "1.51"
"""The newest API version that this client speaks."""


class Client:
    """Calls to one daemon. Connections are kept for the next call when they can be; not for several threads at once,
    except that a response or stream that was handed out belongs to whoever holds it.

    No request is spent on negotiation: the first call speaks API_VERSION, and an older daemon, which refuses that and
    names its own newest version, is asked again with that one.
    """

    def __init__(self, where: Endpoint | None = None, version: str | None = None) -> None:
        self.endpoint = where or endpoint.resolve(None, os.environ)
        pinned = version or os.environ.get("DOCKER_API_VERSION")
        self.version = (pinned or API_VERSION).removeprefix("v")
        self._settled = bool(pinned)
        self._busy: tuple[Connection, Response] | None = None

    def get(self, path: str, query: Mapping[str, Value] | None = None) -> Any:
        """The JSON that GET answers."""
        return self.call("GET", path, query).json()

    def post(self, path: str, query: Mapping[str, Value] | None = None, body: object = None) -> Any:
        """Send ``body`` as JSON (nothing when None) and return the answer's JSON, None when empty."""
        return self.call("POST", path, query, body).json()

    def delete(self, path: str, query: Mapping[str, Value] | None = None) -> Any:
        return self.call("DELETE", path, query).json()

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Value] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request with a JSON body; the response's own body is still to be read.

        ApiError for every status of 400 and above, ConnectFailed when no daemon answers.
        """
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        sent = dict(headers or {})
        if data is not None:
            sent["Content-Type"] = "application/json"
        if method == "HEAD":
            self.negotiate()  # a refusal would come without the text that names the right version
        response = self._send(method, path, query, data, sent)
        if response.status == 400 and not self._settled:
            error = response.error()
            if not self._step_down(str(error)):
                raise error
            response = self._send(method, path, query, data, sent)
        return self._checked(response)

    def upload(
        self,
        method: str,
        path: str,
        query: Mapping[str, Value] | None,
        body: Iterable[bytes],
        content_type: str = "application/x-tar",
    ) -> Response:
        """One request whose body is streamed. Like ``call`` otherwise."""
        self.negotiate()
        return self._checked(self._send(method, path, query, body, {"Content-Type": content_type}))

    def hijack(self, path: str, query: Mapping[str, Value] | None = None, body: object = None) -> Stream:
        """POST and take the connection over as a raw stream."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        response = self.call("POST", path, query, body, upgrade)
        self._busy = None
        return response.hijack()

    def negotiate(self) -> None:
        """Settle the API version now, by a ping, for a request that could not be sent a second time."""
        if self._settled:
            return
        connection = self._take()
        response = connection.request("HEAD", "/_ping", {})
        self._busy = (connection, response)
        self._checked(response)

    def close(self) -> None:
        """Close the last connection, and with it a response that is still being read."""
        if self._busy is not None:
            self._busy[0].close()
            self._busy = None

    def _checked(self, response: Response) -> Response:
        if response.status >= 400:
            raise response.error()
        self._settle(response)
        return response

    def _settle(self, response: Response) -> None:
        if not self._settled:
            self._settled = True
            self._lower_to(response.headers.get("api-version", ""))

    def _step_down(self, message: str) -> bool:
        """Take the version from an old daemon's refusal ("client version 1.51 is too new. Maximum supported ...")."""
        self._settled = "too new" in message and self._lower_to(message.rpartition(" ")[2])
        return self._settled

    def _lower_to(self, offered: str) -> bool:
        major, dot, minor = offered.strip().partition(".")
        if not (dot and major.isdigit() and minor.isdigit()):
            return False
        own_major, _, own_minor = self.version.partition(".")
        if (int(major), int(minor)) < (int(own_major), int(own_minor)):
            self.version = offered.strip()
            return True
        return False

    def _send(
        self,
        method: str,
        path: str,
        values: Mapping[str, Value] | None,
        body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
    ) -> Response:
        target = f"/v{self.version}{path}"
        encoded = query.encode(values) if values else ""
        if encoded:
            target = f"{target}?{encoded}"
        connection = self._take()
        response = connection.request(method, target, headers, body)
        self._busy = (connection, response)
        return response

    def _take(self) -> Connection:
        """A connection that is free now: the last one when its answer was read to the end, else a new one."""
        if self._busy is not None:
            connection, response = self._busy
            self._busy = None
            if response.done and response.headers.get("connection", "").lower() != "close" and connection.alive():
                return connection
            if response.done:
                connection.close()
        return Connection(self.endpoint.connect())
