"""What a handler answers when it has the whole answer at once."""

from typing import Any

import msgspec

JSON_TYPE = "application/json"
_encoder = msgspec.json.Encoder()


class Response:
    """Status, headers and the whole body. ``headers`` are extra ones, without framing and content type."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        content_type: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers


def to_json(value: Any) -> bytes:
    """One JSON document and a newline; <, > and & are not escaped. Text that is no UTF-8 (host paths) gets U+FFFD."""
    try:
        return _encoder.encode(value) + b"\n"
    except UnicodeEncodeError:
        return _encoder.encode(_printable(value)) + b"\n"


def json_response(value: Any, status: int = 200) -> Response:
    return Response(status, to_json(value), JSON_TYPE)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value
