"""A token service for docker-registry (distribution's docs/spec/auth): signed tokens, refresh tokens, who may what."""

import base64
import json
import secrets
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.support.scripted import Reply, Request, Server

SERVICE, ISSUER = "registry.test", "issuer.test"


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """``users``: name → password. Everybody may pull what lies below ``public/``, users may do everything.

    ``lives`` is the life of a token in seconds; ``seen`` has the requests.
    """

    def __init__(self, users: dict[str, str], lives: int = 300) -> None:
        self.users = users
        self.lives = lives
        self.refresh: dict[str, str] = {}
        self.directory = Path(tempfile.mkdtemp(prefix="ct-token-", dir="/tmp"))
        self.key, self.certificate = self.directory / "key.pem", self.directory / "cert.pem"
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=token"]
        subprocess.run(
            [*words, "-keyout", str(self.key), "-out", str(self.certificate)], check=True, capture_output=True
        )
        self.server = Server(self.answer)

    @property
    def settings(self) -> dict[str, str]:
        """For ``Registry(token=...)``."""
        return {
            "realm": f"{self.server.url}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(self.certificate),
        }

    @property
    def seen(self) -> list[Request]:
        return self.server.seen

    def answer(self, request: Request) -> Reply:
        if request.method == "POST":
            form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
            user = self.refresh.get(form.get("refresh_token", ""))
            if form.get("grant_type") != "refresh_token" or user is None:
                return Reply(401, b'{"details":"invalid refresh token"}')
            return self.grant(user, form.get("scope", "").split(), offline=False)
        user = ""
        if request.proof:
            user, _, password = base64.b64decode(request.proof.removeprefix("Basic ")).decode().partition(":")
            if self.users.get(user) != password:
                return Reply(401, b'{"details":"incorrect username or password"}')
        scopes = [scope for text in request.query.get("scope", []) for scope in text.split()]
        return self.grant(user, scopes, offline="offline_token" in request.query)

    def grant(self, user: str, scopes: list[str], *, offline: bool) -> Reply:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            allowed = actions.split(",") if user else ["pull"] if name.startswith("public/") else []
            access.append({"type": kind, "name": name, "actions": allowed})
        reply: dict[str, Any] = {"token": self.token(user, access), "expires_in": self.lives}
        if offline and user:
            reply["refresh_token"] = secrets.token_urlsafe(12)
            self.refresh[reply["refresh_token"]] = user
        return Reply(200, json.dumps(reply).encode(), {"Content-Type": "application/json"})

    def token(self, user: str, access: list[dict[str, Any]]) -> str:
        der = subprocess.run(
            ["openssl", "x509", "-in", str(self.certificate), "-outform", "DER"], check=True, capture_output=True
        ).stdout
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "exp": now + self.lives,
            "nbf": now - 10,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        signed = f"{_packed(json.dumps(head).encode())}.{_packed(json.dumps(claims).encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)],
            input=signed.encode(),
            check=True,
            capture_output=True,
        ).stdout
        return f"{signed}.{_packed(signature)}"

    def close(self) -> None:
        self.server.close()
        for path in (self.key, self.certificate):
            path.unlink()
        self.directory.rmdir()

    def __enter__(self) -> "TokenServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
